"""File names of labelled images: ``NAME_image.tif`` and ``NAME_labels.tif``."""

IMAGE_ENDING = "_image"
LABELS_ENDING = "_labels"
"""What the names of the two files of a pair end in, before the suffix."""

PAIR_SUFFIXES = (".tif", ".tiff")
