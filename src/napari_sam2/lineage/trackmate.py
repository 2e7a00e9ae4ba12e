"""Tracks as TrackMate XML: spots with outlines, edges and tracks, in physical units.

File format: https://imagej.net/plugins/trackmate/scripting/trackmate-xml-file
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_sam2._atomic import writing
from napari_sam2.errors import LineageError
from napari_sam2.labels.array_storage import Labels, view_frame
from napari_sam2.lineage.lineage import Lineage
from napari_sam2.lineage.spots import SpotFinder
from napari_sam2.lineage.tracks import checked_scale
from napari_sam2.types import Division

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters outside of the production Char of https://www.w3.org/TR/xml/#charsets."""


class _Feature(NamedTuple):
    key: str
    name: str
    dimension: str
    whole: bool = False


_SPOT_FEATURES = (
    _Feature("QUALITY", "Quality", "QUALITY"),
    _Feature("POSITION_X", "X", "POSITION"),
    _Feature("POSITION_Y", "Y", "POSITION"),
    _Feature("POSITION_Z", "Z", "POSITION"),
    _Feature("POSITION_T", "T", "TIME"),
    _Feature("FRAME", "Frame", "NONE", whole=True),
    _Feature("RADIUS", "Radius", "LENGTH"),
    _Feature("VISIBILITY", "Visibility", "NONE", whole=True),
    _Feature("LABEL", "Label", "NONE", whole=True),
    _Feature("AREA", "Area", "AREA"),
)
_EDGE_FEATURES = (
    _Feature("SPOT_SOURCE_ID", "Source spot ID", "NONE", whole=True),
    _Feature("SPOT_TARGET_ID", "Target spot ID", "NONE", whole=True),
    _Feature("LINK_COST", "Edge cost", "COST"),
    _Feature("EDGE_TIME", "Edge time", "TIME"),
    _Feature("DISPLACEMENT", "Displacement", "LENGTH"),
    _Feature("SPEED", "Speed", "VELOCITY"),
)
_TRACK_FEATURES = (
    _Feature("TRACK_INDEX", "Track index", "NONE", whole=True),
    _Feature("TRACK_ID", "Track ID", "NONE", whole=True),
    _Feature("NUMBER_SPOTS", "Number of spots in track", "NONE", whole=True),
    _Feature("NUMBER_SPLITS", "Number of split events", "NONE", whole=True),
    _Feature("TRACK_START", "Track start", "TIME"),
    _Feature("TRACK_STOP", "Track stop", "TIME"),
    _Feature("TRACK_DURATION", "Duration of track", "TIME"),
)


def write_trackmate(
    path: str | PathLike[str],
    labels: Any,
    divisions: Iterable[Division] = (),
    *,
    scale: Sequence[float] | None = None,
    units: tuple[str, str] = ("sec", "µm"),
    image: str | PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a file that TrackMate opens with *Load a TrackMate file*.

    A spot has the radius of the disc, or sphere, of its area, and in 2D its outline. Each family
    of objects is one track.

    Parameters
    ----------
    path : path
        An ``.xml`` file; a former one is replaced.
    labels : array of int, shape (T, Y, X) or (T, Z, Y, X)
    divisions : iterable of Division
    scale : sequence of float, optional
        Size of a step along each axis of the labels; frames and pixels by default.
    units : (str, str)
        Units of time and length of the scale.
    image : path, optional
        The image that the tracks belong to: TrackMate opens it along. XML cannot hold control
        characters and bytes that are no text; where a path has such, TrackMate asks for the image.
    progress : callable, optional
        Called with the number of frames done and of all.

    Raises
    ------
    LineageError
        The divisions or the scale do not fit the labels, or the file cannot be written; what
        stood there is unchanged.
    LabelsError
        A frame cannot be read; what stood there is unchanged.
    """
    path = Path(path)
    lineage = Lineage.of(labels, divisions)
    lineage.check()
    known = checked_scale(scale, lineage.dims + 1)
    sizes = known or (1.0,) * (lineage.dims + 1)
    array = SpotFinder(labels).labels
    root = ET.Element("TrackMate", version="7.11.1")
    names = units if known is not None else ("frame", "pixel")
    model = ET.SubElement(root, "Model", spatialunits=_text(names[1]), timeunits=_text(names[0]))
    _declare(model)
    _add_spots(model, array, lineage, sizes, progress)
    _add_tracks(model, lineage, sizes)
    _add_settings(root, array, lineage, sizes, image)
    ET.indent(root)
    with writing(path, "The tracks", LineageError) as temporary:
        ET.ElementTree(root).write(temporary, encoding="UTF-8", xml_declaration=True)


def _text(text: str) -> str:
    """Return a text with a replacement character for each that XML 1.0 cannot hold."""
    return _NOT_XML.sub("\ufffd", text)


def _declare(model: ET.Element) -> None:
    declared = ET.SubElement(model, "FeatureDeclarations")
    kinds = (
        ("SpotFeatures", _SPOT_FEATURES),
        ("EdgeFeatures", _EDGE_FEATURES),
        ("TrackFeatures", _TRACK_FEATURES),
    )
    for kind, features in kinds:
        group = ET.SubElement(declared, kind)
        for feature in features:
            ET.SubElement(
                group,
                "Feature",
                feature=feature.key,
                name=feature.name,
                shortname=feature.name,
                dimension=feature.dimension,
                isint=str(feature.whole).lower(),
            )


def _add_spots(
    model: ET.Element,
    labels: Any,
    lineage: Lineage,
    sizes: tuple[float, ...],
    progress: Callable[[int, int], None] | None,
) -> None:
    spots = lineage.spots
    every = ET.SubElement(model, "AllSpots", nspots=str(len(spots)))
    for frame in range(lineage.n_frames):
        rows = np.flatnonzero(spots.frames == frame).tolist()
        if rows:
            group = ET.SubElement(every, "SpotsInFrame", frame=str(frame))
            plane = view_frame(labels, frame)
            for row in rows:
                _add_spot(group, row, lineage, plane, sizes)
        if progress is not None:
            progress(frame + 1, lineage.n_frames)


def _add_spot(
    group: ET.Element, row: int, lineage: Lineage, plane: Labels, sizes: tuple[float, ...]
) -> None:
    spots = lineage.spots
    number, size = int(spots.object_ids[row]), int(spots.sizes[row])
    *depth, y, x = (spots.centres[row] * np.array(sizes[1:])).tolist()
    area = size * math.prod(sizes[1:])
    flat = lineage.dims == 2
    radius = math.sqrt(area / math.pi) if flat else (3 * area / (4 * math.pi)) ** (1 / 3)
    spot = ET.SubElement(
        group,
        "Spot",
        ID=str(row),
        name=f"{number}",
        QUALITY="1.0",
        POSITION_X=repr(x),
        POSITION_Y=repr(y),
        POSITION_Z=repr(depth[0] if depth else 0.0),
        POSITION_T=repr(float(spots.frames[row]) * sizes[0]),
        FRAME=str(int(spots.frames[row])),
        RADIUS=repr(radius),
        VISIBILITY="1",
        LABEL=str(number),
        AREA=repr(area if flat else math.pi * radius**2),
    )
    if flat:
        outline = (outline_of(plane, number) - spots.centres[row]) * np.array(sizes[1:])
        spot.set("ROI_N_POINTS", str(len(outline)))
        spot.text = " ".join(f"{value:.6g}" for value in outline[:, ::-1].ravel())


def outline_of(plane: Labels, object_id: int) -> NDArray[np.float64]:
    """Return the outline of the largest part of an object, (N, 2), corners (y, x) in pixels.

    It runs between the pixels of the object and those around it.
    """
    from skimage.measure import approximate_polygon, find_contours

    mask = plane == object_id
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    part = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    contours = find_contours(np.pad(part, 1).astype(np.float64), 0.5)
    longest = max(contours, key=len)[:-1]  # the last point is the first one again
    simple = approximate_polygon(longest, 0.1)
    chosen = simple if len(simple) >= 3 else longest
    shifted: NDArray[np.float64] = np.asarray(chosen) - 1 + (top, left)
    return shifted


def _add_tracks(model: ET.Element, lineage: Lineage, sizes: tuple[float, ...]) -> None:
    spots = lineage.spots
    every = ET.SubElement(model, "AllTracks")
    kept = ET.SubElement(model, "FilteredTracks")
    family_of = {number: index for index, family in enumerate(lineage.trees()) for number in family}
    edges: dict[int, list[tuple[int, int]]] = {}
    for source, target in lineage.links():
        edges.setdefault(family_of[int(spots.object_ids[source])], []).append((source, target))
    for index, linked in sorted(edges.items()):
        rows = np.unique(np.array(linked))
        first, last = (float(spots.frames[rows].min()), float(spots.frames[rows].max()))
        sources = [source for source, _ in linked]
        track = ET.SubElement(
            every,
            "Track",
            name=f"Track_{index}",
            TRACK_ID=str(index),
            TRACK_INDEX=str(index),
            NUMBER_SPOTS=str(len(rows)),
            NUMBER_SPLITS=str(len(sources) - len(set(sources))),
            TRACK_START=repr(first * sizes[0]),
            TRACK_STOP=repr(last * sizes[0]),
            TRACK_DURATION=repr((last - first) * sizes[0]),
        )
        for source, target in linked:
            moved = (spots.centres[target] - spots.centres[source]) * np.array(sizes[1:])
            far = float(np.linalg.norm(moved))
            times = spots.frames[[source, target]] * sizes[0]
            ET.SubElement(
                track,
                "Edge",
                SPOT_SOURCE_ID=str(source),
                SPOT_TARGET_ID=str(target),
                LINK_COST=repr(far**2),
                EDGE_TIME=repr(float(times.mean())),
                DISPLACEMENT=repr(far),
                SPEED=repr(far / float(times[1] - times[0])),
            )
        ET.SubElement(kept, "TrackID", TRACK_ID=str(index))


def _add_settings(
    root: ET.Element,
    labels: Any,
    lineage: Lineage,
    sizes: tuple[float, ...],
    image: str | PathLike[str] | None,
) -> None:
    *depth, height, width = labels.shape[1:]
    place = None if image is None else Path(image).absolute()
    settings = ET.SubElement(root, "Settings")
    ET.SubElement(
        settings,
        "ImageData",
        filename="" if place is None else _text(place.name),
        folder="" if place is None else _text(f"{place.parent.as_posix()}/"),
        width=str(width),
        height=str(height),
        nslices=str(depth[0] if depth else 1),
        nframes=str(lineage.n_frames),
        pixelwidth=repr(sizes[-1]),
        pixelheight=repr(sizes[-2]),
        voxeldepth=repr(sizes[1] if depth else 1.0),
        timeinterval=repr(sizes[0]),
    )
    ET.SubElement(
        settings,
        "BasicSettings",
        xstart="0",
        xend=str(width - 1),
        ystart="0",
        yend=str(height - 1),
        zstart="0",
        zend=str((depth[0] if depth else 1) - 1),
        tstart="0",
        tend=str(lineage.n_frames - 1),
    )
    ET.SubElement(settings, "InitialSpotFilter", feature="QUALITY", value="0.0", isabove="true")
    for name in ("SpotFilterCollection", "TrackFilterCollection"):
        ET.SubElement(settings, name)
    ET.SubElement(root, "GUIState", state="ConfigureViews")
