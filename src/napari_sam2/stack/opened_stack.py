"""`OpenedStack`: an opened image file, its frames and its pixel sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import StackError
from napari_sam2.stack.array_view import ArrayView
from napari_sam2.stack.validation import has_colour_axis

DAMAGED_REMEDY = "If it was copied or downloaded, do that again; else save it anew from its source."
"""What to do about a damaged file."""

ZARR_FILES = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")
"""Metadata files of zarr formats 2 and 3: a folder with one of them is an array or a group."""

_MOST_REASON = 300  # characters
MICROMETER, SECOND = "micrometer", "second"
"""The units of known steps, as OME-Zarr spells them; "" stands for an unknown one."""

# What people write in files for the units that are common in microscopy and medicine.
_LENGTHS = {
    **dict.fromkeys(("m", "meter", "metre"), 1e6),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 1e4),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1e3),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometre"), 1.0),
    **dict.fromkeys(("nm", "nanometer", "nanometre"), 1e-3),
    **dict.fromkeys(("pm", "picometer", "picometre"), 1e-6),
    **dict.fromkeys(("å", "angstrom"), 1e-4),
    **dict.fromkeys(("in", "inch"), 25_400.0),
}
_TIMES = {
    **dict.fromkeys(("d", "day"), 86_400.0),
    **dict.fromkeys(("h", "hour"), 3600.0),
    **dict.fromkeys(("min", "minute"), 60.0),
    **dict.fromkeys(("s", "sec", "second"), 1.0),
    **dict.fromkeys(("ms", "msec", "millisecond"), 1e-3),
    **dict.fromkeys(("us", "usec", "µs", "μs", "microsecond"), 1e-6),
}


class AxisStep(NamedTuple):
    """The size of a step along an axis, and its unit: "micrometer", "second" or "" (unknown)."""

    size: float = 1.0
    unit: str = ""


def nothing() -> None:
    """Do nothing: closes a file that needs no closing."""


class FileChoice(NamedTuple):
    """One of several images or resolutions of a file.

    Attributes
    ----------
    number : int
        Of the one that is open.
    available : int
        How many there are.
    name : str
        What the file calls the one that is open; may be empty.
    names : tuple of str
        What it calls each of its images, in their order; empty for resolutions.
    """

    number: int = 0
    available: int = 1
    name: str = ""
    names: tuple[str, ...] = ()

    @classmethod
    def among(cls, names: Sequence[str], number: int) -> FileChoice:
        """Return the choice of one image by its number among the names of all."""
        return cls(number, len(names), names[number], tuple(names))


_ONLY = FileChoice()


@dataclass(frozen=True, slots=True, eq=False)
class OpenedStack:
    """An image file whose pixels are read when they are indexed.

    Attributes
    ----------
    data : array-like
        `FilePixels`, a zarr array or another one that reads what is indexed.
    axes : str
        A letter per axis of `data`: T, Z, Y, X, C (channels), S (colours of a pixel), Q (unknown)
        or another of tifffile's. `guess_axes(data.shape, labels=axes)` reads it.
    scale : tuple of float
        Size of a step along every axis in its unit, or, where that is unknown, in the units of the
        file; 1 where it says nothing.
    units : tuple of str
        The unit of each: "micrometer", "second", or "" where the file names none that is known
        ("pixel" and "reference frame" are none).
    path : Path
        Path of the file or folder.
    close : callable
        Lets go of the file; `data` cannot be read after it. Also happens with the last reference.
    series, level : FileChoice
        Which of the images in the file, and which of its resolutions.
    affine : ndarray of float, shape (4, 4), optional
        From (x, y, z) in pixels to millimetres towards right, anterior and superior, as NIfTI and
        DICOM files give it.
    indices : array-like, optional
        Of a PNG with a palette: the number of each pixel's colour, of the shape of `data` without
        its colours. Labels that are saved so are these numbers; see `open_labels`.
    """

    data: Any = field(repr=False)
    axes: str
    scale: tuple[float, ...]
    path: Path
    close: Callable[[], None] = field(default=nothing, repr=False)
    units: tuple[str, ...] = ()
    series: FileChoice = _ONLY
    level: FileChoice = _ONLY
    affine: NDArray[np.float64] | None = field(default=None, repr=False)
    indices: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.units:  # nothing is known
            object.__setattr__(self, "units", ("",) * len(self.axes))

    def __enter__(self) -> OpenedStack:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def with_axes(
        self, order: Sequence[int], held: Mapping[int, int] = MappingProxyType({})
    ) -> OpenedStack:
        """Return the file with its axes, sizes and units in another order, without reading pixels.

        Parameters
        ----------
        order : sequence of int
            Axes of `data`.
        held : mapping of int to int
            Position along each axis that is not among them.
        """
        if [*order] == [*range(len(self.axes))]:
            return self
        return replace(
            self,
            data=ArrayView(self.data, order, held),
            axes="".join(self.axes[axis] for axis in order),
            scale=tuple(self.scale[axis] for axis in order),
            units=tuple(self.units[axis] for axis in order),
        )


def step_of(size: Any, unit: object = "") -> AxisStep:
    """Return the size of a step in micrometres or seconds, where its unit is known.

    Parameters
    ----------
    size : float or text
        Text that is no number, zero, negative and infinite sizes give `AxisStep()`: nothing is
        known.
    unit : str or None
        As a file writes it.
    """
    try:
        number = float(size)
    except (TypeError, ValueError, OverflowError):
        return AxisStep()
    if not 0.0 < number < float("inf"):
        return AxisStep()
    name = str(unit or "").strip().lower()
    name = name if name in _LENGTHS or name in _TIMES else name.removesuffix("s")
    if name in _LENGTHS:
        return AxisStep(number * _LENGTHS[name], MICROMETER)
    if name in _TIMES:
        return AxisStep(number * _TIMES[name], SECOND)
    return AxisStep(number)


def axes_of_shape(shape: Sequence[int]) -> str:
    """Return axis letters for a shape without metadata: unknown ones, then YX or YXS."""
    known = "YXS" if has_colour_axis(shape) else "YX"
    return ("Q" * (len(shape) - len(known)) + known)[-len(shape) :] if len(shape) else ""


def short_reason(error: BaseException) -> str:
    """Return the message of a library's error as one short line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _MOST_REASON else text[:_MOST_REASON] + "..."


def chosen_series(series: int | str | None, names: Sequence[str], path: Path) -> int:
    """Return the number of one of the images of a file.

    Parameters
    ----------
    series : int, str or None
        Its number or its name; None: the first.
    names : sequence of str
        Of all images of the file; may be empty.
    path : Path

    Raises
    ------
    StackError
        The file has no such image.
    """
    if series is None:
        series = 0
    if isinstance(series, str):
        if series in names:
            return names.index(series)
        if not series.strip().lstrip("+-").isdecimal():
            raise StackError(
                f"{path} has no image {series!r}: it holds {listed(names)}.",
                remedy=f"Choose one of these, or a number of 0 to {len(names) - 1}.",
            )
        series = int(series) if len(series) < 10 else len(names)
    check_choice(series, len(names), what="series", path=path)
    return series


_LISTED = 12


def listed(names: Sequence[str]) -> str:
    """Return some names in words: the first ones, and how many there are."""
    if not any(names):
        return f"{len(names)} image{'' if len(names) == 1 else 's'}"
    few = ", ".join(names[:_LISTED])
    return few if len(names) <= _LISTED else f"{few} and so on, {len(names)} in all"


def check_choice(number: int, available: int, *, what: str, path: Path) -> None:
    """Raise StackError unless `number` is one of `available` series or levels of a file."""
    if not 0 <= number < available:
        raise StackError(
            f"{path} has no {what} {number}: it holds {available}.",
            remedy=f"Choose a {what} of 0 to {available - 1}."
            if available
            else f"Choose a file that holds a {what}.",
        )
