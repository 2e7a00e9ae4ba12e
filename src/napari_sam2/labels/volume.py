"""`LabelsVolume`: the labels of a whole stack, written frame by frame.

Pure functions apply the overlap rule, which composes new masks with the labels of a frame.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import index
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_sam2.errors import LabelsError
from napari_sam2.labels.array_storage import (
    Labels,
    Patch,
    check_array,
    check_dtype,
    new_array,
    read_frame,
    store_patch,
    view_frame,
)
from napari_sam2.labels.masks import Box, box_of, placed, spanning, within


class LabelsVolume:
    """Label ids of every pixel of a stack; 0 is the background.

    A write touches one frame only and either happens or does not: it is composed first and
    then assigned at once. Protected objects stay as they are until released.
    All methods may be called from several threads.

    Parameters
    ----------
    shape : (T, Y, X)
    dtype : dtype
        Integer type of a new array, large enough for the largest id.
    array : array of int, shape (T, Y, X), optional
        A writable numpy or zarr array to fill in place; it keeps its labels.

    Raises
    ------
    LabelsError
        The array has another shape, is read-only, or does not hold integers.

    Attributes
    ----------
    on_write : callable or None
        Called after every change with frame, former and new labels; must not write itself.
    on_patch : callable or None
        Called after every change with the frame, the box of the change, and the objects that lost
        pixels there.
    """

    def __init__(
        self, shape: Sequence[int], *, dtype: DTypeLike = np.uint16, array: Any = None
    ) -> None:
        self._shape = _checked_shape(shape)
        if array is None:
            check_dtype(np.dtype(dtype))
            array = new_array(self._shape, np.dtype(dtype))
        else:
            check_array(array, self._shape)
        self._array = array
        self._largest = int(np.iinfo(self.dtype).max)
        self.on_write: Callable[[int, Labels, Labels], None] | None = None
        self.on_patch: Callable[[int, Box, Collection[int]], None] | None = None
        self._protected: dict[int, set[int]] = {}  # objects by frame
        self._former: list[_Former] | None = None  # what writes replaced that may be undone
        self._lock = RLock()

    @property
    def array(self) -> Any:
        """The array itself, shape (T, Y, X): that given, or the one made."""
        return self._array

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, height and width."""
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The integer type of the ids."""
        dtype: np.dtype[Any] = np.dtype(self._array.dtype)
        return dtype

    def write(
        self,
        frame: int,
        object_ids: Sequence[int],
        masks: NDArray[np.bool_],
        boxes: Sequence[Box | None] | None = None,
    ) -> tuple[int, ...]:
        """Set exactly these objects in a frame.

        Their old pixels there are erased, never those of another object unless a new mask
        covers them. Protected pixels stay, even where a mask covers them. Where masks overlap,
        the later one gets the pixel.

        Parameters
        ----------
        frame : int
        object_ids : sequence of int
            N different ids of 1 or more.
        masks : ndarray of bool, shape (N, Y, X)
        boxes : sequence of N Box or None, optional
            Boxes known to contain the masks; only these are searched for pixels.

        Returns
        -------
        tuple of int
            The ids that were set: all but the protected ones.

        Raises
        ------
        LabelsError
            The ids do not fit the dtype, the masks do not fit the frame, or the array cannot be
            written; in all cases the frame keeps its former labels.
        """
        frame = self._checked_frame(frame)
        ids = tuple(map(self.checked_id, object_ids))
        masks = self._checked_masks(ids, masks)
        with self._lock:
            protected = frozenset(self._protected.get(frame, ()))
            patch = compose_frame(view_frame(self._array, frame), ids, masks, protected, boxes)
            if patch is not None:
                self._store(frame, patch)
        return tuple([number for number in ids if number not in protected]) if protected else ids

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Undo what was written within this context, in any frame, if an exception leaves it.

        Other threads wait until it ends. Protection of objects is not restored.

        Raises
        ------
        LabelsError
            The labels cannot be put back either; the error names the frames.
        """
        with self._lock:
            outermost = self._former is None
            former = self._former = [] if self._former is None else self._former
            start = len(former)
            try:
                yield
            except BaseException as error:
                undone, former[start:] = former[start:], []
                failed = self._put_back(undone)
                if failed:
                    raise _half_way(failed) from error
                raise
            finally:
                if outermost:
                    self._former = None

    def _put_back(self, former: Sequence[_Former]) -> list[int]:
        """Undo writes, the last one first; return the frames in which that fails."""
        noting, self._former = self._former, None
        failed = set()
        for each in reversed(former):
            try:
                self._store(each.frame, each.patch(self.dtype))
            except (LabelsError, MemoryError):
                failed.add(each.frame)
        self._former = noting
        return sorted(failed)

    def _store(self, frame: int, patch: Patch) -> None:
        if self._former is not None:
            self._former.append(_Former.of(frame, patch.box, view_frame(self._array, frame)))
        old = None if self.on_write is None else read_frame(self._array, frame)
        lost: set[int] = set()
        if self.on_patch is not None:
            before = view_frame(self._array, frame)[patch.box]
            lost = set(np.unique(before[before != patch.labels]).tolist()) - {0}
        store_patch(self._array, frame, patch)
        if self.on_patch is not None:
            self.on_patch(frame, patch.box, lost)
        if self.on_write is not None and old is not None:
            self.on_write(frame, old, patch.applied_to(old))

    def put_frame(self, frame: int, labels: Labels) -> None:
        """Set all labels of a frame, (Y, X), also of protected objects.

        Raises
        ------
        LabelsError
            The array cannot be written; the frame keeps its former labels.
        """
        frame = self._checked_frame(frame)
        with self._lock:
            changed = box_of(view_frame(self._array, frame) != labels)
            if changed is not None:
                self._store(frame, Patch(changed, labels[changed].astype(self.dtype, copy=False)))

    def mask(self, object_id: int, frame: int) -> NDArray[np.bool_]:
        """Return where an object is in a frame, bool (Y, X)."""
        return self.pixels(frame, (object_id,))

    def pixels(self, frame: int, object_ids: Collection[int]) -> NDArray[np.bool_]:
        """Return where some objects are in a frame, bool (Y, X)."""
        ids = list(map(self.checked_id, object_ids))
        with self._lock:
            return pixels_of(view_frame(self._array, self._checked_frame(frame)), ids)

    def any(self, frame: int) -> bool:
        """Return whether there is any object in a frame."""
        with self._lock:
            return bool(view_frame(self._array, self._checked_frame(frame)).any())

    def without(self, frame: int, object_ids: Collection[int]) -> Labels:
        """Return a copy of the labels of a frame, (Y, X), as if these objects were not in it."""
        ids = list(map(self.checked_id, object_ids))
        with self._lock:
            return without(view_frame(self._array, self._checked_frame(frame)), ids)

    def frame(self, frame: int) -> Labels:
        """Return a copy of the labels of a frame, (Y, X)."""
        with self._lock:
            return read_frame(self._array, self._checked_frame(frame))

    def view(self, frame: int) -> Labels:
        """Return the labels of a frame, (Y, X), without a copy if they are in memory; read only.

        A copy of a large frame takes seconds.
        """
        return view_frame(self._array, self._checked_frame(frame))

    def object_ids(self, frame: int) -> tuple[int, ...]:
        """Return the ids in a frame, ascending, without the background."""
        return tuple(int(number) for number in np.unique(self.frame(frame)) if number > 0)

    def largest_id(self) -> int:
        """Return the largest id in any frame, 0 if there is none; reads all frames once."""
        with self._lock:
            largest = (int(view_frame(self._array, f).max()) for f in range(self._shape[0]))
            return max(0, *largest)

    def protect(self, object_id: int, frame: int) -> None:
        """Protect an object in a frame from being overwritten."""
        object_id, frame = self.checked_id(object_id), self._checked_frame(frame)
        with self._lock:
            self._protected.setdefault(frame, set()).add(object_id)

    def unprotect(self, object_id: int, frame: int) -> None:
        """Release an object in a frame."""
        object_id, frame = self.checked_id(object_id), self._checked_frame(frame)
        with self._lock:
            self._protected.get(frame, set()).discard(object_id)

    def is_protected(self, object_id: int, frame: int) -> bool:
        """Return whether an object is protected in a frame."""
        object_id, frame = self.checked_id(object_id), self._checked_frame(frame)
        with self._lock:
            return object_id in self._protected.get(frame, ())

    def _checked_frame(self, frame: int) -> int:
        try:
            number = index(frame)
        except TypeError:
            raise _not_whole(frame, "frame") from None
        if not 0 <= number < self._shape[0]:
            raise LabelsError(
                f"Frame {number} is outside the labels, which have {self._shape[0]} frame(s).",
                remedy=f"Choose a frame from 0 to {self._shape[0] - 1}.",
            )
        return number

    def checked_id(self, object_id: int) -> int:
        """Return an id that the labels can hold, or raise a `LabelsError`."""
        try:
            number = index(object_id)
        except TypeError:
            raise _not_whole(object_id, "object id") from None
        if number < 1:
            raise LabelsError(
                f"Object id {number} cannot be a label.", remedy="Number objects from 1."
            )
        if number > self._largest:
            raise LabelsError(
                f"Object id {number} does not fit labels of {self.dtype}, which end at "
                f"{self._largest}.",
                safe="The labels are unchanged.",
                remedy=f"Use an id up to {self._largest}, or labels of a wider type such as "
                "uint32.",
            )
        return number

    def _checked_masks(self, ids: tuple[int, ...], masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
        masks = np.asarray(masks)
        expected = (len(ids), *self._shape[1:])
        if masks.shape != expected or masks.dtype != np.bool_:
            raise LabelsError(
                f"Masks must be bool of shape {expected}, not {masks.dtype} of {masks.shape}.",
                safe="The labels are unchanged.",
                remedy="Give one mask per object at the full resolution of the frame.",
            )
        if len(set(ids)) < len(ids):
            raise LabelsError(
                f"An object is given twice in {ids}.",
                safe="The labels are unchanged.",
                remedy="Give each object one mask per frame.",
            )
        return masks


@dataclass(frozen=True, slots=True)
class _Former:
    """Former labels of a part of a frame, compressed: a removed object may have many frames."""

    frame: int
    box: Box
    shape: tuple[int, ...]
    data: bytes

    @classmethod
    def of(cls, frame: int, box: Box, labels: Labels) -> _Former:
        """Record the present labels in a box of a frame (Y, X)."""
        part = labels[box]
        return cls(frame, box, part.shape, zlib.compress(part.tobytes(), 1))

    def patch(self, dtype: np.dtype[Any]) -> Patch:
        """Return the patch that restores these labels."""
        labels = np.frombuffer(zlib.decompress(self.data), dtype)
        return Patch(self.box, labels.reshape(self.shape))


def _half_way(frames: Sequence[int]) -> LabelsError:
    listed = ", ".join(map(str, frames))
    return LabelsError(
        f"The labels cannot be written, and in frames {listed} not be put back either.",
        safe="All other frames are as they were.",
        remedy="Save the labels elsewhere, and repeat this step once they can be written.",
    )


def _not_whole(value: object, name: str) -> LabelsError:
    return LabelsError(
        f"{name} must be a whole number, not {value!r}.", remedy=f"Pass {name} as an integer."
    )


def _checked_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    sizes = tuple(index(size) for size in shape)
    if len(sizes) != 3 or min(sizes) < 1:
        raise LabelsError(
            f"Labels need the shape (frames, y, x) with sizes of 1 or more, not {sizes}.",
            remedy="A single image is (1, y, x).",
        )
    return sizes[0], sizes[1], sizes[2]


def compose_frame(
    labels: Labels,
    object_ids: Sequence[int],
    masks: NDArray[np.bool_],
    protected: Collection[int] = (),
    boxes: Sequence[Box | None] | None = None,
) -> Patch | None:
    """Set these objects to these masks in the labels of a frame.

    Old pixels of the given objects become background unless a new mask covers them; pixels of
    other objects stay theirs unless a new mask covers them.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
        Current labels of the frame, which are not changed.
    object_ids : sequence of int
    masks : ndarray of bool, shape (N, Y, X)
        One per id. Where masks overlap, the later one gets the pixel.
    protected : collection of int
        Ids whose pixels stay exactly as they are, even where a mask covers them.
    boxes : sequence of N Box or None, optional
        A box that contains each mask, None for an empty one; found here by default.

    Returns
    -------
    Patch or None
        The changed box with its labels; None if nothing changes.
    """
    free = [i for i, number in enumerate(object_ids) if number not in protected]
    held = [box_of(masks[i]) if boxes is None else boxes[i] for i in free]
    # What is neither labelled nor covered stays background: it is not looked at again.
    part = spanning([box_of(labels), *held])
    if part is None:
        return None
    old = labels[part]
    new = np.where(_belongs_to(old, [object_ids[i] for i in free]), 0, old)
    for i, box in zip(free, held, strict=True):
        if box is not None:
            np.copyto(new[within(box, part)], labels.dtype.type(object_ids[i]), where=masks[i][box])
    if protected:
        np.copyto(new, old, where=_belongs_to(old, protected))
    changed = box_of(new != old)
    if changed is None:
        return None
    return Patch(placed(changed, part), new[changed])


def without(labels: Labels, object_ids: Collection[int]) -> Labels:
    """Return the labels of a frame, (Y, X), as if these objects were not in it."""
    left = labels.copy()
    part = box_of(labels)
    if part is not None:
        left[part][_belongs_to(labels[part], object_ids)] = 0
    return left


def pixels_of(labels: Labels, object_ids: Collection[int]) -> NDArray[np.bool_]:
    """Return the pixels, bool (Y, X), that some objects have in the labels of a frame."""
    pixels = np.zeros(labels.shape, dtype=bool)
    part = box_of(labels) if object_ids else None
    if part is not None:
        pixels[part] = _belongs_to(labels[part], object_ids)
    return pixels


def _belongs_to(labels: Labels, object_ids: Collection[int]) -> NDArray[np.bool_]:
    numbers = np.fromiter(object_ids, dtype=labels.dtype, count=len(object_ids))
    if len(numbers) == 1:
        one: NDArray[np.bool_] = labels == numbers[0]
        return one
    return np.isin(labels, numbers)
