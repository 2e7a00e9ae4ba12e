"""Automatic objects: candidates of one frame that become ordinary point prompts.

The package finds points; the engine decides about masks. All of it runs on the caller's thread.
"""

from napari_sam2.detection.candidate import Candidate, DetectionSettings
from napari_sam2.detection.find_candidates import FrameInput, find_candidates, has_dense_heads
from napari_sam2.detection.selection import ScoredMask, select_masks, with_agreement
from napari_sam2.detection.unlikely_objects import is_clearer, tiny, unlikely

__all__ = [
    "Candidate",
    "DetectionSettings",
    "FrameInput",
    "ScoredMask",
    "find_candidates",
    "has_dense_heads",
    "is_clearer",
    "select_masks",
    "tiny",
    "unlikely",
    "with_agreement",
]
