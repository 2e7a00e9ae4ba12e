"""Frozen hyper-parameters of SAM 2 networks, and the configurations of the official models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class HieraConfig:
    """Hierarchical vision transformer (Hiera, arXiv 2306.00989) as SAM 2 uses it.

    Attributes
    ----------
    embed_dim : int
        Channels of the first stage; they double at every further stage.
    heads : int
        Attention heads of the first stage; they double likewise.
    stages : tuple of int
        Blocks per stage (strides 4, 8, 16, 32).
    global_blocks : tuple of int
        Indices of the blocks that attend over the whole frame.
    windows : tuple of int
        Window side, in tokens, per stage; the first block of a stage still uses the previous one's.
    background_size : tuple of int
        Side lengths of the stored background position embedding.
    """

    embed_dim: int = 96
    heads: int = 1
    stages: tuple[int, ...] = (1, 2, 7, 2)
    global_blocks: tuple[int, ...] = (5, 7, 9)
    windows: tuple[int, ...] = (8, 4, 14, 7)
    background_size: tuple[int, int] = (7, 7)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each stage's output, finest first."""
        return tuple(self.embed_dim * 2**stage for stage in range(len(self.stages)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvTrunkConfig:
    """Residual convolutional trunk for small models; EdgeTAM (arXiv 2501.07256) has one too.

    Attributes
    ----------
    channels : tuple of int
        Channels at strides 4, 8, 16, 32.
    depths : tuple of int
        Residual blocks per stage.
    """

    channels: tuple[int, ...] = (32, 64, 128, 256)
    depths: tuple[int, ...] = (1, 2, 4, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvertedResidualConfig:
    """Trunk of inverted residuals; the defaults are EfficientNet-Lite0's (arXiv 1905.11946).

    One entry per stage: its output channels, blocks, kernel, and the stride of its first block.

    Attributes
    ----------
    stem : int
        Channels of the first convolution, at stride 2.
    channels, depths, kernels, strides : tuple of int
        Values of each stage.
    expansion : int
        Channels inside a block over those that enter it; 1 in the first stage.
    """

    stem: int = 32
    channels: tuple[int, ...] = (16, 24, 40, 80, 112, 192, 320)
    depths: tuple[int, ...] = (1, 2, 2, 3, 3, 4, 1)
    kernels: tuple[int, ...] = (3, 3, 5, 3, 5, 5, 3)
    strides: tuple[int, ...] = (1, 2, 2, 2, 1, 2, 1)
    expansion: int = 6

    @property
    def last_stages(self) -> tuple[int, ...]:
        """The last stage at each of the strides 2, 4, 8, 16 and 32."""
        ends = [index - 1 for index, stride in enumerate(self.strides) if stride == 2]
        return (*ends, len(self.strides) - 1)

    @property
    def map_channels(self) -> tuple[int, ...]:
        """Channels of the maps at strides 2, 4, 8, 16 and 32."""
        return tuple(self.channels[stage] for stage in self.last_stages)


TrunkConfig = HieraConfig | ConvTrunkConfig | InvertedResidualConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Sam2Config:
    """All hyper-parameters that decide the shape and the arithmetic of a SAM 2 network.

    Attributes
    ----------
    trunk : HieraConfig, ConvTrunkConfig or InvertedResidualConfig
        The image encoder's trunk.
    image_size : int
        Side of the square model input, in pixels, unless another is asked for; a multiple of 32.
    object_windows : bool
        Trained to see a window around one object at a time, not whole frames.
    width : int
        Channels of the neck, the decoder and the memory attention (256 officially).
    top_down_levels : tuple of int
        Pyramid levels (0 is stride 4) that receive the coarser level's features.
    decoder_layers, decoder_heads, decoder_mlp : int
        The two-way transformer of the mask decoder.
    mask_input_channels : int
        Channels inside the mask prompt's downscaling.
    memory_width : int
        Channels of one memory token; divides `width`.
    memory_layers, memory_mlp : int
        The memory attention.
    fuser_layers : int
        ConvNeXt blocks of the memory encoder.
    memory_frames : int
        Temporal slots: one for conditioning frames and the rest for recent ones.
    max_pointers : int
        Object pointers that one frame attends to, at most, besides conditioning frames.
    temporal_pointers : bool
        Pointers carry a projected, signed temporal encoding (SAM 2.1).
    absent_memory : bool
        Memories of frames without the object get a learned embedding (SAM 2.1).
    sigmoid_scale, sigmoid_bias : float
        Mask probabilities are scaled so before they enter the memory encoder.
    stability_delta, stability_threshold : float
        A single mask whose stability is lower gives way to the best of the multiple masks.
    multimask_max_points : int
        Up to so many points the best of three masks is taken, beyond it the single mask.
    fine_channels : tuple of int
        Channels at strides 8, 4, 2 and 1 of a pyramid and a mask decoder that go up to the input's
        own resolution by convolutions, with prompts as maps beside the tokens. Empty: SAM 2's
        decoder, whose masks have stride 4.
    own_contrast : bool
        Every input is normalised by its own mean and standard deviation.
    carried_masks : bool
        Tracked frames are decoded with the mask of the frame before as a map.
    relative_brightness : bool
        Tracked frames are decoded with a map of how bright they are, relative to the object and
        its surroundings where it was decided; needs `own_contrast`.
    dense_heads : bool
        The image features tell objects, borders and offsets to centres of every pixel.
    """

    trunk: TrunkConfig
    image_size: int = 1024
    object_windows: bool = False
    width: int = 256
    top_down_levels: tuple[int, ...] = (2, 3)
    decoder_layers: int = 2
    decoder_heads: int = 8
    decoder_mlp: int = 2048
    mask_input_channels: int = 16
    memory_width: int = 64
    memory_layers: int = 4
    memory_mlp: int = 2048
    fuser_layers: int = 2
    memory_frames: int = 7
    max_pointers: int = 16
    temporal_pointers: bool = True
    absent_memory: bool = True
    sigmoid_scale: float = 20.0
    sigmoid_bias: float = -10.0
    stability_delta: float = 0.05
    stability_threshold: float = 0.98
    multimask_max_points: int = 1
    fine_channels: tuple[int, ...] = ()
    own_contrast: bool = False
    carried_masks: bool = False
    relative_brightness: bool = False
    dense_heads: bool = False

    @property
    def mask_stride(self) -> int:
        """Pixels of the input per pixel of the decoder's masks."""
        return 1 if self.fine_channels else 4

    @property
    def prompt_maps(self) -> int:
        """Maps of a decoder that gets prompts as maps."""
        return 6 if self.relative_brightness else 5

    @property
    def pointer_tokens(self) -> int:
        """Memory tokens that one object pointer is split into."""
        return self.width // self.memory_width


_TRUNKS = {
    "tiny": HieraConfig(),
    "small": HieraConfig(stages=(1, 2, 11, 2), global_blocks=(7, 10, 13)),
    "base+": HieraConfig(
        embed_dim=112,
        heads=2,
        stages=(2, 3, 16, 3),
        global_blocks=(12, 16, 20),
        background_size=(14, 14),
    ),
    "large": HieraConfig(
        embed_dim=144,
        heads=2,
        stages=(2, 6, 36, 4),
        global_blocks=(23, 33, 43),
        windows=(8, 4, 16, 8),
    ),
}


def _official_configs() -> Mapping[str, Sam2Config]:
    configs = {f"sam2.1-{size}": Sam2Config(trunk=trunk) for size, trunk in _TRUNKS.items()}
    for size in _TRUNKS:
        configs[f"sam2-{size}"] = replace(
            configs[f"sam2.1-{size}"], temporal_pointers=False, absent_memory=False
        )
    return MappingProxyType(configs)


OFFICIAL_CONFIGS: Mapping[str, Sam2Config] = _official_configs()
"""The official models' configurations by name, SAM 2.1 first."""

FIRST_BUNDLED_CONFIG = Sam2Config(
    trunk=ConvTrunkConfig(),
    image_size=256,
    object_windows=True,
    width=128,
    top_down_levels=(0, 1, 2, 3),
    decoder_mlp=512,
    memory_layers=2,
    memory_mlp=512,
    memory_frames=4,
)
"""The small model of earlier versions: files that were fine-tuned from it still load."""

BUNDLED_CONFIG = Sam2Config(
    trunk=InvertedResidualConfig(),
    image_size=128,
    object_windows=True,
    width=128,
    decoder_mlp=512,
    memory_layers=2,
    memory_mlp=512,
    memory_frames=4,
    fine_channels=(64, 48, 32, 16),
    own_contrast=True,
    carried_masks=True,
    relative_brightness=True,
    dense_heads=True,
)
"""The small model that the package ships and trains: its masks are as fine as its input."""
