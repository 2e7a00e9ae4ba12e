"""Masks to label ids: the labels volume, cleaning, export, pictures."""

from napari_sam2.labels.cleaning import clean_mask
from napari_sam2.labels.colours import colour_of
from napari_sam2.labels.contact_sheet import contact_sheet
from napari_sam2.labels.export import write_labels
from napari_sam2.labels.overlay import overlay
from napari_sam2.labels.volume import LabelsVolume

__all__ = [
    "LabelsVolume",
    "clean_mask",
    "colour_of",
    "contact_sheet",
    "overlay",
    "write_labels",
]
