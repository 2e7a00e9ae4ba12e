"""The simulated user's corrective click: in the middle of what is most wrong."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from napari_sam2.errors import EvaluationError
from napari_sam2.evaluation.metrics import Mask, bounding_window
from napari_sam2.evaluation.prompting import ObjectPrompt
from napari_sam2.evaluation.regions import Pixel, interior_pixel, regions_of


@dataclass(frozen=True, slots=True)
class Click:
    """One click on a frame.

    Attributes
    ----------
    point : (float, float)
        (y, x) in pixels.
    positive : bool
        True on what is missing, False on what is too much.
    """

    point: tuple[float, float]
    positive: bool


class ClickedPixels:
    """Which pixels the user has clicked already, by object and frame.

    Parameters
    ----------
    prompts : iterable of ObjectPrompt
        Their points are the first.
    """

    def __init__(self, prompts: Iterable[ObjectPrompt]) -> None:
        self._pixels: dict[tuple[int, int], list[Pixel]] = {}
        for prompt in prompts:
            if prompt.point is not None:
                self.add(prompt.object_id, prompt.frame, prompt.point)

    def add(self, object_id: int, frame: int, point: tuple[float, float]) -> None:
        """Note a click at (y, x)."""
        pixel = (round(point[0]), round(point[1]))
        self._pixels.setdefault((object_id, frame), []).append(pixel)

    def of(self, object_id: int, frame: int) -> tuple[Pixel, ...]:
        """Give the pixels (y, x) that were clicked for an object in a frame."""
        return tuple(self._pixels.get((object_id, frame), ()))


def corrective_click(
    prediction: Mask, truth: Mask, clicked: Collection[Pixel] = ()
) -> Click | None:
    """Find where a person would click to correct a mask.

    The most interior pixel of the largest connected error region, missing and superfluous
    regions together; ties go to what is missing. This is the usual protocol of interactive
    segmentation (Xu et al., CVPR 2016; Sofiiuk et al., ICIP 2022).

    Parameters
    ----------
    prediction, truth : ndarray of bool, shape (Y, X)
    clicked : collection of (int, int)
        Pixels (y, x) that were clicked before: a person would not click them again.

    Returns
    -------
    Click or None
        None if nothing is wrong but pixels that were clicked.

    Raises
    ------
    EvaluationError
        If the shapes differ.
    """
    if prediction.shape != truth.shape:
        raise EvaluationError(
            f"Masks of shape {prediction.shape} and {truth.shape} cannot be compared.",
            remedy="Compare masks of the same frame.",
        )
    window = bounding_window(prediction ^ truth)
    if window is None:
        return None
    predicted, expected = prediction[window], truth[window]
    wrong = [(True, region) for region in regions_of(expected & ~predicted)]
    wrong += [(False, region) for region in regions_of(predicted & ~expected)]
    wrong.sort(key=lambda each: each[1].size, reverse=True)
    origin = (window[0].start, window[1].start)
    avoided = _within(clicked, origin, predicted.shape)
    for positive, region in wrong:
        point = interior_pixel(region.mask, avoided)
        if point is not None:
            return Click((float(point[0] + origin[0]), float(point[1] + origin[1])), positive)
    return None


def _within(
    pixels: Collection[Pixel], origin: tuple[int, int], shape: tuple[int, ...]
) -> list[Pixel]:
    moved = [(y - origin[0], x - origin[1]) for y, x in pixels]
    return [(y, x) for y, x in moved if 0 <= y < shape[0] and 0 <= x < shape[1]]
