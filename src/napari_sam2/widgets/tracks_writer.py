"""napari's writer of tracks: labels, with the graph of a Tracks layer where one is selected too.

napari calls it on the main thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_sam2.errors import LineageError
from napari_sam2.lineage import check_tracks_path, write_tracks
from napari_sam2.types import Division, TrackFormat

LayerData = tuple[Any, Mapping[str, Any], str]
"""What napari hands to a writer of a layer: data, attributes, kind."""

_KINDS = {".xml": TrackFormat.TRACKMATE, ".geff": TrackFormat.GEFF}
_LENGTHS, _TIMES = ("micrometer", "um", "µm"), ("second", "s", "sec")


def write_layers(path: str, layers: Sequence[LayerData]) -> list[str]:
    """Write labels as TrackMate (.xml) or GEFF (.geff).

    Parameters
    ----------
    path : str
    layers : sequence of (data, attributes, kind)
        One Labels layer, and perhaps the Tracks layer whose graph tells the divisions.

    Returns
    -------
    list of str
        The path.

    Raises
    ------
    LineageError
        There are no labels of frames, the graph contradicts them, or the file cannot be written.
    LabelsError
        A frame cannot be read.
    """
    target = Path(path)
    kind = _KINDS.get(target.suffix.lower())
    labels = [each for each in layers if each[2] == "labels"]
    tracks = [each for each in layers if each[2] == "tracks"]
    if kind is None or len(labels) != 1 or len(tracks) > 1:
        raise LineageError(
            f"{target.name} cannot be written from these layers.",
            safe="Nothing was written.",
            remedy="Select one Labels layer, and its Tracks layer; name the file .xml or .geff.",
        )
    data, about, _ = labels[0]
    check_tracks_path(kind, target)
    divisions = _divisions(tracks[0]) if tracks else ()
    scale, units = _scale(about, np.ndim(data))
    write_tracks(target, data, divisions, kind=kind, scale=scale, units=units)
    return [path]


def _divisions(tracks: LayerData) -> tuple[Division, ...]:
    """Read the divisions from the graph of a Tracks layer: {child: [parent]}."""
    data, about, _ = tracks
    rows = np.asarray(data)
    children: dict[int, list[int]] = {}
    for child, parents in (about.get("graph") or {}).items():
        parent = np.atleast_1d(parents).tolist()
        if len(parent) != 1:
            raise LineageError(
                f"Track {child} has {len(parent)} parents.",
                safe="Nothing was written.",
                remedy="Only divisions can be written, and no merging.",
            )
        children.setdefault(int(parent[0]), []).append(int(child))
    found = []
    for parent, born in children.items():
        first = [rows[rows[:, 0] == child, 1] for child in born]
        if all(len(each) for each in first):
            frame = min(int(each.min()) for each in first)
            found.append(Division(parent, tuple(born), frame))
    return tuple(found)


def _scale(about: Mapping[str, Any], ndim: int) -> tuple[tuple[float, ...] | None, tuple[str, str]]:
    """Return pixel sizes where the lengths have units of micrometres, and the names of units."""
    sizes = tuple(abs(float(size)) for size in about.get("scale", ()))
    units = [str(unit) for unit in about.get("units") or ()]
    known = len(sizes) == len(units) == ndim and all(unit in _LENGTHS for unit in units[1:])
    if not known:
        return None, ("frame", "pixel")
    timed = units[0] in _TIMES
    return (sizes[0] if timed else 1.0, *sizes[1:]), ("sec" if timed else "frame", "µm")
