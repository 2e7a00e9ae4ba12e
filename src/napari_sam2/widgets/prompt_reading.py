"""Points and rectangles as they lie in napari layers, read as prompts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_sam2.prompts import FramePrompt
from napari_sam2.widgets.geometry import same_place, spatial_shape
from napari_sam2.widgets.messages import PlacedPrompt, Prompts

if TYPE_CHECKING:
    from napari.layers import Image, Points, Shapes

OBJECT = "object"
"""Feature column with the label id of the object that a point or a box belongs to."""

POSITIVE = "positive"
"""Feature column of points: True on the object, False on the background."""

Place = tuple[tuple[int, int], ...]
"""Position of the sliders that are not the video: (axis, index) of each."""

# Pixel centres lie at integers, so the outermost pixels reach half a pixel further.
_HALF_PIXEL = 0.5


@dataclass(frozen=True)
class StackPrompts:
    """The prompts of every stack of an image.

    Attributes
    ----------
    by_place : dict
        Prompts per position of the other sliders.
    ignored : int
        Points and shapes that cannot be prompts: outside the image, of no size, out of plane.
    """

    by_place: dict[Place, Prompts] = field(default_factory=dict)
    ignored: int = 0

    def at(self, place: Place) -> Prompts:
        """Return the prompts of one stack, in order of object and frame."""
        return self.by_place.get(place, ())

    @property
    def object_ids(self) -> frozenset[int]:
        """Every object that has a prompt anywhere."""
        return frozenset(p.object_id for prompts in self.by_place.values() for p in prompts)


@dataclass
class _Gathered:
    """What was found so far of one object in one frame."""

    points: list[tuple[float, float]] = field(default_factory=list)
    positive: list[bool] = field(default_factory=list)
    box: tuple[float, float, float, float] | None = None

    def prompt(self) -> FramePrompt:
        return FramePrompt(points=tuple(self.points), positive=tuple(self.positive), box=self.box)


class _Collector:
    """Gathers prompts per place, frame and object."""

    def __init__(self, image: Image, axis: int | None) -> None:
        self._shape = spatial_shape(image)
        self._axis = axis
        self._found: defaultdict[Place, defaultdict[tuple[int, int], _Gathered]]
        self._found = defaultdict(lambda: defaultdict(_Gathered))
        self.ignored = 0

    def where(self, position: NDArray[np.float64]) -> tuple[Place, int] | None:
        """Find the stack and the frame of a position in the image's data; None if outside."""
        indices = np.rint(position[:-2]).astype(int)
        if np.any(indices < 0) or np.any(indices >= self._shape[:-2]):
            return None
        others = tuple((i, int(n)) for i, n in enumerate(indices) if i != self._axis)
        return others, 0 if self._axis is None else int(indices[self._axis])

    def add_point(self, position: NDArray[np.float64], object_id: int, positive: bool) -> None:
        """Take a click in, unless it lies outside the image."""
        yx, size = position[-2:], np.asarray(self._shape[-2:])
        inside = np.all(yx >= -_HALF_PIXEL) and np.all(yx <= size - _HALF_PIXEL)
        where = self.where(position)
        if where is None or not inside or object_id < 1:
            self.ignored += 1
            return
        gathered = self._found[where[0]][object_id, where[1]]
        gathered.points.append((float(yx[0]), float(yx[1])))
        gathered.positive.append(positive)

    def add_box(self, corners: NDArray[np.float64], object_id: int) -> None:
        """Take a box in, cut to the image, unless nothing is left or it leaves the frame."""
        places = {self.where(corner) for corner in corners}
        last = np.asarray(self._shape[-2:]) - 1
        y0, x0 = np.clip(corners[:, -2:].min(axis=0), 0, last)
        y1, x1 = np.clip(corners[:, -2:].max(axis=0), 0, last)
        where = places.pop()
        if places or where is None or object_id < 1 or y1 - y0 < 1 or x1 - x0 < 1:
            self.ignored += 1
            return
        box = (float(y0), float(x0), float(y1), float(x1))
        self._found[where[0]][object_id, where[1]].box = box

    def result(self) -> StackPrompts:
        """Return all that was found."""
        by_place = {
            place: tuple(
                PlacedPrompt(object_id, frame, gathered.prompt())
                for (object_id, frame), gathered in sorted(found.items(), key=lambda row: row[0])
            )
            for place, found in self._found.items()
        }
        return StackPrompts(by_place, self.ignored)


def read_prompts(image: Image, axis: int | None, points: Points, boxes: Shapes) -> StackPrompts:
    """Read all prompts of an image from its two prompt layers.

    Parameters
    ----------
    image : Image
        The stack; its data coordinates are those of the prompts.
    axis : int or None
        Video axis of the image; None for a single (Y, X) image.
    points : Points
        With the feature columns `OBJECT` and `POSITIVE`.
    boxes : Shapes
        Rectangles count, with the feature column `OBJECT`; the last one wins where an object
        has several in one frame.
    """
    collector = _Collector(image, axis)
    if len(points.data):
        positions = same_place(image, points, np.asarray(points.data, float))
        rows = zip(positions, points.features[OBJECT], points.features[POSITIVE], strict=True)
        for position, object_id, positive in rows:
            collector.add_point(position, int(object_id), bool(positive))
    shapes = zip(boxes.data, boxes.shape_type, boxes.features.get(OBJECT, ()), strict=False)
    for vertices, kind, object_id in shapes:
        if kind == "rectangle":
            corners = same_place(image, boxes, np.asarray(vertices, float))
            collector.add_box(corners, int(object_id))
        else:
            collector.ignored += 1
    return collector.result()
