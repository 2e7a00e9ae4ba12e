"""The whole network as one module, with the parameter names of the official checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from napari_sam2.network.config import Sam2Config
from napari_sam2.network.dense_heads import DenseHeads
from napari_sam2.network.features import ImageFeatures, MaskPrediction
from napari_sam2.network.fine_pyramid import FineEncoder
from napari_sam2.network.image_encoder import ImageEncoder
from napari_sam2.network.layers import MLP, full_precision
from napari_sam2.network.logits import DRAWN_LOGIT
from napari_sam2.network.mask_decoder import FineMaskDecoder, MaskDecoder, draw_prompts
from napari_sam2.network.memory_attention import MemoryAttention
from napari_sam2.network.memory_encoder import MemoryEncoder
from napari_sam2.network.position import sine_grid, sine_time
from napari_sam2.network.prompt_encoder import PAD, PromptEncoder

_PRODUCTS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
_LEAST_SPREAD = 1e-3  # of an input in its own contrast: a constant one stays constant


class Sam2(nn.Module):
    """SAM 2 and 2.1 (arXiv 2408.00714): tensors in, tensors out, no state between calls.

    Which frames are remembered and what a prompt means is decided by the callers.

    Parameters
    ----------
    config : Sam2Config
        Sizes and switches.
    """

    def __init__(self, config: Sam2Config) -> None:
        super().__init__()
        self.config = config
        width, memory = config.width, config.memory_width
        fine = bool(config.fine_channels)
        self.image_encoder = FineEncoder(config) if fine else ImageEncoder(config)
        self.memory_attention = MemoryAttention(
            width, memory, config.memory_layers, config.memory_mlp
        )
        self.memory_encoder = MemoryEncoder(width, memory, config.fuser_layers)
        self.sam_prompt_encoder = PromptEncoder(width, 0 if fine else config.mask_input_channels)
        self.sam_mask_decoder = FineMaskDecoder(config) if fine else MaskDecoder(config)
        self.obj_ptr_proj = MLP(width, width, width, layers=3)
        if not fine:
            self.mask_downsample = nn.Conv2d(1, 1, kernel_size=4, stride=4)
        self.maskmem_tpos_enc = nn.Parameter(torch.zeros(config.memory_frames, 1, 1, memory))
        self.no_mem_embed = nn.Parameter(torch.zeros(1, 1, width))
        # Never read (features without memory skip the attention) but present in every checkpoint.
        self.no_mem_pos_enc = nn.Parameter(torch.zeros(1, 1, width))
        self.no_obj_ptr = nn.Parameter(torch.zeros(1, width))
        if config.temporal_pointers:
            self.obj_ptr_tpos_proj = nn.Linear(width, memory)
        if config.absent_memory:
            self.no_obj_embed_spatial = nn.Parameter(torch.zeros(1, memory))
        if config.dense_heads:
            self.dense_heads = DenseHeads(config)

    def products_in_half(self) -> Iterator[nn.Module]:
        """Return the layers for which half precision is enough.

        Not those that see pixels, of which it would round faint contrasts away, and not those that
        draw masks, whose borders it would shift.
        """
        kept = set(self.image_encoder.trunk.first.modules())
        for part in (self.image_encoder, self.memory_attention, self.memory_encoder):
            for module in part.modules():
                if isinstance(module, _PRODUCTS) and module not in kept:
                    yield module

    def encode_image(self, images: Tensor) -> ImageFeatures:
        """Encode normalised frames (B, 3, S, S); S is a multiple of 32."""
        contrast = None
        if self.config.own_contrast:
            images, contrast = _own_contrast(images)
        if isinstance(self.image_encoder, FineEncoder):
            return self._encode_fine(images, contrast)
        assert isinstance(self.sam_mask_decoder, MaskDecoder)
        heads = {0: self.sam_mask_decoder.conv_s0, 1: self.sam_mask_decoder.conv_s1}
        stride4, stride8, stride16 = self.image_encoder(images, heads)
        position = self.image_position(stride16)
        return ImageFeatures(stride4, stride8, stride16, position, contrast=contrast)

    def image_position(self, features: Tensor) -> Tensor:
        """Encode the positions of features (B, C, h, w) at stride 16, as (1, C, h, w)."""
        channels, height, width = features.shape[1:]
        return sine_grid(height, width, channels, features.device).to(features.dtype)

    def _encode_fine(self, images: Tensor, contrast: Tensor | None) -> ImageFeatures:
        stride2, stride4, stride8, stride16 = self.image_encoder(images)
        position = self.image_position(stride16)
        grey = images.mean(dim=1, keepdim=True).to(stride2.dtype)
        return ImageFeatures(stride4, stride8, stride16, position, (grey, stride2), contrast)

    def without_memory(self, stride16: Tensor) -> Tensor:
        """Condition features on having no memory at all: the first frame of an object."""
        return stride16 + self.no_mem_embed[0][:, :, None, None]

    def open_memory(self, stride16: Tensor, position: Tensor) -> Tensor:
        """Compute the part of `attend_memory` that all objects of a frame share."""
        return self.memory_attention.open(stride16, position)

    def attend_memory(
        self,
        stride16: Tensor,
        position: Tensor,
        memory: Tensor,
        memory_position: Tensor,
        pointer_tokens: int,
        opened: Tensor | None = None,
    ) -> Tensor:
        """Condition features (N or 1, C, h, w) on memory tokens (N, M, memory width).

        The last `pointer_tokens` of M are object pointers; the rest are whole frames. `opened`:
        from `open_memory`, where several calls share it.
        """
        return self.memory_attention(  # type: ignore[no-any-return]
            stride16, position, memory, memory_position, pointer_tokens, opened
        )

    def predict_masks(
        self,
        conditioned: Tensor,
        stride8: Tensor,
        stride4: Tensor,
        finer: tuple[Tensor, ...] = (),
        *,
        points: Tensor | None = None,
        point_labels: Tensor | None = None,
        mask_inputs: Tensor | None = None,
        carried: Tensor | None = None,
        likeness: Tensor | None = None,
        brightness: Tensor | None = None,
        multimask: bool = False,
    ) -> MaskPrediction:
        """Predict masks of N objects from conditioned features and prompts, in full precision.

        Parameters
        ----------
        conditioned : Tensor, shape (N, C, h, w)
        stride8, stride4 : Tensor
            High-resolution features, batch N or 1.
        finer : tuple of Tensor
            Features at strides 1 and 2 of networks that have them.
        points : Tensor, shape (N, P, 2), optional
            x, y in pixels of the model input.
        point_labels : Tensor of int, shape (N, P), optional
            1 object, 0 background, 2 and 3 box corners, -1 no point.
        mask_inputs : Tensor, shape (N, 1, S / k, S / k), optional
            Mask logits that the prompts refine; k is the configuration's `mask_stride`.
        carried : Tensor, shape (N, 1, S / k, S / k), optional
            Mask logits of the frame before, for networks with `carried_masks`: of all masks that
            which goes on with it is returned.
        likeness : Tensor, shape (N,), optional
            Power of the likeness to `carried` in that choice; see `MaskPrediction.most_similar`.
        brightness : Tensor, shape (N, 1, S, S), optional
            From `relative_brightness`, for networks that are given it in tracked frames.
        multimask : bool
            Three masks for an ambiguous prompt instead of one.
        """
        objects = len(conditioned)
        if points is None or point_labels is None:
            points = conditioned.new_zeros(objects, 1, 2)
            point_labels = torch.full((objects, 1), PAD, device=conditioned.device)
        dtype = self.no_mem_embed.dtype
        levels = [level.to(dtype) for level in (stride8, stride4, *finer)]
        with full_precision(conditioned.device):
            prediction = self.decode(
                conditioned.to(dtype),
                tuple(levels),
                points,
                point_labels,
                mask_inputs,
                carried,
                brightness,
            )
        if carried is not None:
            if likeness is None:
                return prediction.chosen(prediction.most_similar(carried))
            return prediction.chosen(prediction.most_similar(carried, likeness))
        decoder = self.sam_mask_decoder
        return decoder.several(prediction) if multimask else decoder.single(prediction)

    def decode(
        self,
        conditioned: Tensor,
        levels: tuple[Tensor, ...],
        points: Tensor,
        point_labels: Tensor,
        mask_inputs: Tensor | None = None,
        carried: Tensor | None = None,
        brightness: Tensor | None = None,
    ) -> MaskPrediction:
        """Decode all four masks of N objects; see `predict_masks`.

        `levels`: the features at strides 8 and 4, and at 1 and 2 where there are finer ones.
        """
        encoder, decoder = self.sam_prompt_encoder, self.sam_mask_decoder
        height, width = conditioned.shape[2:]
        dtype = conditioned.dtype
        sparse = encoder.encode_points(points, point_labels, height * 16).to(dtype)
        position = encoder.pe_layer.grid(height, width).to(dtype)
        if isinstance(decoder, MaskDecoder):
            dense = encoder.no_mask() if mask_inputs is None else encoder.encode_mask(mask_inputs)
            prediction = decoder(conditioned + dense, position, sparse, *levels)
        else:
            stride8, stride4, stride1, stride2 = levels
            size = height * 16
            if brightness is None and self.config.relative_brightness:
                brightness = conditioned.new_zeros(len(points), 1, size, size)
            maps = draw_prompts(points, point_labels, size, mask_inputs, carried, brightness)
            prediction = decoder(
                conditioned, position, sparse, (stride1, stride2, stride4, stride8), maps.to(dtype)
            )
        return prediction  # type: ignore[no-any-return]

    def object_pointers(self, tokens: Tensor, present: Tensor) -> Tensor:
        """Convert decoder tokens (N, C) to pointers; `present` (N, 1) is 1 or 0 per object."""
        pointers = self.obj_ptr_proj(tokens)
        return present * pointers + (1 - present) * self.no_obj_ptr  # type: ignore[no-any-return]

    def downsample_mask(self, masks: Tensor) -> Tensor:
        """Convert a mask prompt (N, 1, S, S) of 0 and 1 to the decoder's mask input."""
        if self.config.fine_channels:
            return (2 * masks - 1) * DRAWN_LOGIT
        with full_precision(masks.device):  # like all that has to do with masks
            return self.mask_downsample(masks)  # type: ignore[no-any-return]

    def encode_memory(self, stride16: Tensor, mask_probability: Tensor, present: Tensor) -> Tensor:
        """Remember masks (N, 1, S, S, probabilities) over features (N or 1, C, h, w).

        `present` (N, 1) is 1 or 0: whether the object is in the frame.
        """
        masks = mask_probability * self.config.sigmoid_scale + self.config.sigmoid_bias
        memory: Tensor = self.memory_encoder(stride16, masks)
        if self.config.absent_memory:
            absent = (1 - present)[:, :, None, None]
            memory = memory + absent * self.no_obj_embed_spatial[:, :, None, None]
        return memory

    def memory_position(self, height: int, width: int, slot: int) -> Tensor:
        """Encode place and age of one remembered frame as (1, h w, memory width).

        Slot 0 is the latest frame; the last slot is that of conditioning frames.
        """
        device = self.maskmem_tpos_enc.device
        place = sine_grid(height, width, self.config.memory_width, device)
        return place.flatten(2).transpose(1, 2) + self.maskmem_tpos_enc[slot]

    def pointer_position(self, distances: Tensor) -> Tensor:
        """Encode the age of P pointers, in units of the longest one, as (P, memory width)."""
        if not self.config.temporal_pointers:
            return distances.new_zeros(len(distances), self.config.memory_width)
        encoded = sine_time(distances, self.config.width)
        return self.obj_ptr_tpos_proj(encoded)  # type: ignore[no-any-return]


def _own_contrast(images: Tensor) -> tuple[Tensor, Tensor]:
    """Normalise every image (3, S, S) of a batch to a mean of 0 and a standard deviation of 1.

    Returns the images, and (B, 2): what was subtracted, and what they were divided by.
    """
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    spread = images.std(dim=(1, 2, 3), keepdim=True) + _LEAST_SPREAD
    return (images - mean) / spread, torch.cat((mean, spread), dim=1)[:, :, 0, 0].float()


def upsample_masks(masks: Tensor, height: int, width: int) -> Tensor:
    """Resize mask logits (N, M, h, w) bilinearly."""
    return F.interpolate(masks, size=(height, width), mode="bilinear", align_corners=False)


def outline(config: Sam2Config) -> Sam2:
    """Build a network on torch's meta device, with shapes and without values.

    To draw first values there too would have torch load its compiler: a second, and 74 MiB.
    """
    with torch.device("meta"), _Unfilled():
        return Sam2(config)


class _Unfilled(TorchFunctionMode):
    """Leaves tensors as they are where they would be initialised."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == torch.nn.init.__name__:
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)
