"""Measurements: region properties of every object in every frame, as one table.

pandas and scikit-image load when something is measured.
Functions run on the caller's thread.
"""

from __future__ import annotations

from napari_sam2.measure.files import check_table_path, is_measured, write_table
from napari_sam2.measure.review import Review
from napari_sam2.measure.table import Measurements, measure

__all__ = [
    "Measurements",
    "Review",
    "check_table_path",
    "is_measured",
    "measure",
    "write_table",
]
