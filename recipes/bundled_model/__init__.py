"""The making of the bundled model: initialisation, data, recipe, export. Not part of the wheel."""
