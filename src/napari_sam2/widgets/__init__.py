"""The napari window: dock widgets, their views and controllers, sample data."""
