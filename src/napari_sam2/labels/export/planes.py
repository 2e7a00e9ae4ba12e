"""Labels of any number of axes as a sequence of planes in the dtype of the file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from napari_sam2.errors import LabelsError
from napari_sam2.labels.array_storage import Labels


class LabelPlanes:
    """The planes (Y, X) of a label array, read one at a time.

    Parameters
    ----------
    array : array of int or bool, shape (..., Y, X)
        numpy, zarr or dask.
    progress : callable, optional
        Called for each plane with its number and the number of all planes.
    order : sequence of int, optional
        The axes of the array in the order in which the planes have them; as they are by default.
    """

    def __init__(
        self,
        array: Any,
        progress: Callable[[int, int], None] | None = None,
        order: Sequence[int] | None = None,
    ) -> None:
        self._progress = progress or (lambda _done, _total: None)
        self._array = array if hasattr(array, "dtype") else np.asarray(array)
        if np.dtype(self._array.dtype).kind not in "biu":
            raise LabelsError(
                f"Labels cannot be of dtype {self._array.dtype}.",
                remedy="Pass an array of integer ids.",
            )
        self._order = tuple(range(len(self._array.shape)) if order is None else order)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of all axes."""
        return tuple(int(self._array.shape[axis]) for axis in self._order)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The array's own dtype in native byte order; uint8 for bool."""
        dtype = np.dtype(self._array.dtype)
        return np.dtype(np.uint8) if dtype.kind == "b" else dtype.newbyteorder("=")

    def narrow_dtype(self) -> np.dtype[Any]:
        """Return the dtype that TIFF and NIfTI files keep the ids in.

        8- and 16-bit ids stay as they are; wider ones, which ImageJ cannot open as ids, become
        uint16 or uint32 (int32 if some are negative), whichever holds them.
        """
        if self.dtype in (np.uint8, np.uint16):
            return self.dtype
        planes = map(self._read, np.ndindex(self.shape[:-2]))
        extremes = [(int(plane.min()), int(plane.max())) for plane in planes]
        lowest, highest = min(low for low, _ in extremes), max(high for _, high in extremes)
        candidates = (np.uint16, np.uint32) if lowest >= 0 else (np.int32,)
        for candidate in candidates:
            limits = np.iinfo(candidate)
            if limits.min <= lowest and highest <= limits.max:
                return np.dtype(candidate)
        raise LabelsError(
            f"TIFF and NIfTI cannot hold the label ids {lowest} to {highest}.",
            safe="The labels are unchanged.",
            remedy="Write them as .zarr, or renumber them first.",
        )

    def __iter__(self) -> Iterator[tuple[tuple[int, ...], Labels]]:
        total = math.prod(self.shape[:-2])
        for done, place in enumerate(np.ndindex(self.shape[:-2]), start=1):
            plane = self._read(place)
            self._progress(done, total)
            yield place, plane

    def _read(self, place: tuple[int, ...]) -> Labels:
        index: list[int | slice] = [slice(None)] * len(self._order)
        for axis, position in zip(self._order, place, strict=False):
            index[axis] = position
        try:
            plane = np.asarray(self._array[tuple(index)])
            rows, columns = self._order[-2:]
            return np.ascontiguousarray(plane.T if rows > columns else plane, dtype=self.dtype)
        except Exception as error:  # a store may fail with anything
            raise LabelsError(
                f"The labels at {place} cannot be read: {error}.",
                safe="What stood at the path before is unchanged.",
                remedy="Check the disk or the zarr store that holds the labels.",
            ) from error
