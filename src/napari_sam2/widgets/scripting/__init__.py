"""Segmentation from the layers of a viewer in one call, as the form and scripts use it.

Layers are read on the main thread; a segmentation runs in the thread that calls it.
"""
