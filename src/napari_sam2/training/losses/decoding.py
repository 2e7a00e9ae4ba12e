"""Decoding of many objects of a batch of images at once, in a window of a larger frame.

Prompt positions are encoded relative to the frame. Training on a 256 pixel window as if it were cut
from the 512 pixel frame costs a quarter and keeps the position encoding of inference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from napari_sam2.network import ImageFeatures, MaskPrediction, Sam2

_STRIDE = 16


@dataclass(frozen=True, slots=True)
class CropWindow:
    """A square window of a square frame, in pixels of the model input; multiples of 16.

    Attributes
    ----------
    frame : int
        Side of the frame.
    x, y : int
        Top left corner.
    size : int
        Side of the window.
    """

    frame: int
    x: int
    y: int
    size: int

    @classmethod
    def whole(cls, size: int) -> CropWindow:
        """Return the window that is the whole frame."""
        return cls(size, 0, 0, size)

    @classmethod
    def draw(cls, rng: np.random.Generator, size: int, frame: int) -> CropWindow:
        """Return a random window of a frame, or one of the frame's size if that is smaller."""
        frame = max(frame, size)
        x, y = (int(v) * _STRIDE for v in rng.integers(0, (frame - size) // _STRIDE + 1, 2))
        return cls(frame, x, y, size)

    def crop(self, grid: torch.Tensor) -> torch.Tensor:
        """Cut the window out of a map (..., h, w) of the frame at stride 16."""
        x, y, size = self.x // _STRIDE, self.y // _STRIDE, self.size // _STRIDE
        return grid[..., y : y + size, x : x + size]


def decode(
    network: Sam2,
    features: ImageFeatures,
    conditioned: torch.Tensor,
    image_index: torch.Tensor,
    points: torch.Tensor,
    point_labels: torch.Tensor,
    window: CropWindow,
    mask_inputs: torch.Tensor | None = None,
    carried: torch.Tensor | None = None,
    brightness: torch.Tensor | None = None,
) -> MaskPrediction:
    """Decode N objects spread over B images: all four masks of each.

    Parameters
    ----------
    network : Sam2
        In training or evaluation mode.
    features : ImageFeatures
        Features of B images.
    conditioned : tensor, shape (N, C, h, w)
        Conditioned features, already one per object.
    image_index : int64 tensor, shape (N,)
        Image of each object.
    points : float tensor, shape (N, P, 2)
        x, y in pixels of the window.
    point_labels : int64 tensor, shape (N, P)
        1 object, 0 background, 2 and 3 box corners, -1 none.
    window : CropWindow
        Window of the frame that the images show.
    mask_inputs : tensor, shape (N, 1, S / k, S / k), optional
        Mask logits that the prompts refine; k is the configuration's `mask_stride`.
    carried : tensor, shape (N, 1, S / k, S / k), optional
        Mask logits of the frame before, for networks with `carried_masks`.
    brightness : tensor, shape (N, 1, S, S), optional
        From `relative_brightness`, for networks that are given it.

    Returns
    -------
    MaskPrediction
        M = 4: the single mask, then the three of an ambiguous prompt.
    """
    here = features.frames(image_index)
    levels = (here.stride8, here.stride4, *here.finer)
    if network.config.fine_channels:
        # Such networks see nothing but windows: what they see is the whole of it.
        return network.decode(
            conditioned, levels, points, point_labels, mask_inputs, carried, brightness
        )
    encoder = network.sam_prompt_encoder
    corner = points.new_tensor([window.x, window.y])
    sparse = encoder.encode_points(points + corner, point_labels, window.frame)
    side = window.frame // _STRIDE
    position = window.crop(encoder.pe_layer.grid(side, side))
    dense = encoder.no_mask() if mask_inputs is None else encoder.encode_mask(mask_inputs)
    prediction: MaskPrediction = network.sam_mask_decoder(
        conditioned + dense,
        position.to(conditioned.dtype),
        sparse.to(conditioned.dtype),
        *levels,
    )
    return prediction
