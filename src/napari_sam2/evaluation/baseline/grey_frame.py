"""A frame prepared for the watershed: smoothed, thresholded, with its edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import sobel, threshold_otsu

from napari_sam2.evaluation.label_masks import Window
from napari_sam2.evaluation.metrics import Mask
from napari_sam2.evaluation.simulated_user import Pixel

_SMOOTHING = 1.0
"""Standard deviation of the Gaussian, in pixels."""

_NEIGHBOURHOOD = 4
"""The side of the neighbourhood of local thresholds, as a part of the frame's longer side."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The threshold that separates an object from its background.

    Attributes
    ----------
    bright : bool
        Whether it is brighter than its background.
    level : float, optional
        The threshold; None takes the mean of the neighbourhood.
    """

    bright: bool
    level: float | None


class GreyFrame:
    """One frame, with its smoothed image and edges computed on first use.

    Parameters
    ----------
    picture : ndarray of float32, shape (Y, X, C)
        Its channels are averaged.
    """

    def __init__(self, picture: NDArray[np.float32]) -> None:
        grey = picture.mean(axis=2)
        self.smoothed: NDArray[np.float32] = ndimage.gaussian_filter(grey, _SMOOTHING)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.smoothed.shape[0], self.smoothed.shape[1]

    @cached_property
    def edges(self) -> NDArray[np.float32]:
        """Strength of the edges (Sobel), shape (Y, X)."""
        strength: NDArray[np.float32] = sobel(self.smoothed)
        return strength

    @cached_property
    def neighbourhood(self) -> NDArray[np.float32]:
        """Mean of the square neighbourhood of each pixel, shape (Y, X)."""
        side = max(3, max(self.shape) // _NEIGHBOURHOOD | 1)
        mean: NDArray[np.float32] = ndimage.uniform_filter(self.smoothed, side)
        return mean

    @cached_property
    def otsu(self) -> float:
        """Otsu's threshold of the frame."""
        return _otsu(self.smoothed)

    def foreground(self, cut: Cut, window: Window) -> Mask:
        """Return which pixels of a window are on the object's side of a cut."""
        level = self.neighbourhood[window] if cut.level is None else cut.level
        values = self.smoothed[window]
        return values > level if cut.bright else values < level

    def cut_at(self, clicks: Sequence[Pixel]) -> Cut:
        """Choose the cut of an object from pixels on it.

        It is bright if it is brighter than its neighbourhood. Otsu's threshold is taken if the
        clicked pixels are on the right side of it, else that of the neighbourhood.
        """
        rows, columns = np.transpose(clicks)
        value = float(np.median(self.smoothed[rows, columns]))
        bright = value > float(np.median(self.neighbourhood[rows, columns]))
        beyond = value > self.otsu if bright else value < self.otsu
        return Cut(bright, self.otsu if beyond else None)

    def cut_in(self, window: Window) -> Cut:
        """Choose the cut of an object that fills a box: Otsu's threshold within the box.

        It is bright if the middle of the box is brighter than its rim.
        """
        values = self.smoothed[window]
        height, width = values.shape
        middle = values[height // 4 : -(height // 4) or None, width // 4 : -(width // 4) or None]
        rim = np.ones(values.shape, dtype=bool)
        rim[1:-1, 1:-1] = False
        return Cut(float(middle.mean()) > float(values[rim].mean()), _otsu(values))


def _otsu(values: NDArray[np.float32]) -> float:
    # A constant image has no threshold: nothing is above its only value.
    return float(threshold_otsu(values)) if np.ptp(values) > 0 else float(values.flat[0])
