"""Checks that every prompt has to pass; each raises its own error."""

from __future__ import annotations

import math
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import PromptError

MAX_OBJECT_ID = 2**32 - 1
STACK_AXES = 3
# Pixel centres lie at integers, so the outermost pixels reach half a pixel further.
HALF_PIXEL = 0.5


def as_whole_number(value: object, name: str) -> int:
    """Return `value` as an int; bools and fractions are errors."""
    if isinstance(value, (bool, np.bool_)):
        raise PromptError(
            f"{name} must be a whole number, not {value}.", remedy=f"Pass {name} as an integer."
        )
    try:
        return index(value)  # type: ignore[arg-type]
    except TypeError:
        raise PromptError(
            f"{name} must be a whole number, not {value!r}.",
            remedy=f"Pass {name} as an integer.",
        ) from None


def check_object_id(object_id: object) -> int:
    """Return the id as an int in 1..2**32 - 1, or raise `PromptError`."""
    number = object_id if type(object_id) is int else as_whole_number(object_id, "object id")
    if not 1 <= number <= MAX_OBJECT_ID:
        raise PromptError(
            f"Object id {number} cannot be a label.",
            remedy=f"Number objects from 1 to {MAX_OBJECT_ID}; 0 is the background.",
        )
    return number


def check_frame(frame: object, n_frames: int) -> int:
    """Return the frame as an int in ``0..n_frames - 1``, or raise `PromptError`."""
    number = frame if type(frame) is int else as_whole_number(frame, "frame")
    if not 0 <= number < n_frames:
        raise PromptError(
            f"Frame {number} is outside the stack, which has {n_frames} frame(s).",
            remedy=f"Choose a frame from 0 to {n_frames - 1}.",
        )
    return number


def check_coordinate(value: float, size: int, name: str) -> float:
    """Return a coordinate that lies on the image along one axis of `size` pixels."""
    check_finite(value, name)
    if not -HALF_PIXEL <= value <= size - HALF_PIXEL:
        raise PromptError(
            f"{name} = {value:g} is outside the image, which has {size} pixels along {name[0]}.",
            remedy="Give coordinates as (y, x) in pixels of the frame, starting at 0.",
        )
    return value


def check_finite(value: float, name: str) -> float:
    """Return `value` unless it is NaN or infinite."""
    if not math.isfinite(value):
        raise PromptError(f"{name} is {value}.", remedy="Give every coordinate as a finite number.")
    return value


def check_shape(shape: object) -> tuple[int, int, int]:
    """Return a stack shape as three positive ints (T, Y, X)."""
    try:
        sizes = tuple(map(index, shape))  # type: ignore[call-overload]
    except TypeError:
        sizes = ()
    if len(sizes) != STACK_AXES or min(sizes) < 1:
        raise PromptError(
            f"Prompts need the shape of a stack, (frames, y, x), not {shape!r}.",
            remedy="Pass three sizes of 1 or more; a single image is (1, y, x).",
        )
    return sizes[0], sizes[1], sizes[2]


def as_floats(values: Any, name: str) -> NDArray[np.float64]:
    """Return numbers as a float64 array; anything that is not a real number is an error."""
    try:
        array = np.asarray(values)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "iuf":
        raise PromptError(
            f"The {name} must consist of numbers.",
            remedy="Give coordinates as (y, x) in pixels of the frame.",
        )
    return array.astype(np.float64)


def as_mask(values: Any) -> NDArray[np.bool_]:
    """Return a two-valued array as a read-only bool mask that owns its pixels.

    A label image with several ids is refused: which object it means would be a guess.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "biuf" or array.ndim != 2:
        raise PromptError(
            f"A mask is a 2D array (y, x) of bool, not {array.ndim}D of {array.dtype}.",
            remedy="Pass the mask of one frame.",
        )
    if array.dtype.kind != "b":
        values_in_mask = np.unique(array[array != 0])
        if len(values_in_mask) > 1 or not np.isfinite(values_in_mask).all():
            raise PromptError(
                f"The mask holds {len(values_in_mask)} different values besides 0.",
                remedy="Pass one object at a time, for example mask = labels == 3.",
            )
    # Pixels that nobody can change need no copy.
    owned = array.dtype == np.bool_ and _is_constant(array)
    mask = array if owned else np.array(array, dtype=np.bool_)
    if not mask.any():
        raise PromptError(
            "The mask is empty.", remedy="Mark at least one pixel, or remove the prompt instead."
        )
    mask.setflags(write=False)
    return mask


def _is_constant(array: NDArray[Any]) -> bool:
    """Return whether an array and the memory that it lies in are read-only."""
    base: object = array
    while isinstance(base, np.ndarray):
        if base.flags.writeable:
            return False
        base = base.base
    return base is None
