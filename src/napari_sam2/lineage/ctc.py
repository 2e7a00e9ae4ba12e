"""Tracks in the format of the Cell Tracking Challenge: writer and reader.

Format: http://public.celltrackingchallenge.net/documents/Naming%20and%20file%20content%20conventions.pdf
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_sam2._atomic import contents, writing
from napari_sam2.errors import LineageError
from napari_sam2.labels.array_storage import Labels, view_frame
from napari_sam2.labels.divisions import checked_divisions
from napari_sam2.lineage.lineage import Lineage
from napari_sam2.lineage.spots import SpotFinder
from napari_sam2.types import Division

_LARGEST = int(np.iinfo(np.uint16).max)
_TABLES = ("res_track.txt", "man_track.txt")
_WRITTEN = re.compile(r"mask\d{3,}\.tif")
_FRAME = re.compile(r"(?:mask|man_track)(\d{3,})\.tif", re.IGNORECASE)
_SEGMENTED = re.compile(r"man_seg_?(\d{3,})(?:_(\d{3,}))?\.tif", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CtcTrack:
    """One line of ``res_track.txt``: "L B E P".

    Attributes
    ----------
    label : int
        Id in the masks.
    begin, end : int
        First and last frame; the track has no gap.
    parent : int
        Label of the track before it; 0 if there is none.
    """

    label: int
    begin: int
    end: int
    parent: int


def write_ctc(
    path: str | PathLike[str],
    labels: Any,
    divisions: Iterable[Division] = (),
    *,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[CtcTrack, ...]:
    """Write a result folder of the Cell Tracking Challenge, such as ``01_RES``.

    ``maskNNN.tif`` has the labels of frame NNN in 16 bit, 2D or 3D, and ``res_track.txt`` one line
    per track. An object with gaps becomes several tracks; each later one has an id of its own,
    and the earlier one as parent.

    Parameters
    ----------
    path : path
        A folder that does not exist, is empty, or holds an earlier result, ``maskNNN.tif`` and
        ``res_track.txt`` alone, which is replaced. A ground truth never is.
    labels : array of int, shape (T, Y, X) or (T, Z, Y, X)
    divisions : iterable of Division
    progress : callable, optional
        Called with the number of frames written and of all.

    Returns
    -------
    tuple of CtcTrack
        What stands in ``res_track.txt``.

    Raises
    ------
    LineageError
        The divisions do not fit the labels, an id is above 65535, or the folder cannot be
        written or holds other data; what stood there is unchanged.
    LabelsError
        A frame cannot be read; what stood there is unchanged.
    """
    path = Path(path)
    check_ctc_path(path)
    lineage = Lineage.of(labels, divisions)
    lineage.check()
    tracks, renamed = ctc_tracks(lineage)
    digits = max(3, len(str(lineage.n_frames - 1)))
    labels = SpotFinder(labels).labels
    with writing(path, "The tracks", LineageError) as temporary:
        temporary.mkdir()
        for frame in range(lineage.n_frames):
            plane = _renamed(view_frame(labels, frame), frame, renamed)
            file = temporary / f"mask{frame:0{digits}d}.tif"
            tifffile.imwrite(file, plane, photometric="minisblack", compression="zlib")
            if progress is not None:
                progress(frame + 1, lineage.n_frames)
        lines = [f"{each.label} {each.begin} {each.end} {each.parent}\n" for each in tracks]
        (temporary / _TABLES[0]).write_text("".join(lines), "ascii")
    return tracks


def ctc_tracks(
    lineage: Lineage,
) -> tuple[tuple[CtcTrack, ...], dict[int, list[tuple[int, int, int]]]]:
    """Split objects at their gaps.

    Returns
    -------
    tuple of CtcTrack
        By label.
    dict of int to list of (int, int, int)
        First frame, last frame and new id of each later part of an object.

    Raises
    ------
    LineageError
        An id does not fit 16 bit.
    """
    largest = max(lineage.objects, default=0)
    parts = sum(len(each.runs) - 1 for each in lineage.objects.values())
    if largest + parts > _LARGEST:
        raise LineageError(
            f"The ids up to {largest}, and {parts} more for objects with gaps, do not fit into "
            f"the 16 bit of the Cell Tracking Challenge, which end at {_LARGEST}.",
            safe="The labels are unchanged.",
            remedy="Renumber the objects from 1, or write GEFF.",
        )
    free = largest
    tracks: list[CtcTrack] = []
    renamed: dict[int, list[tuple[int, int, int]]] = {}
    last_part: dict[int, int] = {}
    for number, each in lineage.objects.items():
        label, parent = number, 0
        for at, (begin, end) in enumerate(each.runs):
            if at:
                free += 1
                parent, label = label, free
                renamed.setdefault(number, []).append((begin, end, label))
            tracks.append(CtcTrack(label, begin, end, parent))
        last_part[number] = label
    born = {
        number: last_part[each.parent]
        for number, each in lineage.objects.items()
        if each.parent is not None
    }
    linked = [
        CtcTrack(each.label, each.begin, each.end, born.get(each.label, each.parent))
        for each in tracks
    ]
    return tuple(sorted(linked, key=lambda each: each.label)), renamed


def _renamed(
    plane: Labels, frame: int, renamed: dict[int, list[tuple[int, int, int]]]
) -> NDArray[np.uint16]:
    written = np.where(plane > 0, plane, 0).astype(np.uint16)
    for number, parts in renamed.items():
        for begin, end, label in parts:
            if begin <= frame <= end:
                written[plane == number] = label
    return written


def check_ctc_path(path: Path) -> None:
    """Raise a `LineageError` if other data is at a path."""
    if not path.exists():
        return
    if not path.is_dir():
        raise LineageError(
            f"{path} is a file.", safe="It is unchanged.", remedy="Give the name of a folder."
        )
    held = contents(path)
    foreign = [
        each.name
        for each in held
        if not (each.is_file() and (each.name == _TABLES[0] or _WRITTEN.fullmatch(each.name)))
    ]
    if foreign:
        reason = f"{sorted(foreign)[0]}, which is no result of the Cell Tracking Challenge"
    elif held and path / _TABLES[0] not in held:
        reason = f"masks without {_TABLES[0]}, which are no result of the Cell Tracking Challenge"
    else:
        return
    raise LineageError(
        f"{path} holds {reason}.", safe="It is unchanged.", remedy="Give a new folder."
    )


@dataclass(frozen=True, slots=True, eq=False)
class CtcSequence:
    """Labels and tracks that were read from a folder.

    Attributes
    ----------
    labels : CtcFrames
        Read frame by frame.
    tracks : tuple of CtcTrack
        By label.
    divisions : tuple of Division
        Tracks that end and have children, with the first frame of the earliest child.
    """

    labels: CtcFrames
    tracks: tuple[CtcTrack, ...]
    divisions: tuple[Division, ...]


class CtcFrames:
    """TIFF files, one per frame, as an array (T, Y, X) or (T, Z, Y, X); read when indexed."""

    def __init__(self, files: dict[int, Path]) -> None:
        self._files = files
        first = read_tiff(files[min(files)])
        self.shape = (max(files) + 1, *first.shape)
        self.dtype = first.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def frames(self) -> tuple[int, ...]:
        """Frames that have a file."""
        return tuple(sorted(self._files))

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, frame: int) -> NDArray[Any]:
        """Return one frame."""
        plane = read_tiff(self._files[frame])
        if plane.shape != self.shape[1:]:
            raise LineageError(
                f"{self._files[frame]} has the shape {plane.shape}, the first frame "
                f"{self.shape[1:]}.",
                remedy="All frames of a sequence have one shape.",
            )
        return plane


def read_ctc(path: str | PathLike[str]) -> CtcSequence:
    """Read a result folder or the ``TRA`` folder of a ground truth.

    Parameters
    ----------
    path : path
        Holds ``maskNNN.tif`` and ``res_track.txt``, or ``man_trackNNN.tif`` and
        ``man_track.txt``.

    Raises
    ------
    LineageError
        Files are missing, or a line of the table is wrong.
    """
    path = Path(path)
    table = next((path / name for name in _TABLES if (path / name).is_file()), None)
    files = {}
    for each in path.iterdir() if path.is_dir() else ():
        found = _FRAME.fullmatch(each.name)
        if found is not None:
            files[int(found[1])] = each
    if table is None or not files:
        raise LineageError(
            f"{path} is no folder of the Cell Tracking Challenge.",
            remedy="It holds maskNNN.tif and res_track.txt, or man_trackNNN.tif and man_track.txt.",
        )
    missing = sorted(set(range(max(files) + 1)) - set(files))
    if missing:
        raise LineageError(
            f"{path} has no mask of frame {missing[0]}.", remedy="Copy the folder again."
        )
    tracks = _read_table(table)
    return CtcSequence(CtcFrames(files), tracks, divisions_of(tracks))


def segmented_frames(path: Path) -> dict[int, Path]:
    """Return the ``man_segNNN.tif`` of a ``SEG`` folder by frame; single slices are left out."""
    files = {}
    for each in path.iterdir() if path.is_dir() else ():
        found = _SEGMENTED.fullmatch(each.name)
        if found is not None and found[2] is None:
            files[int(found[1])] = each
    return files


def divisions_of(tracks: Iterable[CtcTrack]) -> tuple[Division, ...]:
    """Return the divisions of tracks; a parent with one child counts too."""
    tracks = tuple(tracks)
    children: dict[int, list[CtcTrack]] = {}
    for each in tracks:
        if each.parent:
            children.setdefault(each.parent, []).append(each)
    return checked_divisions(
        Division(parent, tuple(each.label for each in born), min(each.begin for each in born))
        for parent, born in children.items()
    )


def _read_table(path: Path) -> tuple[CtcTrack, ...]:
    tracks = []
    for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            label, begin, end, parent = (int(field) for field in line.split())
        except ValueError as error:
            raise LineageError(
                f"Line {number} of {path} is {line!r}.",
                remedy="A line has four whole numbers: label, begin, end, parent.",
            ) from error
        if label < 1 or parent < 0 or not 0 <= begin <= end:
            raise LineageError(
                f"Line {number} of {path} is {line!r}, which is no track.",
                remedy="Labels begin with 1, and a track does not end before it begins.",
            )
        tracks.append(CtcTrack(label, begin, end, parent))
    known = {each.label for each in tracks}
    for each in tracks:
        if each.parent and each.parent not in known:
            raise LineageError(
                f"Track {each.label} in {path} has the parent {each.parent}, which has no line.",
                remedy="Give the parent a line, or 0.",
            )
    if len(known) < len(tracks):
        raise LineageError(f"{path} has two lines of one label.", remedy="Give each one line.")
    ends = {each.label: each.end for each in tracks}
    for each in tracks:
        if each.parent not in (0, each.label) and ends[each.parent] >= each.begin:
            raise LineageError(
                f"Track {each.label} in {path} begins in frame {each.begin}, but its parent "
                f"{each.parent} ends in frame {ends[each.parent]}.",
                remedy="A parent ends before its children begin.",
            )
    return tuple(sorted(tracks, key=lambda each: each.label))


def read_tiff(path: Path) -> NDArray[Any]:
    """Read a TIFF file whole, or raise a `LineageError`."""
    try:
        return np.asarray(tifffile.imread(path))
    except Exception as error:  # tifffile raises anything at damaged files
        raise LineageError(
            f"{path} cannot be read: {error}.", remedy="Copy the file again."
        ) from error
