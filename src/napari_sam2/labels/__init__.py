"""Labels: volumes of object ids, cleaning of masks, export to files, pictures.

Values and functions may be used from any thread; a `LabelsVolume` locks itself.
"""

from napari_sam2.labels.array_storage import blank_labels
from napari_sam2.labels.edit_history import Edit, History, PlaneChange
from napari_sam2.labels.export.formats import FORMATS, check_labels_path, format_of, write_labels
from napari_sam2.labels.frame_records import (
    Doubt,
    FrameRecord,
    Limits,
    RecordBook,
    doubts,
    is_known,
    measure,
)
from napari_sam2.labels.masks import PackedMask, clean_mask
from napari_sam2.labels.rendering.colours import colour_of
from napari_sam2.labels.rendering.contact_sheet import contact_sheet
from napari_sam2.labels.rendering.overlay import overlay
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
