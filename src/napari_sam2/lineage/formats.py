"""The table of track formats, and writing of tracks by the name of a format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from napari_sam2.errors import LineageError
from napari_sam2.lineage.ctc import check_ctc_path, write_ctc
from napari_sam2.lineage.geff import check_geff_path, write_geff
from napari_sam2.lineage.trackmate import write_trackmate
from napari_sam2.stack import stem_of
from napari_sam2.types import Division, TrackFormat

_TITLES = {
    TrackFormat.CTC: "Cell Tracking Challenge",
    TrackFormat.GEFF: "GEFF",
    TrackFormat.TRACKMATE: "TrackMate",
}
_ENDINGS = {
    TrackFormat.CTC: "_RES",
    TrackFormat.GEFF: ".geff.zarr",
    TrackFormat.TRACKMATE: ".trackmate.xml",
}


def title_of(kind: TrackFormat) -> str:
    """Return the name that users know."""
    return _TITLES[kind]


def path_beside(kind: TrackFormat, labels: Path) -> Path:
    """Return where tracks of a labels file are written: cells.ome.tif gives cells_RES."""
    return labels.with_name(stem_of(labels.name) + _ENDINGS[kind])


def check_tracks_path(kind: TrackFormat, path: Path) -> None:
    """Raise a `LineageError` if other data is at a path."""
    if kind is TrackFormat.CTC:
        check_ctc_path(path)
    elif kind is TrackFormat.GEFF:
        check_geff_path(path)
    elif path.is_dir():
        raise LineageError(
            f"{path} is a folder.", safe="It is unchanged.", remedy="Give the name of a file."
        )


def write_tracks(
    path: str | PathLike[str],
    labels: Any,
    divisions: Iterable[Division] = (),
    *,
    kind: TrackFormat,
    scale: Sequence[float] | None = None,
    units: tuple[str, str] = ("sec", "µm"),
    image: str | PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write tracks in a format; see `write_ctc`, `write_geff` and `write_trackmate`.

    Parameters
    ----------
    path : path
        File or folder.
    labels : array of int, shape (T, Y, X) or (T, Z, Y, X)
    divisions : iterable of Division
    kind : TrackFormat
    scale : sequence of float, optional
        The Cell Tracking Challenge has none.
    units : (str, str)
        Of time and length; the Cell Tracking Challenge has none.
    image : path, optional
        TrackMate only.
    progress : callable, optional
        Called with the number of frames done and of all.
    """
    if kind is TrackFormat.CTC:
        write_ctc(path, labels, divisions, progress=progress)
    elif kind is TrackFormat.GEFF:
        write_geff(path, labels, divisions, scale=scale, units=units, progress=progress)
    else:
        write_trackmate(
            path, labels, divisions, scale=scale, units=units, image=image, progress=progress
        )
