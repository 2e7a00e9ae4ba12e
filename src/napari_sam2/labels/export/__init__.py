"""Export of labels to TIFF and OME-Zarr files."""
