"""Tracks and measurements that ``segment`` writes beside the labels."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import MeasurementError
from napari_sam2.stack import stem_of
from napari_sam2.stack.opened_stack import MICROMETER, SECOND
from napari_sam2.types import FrameMasks, ObjectFrame, TrackFormat

if TYPE_CHECKING:
    from napari_sam2.measure import Review
    from napari_sam2.segmentation.image_source import Frames
    from napari_sam2.stack import FrameStack
    from napari_sam2.tracking import TrackingSession

Scores = Mapping[ObjectFrame, tuple[float, float]]
"""Score and presence, both in 0..1, of objects in frames."""


def known_scale(
    axes: str, scale: Sequence[float], units: Sequence[str], *, leading: int = 1
) -> tuple[tuple[float, ...] | None, tuple[str, ...] | None]:
    """Return pixel sizes and units, if the sizes of a frame or volume are known.

    Parameters
    ----------
    axes : str
        A letter of each axis.
    scale, units
        As of `OpenedStack`.
    leading : int
        Number of axes before those of a frame or volume; their step is one frame if unknown.

    Returns
    -------
    tuple of float, or None
        Micrometres and seconds.
    tuple of str, or None
        "s", "µm" or "frame" for each axis.
    """
    if not all(unit == MICROMETER for unit in units[leading:]):
        return None, None
    steps = []
    for letter, size, unit in zip(axes[:leading], scale, units, strict=False):
        known = unit == (SECOND if letter == "T" else MICROMETER)
        steps.append((size, "s" if letter == "T" else "µm") if known else (1.0, "frame"))
    steps += [(size, "µm") for size in scale[leading:]]
    return tuple(size for size, _ in steps), tuple(unit for _, unit in steps)


@dataclass(frozen=True, slots=True)
class ResultFiles:
    """The files to write beside the labels.

    Attributes
    ----------
    tracks : tuple of (TrackFormat, Path)
    table : Path or None
    """

    tracks: tuple[tuple[TrackFormat, Path], ...] = ()
    table: Path | None = None

    @classmethod
    def beside(cls, labels: Path, formats: Sequence[TrackFormat], measure: bool) -> ResultFiles:
        """Return files named after a labels file: cells.csv, cells_RES and so on for cells.tif."""
        table = labels.with_name(f"{stem_of(labels.name)}.csv") if measure else None
        if not formats:
            return cls((), table)
        from napari_sam2.lineage import path_beside

        kinds = dict.fromkeys(formats)
        return cls(tuple((kind, path_beside(kind, labels)) for kind in kinds), table)

    def check(self, frames: Frames | None = None) -> None:
        """Raise an error before the work if a file cannot be written after it.

        Parameters
        ----------
        frames : Frames, optional
            Frames to measure, if they are open already.

        Raises
        ------
        LineageError, MeasurementError
            Other data is at the paths of tracks or table, which the user has not named.
        MeasurementError
            The frames cannot be measured.
        """
        if self.table is not None and self.table.is_file():
            from napari_sam2.measure import is_measured

            if not is_measured(self.table):
                raise MeasurementError(
                    f"{self.table} is there already, and is no table that was measured here.",
                    safe="It is unchanged.",
                    remedy="Move it, or choose another name for the labels: the table has theirs.",
                )
        if self.tracks:
            from napari_sam2.lineage import check_tracks_path

            for kind, path in self.tracks:
                check_tracks_path(kind, path)
        if self.table is not None and frames is not None and "T" in frames.axes[-2:]:
            raise MeasurementError(
                f"Frames of the axes {frames.axes[-2:]} have no lengths and areas to measure.",
                safe="Nothing was computed or written.",
                remedy="Leave --measure out, or choose another axis with --axis.",
            )

    def write(
        self,
        image: Path,
        session: TrackingSession,
        frames: Frames,
        labels: Any,
        scores: Scores,
    ) -> None:
        """Write the files.

        Parameters
        ----------
        image : Path
            File of the stack.
        session : TrackingSession
        frames : Frames
        labels : array of int
            Labels of the whole image, all volumes included.
        scores : mapping

        Raises
        ------
        LineageError, MeasurementError
            A file cannot be written; the labels are written already.
        """
        from napari_sam2.lineage import scale_of_tracks, write_tracks
        from napari_sam2.measure import measure, write_table

        layout = frames.layout
        # Of volumes over time, whichever of the two axes was the video: time, then the volume.
        axes = frames.axes if frames.through is None else "TZYX"
        order = [frames.axes.index(letter) for letter in axes]
        labels = labels.transpose(order)
        scale, units = known_scale(
            axes, [layout.scale[at] for at in order], [layout.units[at] for at in order]
        )
        # In volumes over time, a division of the session is one along the axis of its frames.
        divisions = session.divisions if frames.through is None else ()
        for kind, path in self.tracks:
            steps, names = scale_of_tracks(scale, units)
            write_tracks(path, labels, divisions, kind=kind, scale=steps, units=names, image=image)
        if self.table is not None:
            channels = frames.stack.channels
            images = [_Intensities(frames, at, order) for at in range(len(channels))]
            table = measure(
                labels,
                images,
                scale=scale,
                units=units,
                channels=[str(each) for each in channels] if len(channels) > 1 else None,
                axes=axes,
                divisions=divisions,
                review=_review(session, scores) if frames.through is None else None,
            )
            write_table(table, self.table)


def remember_scores(
    kept: MutableMapping[ObjectFrame, tuple[float, float]], result: FrameMasks
) -> None:
    """Store score and presence of a result; a later result replaces an earlier one."""
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
    """One channel of an image as stored, with the axes of the labels.

    Reads frame by frame; pixels outside of the segmented region, where no object is, are 0.
    """

    def __init__(self, frames: Frames, channel: int, order: Sequence[int]) -> None:
        self._frames, self._channel, self._order = frames, channel, tuple(order)
        self.shape = tuple(frames.labels_shape[axis] for axis in order)
        self.dtype = frames.stack.dtype
        self.ndim = len(self.shape)

    def __getitem__(self, frame: int) -> NDArray[Any]:
        """Return a frame (Y, X), or of volumes over time a volume (Z, Y, X)."""
        stack, through = self._frames.stack, self._frames.through
        if through is None or stack.axis is None:
            return self._whole(stack, frame)
        first, *rest = self._order
        time, depth = (through, stack.axis) if first == 0 else (stack.axis, through)
        held = {axis: at for axis, at in stack.at.items() if axis != through}
        volume = stack.with_axis(depth, {**held, time: frame})
        planes = np.stack([self._whole(volume, number) for number in range(volume.n_frames)])
        kept = [axis for axis in range(4) if axis != first]
        return planes.transpose([kept.index(axis) for axis in rest])

    def _whole(self, stack: FrameStack, frame: int) -> NDArray[Any]:
        pixels = stack.read_stored(frame)[..., self._channel]
        if stack.region is None:
            return pixels
        plane = np.zeros(stack.image_shape, pixels.dtype)
        plane[stack.region.slices] = pixels
        return plane
