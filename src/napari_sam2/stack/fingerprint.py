"""A digest of some pixels of an image, by which it is known again."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np

_SIDE = 128  # rows and columns that are looked at in a plane, at most
_COLOURS = (3, 4)


def fingerprint_of(data: Any) -> str | None:
    """Return a digest of shape, dtype and some pixels of an array (..., Y, X) or (..., Y, X, 3).

    It reads every n-th row and column of the first, the middle and the last plane.

    Parameters
    ----------
    data : array-like
        numpy, dask or zarr.

    Returns
    -------
    str or None
        None if a plane cannot be read: such an image is not known again by its pixels.
    """
    shape = tuple(int(size) for size in data.shape)
    colours = len(shape) > 2 and shape[-1] in _COLOURS and np.dtype(data.dtype).kind in "uf"
    last = len(shape) - (3 if colours else 2)
    leading = shape[: max(0, last)]
    count = math.prod(leading)
    digest = hashlib.blake2b(f"{shape} {np.dtype(data.dtype).name}".encode(), digest_size=16)
    steps = [slice(None, None, math.ceil(size / _SIDE)) for size in shape[last : last + 2]]
    for number in sorted({0, count // 2, count - 1}):
        where = tuple(int(index) for index in np.unravel_index(number, leading)) if leading else ()
        try:
            pixels = np.ascontiguousarray(data[(*where, *steps)])
        except Exception:  # whatever the array's own storage raises
            return None
        digest.update(pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()
