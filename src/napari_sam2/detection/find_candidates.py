"""The search for candidates in one frame, by the method that the network has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from napari_sam2.detection.candidate import Candidate, DetectionSettings
from napari_sam2.detection.dense import dense_candidates
from napari_sam2.detection.grid import grid_candidates
from napari_sam2.network import Sam2


@dataclass(frozen=True, slots=True, eq=False)
class FrameInput:
    """A frame and the network that searches it.

    Attributes
    ----------
    network : Sam2
        In evaluation mode, on `device`.
    device : torch.device
    image_size : int
        Side of the network's input in pixels.
    follows : bool
        The network sees windows around objects, not whole frames.
    pixels : ndarray of float32, shape (Y, X, C)
        Values in 0..1; C is 1 (grey) or 3.
    """

    network: Sam2
    device: torch.device
    image_size: int
    follows: bool
    pixels: NDArray[np.float32]


def has_dense_heads(network: Sam2) -> bool:
    """Return whether the network predicts objects and their centres for every pixel."""
    return bool(network.config.dense_heads)


def find_candidates(
    frame: FrameInput,
    settings: DetectionSettings,
    advance: Callable[[float], None],
) -> list[Candidate]:
    """Find points that probably lie in an object.

    Networks with dense heads predict them at several scales; other networks need a grid of points.

    Parameters
    ----------
    frame : FrameInput
    settings : DetectionSettings
    advance : callable
        Called with the share of the work that is done, in 0..1; may raise to end the search.

    Returns
    -------
    list of Candidate
        The best first. Several may lie in one object.
    """
    if has_dense_heads(frame.network) and frame.follows:
        return dense_candidates(
            frame.network,
            frame.pixels,
            frame.image_size,
            frame.device,
            2.0 * np.sqrt(settings.least_size / np.pi),
            advance,
        )
    return grid_candidates(
        frame.network,
        frame.pixels,
        frame.image_size,
        frame.device,
        settings,
        frame.follows,
        advance,
    )
