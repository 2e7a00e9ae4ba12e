"""SAM 2 as plain modules and frozen configurations: tensors in, tensors out."""

from napari_sam2.network.config import (
    BUNDLED_CONFIG,
    OFFICIAL_CONFIGS,
    ConvTrunkConfig,
    HieraConfig,
    Sam2Config,
)
from napari_sam2.network.features import ImageFeatures, MaskPrediction
from napari_sam2.network.outline import outline
from napari_sam2.network.prompt_encoder import BACKGROUND, BOX_END, BOX_START, OBJECT, PAD
from napari_sam2.network.sam2 import Sam2, upsample_masks

__all__ = [
    "BACKGROUND",
    "BOX_END",
    "BOX_START",
    "BUNDLED_CONFIG",
    "OBJECT",
    "OFFICIAL_CONFIGS",
    "PAD",
    "ConvTrunkConfig",
    "HieraConfig",
    "ImageFeatures",
    "MaskPrediction",
    "Sam2",
    "Sam2Config",
    "outline",
    "upsample_masks",
]
