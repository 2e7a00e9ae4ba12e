"""Run-length encoding of masks. Any thread may use it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2._limits import MOST_WHOLE_NUMBER
from napari_sam2.errors import PromptError

_FEW_RUNS = 10_000


def encode_run_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """Return the lengths of alternating runs of False and True pixels.

    Pixels are read row by row. The first run is of False pixels and may have length 0; all
    others are 1 or more, and the lengths add up to the number of pixels.

    Parameters
    ----------
    mask : ndarray of bool
        Any shape; the shape is not part of the result.
    """
    pixels = np.ascontiguousarray(mask, dtype=np.bool_)
    if not pixels.size:
        return [0]
    rows = pixels.reshape(-1, pixels.shape[-1] if pixels.ndim else 1)
    held = np.flatnonzero(rows.any(axis=1))
    if not held.size:
        return [pixels.size]
    # Only rows that hold a pixel are looked through: a mask is small against its frame.
    band = slice(held[0], held[-1] + 1)
    padded = np.concatenate(([False], rows[band].ravel(), [False]))
    changes = np.flatnonzero(padded[1:] != padded[:-1]) + held[0] * rows.shape[1]
    ends = [] if changes[-1] == pixels.size else [pixels.size]
    lengths: list[int] = np.diff(np.concatenate(([0], changes, ends)).astype(np.int64)).tolist()
    return lengths


def run_lengths_within(
    part: NDArray[np.bool_], corner: tuple[int, int], shape: tuple[int, int]
) -> NDArray[np.int64]:
    """Return the run lengths of a mask of `shape` that is empty outside of a part of it.

    The time that it takes is that of the part.

    Parameters
    ----------
    part : ndarray of bool, shape (h, w)
    corner : (int, int)
        Row and column of its first pixel.
    shape : (int, int)
        Rows and columns of the whole mask.
    """
    steps = np.diff(np.pad(part, ((0, 0), (1, 1))).view(np.int8), axis=1)
    first = corner[0] * shape[1] + corner[1]
    starts, ends = (
        first + rows * shape[1] + columns
        for rows, columns in (np.nonzero(steps == 1), np.nonzero(steps == -1))
    )
    return _lengths(starts, ends, shape[0] * shape[1])


def run_lengths_of_labels(
    labels: NDArray[np.integer[Any]], ids: Iterable[int]
) -> dict[int, NDArray[np.int64]]:
    """Return the run lengths of the masks of some ids in a plane of labels (Y, X), by id.

    The plane is read once, however many ids there are.
    """
    flat = np.ascontiguousarray(labels).ravel()
    starts = np.flatnonzero(np.concatenate(([True], flat[1:] != flat[:-1])))
    ends = np.append(starts[1:], flat.size)
    wanted = np.array(sorted(set(ids)), dtype=np.int64)
    values = flat[starts].astype(np.int64)
    asked = np.flatnonzero(np.isin(values, wanted))
    asked = asked[np.argsort(values[asked], kind="stable")]
    found = np.searchsorted(values[asked], wanted, "left").tolist()
    until = np.searchsorted(values[asked], wanted, "right").tolist()
    return {
        number: _lengths(starts[asked[a:b]], ends[asked[a:b]], flat.size)
        for number, a, b in zip(wanted.tolist(), found, until, strict=True)
    }


def _lengths(starts: NDArray[Any], ends: NDArray[Any], size: int) -> NDArray[np.int64]:
    """Return the lengths of alternating runs, of the runs of True: ascending, none empty."""
    joined = starts[1:] == ends[:-1]  # from the end of a row into the next one
    starts = starts[np.concatenate(([True], ~joined))] if len(starts) else starts
    ends = ends[np.concatenate((~joined, [True]))] if len(ends) else ends
    bounds = np.column_stack((starts, ends)).ravel().astype(np.int64)
    last = [] if len(bounds) and bounds[-1] == size else [size]
    return np.diff(np.concatenate(([0], bounds, np.array(last, dtype=np.int64))))


def decode_run_lengths(lengths: Sequence[int], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the mask of `shape` that the run lengths describe.

    Raises
    ------
    PromptError
        A length is not a whole number of 0 or more, or they do not add up to the pixels.
    """
    runs = checked_run_lengths(lengths, shape)
    if len(runs) > _FEW_RUNS:
        values = np.arange(len(runs)) % 2 == 1
        return np.repeat(values, runs).reshape(shape)
    # Zeros take no memory until they are written to: a mask is small against its frame.
    mask = np.zeros(math.prod(shape), dtype=np.bool_)
    ends = np.cumsum(runs).tolist()
    for start, end in zip(ends[0::2], ends[1::2], strict=False):
        mask[start:end] = True
    return mask.reshape(shape)


def checked_run_lengths(lengths: Sequence[int], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return run lengths that describe a mask of `shape`, which is not unpacked.

    Raises
    ------
    PromptError
        As `decode_run_lengths`.
    """
    if any(isinstance(length, bool) or not isinstance(length, int) for length in lengths):
        raise PromptError(
            "A run length is not a whole number.", remedy="Write the mask again from napari-sam2."
        )
    size, total = math.prod(shape), sum(lengths)
    if min(lengths, default=0) < 0 or total != size:
        sums = f"{total} pixels" if abs(total) <= MOST_WHOLE_NUMBER else "far more pixels"
        raise PromptError(
            f"The run lengths of the mask add up to {sums} instead of {size}.",
            remedy="The mask is damaged or belongs to another image size; write it again.",
        )
    return np.array(lengths, dtype=np.int64)
