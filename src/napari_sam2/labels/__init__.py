"""Masks to label ids: the labels volume, cleaning, export, pictures."""

from napari_sam2.labels.blank import blank_labels
from napari_sam2.labels.cleaning import clean_mask
from napari_sam2.labels.colours import colour_of
from napari_sam2.labels.contact_sheet import contact_sheet
from napari_sam2.labels.doubts import Doubt, Limits, doubts
from napari_sam2.labels.export import FORMATS, check_labels_path, format_of, write_labels
from napari_sam2.labels.history import Edit, History
from napari_sam2.labels.overlay import overlay
from napari_sam2.labels.packed_mask import PackedMask
from napari_sam2.labels.plane_change import PlaneChange
from napari_sam2.labels.record_book import RecordBook, is_known
from napari_sam2.labels.records import FrameRecord, measure
from napari_sam2.labels.volume import LabelsVolume

__all__ = [
    "FORMATS",
    "Doubt",
    "Edit",
    "FrameRecord",
    "History",
    "LabelsVolume",
    "Limits",
    "PackedMask",
    "PlaneChange",
    "RecordBook",
    "blank_labels",
    "check_labels_path",
    "clean_mask",
    "colour_of",
    "contact_sheet",
    "doubts",
    "format_of",
    "is_known",
    "measure",
    "overlay",
    "write_labels",
]
