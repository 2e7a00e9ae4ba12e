"""Networks small enough for hundreds of calls per second."""

from __future__ import annotations

from dataclasses import replace

from napari_sam2.network import (
    ConvTrunkConfig,
    HieraConfig,
    InvertedResidualConfig,
    Sam2Config,
)
from napari_sam2.network.config import TrunkConfig

SMALL_HIERA = HieraConfig(
    embed_dim=16,
    stages=(1, 2, 2, 1),
    global_blocks=(3,),
    windows=(8, 4, 6, 3),  # 6 and 3 divide few grids: most windows get padding
    background_size=(7, 7),
)
SMALL_CONV = ConvTrunkConfig(channels=(8, 16, 24, 32), depths=(1, 1, 1, 1))


def small_config(
    trunk: TrunkConfig = SMALL_HIERA,
    *,
    top_down_levels: tuple[int, ...] = (2, 3),
    version: str = "2.1",
) -> Sam2Config:
    """Return a configuration of some hundred thousand parameters; inputs of 64 x 64 pixels."""
    return Sam2Config(
        trunk=trunk,
        image_size=64,
        width=32,
        top_down_levels=top_down_levels,
        decoder_heads=4,
        decoder_mlp=48,
        mask_input_channels=8,
        memory_width=16,
        memory_layers=2,
        memory_mlp=48,
        fuser_layers=1,
        temporal_pointers=version == "2.1",
        absent_memory=version == "2.1",
    )


SMALL_INVERTED = InvertedResidualConfig(
    stem=8,
    channels=(8, 8, 12, 16, 24),
    depths=(1, 1, 1, 2, 1),
    kernels=(3, 3, 5, 3, 5),
    strides=(1, 2, 2, 2, 2),
    expansion=2,
)
SMALL_FINE = replace(
    small_config(SMALL_INVERTED),
    fine_channels=(16, 16, 8, 8),
    own_contrast=True,
    carried_masks=True,
    relative_brightness=True,
    dense_heads=True,
    object_windows=True,
)
"""Everything that the bundled network has, small."""
