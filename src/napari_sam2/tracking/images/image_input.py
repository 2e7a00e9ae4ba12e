"""Conversion of frames and prompts to the square input of the model."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_sam2.network.image_encoder import normalise
from napari_sam2.tracking.images.object_window import Window


def frame_to_input(
    frame: NDArray[np.float32], window: Window, size: int, device: torch.device
) -> Tensor:
    """Resize a window of a frame to the model's square and normalise it as ImageNet was.

    Parameters
    ----------
    frame : ndarray of float32, shape (Y, X, C)
        Values in 0..1; C is 1 (grey, repeated) or 3.
    window : Window
    size : int
        Side of the model input.
    device : torch.device
        Device of the result.

    Returns
    -------
    Tensor of float32, shape (1, 3, size, size)
        The aspect ratio is not kept, as in the reference; windows of that size stay untouched.
    """
    shape = frame.shape[:2]
    if window != Window.whole(shape):
        frame = _seen(frame, window)
    image = torch.from_numpy(np.ascontiguousarray(frame)).to(device).permute(2, 0, 1).unsqueeze(0)
    if image.shape[2:] != (size, size):
        image = F.interpolate(image, size=(size, size), mode="bicubic", antialias=True).clamp(0, 1)
    return normalise(image)


def _seen(frame: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
    """Return the pixels (Y, X, C) of a window; beyond the frame, those of its border."""
    shape = (frame.shape[0], frame.shape[1])
    rows, columns = window.inside(shape)
    if (rows.stop - rows.start, columns.stop - columns.start) == (window.height, window.width):
        part = frame[rows, columns]  # a view: in a large frame an index of each pixel takes seconds
        return part[:, ::-1] if window.mirrored else part
    return frame[np.ix_(window.rows(shape), window.columns(shape))]


def points_to_input(
    points: NDArray[np.float32], window: Window, size: int, device: torch.device
) -> Tensor:
    """Map (P, 2) points (y, x) in frame pixels to (1, P, 2) points (x, y) in input pixels.

    Pixel centres are integers on both sides: borders, not centres, of the two grids coincide.
    """
    scale = size / np.array([window.height, window.width], dtype=np.float64)
    corner = np.array([window.top, window.left])
    mapped = (np.asarray(points, dtype=np.float64) - corner + 0.5) * scale - 0.5
    if window.mirrored:
        mapped[:, 1] = size - 1 - mapped[:, 1]
    return torch.from_numpy(mapped[:, ::-1].astype(np.float32)).to(device).unsqueeze(0)


def mask_to_input(
    mask: NDArray[np.bool_], window: Window, size: int, device: torch.device
) -> Tensor:
    """Resize a window of a mask (Y, X) to (1, 1, size, size) of 0 and 1, cut at a half.

    Beyond the frame there is no object.
    """
    if window != Window.whole((mask.shape[0], mask.shape[1])):
        mask = _cut(mask, window)
    # A copy: torch warns of arrays that it could write to but must not.
    tensor = torch.from_numpy(mask.astype(np.float32)).to(device)[None, None]
    if tensor.shape[2:] == (size, size):
        return tensor
    resized = F.interpolate(tensor, size=(size, size), mode="bilinear", antialias=True)
    cut = (resized >= 0.5).float()
    # An object thinner than an input pixel would vanish: keep where it is densest.
    return cut if cut.any() or not mask.any() else (resized >= resized.amax()).float()


def _cut(mask: NDArray[np.bool_], window: Window) -> NDArray[np.bool_]:
    shape = (mask.shape[0], mask.shape[1])
    cut = np.zeros((window.height, window.width), dtype=bool)
    cut[window.part(shape)] = mask[window.inside(shape)]
    return cut[:, ::-1] if window.mirrored else cut
