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

    It reads every n-th row and column of the first, the middle and the last plane. Where leading
    axes are equally long, these planes may stay where they are when the axes change places; the
    digest of a further plane then follows after a dash.

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
    places = [
        tuple(int(index) for index in np.unravel_index(number, leading)) if leading else ()
        for number in sorted({0, count // 2, count - 1})
    ]
    try:
        for place in places:
            digest.update(_content(data[(*place, *steps)]))
        if not _exchangeable(leading):
            return digest.hexdigest()
        further = hashlib.blake2b(_content(data[(*_uneven_place(leading), *steps)]), digest_size=16)
    except Exception:  # whatever the array's own storage raises
        return None
    return f"{digest.hexdigest()}-{further.hexdigest()}"


def same_fingerprint(known: str, pixels: str) -> bool:
    """Return whether a kept fingerprint, or the first part that older versions kept, matches."""
    return known == pixels or ("-" not in known and pixels.startswith(f"{known}-"))


def _content(plane: Any) -> bytes:
    pixels = np.ascontiguousarray(plane)
    return pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes()


def _exchangeable(leading: tuple[int, ...]) -> bool:
    """Whether two axes, both of several positions, are equally long."""
    longer = [size for size in leading if size > 1]
    return len({*longer}) < len(longer)


def _uneven_place(leading: tuple[int, ...]) -> tuple[int, ...]:
    """Return a place that is another one when equally long axes change places."""
    return tuple(leading[:axis].count(size) % size for axis, size in enumerate(leading))
