"""`OpenedStack`: an opened image file, its frames and its pixel sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_sam2.errors import StackError
from napari_sam2.stack.validation import has_colour_axis

_MOST_REASON = 300  # characters
# What people write in files for the units that are common in microscopy, as micrometres and
# seconds.
_UNITS = {
    **dict.fromkeys(("m", "meter", "metre"), 1e6),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 1e4),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1e3),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometre"), 1.0),
    **dict.fromkeys(("nm", "nanometer", "nanometre"), 1e-3),
    **dict.fromkeys(("pm", "picometer", "picometre"), 1e-6),
    **dict.fromkeys(("å", "angstrom"), 1e-4),
    **dict.fromkeys(("in", "inch"), 25_400.0),
    **dict.fromkeys(("d", "day"), 86_400.0),
    **dict.fromkeys(("h", "hour"), 3600.0),
    **dict.fromkeys(("min", "minute"), 60.0),
    **dict.fromkeys(("s", "sec", "second"), 1.0),
    **dict.fromkeys(("ms", "millisecond"), 1e-3),
    **dict.fromkeys(("us", "µs", "μs", "microsecond"), 1e-6),
}


def _nothing() -> None:
    """Do nothing: closes a file that needs no closing."""


@dataclass(frozen=True, slots=True, eq=False)
class OpenedStack:
    """An image file whose pixels are read when they are indexed.

    Attributes
    ----------
    data : array-like
        A memory map or zarr array, read-only.
    axes : str
        A letter per axis of `data`: T, Z, Y, X, C (channels), S (colours of a pixel), Q (unknown)
        or another of tifffile's. `guess_axes(data.shape, labels=axes)` reads it.
    scale : tuple of float
        Size of a step along every axis: micrometres in space and seconds in time where the file
        gives a unit that is known, else in the units of the file; 1 where it says nothing.
    path : Path
        Path of the file or folder.
    close : callable
        Lets go of the file; `data` cannot be read after it. Also happens with the last reference.
    """

    data: Any = field(repr=False)
    axes: str
    scale: tuple[float, ...]
    path: Path
    close: Callable[[], None] = field(default=_nothing, repr=False)

    def __enter__(self) -> OpenedStack:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def in_base_units(size: float, unit: str | None) -> float:
    """Convert a step to micrometres or seconds; unknown units stay as they are."""
    return size * _UNITS.get((unit or "").strip().lower(), 1.0)


def usable_step(size: Any) -> float:
    """Return the size of a step as a float, 1 where it is none: text, zero, negative, infinite."""
    try:
        number = float(size)
    except (TypeError, ValueError, OverflowError):
        return 1.0
    return number if 0.0 < number < float("inf") else 1.0


def axes_of_shape(shape: Sequence[int]) -> str:
    """Return axis letters for a shape without metadata: unknown ones, then YX or YXS."""
    known = "YXS" if has_colour_axis(shape) else "YX"
    return ("Q" * (len(shape) - len(known)) + known)[-len(shape) :] if len(shape) else ""


def short_reason(error: BaseException) -> str:
    """Return what a library says of a damaged file, in one line that is not too long."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _MOST_REASON else text[:_MOST_REASON] + "..."


def check_choice(number: int, available: int, *, what: str, path: Path) -> None:
    """Raise StackError unless `number` is one of `available` series or levels of a file."""
    if not 0 <= number < available:
        raise StackError(
            f"{path} has no {what} {number}: it holds {available}.",
            remedy=f"Choose a {what} of 0 to {available - 1}."
            if available
            else f"Choose a file that holds a {what}.",
        )
