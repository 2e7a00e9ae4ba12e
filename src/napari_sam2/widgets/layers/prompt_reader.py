"""Reads points, shapes and painted masks of layers as prompts.

The features of points and shapes say which object a mark belongs to, and its sign; they are
repaired where scripts or other plugins have left others. Main thread only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon

from napari_sam2.prompts import FramePrompt
from napari_sam2.types import ObjectFrame, Region
from napari_sam2.widgets.layers.factory import MAX_OBJECT_ID
from napari_sam2.widgets.layers.geometry import (
    DrawnTransform,
    placed,
    same_position,
    spatial_shape,
)
from napari_sam2.widgets.state.hints import Ignored
from napari_sam2.widgets.state.positions import OBJECT, POSITIVE, MaskKey, StackPosition
from napari_sam2.widgets.state.session_spec import PlacedPrompt, Prompts

if TYPE_CHECKING:
    from napari.layers import Image, Points, Shapes

AREAS = frozenset({"polygon", "ellipse"})
"""Kinds of shape that are masks."""

LINES = frozenset({"path", "line"})
"""Kinds of shape that are scribbles."""

_SCRIBBLE_POINTS = 8
_ELLIPSE_CORNERS = 64


def enclosed(kind: str, vertices: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels whose centres lie in a polygon or an ellipse.

    Parameters
    ----------
    kind : {"polygon", "ellipse"}
    vertices : ndarray, shape (N, 2)
        (y, x); of an ellipse, the four corners of the rectangle around it.
    shape : (Y, X)
    """
    outline = _ellipse(vertices) if kind == "ellipse" else vertices
    mask = np.zeros(shape, dtype=bool)
    rows, columns = outline.T
    mask[polygon(rows, columns, shape)] = True
    return mask


def along(vertices: NDArray[np.float64], shape: tuple[int, int]) -> list[tuple[float, float]]:
    """Return up to eight points (y, x) at equal distances along a line, those in the image."""
    lengths = np.linalg.norm(np.diff(vertices, axis=0), axis=1)
    reached = np.concatenate([[0.0], np.cumsum(lengths)])
    count = int(np.clip(np.ceil(reached[-1] / 4), 1, _SCRIBBLE_POINTS))
    distances = (np.arange(count) + 0.5) / count * reached[-1]
    points = np.stack([np.interp(distances, reached, column) for column in vertices.T], axis=1)
    inside = ((points >= -0.5) & (points <= np.asarray(shape) - 0.5)).all(axis=1)
    return [(float(y), float(x)) for y, x in points[inside]]


def _ellipse(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    # A rotated ellipse has a rotated rectangle: half its sides are the axes.
    centre = corners.mean(axis=0)
    one, other = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    angles = np.linspace(0, 2 * np.pi, _ELLIPSE_CORNERS, endpoint=False)
    return centre + np.cos(angles)[:, None] * one + np.sin(angles)[:, None] * other


# Pixel centres lie at integers, so the outermost pixels reach half a pixel further.
_HALF_PIXEL = 0.5


class PromptChanges(NamedTuple):
    """How the prompts of an image differ from earlier ones.

    Attributes
    ----------
    positions : frozenset of StackPosition
        Stacks whose prompts are others than before.
    new : frozenset of MaskKey
        Where there is a prompt that was not there, or was another.
    fewer : bool
        Whether an object is prompted no longer in a frame where it was.
    """

    positions: frozenset[StackPosition]
    new: frozenset[MaskKey]
    fewer: bool


@dataclass(frozen=True)
class StackPrompts:
    """The prompts of every stack of an image.

    Attributes
    ----------
    by_position : dict
        Prompts per position of the other sliders.
    ignored : tuple of Ignored
        Why points and shapes cannot be prompts, once for each of them.
    """

    by_position: dict[StackPosition, Prompts] = field(default_factory=dict)
    ignored: tuple[Ignored, ...] = ()

    def at(self, position: StackPosition) -> Prompts:
        """Return the prompts of one stack, in order of object and frame."""
        return self.by_position.get(position, ())

    def get(self, position: StackPosition, object_id: int, frame: int) -> FramePrompt | None:
        """Return the prompt of an object in a frame of a stack; None if there is none."""
        wanted = ObjectFrame(object_id, frame)
        placed = self.by_position.get(position, ())
        return next((each.prompt for each in placed if each.object_frame == wanted), None)

    @property
    def object_ids(self) -> frozenset[int]:
        """Every object that has a prompt anywhere."""
        return frozenset(p.object_id for prompts in self.by_position.values() for p in prompts)

    def changes_since(self, earlier: StackPrompts) -> PromptChanges:
        """Compare with earlier prompts."""
        positions: set[StackPosition] = set()
        new: set[MaskKey] = set()
        fewer = False
        for position in self.by_position.keys() | earlier.by_position.keys():
            left: dict[tuple[int, int], FramePrompt] = {}
            for each in earlier.by_position.get(position, ()):
                left[each.object_id, each.frame] = each.prompt
            for each in self.by_position.get(position, ()):
                if left.pop((each.object_id, each.frame), None) != each.prompt:
                    positions.add(position)
                    new.add((position, each.object_id, each.frame))
            if left:
                positions.add(position)
                fewer = True
        return PromptChanges(frozenset(positions), frozenset(new), fewer)


@dataclass
class _Gathered:
    """What was found so far of one object in one frame."""

    points: list[tuple[float, float]] = field(default_factory=list)
    positive: list[bool] = field(default_factory=list)
    box: tuple[float, float, float, float] | None = None
    painted: FramePrompt | None = None
    mask: NDArray[np.bool_] | None = None
    cut: NDArray[np.bool_] | None = None
    marks: int = 0

    def prompt(self) -> FramePrompt | None:
        mask = None if self.painted is None else self.painted.mask
        if self.mask is not None:
            mask = self.mask if mask is None else self.mask | mask
        if mask is not None and self.cut is not None:
            mask = mask & ~self.cut
        if mask is not None and not mask.any():
            mask = None
        if mask is None and self.box is None and not self.points:
            return None
        alone = self.box is None and not self.points
        if alone and self.painted is not None and mask is self.painted.mask:
            return self.painted
        return FramePrompt(tuple(self.points), tuple(self.positive), self.box, mask)


class _Collector:
    """Gathers prompts per stack, object and frame."""

    def __init__(
        self, image: Image, axis: int | None, region: Region | None, composed: int | None
    ) -> None:
        *self._leading, rows, columns = spatial_shape(image)
        self._size = (rows, columns) if region is None else region.shape
        self._corner = np.array([0, 0] if region is None else [region.y0, region.x0], float)
        self._axis, self._composed = axis, composed
        self._found: defaultdict[StackPosition, defaultdict[ObjectFrame, _Gathered]]
        self._found = defaultdict(partial(defaultdict, _Gathered))
        self._outside = Ignored.OUTSIDE if region is None else Ignored.OUTSIDE_PART
        self.ignored: list[Ignored] = []

    def where(self, coordinates: NDArray[np.float64]) -> tuple[StackPosition, int] | None:
        """Find the stack and the frame of a position in the image's data; None if outside."""
        if not np.isfinite(coordinates).all():
            return None
        indices = np.rint(coordinates[:-2]).astype(int)
        if np.any(indices < 0) or np.any(indices >= self._leading):
            return None
        return placed(indices, self._axis, self._composed)

    def add_painted(self, mask_key: MaskKey, painted: FramePrompt) -> None:
        """Take a painted mask in."""
        position, object_id, frame = mask_key
        gathered = self._found[position][ObjectFrame(object_id, frame)]
        gathered.painted = painted
        gathered.marks += 1

    def add_points(
        self, coordinates: NDArray[np.float64], object_ids: list[int], positive: list[bool]
    ) -> None:
        """Take clicks (N, D) in, those that lie in the image."""
        yx = coordinates[:, -2:] - self._corner
        known: NDArray[np.bool_] = np.asarray(np.isfinite(coordinates).all(axis=1))
        indices = np.rint(np.where(known[:, None], coordinates[:, :-2], 0)).astype(int)
        known &= ((indices >= 0) & (indices < np.asarray(self._leading))).all(axis=1)
        inside: NDArray[np.bool_]
        inside = ((yx >= -_HALF_PIXEL) & (yx <= np.asarray(self._size) - _HALF_PIXEL)).all(axis=1)
        numbered = np.asarray(object_ids) >= 1
        self.ignored += [Ignored.OUTSIDE] * int(np.count_nonzero(~known))
        self.ignored += [self._outside] * int(np.count_nonzero(known & ~inside))
        self.ignored += [Ignored.NO_OBJECT] * int(np.count_nonzero(known & inside & ~numbered))
        for row in np.flatnonzero(known & inside & numbered).tolist():
            position, frame = placed(indices[row], self._axis, self._composed)
            gathered = self._found[position][ObjectFrame(object_ids[row], frame)]
            y, x = yx[row].tolist()
            gathered.points.append((y, x))
            gathered.positive.append(positive[row])
            gathered.marks += 1

    def add_shape(
        self, kind: str, vertices: NDArray[np.float64], object_id: int, positive: bool
    ) -> None:
        """Take a shape in, unless it leaves the frame or nothing of it is in the image."""
        positions = {self.where(vertex) for vertex in vertices}
        where = positions.pop()
        if positions or where is None or object_id < 1:
            off = Ignored.ACROSS if positions else Ignored.OUTSIDE
            self.ignored.append(off if positions or where is None else Ignored.NO_OBJECT)
            return
        key = ObjectFrame(object_id, where[1])
        flat, size = vertices[:, -2:] - self._corner, self._size
        if kind in AREAS:
            taken = self._add_area(self._found[where[0]], key, enclosed(kind, flat, size), positive)
        elif kind in LINES:
            points = along(flat, size)
            taken = bool(points)
            if taken:
                self._found[where[0]][key].points += points
                self._found[where[0]][key].positive += [positive] * len(points)
                self._found[where[0]][key].marks += 1
        else:
            taken = self._add_box(self._found[where[0]], key, flat)
        if not taken:
            # What reaches into the image and encloses nothing is too small to be seen.
            last = np.asarray(size) - _HALF_PIXEL
            apart = (flat.max(axis=0) < -_HALF_PIXEL) | (flat.min(axis=0) > last)
            self.ignored.append(self._outside if apart.any() else Ignored.SMALL)

    def _add_area(
        self,
        found: defaultdict[ObjectFrame, _Gathered],
        key: ObjectFrame,
        mask: NDArray[np.bool_],
        positive: bool,
    ) -> bool:
        if not mask.any():
            return False
        gathered = found[key]
        gathered.marks += 1
        if positive:
            gathered.mask = mask if gathered.mask is None else gathered.mask | mask
        else:
            gathered.cut = mask if gathered.cut is None else gathered.cut | mask
        return True

    def _add_box(
        self,
        found: defaultdict[ObjectFrame, _Gathered],
        key: ObjectFrame,
        corners: NDArray[np.float64],
    ) -> bool:
        last = np.asarray(self._size) - 1
        y0, x0 = np.clip(corners.min(axis=0), 0, last)
        y1, x1 = np.clip(corners.max(axis=0), 0, last)
        if y1 - y0 < 1 or x1 - x0 < 1:
            return False
        found[key].marks += found[key].box is None  # only the last one counts
        found[key].box = (float(y0), float(x0), float(y1), float(x1))
        return True

    def result(self) -> StackPrompts:
        """Return all that was found."""
        by_position = {}
        for position, found in self._found.items():
            known = []
            for key in sorted(found):
                prompt = found[key].prompt()
                if prompt is not None:
                    known.append(PlacedPrompt(*key, prompt, found[key].marks))
            if known:
                by_position[position] = tuple(known)
        return StackPrompts(by_position, tuple(self.ignored))


def read_prompts(
    image: Image,
    axis: int | None,
    points: Points,
    shapes: Shapes,
    painted: Mapping[MaskKey, FramePrompt] | None = None,
    region: Region | None = None,
    composed: int | None = None,
    drawn: DrawnTransform | None = None,
) -> StackPrompts:
    """Read all prompts of an image.

    Parameters
    ----------
    image : Image
        The stack; its data coordinates are those of the prompts.
    axis : int or None
        Video axis of the image; None for a single (Y, X) image.
    points : Points
        With the feature columns `OBJECT` and `POSITIVE`.
    shapes : Shapes
        With the same columns. Rectangles are boxes, the last one of an object in a frame
        counts; polygons and ellipses are masks, or cut from masks; paths and lines are points.
    painted : mapping, optional
        Masks by stack, object and frame, in pixels of the region.
    region : Region, optional
        The part of the frames that counts: prompts are in its pixels, and none lie outside.
    composed : int, optional
        The axis whose channels are composed: marks in any of them are prompts.
    drawn : DrawnTransform, optional
        How the image is drawn, if points and shapes lie on that.
    """
    collector = _Collector(image, axis, region, composed)
    for mask_key, mask in (painted or {}).items():
        collector.add_painted(mask_key, mask)
    if len(points.data):
        all_coordinates = same_position(image, points, np.asarray(points.data, float), drawn)
        # Those of a layer are columns, those of a script's layer lists.
        features = points.features
        collector.add_points(all_coordinates, list(features[OBJECT]), list(features[POSITIVE]))
    objects = shapes.features.get(OBJECT, ())
    signs = shapes.features.get(POSITIVE, [True] * len(shapes.data))
    outlines = zip(shapes.data, shapes.shape_type, objects, signs, strict=False)
    for vertices, kind, object_id, positive in outlines:
        corners = same_position(image, shapes, np.asarray(vertices, float), drawn)
        collector.add_shape(str(kind), corners, int(object_id), bool(positive))
    return collector.result()


NO_OBJECT = 0
"""Object of a mark whose feature names none: it is ignored."""

_FALSE = frozenset({"false", "no", "0", ""})


def repair_features(layer: Points | Shapes) -> None:
    """Give a layer valid features again where scripts or other plugins have left others.

    Both columns are there afterwards, objects as whole numbers and signs as bool; the features of a
    layer that is in order stay as they are. A value that names no object becomes `NO_OBJECT`, one
    that is no sign counts as on the object.
    """
    features, count = layer.features, len(layer.data)
    objects, signs = features.get(OBJECT), features.get(POSITIVE)
    known = objects is not None and signs is not None
    if known and objects.dtype.kind in "iu" and signs.dtype.kind == "b":
        return
    features = features.copy()
    features[OBJECT] = object_numbers([NO_OBJECT] * count if objects is None else objects)
    features[POSITIVE] = np.array(
        [True] * count if signs is None else [_sign(each) for each in signs], dtype=bool
    )
    layer.features = features


def object_numbers(values: Any) -> NDArray[np.int_]:
    """Return the values of the feature `OBJECT` as ids; `NO_OBJECT` where a value is none."""
    return np.array([_number(each) for each in values], dtype=int)


def _number(value: Any) -> int:
    try:
        exact = float(value)
        number = int(exact)
    except (TypeError, ValueError, OverflowError):  # text, a missing value, NaN, infinity
        return NO_OBJECT
    return number if number == exact and 1 <= number <= MAX_OBJECT_ID else NO_OBJECT


def _sign(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().lower() not in _FALSE
    try:
        return bool(value)
    except (TypeError, ValueError):  # a missing value of pandas
        return True
