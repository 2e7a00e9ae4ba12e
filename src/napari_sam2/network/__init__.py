"""The SAM 2 network: torch modules and their frozen configurations, tensors in and tensors out.

All of it runs on the caller's thread.
"""

import napari_sam2._memory  # noqa: F401 - says what is needed before torch is loaded
from napari_sam2.network.config import (
    BUNDLED_CONFIG,
    FIRST_BUNDLED_CONFIG,
    OFFICIAL_CONFIGS,
    ConvTrunkConfig,
    HieraConfig,
    InvertedResidualConfig,
    Sam2Config,
)
from napari_sam2.network.dense_heads import DenseHeads, DenseMaps
from napari_sam2.network.features import ImageFeatures, MaskPrediction
from napari_sam2.network.object_contrast import (
    FADED,
    STANDS_OUT,
    bright_level,
    dim_pixels,
    object_contrast,
    relative_brightness,
    remaining_contrast,
)
from napari_sam2.network.prompt_encoder import BACKGROUND, BOX_END, BOX_START, OBJECT, PAD
from napari_sam2.network.sam2 import Sam2, outline, upsample_masks

__all__ = [
    "BACKGROUND",
    "BOX_END",
    "BOX_START",
    "BUNDLED_CONFIG",
    "FADED",
    "FIRST_BUNDLED_CONFIG",
    "OBJECT",
    "OFFICIAL_CONFIGS",
    "PAD",
    "STANDS_OUT",
    "ConvTrunkConfig",
    "DenseHeads",
    "DenseMaps",
    "HieraConfig",
    "ImageFeatures",
    "InvertedResidualConfig",
    "MaskPrediction",
    "Sam2",
    "Sam2Config",
    "bright_level",
    "dim_pixels",
    "object_contrast",
    "outline",
    "relative_brightness",
    "remaining_contrast",
    "upsample_masks",
]
