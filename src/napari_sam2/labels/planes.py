"""Labels of any number of axes as a sequence of planes, in the dtype that files hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from napari_sam2.errors import LabelsError
from napari_sam2.labels.compose import Labels


class LabelPlanes:
    """The planes (Y, X) of a label array, read one at a time.

    Parameters
    ----------
    array : array of int or bool, shape (..., Y, X)
        numpy, zarr or dask.
    """

    def __init__(self, array: Any) -> None:
        self._array = array if hasattr(array, "dtype") else np.asarray(array)
        if np.dtype(self._array.dtype).kind not in "biu":
            raise LabelsError(
                f"Labels cannot be of dtype {self._array.dtype}.",
                remedy="Pass an array of integer ids.",
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of all axes."""
        return tuple(int(size) for size in self._array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The array's own dtype in native byte order; uint8 for bool."""
        dtype = np.dtype(self._array.dtype)
        return np.dtype(np.uint8) if dtype.kind == "b" else dtype.newbyteorder("=")

    def narrow_dtype(self) -> np.dtype[Any]:
        """Return the dtype that TIFF files keep the ids in.

        8- and 16-bit ids stay as they are; wider ones, which ImageJ cannot open as ids, become
        uint16 or uint32 (int32 if some are negative), whichever holds them.
        """
        if self.dtype in (np.uint8, np.uint16):
            return self.dtype
        extremes = [(int(plane.min()), int(plane.max())) for _, plane in self]
        lowest, highest = min(low for low, _ in extremes), max(high for _, high in extremes)
        candidates = (np.uint16, np.uint32) if lowest >= 0 else (np.int32,)
        for candidate in candidates:
            limits = np.iinfo(candidate)
            if limits.min <= lowest and highest <= limits.max:
                return np.dtype(candidate)
        raise LabelsError(
            f"TIFF cannot hold the label ids {lowest} to {highest}.",
            safe="The labels are unchanged.",
            remedy="Write them as .zarr, or renumber them first.",
        )

    def __iter__(self) -> Iterator[tuple[tuple[int, ...], Labels]]:
        for place in np.ndindex(self.shape[:-2]):
            yield place, self._read(place)

    def _read(self, place: tuple[int, ...]) -> Labels:
        try:
            return np.ascontiguousarray(self._array[place], dtype=self.dtype)
        except Exception as error:  # a store may fail with anything
            raise LabelsError(
                f"The labels at {place} cannot be read: {error}.",
                safe="What stood at the path before is unchanged.",
                remedy="Check the disk or the zarr store that holds the labels.",
            ) from error
