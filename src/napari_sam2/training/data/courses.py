"""The choice of the object of a clip, of its frames and of its position in each of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.training.data.sources import LabelledStack

_SLOW = 3  # at most so many frames of the source lie between two frames of a clip


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """The frames of a stack in which one object is shown, and its position there.

    Attributes
    ----------
    object_id : int
    frames : ndarray of int, shape (T,)
        Frames of the stack, along the chosen axis.
    centres : ndarray of float64, shape (T, 2)
        (y, x) of the middle of the object's bounding box; where it is absent, where it was last.
    extent : float
        Longer side of its bounding box in the first frame, in pixels.
    """

    object_id: int
    frames: NDArray[np.int64]
    centres: NDArray[np.float64]
    extent: float


class CourseBook:
    """Draws courses through the objects of one stack.

    Parameters
    ----------
    stack : LabelledStack
    """

    def __init__(self, stack: LabelledStack) -> None:
        self._stack = stack
        found = ndimage.find_objects(stack.labels)
        self._boxes = {index + 1: box for index, box in enumerate(found) if box is not None}
        self._ids = np.array(sorted(self._boxes))

    def draw(self, rng: np.random.Generator, axis: int, n_frames: int, ends: float) -> Course:
        """Draw an object and frames that begin in its life; `ends`: share that outlives it.

        Past the ends of the stack the clip plays back again.
        """
        object_id = int(rng.choice(self._ids))
        life = self._boxes[object_id][axis]
        length = self._stack.labels.shape[axis]
        step = int(rng.integers(1, _SLOW + 1)) if length >= 2 * n_frames else 1
        first = int(rng.integers(life.start, life.stop))
        direction = int(rng.choice((-1, 1)))
        if n_frames > 1 and rng.random() < ends:
            ahead = step * int(rng.integers(1, n_frames)) - 1
            last = life.stop - 1 if direction > 0 else life.start
            first = int(np.clip(last - direction * ahead, life.start, life.stop - 1))
        frames = _reflected(first + direction * step * np.arange(n_frames), length)
        return self._course(object_id, axis, frames)

    def _course(self, object_id: int, axis: int, frames: NDArray[np.int64]) -> Course:
        box = list(self._boxes[object_id])
        del box[axis]
        _, labels = self._stack.along(axis)
        centres = np.zeros((len(frames), 2))
        extent, where = 0.0, None
        for row, frame in enumerate(frames):
            inside = labels[(frame, *box)] == object_id
            ys, xs = (np.flatnonzero(inside.any(axis=side)) for side in (1, 0))
            if ys.size:
                where = (box[0].start + (ys[0] + ys[-1]) / 2, box[1].start + (xs[0] + xs[-1]) / 2)
                extent = extent or float(max(ys[-1] - ys[0], xs[-1] - xs[0]) + 1)
            elif where is None:
                # A life may have gaps; the box of the whole life is then the best guess.
                where = tuple((side.start + side.stop - 1) / 2 for side in box)
            centres[row] = where
        return Course(object_id, frames, centres, extent or float(max(inside.shape)))


def _reflected(frames: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Fold frame numbers beyond a stack's ends back into it."""
    period = max(2 * length - 2, 1)
    folded = np.abs(frames) % period
    return np.asarray(np.where(folded < length, folded, period - folded), dtype=np.int64)
