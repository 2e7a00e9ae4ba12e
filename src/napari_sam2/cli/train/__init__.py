"""The command ``napari-sam2 train``."""
