"""Label arrays of a stack, in memory or on disk, and the patches by which they are written."""

from __future__ import annotations

import math
import mmap
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_sam2.errors import LabelsError
from napari_sam2.labels.masks import Box

Labels = NDArray[np.integer[Any]]

_LARGEST_ID = int(np.iinfo(np.int64).max)


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """New labels for a part of a frame.

    Attributes
    ----------
    box : Box
        Rows and columns.
    labels : ndarray of int, shape of the box
    """

    box: Box
    labels: Labels

    def applied_to(self, frame: Labels) -> Labels:
        """Return a copy of the labels of a frame, (Y, X), with this part replaced."""
        patched = frame.copy()
        patched[self.box] = self.labels
        return patched


def blank_labels(shape: Sequence[int], dtype: DTypeLike) -> Labels:
    """Return an array of zeros whose pages are only taken from memory once they are written to.

    numpy's own zeros are such an array too. But on Linux it asks for pages of 2 MiB, and the first
    pixel of an object would take as much as a whole frame.

    Parameters
    ----------
    shape : sequence of int
    dtype : dtype

    Raises
    ------
    MemoryError
        The labels do not fit into memory.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if sys.platform != "linux" or size < mmap.PAGESIZE:
        return np.zeros(shape, dtype)
    try:
        memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError) as error:
        raise MemoryError(f"no {size / 1e9:.1f} GB for labels of {tuple(shape)}") from error
    _keep_pages_small(memory)
    labels: Labels = np.frombuffer(memory, dtype).reshape(shape)
    return labels


def _keep_pages_small(memory: Any) -> None:
    try:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    except OSError:  # a kernel that knows no others
        return


def new_array(shape: tuple[int, int, int], dtype: np.dtype[Any]) -> Labels:
    """Return an array of background; see `blank_labels`."""
    try:
        return blank_labels(shape, dtype)
    except (MemoryError, ValueError) as error:
        raise LabelsError(
            f"There is no memory for labels of {shape} in {dtype}.",
            remedy="Pass a zarr array on disk as the labels.",
        ) from error


def check_array(array: Any, shape: tuple[int, int, int]) -> None:
    """Raise `LabelsError` unless `array` is a writable integer array of `shape`."""
    if not all(hasattr(array, name) for name in ("shape", "dtype", "__getitem__", "__setitem__")):
        raise LabelsError(
            f"{type(array).__name__} cannot hold labels.",
            remedy="Pass a numpy or zarr array; of a multiscale layer, its full resolution.",
        )
    if tuple(array.shape) != shape:
        raise LabelsError(
            f"The labels have the shape {tuple(array.shape)}, the stack {shape}.",
            safe="The labels are unchanged.",
            remedy="Use a labels layer of the stack's shape, or a new one.",
        )
    check_dtype(np.dtype(array.dtype))
    _check_writable(array)


def check_dtype(dtype: np.dtype[Any]) -> None:
    """Raise `LabelsError` unless the dtype is an integer type."""
    if dtype.kind not in "iu":
        raise LabelsError(
            f"Labels cannot be of dtype {dtype}.", remedy="Use an integer dtype such as uint16."
        )


def _check_writable(array: Any) -> None:
    # Assigning to a dask array only rewrites its task graph: nothing would reach the data.
    lazy = hasattr(array, "__dask_graph__")
    flags = getattr(array, "flags", None)
    locked = getattr(flags, "writeable", True) is False or getattr(array, "read_only", False)
    if lazy or locked:
        raise LabelsError(
            "The labels are a dask array." if lazy else "The labels are read-only.",
            safe="They are unchanged.",
            remedy="Use a new labels layer, or a numpy or zarr array opened for writing.",
        )


def read_frame(array: Any, frame: int) -> Labels:
    """Return a copy of one frame."""
    return np.array(view_frame(array, frame))


def view_frame(array: Any, frame: int) -> Labels:
    """Return one frame to look at, (Y, X): the array's own memory where it has any."""
    try:
        return np.asarray(array[frame])
    except Exception as error:  # a store may fail with anything
        raise LabelsError(
            f"The labels of frame {frame} cannot be read: {error}.",
            safe="Other frames are unchanged.",
            remedy="Check the disk or the zarr store that holds the labels.",
        ) from error


def view_ids(array: Any, frame: int) -> Labels:
    """Return one frame as `view_frame` does, whose ids all fit into 64 bit with a sign.

    Raises
    ------
    LabelsError
        The frame cannot be read, or an id is larger.
    """
    plane = view_frame(array, frame)
    if plane.dtype.kind == "u" and plane.dtype.itemsize == 8:  # others hold none that is larger
        largest = int(plane.max(initial=0))
        if largest > _LARGEST_ID:
            raise LabelsError(
                f"Frame {frame} of the labels holds the id {largest}, and ids end at "
                f"{_LARGEST_ID}.",
                safe="The labels are unchanged.",
                remedy="Renumber the objects from 1.",
            )
    return plane


def store_patch(array: Any, frame: int, patch: Patch) -> None:
    """Write new labels into one frame; restore the former labels if the store fails half-way.

    Memory is written to pixel by pixel, where it changes: pages that were never written take none.
    A store gets the frame whole: it would have to read chunks first that a box cuts through.
    """
    former = view_frame(array, frame)
    in_memory = isinstance(array, np.ndarray)
    kept = former[patch.box].copy() if in_memory else former.copy()
    try:
        if in_memory:
            np.copyto(former[patch.box], patch.labels, where=patch.labels != kept)
        else:
            array[frame] = patch.applied_to(former)
    except Exception as error:  # a store may fail with anything
        place = (frame, *patch.box) if in_memory else (frame,)
        raise LabelsError(
            f"The labels of frame {frame} cannot be written: {error}.",
            safe=_put_back(array, place, kept),
            remedy="Check that the labels may be written and that the disk has space left.",
        ) from error


def _put_back(array: Any, place: tuple[Any, ...], former: Labels) -> str:
    try:
        if not np.array_equal(np.asarray(array[place]), former):
            array[place] = former
        kept = np.array_equal(np.asarray(array[place]), former)
    except Exception:  # the store is out of order: all that is left is to say so
        kept = False
    if kept:
        return "The frame keeps its former labels."
    return "Other frames are unchanged; this frame may be damaged."
