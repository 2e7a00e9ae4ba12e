"""Segmentation from the layers of a viewer in one call, as the form and scripts use it."""
