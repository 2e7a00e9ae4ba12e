"""Tracks and measurements that ``segment`` writes beside the labels."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.stack import stem_of
from napari_sam2.types import FrameMasks, ObjectFrame, TrackFormat

if TYPE_CHECKING:
    from napari_sam2.measure import Review
    from napari_sam2.segmentation.image_source import Frames
    from napari_sam2.stack import FrameStack
    from napari_sam2.tracking import TrackingSession

Scores = Mapping[ObjectFrame, tuple[float, float]]
"""Score and presence, both in 0..1, of objects in frames."""


def known_scale(
    axes: str, scale: Sequence[float], units: Sequence[str]
) -> tuple[tuple[float, ...] | None, tuple[str, ...] | None]:
    """Return sizes of pixels and their units, if those of all axes of space are known.

    Parameters
    ----------
    axes : str
        A letter of each axis.
    scale, units
        As of `OpenedStack`.
    """
    if not all(unit for letter, unit in zip(axes, units, strict=True) if letter != "T"):
        return None, None
    named = (
        ("s" if unit else "frame") if letter == "T" else "µm"
        for letter, unit in zip(axes, units, strict=True)
    )
    return tuple(scale), tuple(named)


@dataclass(frozen=True, slots=True)
class ResultFiles:
    """The files that are wanted beside the labels.

    Attributes
    ----------
    tracks : tuple of (TrackFormat, Path)
    table : Path or None
    """

    tracks: tuple[tuple[TrackFormat, Path], ...] = ()
    table: Path | None = None

    @classmethod
    def beside(cls, labels: Path, formats: Sequence[TrackFormat], measure: bool) -> ResultFiles:
        """Name them after the labels file: cells.tif gives cells.csv, cells_RES and so on."""
        table = labels.with_name(f"{stem_of(labels.name)}.csv") if measure else None
        if not formats:
            return cls((), table)
        from napari_sam2.lineage import path_beside

        kinds = dict.fromkeys(formats)
        return cls(tuple((kind, path_beside(kind, labels)) for kind in kinds), table)

    def check(self) -> None:
        """Find before the work what could not be written after it.

        Raises
        ------
        LineageError
            Other data stands where tracks should be.
        """
        if self.tracks:
            from napari_sam2.lineage import check_tracks_path

            for kind, path in self.tracks:
                check_tracks_path(kind, path)

    def write(
        self,
        image: Path,
        session: TrackingSession,
        frames: Frames,
        labels: Any,
        scores: Scores,
    ) -> None:
        """Write them.

        Parameters
        ----------
        image : Path
            File of the stack.
        session : TrackingSession
        frames : Frames
        labels : array of int
            Of the whole image, all volumes included.
        scores : mapping

        Raises
        ------
        LineageError, MeasurementError
            Something cannot be written; the labels are.
        """
        from napari_sam2.lineage import write_tracks
        from napari_sam2.measure import measure, write_table

        scale, units = known_scale(frames.axes, frames.layout.scale, frames.layout.units)
        # In volumes over time, a division of the session is one along the axis of its frames.
        divisions = session.divisions if frames.through is None else ()
        for kind, path in self.tracks:
            write_tracks(path, labels, divisions, kind=kind, scale=scale, image=image)
        if self.table is not None:
            channels = frames.stack.channels
            images = [_Intensities(frames, at) for at in range(len(channels))]
            table = measure(
                labels,
                images,
                scale=scale,
                units=units,
                channels=[str(each) for each in channels] if len(channels) > 1 else None,
                axes=frames.axes,
                divisions=divisions,
                review=_review(session, scores) if frames.through is None else None,
            )
            write_table(table, self.table)


def remember_scores(
    kept: MutableMapping[ObjectFrame, tuple[float, float]], result: FrameMasks
) -> None:
    """Keep score and presence of a result; a later one replaces an earlier one."""
    numbers = zip(result.object_ids, result.scores.tolist(), result.presence.tolist(), strict=True)
    for object_id, score, presence in numbers:
        kept[ObjectFrame(object_id, result.frame)] = (score, presence)


def _review(session: TrackingSession, scores: Scores) -> Review:
    from napari_sam2.labels import FrameRecord
    from napari_sam2.labels.frame_records import measure as extents
    from napari_sam2.measure import Review

    records = []
    by_frame: dict[int, list[ObjectFrame]] = {}
    for pair in scores:
        by_frame.setdefault(pair.frame, []).append(pair)
    for frame, pairs in by_frame.items():
        found = extents(np.asarray(session.labels[frame]))
        for pair in pairs:
            score, presence = scores[pair]
            extent = found.get(pair.object_id)
            place = (0, (0.0, 0.0)) if extent is None else (extent.area, extent.centre)
            records.append(FrameRecord(pair.object_id, frame, *place, score, presence))
    prompted = frozenset(ObjectFrame(number, frame) for number, frame, _ in session.prompts)
    return Review.of(records, prompted, frozenset(session.accepted))


class _Intensities:
    """One channel of an image as stored, in the shape of its labels.

    Reads frame by frame; what is outside of the region that was looked at is 0: no object is there.
    """

    def __init__(self, frames: Frames, channel: int) -> None:
        self._frames, self._channel = frames, channel
        self.shape = frames.labels_shape
        self.dtype = frames.stack.dtype
        self.ndim = len(self.shape)

    def __getitem__(self, frame: int) -> NDArray[Any]:
        """Return a frame (Y, X), or of volumes over time a volume (Z, Y, X)."""
        frames = self._frames
        stack, through = frames.stack, frames.through
        if through is None:
            return self._whole(stack, frame)
        held = {axis: at for axis, at in stack.at.items() if axis != through}
        volume = stack.turned(stack.axis, {**held, through: frame})
        return np.stack([self._whole(volume, number) for number in range(volume.n_frames)])

    def _whole(self, stack: FrameStack, frame: int) -> NDArray[Any]:
        pixels = stack.read_stored(frame)[..., self._channel]
        if stack.region is None:
            return pixels
        plane = np.zeros(stack.image_shape, pixels.dtype)
        plane[stack.region.slices] = pixels
        return plane
