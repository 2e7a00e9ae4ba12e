"""Tracks and measurements of labels that change. One thread at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.errors import LineageError
from napari_sam2.lineage import SpotFinder, TracksData, tracks_of
from napari_sam2.measure import Measurements, Review
from napari_sam2.types import Division

if TYPE_CHECKING:
    from pandas import DataFrame

    from napari_sam2.widgets.state.stack_result import StackResult


@dataclass(frozen=True, slots=True, eq=False)
class LiveTables:
    """Tracks and measurements at one moment.

    Attributes
    ----------
    tracks : TracksData or None
    table : pandas.DataFrame or None
    trouble : LineageError or None
        Why the divisions could not be taken in; tracks and table are without them then.
    """

    tracks: TracksData | None = None
    table: DataFrame | None = None
    trouble: LineageError | None = None


class LiveResults:
    """Measures only the frames whose labels are others than the last time.

    Parameters
    ----------
    result : StackResult
        Labels and intensities.
    """

    def __init__(self, result: StackResult) -> None:
        self._result = result
        self._finder = SpotFinder(result.labels)
        self._measured: Measurements | None = None
        self._digests: dict[int, bytes] = {}

    def update(
        self,
        divisions: tuple[Division, ...],
        review: Review | None,
        *,
        tracks: bool,
        table: bool,
        stopped: Callable[[], bool],
    ) -> LiveTables | None:
        """Return tracks and table as the labels are now; None if it was stopped.

        Raises
        ------
        LabelsError
            A frame of the labels cannot be read.
        """
        self._finder.invalidate(self._changed())
        trouble = None
        known: tuple[Division, ...] = divisions
        found = rows = None
        if tracks:
            try:
                found = tracks_of(self._finder, known, self._result.scale)
            except LineageError as error:
                trouble, known = error, ()
                found = tracks_of(self._finder, known, self._result.scale)
        if table and not stopped():
            rows = self._table(known, review, stopped)
        return None if stopped() else LiveTables(found, rows, trouble)

    def _changed(self) -> list[int]:
        changed = []
        for frame, plane in enumerate(self._result.labels):
            digest = hashlib.blake2b(np.ascontiguousarray(plane).data, digest_size=16).digest()
            if self._digests.get(frame) != digest:
                self._digests[frame] = digest
                changed.append(frame)
        return changed

    def _table(
        self, divisions: tuple[Division, ...], review: Review | None, stopped: Callable[[], bool]
    ) -> Any:
        if self._measured is None:
            result = self._result
            self._measured = Measurements(
                result.labels,
                list(result.images),
                scale=result.scale,
                units=result.units,
                channels=result.channels,
                axes=result.axes,
            )
        for frame in range(self._measured.n_frames):
            if stopped():
                return None
            self._measured.update([frame])
        return self._measured.table(divisions, review)
