"""Run-length encoding of masks, and a read-only store of many encoded masks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import PromptError
from napari_sam2.types import ObjectFrame


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


def decode_run_lengths(lengths: Sequence[int], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the mask of `shape` that the run lengths describe.

    Raises
    ------
    PromptError
        A length is not a whole number of 0 or more, or they do not add up to the pixels.
    """
    if any(isinstance(length, bool) or not isinstance(length, int) for length in lengths):
        raise PromptError(
            "A run length is not a whole number.", remedy="Write the mask again from napari-sam2."
        )
    size = int(np.prod(shape, dtype=object))
    if min(lengths, default=0) < 0 or sum(lengths) != size:
        raise PromptError(
            f"The run lengths of the mask add up to {sum(lengths)} pixels instead of {size}.",
            remedy="The mask is damaged or belongs to another image size; write it again.",
        )
    values = np.arange(len(lengths)) % 2 == 1
    return np.repeat(values, np.asarray(lengths, dtype=np.int64)).reshape(shape)


class MaskStore(Mapping[ObjectFrame, NDArray[np.bool_]]):
    """A read-only store of masks, each unpacked when it is read.

    Parameters
    ----------
    masks : iterable of (ObjectFrame, mask)
        Bool arrays (Y, X); each is let go of before the next one is asked for.
    """

    def __init__(self, masks: Iterable[tuple[ObjectFrame, NDArray[np.bool_]]] = ()) -> None:
        self._runs: dict[ObjectFrame, NDArray[np.int64]] = {}
        self._shapes: dict[ObjectFrame, tuple[int, ...]] = {}
        for pair, mask in masks:
            pixels = np.asarray(mask, dtype=np.bool_)
            self._runs[pair] = np.array(encode_run_lengths(pixels), dtype=np.int64)
            self._shapes[pair] = pixels.shape

    def lengths(self, pair: ObjectFrame) -> list[int]:
        """Return the run lengths of a mask; see `encode_run_lengths`."""
        lengths: list[int] = self._runs[pair].tolist()
        return lengths

    def shape(self, pair: ObjectFrame) -> tuple[int, ...]:
        """Return the shape of a mask."""
        return self._shapes[pair]

    def __getitem__(self, pair: ObjectFrame) -> NDArray[np.bool_]:
        mask = decode_run_lengths(self.lengths(pair), self._shapes[pair])
        mask.setflags(write=False)
        return mask

    def __iter__(self) -> Iterator[ObjectFrame]:
        return iter(self._runs)

    def __len__(self) -> int:
        return len(self._runs)
