"""What can be a stack: anything indexed like an array that holds real numbers."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any, Protocol

import numpy as np

from napari_sam2.errors import StackError


class ArrayLike(Protocol):
    """What a stack needs of its data: numpy, dask, zarr, h5py and others have it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of every axis."""

    @property
    def dtype(self) -> Any:
        """Anything that `numpy.dtype` understands."""

    def __getitem__(self, index: Any, /) -> Any:
        """Return what `numpy.asarray` turns into the indexed pixels."""


def check_array(data: Any) -> np.dtype[Any]:
    """Return the dtype of `data` if its pixels can be shown.

    Raises
    ------
    StackError
        For lists (of resolution levels), things without shape, dtype or indexing, and dtypes that
        are not bool, integer or float.
    """
    if isinstance(data, str | PathLike):
        raise StackError(
            f"{str(data)!r} is the name of a file, not its pixels.",
            remedy="Pass open_stack(path).data, with open_stack from napari_sam2.stack.",
        )
    if isinstance(data, Sequence):
        raise StackError(
            "The image is a list, not one array: several resolution levels, or plain numbers.",
            remedy="Pass one level (data[0] is the finest), or numpy.asarray(data).",
        )
    if not all(hasattr(data, name) for name in ("shape", "dtype", "__getitem__")):
        raise StackError(
            f"A {type(data).__name__} is no array: it lacks shape, dtype or indexing.",
            remedy="Pass a numpy, dask or zarr array.",
        )
    try:
        dtype: np.dtype[Any] = np.dtype(data.dtype)
    except TypeError as error:
        raise StackError(
            f"numpy does not know the dtype {data.dtype}.", remedy="Pass a numpy array."
        ) from error
    if dtype.kind == "c":
        raise StackError(
            f"The image is complex ({dtype}).",
            remedy="Pass its magnitude, numpy.abs(image), or its phase, numpy.angle(image).",
        )
    if dtype.kind not in "biuf":
        raise StackError(
            f"The image holds no numbers that can be shown (dtype {dtype}).",
            remedy="Convert it to integers or floats: image.astype('float32').",
        )
    return dtype
