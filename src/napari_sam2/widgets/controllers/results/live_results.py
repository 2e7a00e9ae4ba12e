"""The live results controller: Tracks layer, features table and plot that follow the labels.

Main thread only; what is shown is computed in a worker thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_sam2.errors import LineageError
from napari_sam2.widgets.layers.stack_result import stack_result
from napari_sam2.widgets.layers.tracks_layer import TracksLayer, can_have_tracks
from napari_sam2.widgets.state.stack_result import StackResult
from napari_sam2.widgets.throttle import halt, single_shot
from napari_sam2.widgets.views.notifications import show_problem
from napari_sam2.widgets.views.results.column_plot import PlotLine
from napari_sam2.widgets.worker.live_results import LiveResults, LiveTables
from napari_sam2.widgets.worker.thread import Worker, readable

if TYPE_CHECKING:
    from napari import Viewer

    from napari_sam2.measure import Review
    from napari_sam2.types import Division
    from napari_sam2.widgets.controllers.annotation import AnnotationController
    from napari_sam2.widgets.controllers.results.result_export import ResultExportController
    from napari_sam2.widgets.layers.workspace import Workspace
    from napari_sam2.widgets.state.positions import StackPosition
    from napari_sam2.widgets.views.object_section import ObjectSection
    from napari_sam2.widgets.views.results.results_section import ResultsSection

_LEAST_MS = 400
_REST = 3  # so many times as long as an update takes, it rests


class _Signals(QObject):
    ended = Signal(int, object, object)


class LiveResultsController(QObject):
    """Keeps tracks and measurements in line with the labels. Main thread only.

    They are computed in a worker thread, again only where the labels have changed, and not more
    often than a quarter of the time. Layers and views are touched on the main thread.

    Parameters
    ----------
    viewer : Viewer
    annotation : AnnotationController
    files : ResultExportController
        Knows divisions and scores of a stack.
    objects : ObjectSection
        Knows the selected objects.
    section : ResultsSection
    """

    def __init__(
        self,
        viewer: Viewer,
        annotation: AnnotationController,
        files: ResultExportController,
        objects: ObjectSection,
        section: ResultsSection,
    ) -> None:
        super().__init__()
        self._viewer, self._annotation = viewer, annotation
        self._files, self._objects, self._section = files, objects, section
        self._signals = _Signals()
        self._worker: Worker | None = None
        self._closed = False
        self._stop = threading.Event()
        self._number, self._under_way, self._stale = 0, False, False
        self._began = 0.0
        self._result: tuple[StackPosition, StackResult, LiveResults] | None = None
        self._shown: tuple[StackPosition, LiveTables] | None = None
        self._layer: TracksLayer | None = None
        self._features_before: Any = None
        self._trouble = ""
        self._listens = False  # to changes of annotations
        self._timer = single_shot(self, self._update, _LEAST_MS)
        section.tracks_toggled.connect(self._tracks_toggled)
        section.measuring_toggled.connect(self._measuring_toggled)
        section.column_chosen.connect(lambda _column: self._show_plot())
        section.plot.frame_requested.connect(self._go_to)
        objects.selection_changed.connect(self._show_plot)
        self._signals.ended.connect(self._ended)
        viewer.layers.events.removed.connect(self._layer_removed)

    @property
    def busy(self) -> bool:
        """Whether what is shown is not yet that of the labels."""
        waiting = self._timer.isActive() or self._under_way
        return waiting or (self._worker is not None and self._worker.busy)

    def attach(self, workspace: Workspace) -> None:
        """Begin to follow the labels of a workspace."""
        self._layer = TracksLayer(self._viewer, workspace)
        self._features_before = workspace.labels.features.copy()
        self.soon()

    def detach(self, workspace: Workspace | None, *, views_alive: bool) -> None:
        """Follow them no longer; the Tracks layer stays as it is, as an ordinary one."""
        halt(self._timer)
        self._stop.set()
        self._number += 1
        if self._layer is not None:
            self._layer.release()
        self._result = self._shown = self._layer = None
        self._stale = self._under_way = False
        if workspace is not None and views_alive:
            self._section.plot.show_lines("", (), 1)

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        halt(self._timer)
        self._stop.set()
        self._viewer.layers.events.removed.disconnect(self._layer_removed)
        if self._worker is not None:
            self._worker.close()

    def soon(self) -> None:
        """Bring everything up to date a little later, unless that is due already."""
        if self._wanted:
            self._stale = True
            if not self._timer.isActive() and not self._under_way:
                self._timer.start(_LEAST_MS)

    def slider_moved(self) -> None:
        """Show what belongs to the frame in view."""
        here = self._annotation.here
        if here is None or not self._wanted:
            return
        if self._shown is not None and self._shown[0] != here[0] and not self._has_all:
            self.soon()
        self._show_features()
        self._section.plot.show_frame(here[1])

    @property
    def _asked(self) -> bool:
        return self._section.tracks.isChecked() or self._section.measuring.isChecked()

    @property
    def _wanted(self) -> bool:
        return self._asked and not self._closed and self._annotation.workspace is not None

    @property
    def _has_all(self) -> bool:
        """Whether all volumes have been measured, so that none but another channel is new."""
        here, found = self._annotation.here, self._result
        if here is None or found is None or not found[1].volumes:
            return False
        at = dict(here[0])
        return all(at.get(axis) == index for axis, index in found[1].held.items())

    def _update(self) -> None:
        here, workspace = self._annotation.here, self._annotation.workspace
        if not self._wanted or here is None or workspace is None or self._under_way:
            return
        position = here[0]
        if self._result is None or self._result[0] != position:
            result = stack_result(workspace, position)
            former = self._result
            same = former is not None and former[1].held == result.held
            live = former[2] if same and former is not None else LiveResults(result)
            self._result = position, result, live
        _, result, live = self._result
        divisions, review = self._files.decisions(result, position)
        if self._worker is None:
            self._worker = Worker("live-results", on_exit=self.close, on_end=lambda: None)
        self._stop.clear()
        self._number += 1
        self._under_way, self._stale, self._began = True, False, time.monotonic()
        number, tracks = self._number, self._section.tracks.isChecked()
        table = self._section.measuring.isChecked()
        self._worker.submit(lambda: self._compute(number, live, divisions, review, tracks, table))

    def _ended(self, number: int, tables: LiveTables | None, error: Exception | None) -> None:
        if self._closed or number != self._number:
            return
        self._under_way = False
        found = self._result
        if error is not None:
            self._say(error)
        elif tables is not None and found is not None:
            if tables.trouble is not None:
                self._say(tables.trouble)
            self._show(found[0], found[1], tables)
        if self._stale:
            took = (time.monotonic() - self._began) * 1000
            self._timer.start(max(_LEAST_MS, int(_REST * took)))

    def _say(self, error: Exception) -> None:
        if str(error) != self._trouble:  # once, not with every update
            self._trouble = str(error)
            show_problem(error)

    def _show(self, position: StackPosition, result: StackResult, tables: LiveTables) -> None:
        self._shown = position, tables
        workspace, layer = self._annotation.workspace, self._layer
        if tables.tracks is not None and layer is not None and workspace is not None:
            if can_have_tracks(workspace, volumes=result.volumes):
                layer.show(tables.tracks, result.held)
            else:
                self._say(
                    LineageError(
                        "napari shows tracks of up to four axes, of which the first is time, and "
                        "this image has others.",
                        safe="All else works.",
                        remedy="Open one channel with time first, or write the tracks to a file.",
                    )
                )
        self._show_features()
        self._show_plot()

    def _show_features(self) -> None:
        """Fill the features table of the labels with the objects of the frame in view."""
        workspace, here, shown = self._annotation.workspace, self._annotation.here, self._shown
        if workspace is None or here is None or shown is None or shown[1].table is None:
            return
        table, frame = shown[1].table, here[1]
        if self._result is not None and self._result[1].volumes:
            frame = self._volume_in_view()
        rows = table[table["frame"] == frame].reset_index(drop=True)
        rows.insert(0, "index", rows["label"])
        rows.attrs = {}
        workspace.labels.features = rows

    def _volume_in_view(self) -> int:
        workspace = self._annotation.workspace
        assert workspace is not None
        names = self._result[1].letters if self._result is not None else ""
        here = workspace.here()
        if here is None:
            return 0
        return workspace.index_of(*here)[names.index("T")]

    def _show_plot(self) -> None:
        shown, workspace, here = self._shown, self._annotation.workspace, self._annotation.here
        if shown is None or shown[1].table is None or workspace is None or here is None:
            return
        table = shown[1].table
        numeric = [
            name
            for name in table.select_dtypes("number").columns
            if name not in ("label", "frame", "parent")
        ]
        column = self._section.show_columns(numeric)
        if not column:
            return
        # Once through the table, however many objects are selected.
        chosen = self._objects.chosen
        rows = table.loc[table["label"].isin(chosen), ["label", "frame", column]]
        rows = rows.sort_values("label", kind="stable")  # frames stay in their order
        labels, frames = (rows[name].to_numpy(dtype=np.int64) for name in ("label", "frame"))
        values = rows[column].to_numpy(dtype=float, na_value=np.nan)
        lines = []
        for number in chosen:
            part = slice(*np.searchsorted(labels, (number, number + 1)))
            lines.append(PlotLine(number, frames[part], values[part]))
        unit = table.attrs.get("units", {}).get(column, "")
        title = f"{column} ({unit})" if unit else column
        n_frames = self._result[1].labels.shape[0] if self._result is not None else 1
        self._section.plot.show_lines(title, tuple(lines), n_frames)
        volumes = self._result is not None and self._result[1].volumes
        self._section.plot.show_frame(self._volume_in_view() if volumes else here[1])

    def _go_to(self, frame: int) -> None:
        workspace = self._annotation.workspace
        if workspace is None or self._result is None:
            return
        if self._result[1].volumes:
            workspace.go_along(self._result[1].letters.index("T"), frame)
        else:
            workspace.go_to(frame)

    def _listen(self) -> None:
        """Listen to changes of annotations while anything follows them."""
        wanted, changed = self._asked, self._annotation.changed
        if wanted != self._listens:
            self._listens = wanted
            (changed.connect if wanted else changed.disconnect)(self.soon)

    def _tracks_toggled(self, ticked: bool) -> None:
        self._listen()
        if ticked:
            self.soon()
        elif self._layer is not None:
            self._layer.remove()

    def _measuring_toggled(self, ticked: bool) -> None:
        self._listen()
        workspace = self._annotation.workspace
        if ticked:
            self.soon()
        elif workspace is not None:
            workspace.labels.features = self._features_before
            self._section.plot.show_lines("", (), 1)

    def _layer_removed(self, event: Any) -> None:
        layer = self._layer
        if layer is not None and layer.layer is event.value:
            layer.layer = None
            if not self._closed:
                self._section.tracks.setChecked(False)

    # Below: worker thread only.

    def _compute(
        self,
        number: int,
        live: LiveResults,
        divisions: tuple[Division, ...],
        review: Callable[[], Review] | None,
        tracks: bool,
        table: bool,
    ) -> None:
        found: LiveTables | None = None
        error: Exception | None = None
        try:
            known = review() if review is not None and table else None
            found = live.update(
                divisions, known, tracks=tracks, table=table, stopped=self._stop.is_set
            )
        except Exception as problem:  # nothing may get lost: all errors reach the user
            error = readable(problem)
        self._signals.ended.emit(number, found, error)
