"""`LabelFormat`: title, suffixes and writer of one file format; `LabelGeometry`: axes and sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_sam2.labels.export.planes import LabelPlanes


class PixelSize(NamedTuple):
    """The size of a pixel along an axis, and its unit: "micrometer", "second" or "" (unknown)."""

    size: float
    unit: str


@dataclass(frozen=True, slots=True, eq=False)
class LabelGeometry:
    """The axes of labels and where their pixels lie.

    Attributes
    ----------
    axes : str
        One letter of T, C, Z, Y, X per axis.
    sizes : mapping of str to PixelSize
        By axis letter; may be empty.
    affine : ndarray of float, shape (4, 4), optional
        From (x, y, z) in pixels to millimetres towards right, anterior and superior.
    """

    axes: str
    sizes: Mapping[str, PixelSize] = field(default_factory=dict)
    affine: NDArray[np.float64] | None = None

    def known(self, letter: str) -> float | None:
        """Return the size along an axis in micrometres, or seconds for T; None if unknown."""
        size = self.sizes.get(letter)
        return size.size if size is not None and size.unit == UNITS.get(letter) else None


UNITS = {"T": "second", "Z": "micrometer", "Y": "micrometer", "X": "micrometer"}
"""The unit of known sizes along each axis."""


def as_they_are(axes: str) -> str:
    """Return the order in which a format keeps axes that may come in any."""
    return axes


def _accept(_path: Path) -> None:
    """Accept any path."""


@dataclass(frozen=True, slots=True)
class LabelFormat:
    """A format of label files.

    Attributes
    ----------
    title : str
        For file dialogs.
    suffixes : tuple of str
        In lower case, with the dot; the first one is the usual one.
    write : callable
        ``write(path, planes, geometry)``: the planes come in the order of the geometry's axes.
    check : callable
        Raises a `LabelsError` if what stands at a path must not be replaced.
    folder : bool
        Whether it is a folder of files.
    order : callable
        Gives the order in which the format keeps some axes.
    """

    title: str
    suffixes: tuple[str, ...]
    write: Callable[[Path, LabelPlanes, LabelGeometry], None]
    check: Callable[[Path], None] = _accept
    folder: bool = False
    order: Callable[[str], str] = as_they_are
