"""Masks by object and frame that are kept as run lengths: many take little memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from napari_sam2.prompts.run_lengths import decode_run_lengths, encode_run_lengths
from napari_sam2.types import ObjectFrame


class MaskStore(Mapping[ObjectFrame, NDArray[np.bool_]]):
    """Masks that are unpacked one at a time, when they are asked for; read-only.

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
