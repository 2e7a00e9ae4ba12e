"""`LabelFormat`: title, suffixes and writer of one file format for labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from napari_sam2.labels.export.planes import LabelPlanes


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
        ``write(path, planes, axes, scale)``: axes are letters of T, C, Z, Y, X, scale is the pixel
        size by axis letter (micrometres, seconds) and may be empty.
    check : callable
        Raises a `LabelsError` if what stands at a path must not be replaced.
    folder : bool
        Whether it is a folder of files.
    """

    title: str
    suffixes: tuple[str, ...]
    write: Callable[[Path, LabelPlanes, str, dict[str, float]], None]
    check: Callable[[Path], None] = _accept
    folder: bool = False
