"""The simulated user: first prompts and corrective clicks from true masks."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.errors import EvaluationError
from napari_sam2.evaluation.label_masks import object_counts
from napari_sam2.evaluation.metrics import Mask
from napari_sam2.evaluation.options import EvaluationOptions, PromptFrame, PromptKind
from napari_sam2.evaluation.pairs import spread
from napari_sam2.labels.masks import box_of
from napari_sam2.prompts import FramePrompt

EIGHT_CONNECTED = np.ones((3, 3), dtype=bool)

Pixel = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class MaskRegion:
    """One 8-connected region of a mask.

    Attributes
    ----------
    size : int
        Pixels.
    number : int
        Its number among `components`.
    components : ndarray of int, shape (Y, X)
    """

    size: int
    number: int
    components: NDArray[np.int32]

    @property
    def mask(self) -> Mask:
        """Pixels of the region, bool (Y, X)."""
        mask: Mask = self.components == self.number
        return mask


def regions_of(mask: Mask) -> list[MaskRegion]:
    """Find the 8-connected regions of a mask (Y, X), the largest first."""
    components, count = ndimage.label(mask, structure=EIGHT_CONNECTED)
    sizes = np.bincount(components.ravel(), minlength=count + 1)[1:]
    order = np.argsort(-sizes, kind="stable")
    return [MaskRegion(int(sizes[index]), index + 1, components) for index in order.tolist()]


def distance_to(pixel: Pixel, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Measure the distance of every pixel of a frame (Y, X) to one, in pixels."""
    rows = np.arange(shape[0])[:, None] - pixel[0]
    columns = np.arange(shape[1])[None, :] - pixel[1]
    distance: NDArray[np.float64] = np.hypot(rows, columns)
    return distance


def interior_pixel(region: Mask, avoided: Collection[Pixel] = ()) -> Pixel | None:
    """Find the pixel (y, x) of a region (Y, X) with the largest distance to its outside.

    The Euclidean distance; the array's edge counts as outside. None if no pixel is left but those
    to be avoided.
    """
    distance = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    for pixel in avoided:
        distance[pixel] = 0
    y, x = np.unravel_index(int(np.argmax(distance)), distance.shape)
    return (int(y), int(x)) if distance[y, x] > 0 else None


@dataclass(frozen=True, slots=True)
class ObjectPrompt:
    """The first prompt of one object.

    Attributes
    ----------
    object_id : int
    frame : int
        Index along the video axis.
    point : (float, float), optional
        (y, x) in pixels.
    box : (float, float, float, float), optional
        (y0, x0, y1, x1) in pixels; exactly one of point and box is given.
    """

    object_id: int
    frame: int
    point: tuple[float, float] | None = None
    box: tuple[float, float, float, float] | None = None

    def frame_prompt(self) -> FramePrompt:
        """Return the prompt as sessions take it.

        Raises
        ------
        EvaluationError
            If there is neither a point nor a box.
        """
        if self.point is not None:
            return FramePrompt(points=(self.point,))
        if self.box is not None:
            return FramePrompt(box=self.box)
        raise EvaluationError(f"The prompt of object {self.object_id} is empty.")


def choose_prompts(
    truth: NDArray[np.integer[Any]], options: EvaluationOptions
) -> tuple[ObjectPrompt, ...]:
    """Choose the first prompt of each object of a labelled stack.

    Parameters
    ----------
    truth : ndarray of int, shape (T, Y, X)
        Label ids, 0 = background.
    options : EvaluationOptions
        Kind, frame and largest number of prompts.

    Returns
    -------
    tuple of ObjectPrompt
        Sorted by object id; empty if there is no object.
    """
    areas = object_areas(truth)
    at_edge = _edge_areas(truth) if options.frame in (PromptFrame.BEST, PromptFrame.WHOLE) else {}
    ids = sorted(areas)
    if options.max_objects is not None:
        ids = list(spread(ids, options.max_objects))
    frames = {index: choose_frame(areas[index], options.frame, at_edge.get(index)) for index in ids}
    return tuple(_prompt_object(truth, index, frames[index], options.prompt) for index in ids)


def object_areas(truth: NDArray[np.integer[Any]]) -> dict[int, NDArray[np.int64]]:
    """Area of every object in every frame, in pixels: id -> array of shape (T,)."""
    areas: dict[int, NDArray[np.int64]] = {}
    for frame, plane in enumerate(truth):
        for index, count in object_counts(plane).items():
            areas.setdefault(index, np.zeros(len(truth), dtype=np.int64))[frame] = count
    return areas


def choose_frame(
    areas: NDArray[np.int64], which: PromptFrame, at_edge: NDArray[np.int64] | None = None
) -> int:
    """Choose the frame of an object's life that gets the first prompt.

    Parameters
    ----------
    areas : ndarray of int, shape (T,)
        Pixels of the object in each frame; at least one is above 0.
    which : PromptFrame
        Middle: of the frames that hold the object, the one in the middle, so that it is
        never a frame without it.
    at_edge : ndarray of int, shape (T,), optional
        How many of the pixels lie at the frame's edge; None: none.
    """
    if which in (PromptFrame.BEST, PromptFrame.WHOLE) and at_edge is not None:
        whole = np.where(at_edge == 0, areas, 0)
        areas = whole if whole.any() else areas
    frames = np.flatnonzero(areas)
    if which in (PromptFrame.FIRST, PromptFrame.WHOLE):
        return int(frames[0])
    if which in (PromptFrame.LARGEST, PromptFrame.BEST):
        return int(np.argmax(areas))
    return int(frames[len(frames) // 2])


def interior_point(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Find the most interior pixel of a mask's largest connected component.

    The pixel with the largest Euclidean distance to the outside, the image's edge
    counting as outside: where a person would click.

    Parameters
    ----------
    mask : ndarray of bool, shape (Y, X)

    Returns
    -------
    (float, float)
        (y, x) in pixels; always inside the mask.

    Raises
    ------
    EvaluationError
        If the mask is empty.
    """
    window = box_of(mask)
    if window is None:
        raise EvaluationError("An empty mask has no interior point.")
    pixel = interior_pixel(regions_of(mask[window])[0].mask)
    assert pixel is not None  # a region has pixels
    return float(pixel[0] + window[0].start), float(pixel[1] + window[1].start)


def bounding_box(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """Find the tight box of a mask: its outermost pixels' centres.

    A mask that is one pixel wide gets a box two pixels wide, as a box must have an area.

    Parameters
    ----------
    mask : ndarray of bool, shape (Y, X)

    Returns
    -------
    (float, float, float, float)
        (y0, x0, y1, x1) in pixels.

    Raises
    ------
    EvaluationError
        If the mask is empty.
    """
    window = box_of(mask)
    if window is None:
        raise EvaluationError("An empty mask has no bounding box.")
    y0, y1 = _extent(window[0], mask.shape[0])
    x0, x1 = _extent(window[1], mask.shape[1])
    return y0, x0, y1, x1


def _extent(inside: slice, size: int) -> tuple[float, float]:
    low, high = inside.start, inside.stop - 1
    if low == high:
        high = min(high + 1, size - 1)
        low = max(high - 1, 0)
    return float(low), float(high)


def _edge_areas(truth: NDArray[np.integer[Any]]) -> dict[int, NDArray[np.int64]]:
    """Count how many pixels of every object lie at the edge of each frame."""
    inner = truth.copy()
    inner[:, 1:-1, 1:-1] = 0
    return object_areas(inner)


def _prompt_object(
    truth: NDArray[np.integer[Any]], object_id: int, frame: int, kind: PromptKind
) -> ObjectPrompt:
    mask = truth[frame] == object_id
    if kind is PromptKind.BOX:
        return ObjectPrompt(object_id, frame, box=bounding_box(mask))
    return ObjectPrompt(object_id, frame, point=interior_point(mask))


@dataclass(frozen=True, slots=True)
class Click:
    """One click in a frame.

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
    """The pixels that the simulated user has clicked, by object and frame.

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
        """Record a click at (y, x)."""
        pixel = (round(point[0]), round(point[1]))
        self._pixels.setdefault((object_id, frame), []).append(pixel)

    def of(self, object_id: int, frame: int) -> tuple[Pixel, ...]:
        """Return the pixels (y, x) that were clicked for an object in a frame."""
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
    window = box_of(prediction ^ truth)
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
