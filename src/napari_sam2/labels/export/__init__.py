"""Labels as files: TIFF, OME-Zarr."""
