"""How the bundled model is made: start, data, recipe, export. Not part of the package."""
