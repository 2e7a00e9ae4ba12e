"""`LazyArray`: what arrays that read their pixels when they are indexed have in common."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class LazyArray(ABC):
    """An array whose pixels are read when it is indexed.

    Parameters
    ----------
    shape : sequence of int
    dtype : dtype

    Attributes
    ----------
    shape : tuple of int
    dtype : dtype
    ndim : int
    size : int
        Number of all elements.
    """

    def __init__(self, shape: Sequence[int], dtype: DTypeLike) -> None:
        self.shape = tuple(int(size) for size in shape)
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.ndim, self.size = len(self.shape), math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    @abstractmethod
    def __getitem__(self, index: Any) -> Any:
        """Read what an index means to numpy."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Read everything."""
        return np.array(self[...], dtype, copy=copy)

    def places(self, index: Any) -> tuple[int | slice, ...] | None:
        """Return an index as one integer or slice per axis.

        Parameters
        ----------
        index : int, slice, Ellipsis or a tuple of these
            Axes that it does not name are whole.

        Returns
        -------
        tuple of int or slice, or None
            None for any other index, such as a list or a mask.
        """
        parts = index if isinstance(index, tuple) else (index,)
        at = next((i for i, part in enumerate(parts) if part is Ellipsis), len(parts))
        first, last = parts[:at], parts[at + 1 :]
        missing = self.ndim - len(first) - len(last)
        if missing < 0 or not all(isinstance(p, slice | int | np.integer) for p in (*first, *last)):
            return None
        return (*first, *(slice(None),) * missing, *last)
