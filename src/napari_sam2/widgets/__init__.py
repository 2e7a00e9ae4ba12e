"""The napari window: dock widgets, their views and controllers, sample data.

Each sub-package says on which thread it runs.
"""
