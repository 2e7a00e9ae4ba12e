"""The result export controller: writes tracks, measurements and movies in a worker thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_sam2.errors import LabelsError
from napari_sam2.labels.rendering.movie import MovieStyle, check_movie_path, write_movie
from napari_sam2.lineage import check_tracks_path, scale_of_tracks, write_tracks
from napari_sam2.measure import Review, check_table_path, measure, write_table
from napari_sam2.types import Division, TrackFormat
from napari_sam2.widgets.controllers.results.label_export import is_file_of
from napari_sam2.widgets.layers.stack_result import stack_result
from napari_sam2.widgets.state.hints import OUTSIDE
from napari_sam2.widgets.state.stack_result import StackResult
from napari_sam2.widgets.views.notifications import show_done, show_problem
from napari_sam2.widgets.worker.thread import Worker, readable

if TYPE_CHECKING:
    from napari_sam2.widgets.controllers.annotation import AnnotationController
    from napari_sam2.widgets.state.positions import StackPosition
    from napari_sam2.widgets.views.object_section import ObjectSection
    from napari_sam2.widgets.views.results.result_files import ResultFileButtons

Progress = Callable[[int, int], None]


class _CancelledError(Exception):
    """Ends the writing."""


class _Signals(QObject):
    moved = Signal(str, int, int)
    ended = Signal(str, object, object)


class ResultExportController(QObject):
    """Writes results, shows how far that is, and stops when asked. Main thread only.

    Labels and image are read frame by frame as they are then: work may go on meanwhile.

    Parameters
    ----------
    annotation : AnnotationController
        Knows the workspace.
    objects : ObjectSection
        Knows the selected objects.
    current : callable
        Returns the current object.
    section : ResultFileButtons
        Asks for files.
    """

    def __init__(
        self,
        annotation: AnnotationController,
        objects: ObjectSection,
        current: Callable[[], int],
        section: ResultFileButtons,
    ) -> None:
        super().__init__()
        self._annotation, self._objects = annotation, objects
        self._current, self._section = current, section
        self._signals = _Signals()
        self._cancelled = threading.Event()
        self._closed = False
        self._worker: Worker | None = None  # from the first file on
        section.tracks_requested.connect(self.write_tracks)
        section.measurements_requested.connect(self.write_measurements)
        section.movie_requested.connect(self.write_movie)
        section.cancel_requested.connect(self._cancelled.set)
        self._signals.moved.connect(self._show_progress)
        self._signals.ended.connect(self._show_end)

    @property
    def busy(self) -> bool:
        """Whether a file is being written."""
        return self._worker is not None and self._worker.busy

    def write_tracks(self, kind: TrackFormat, path: Path) -> None:
        """Write the tracks of the stack in view, or of all volumes of a time-lapse."""
        found = self._result(path)
        if found is not None:
            result, position = found
            divisions, _ = self.decisions(result, position)
            self._submit("Tracks", path, partial(_write_tracks, path, kind, result, divisions))

    def write_measurements(self, path: Path) -> None:
        """Write a table of all objects and frames."""
        found = self._result(path)
        if found is not None:
            result, position = found
            divisions, review = self.decisions(result, position)
            self._submit(
                "Measurements", path, partial(_write_measurements, path, result, divisions, review)
            )

    def write_movie(self, path: Path) -> None:
        """Write a movie of the stack in view."""
        found, workspace = self._result(path), self._annotation.workspace
        if found is None or workspace is None:
            return
        result, section = found[0], self._section
        style = MovieStyle(
            names=workspace.user_state.names if section.names.isChecked() else {},
            show_names=section.names.isChecked(),
            pixel_size=result.pixel_size,
            interval=result.interval,
            spotlight=frozenset(self._objects.chosen if section.spotlight.isChecked() else ()),
            follow=self._current() if section.follow.isChecked() else None,
        )
        self._submit("Movie", path, partial(_write_movie, path, result, style))

    def close(self) -> None:
        """Stop writing; a file that is not whole is taken away again."""
        self._closed = True
        self._cancelled.set()
        if self._worker is not None:
            self._worker.close()

    def _result(self, path: Path) -> tuple[StackResult, StackPosition] | None:
        """Return what is to be written and its stack; None where that is not possible now."""
        workspace, here = self._annotation.workspace, self._annotation.here
        if workspace is not None and here is None:
            show_done(OUTSIDE)
        if workspace is None or here is None or self.busy:
            return None
        if is_file_of(path, workspace.image):
            show_problem(
                LabelsError(
                    f"{path.name} is the image itself.",
                    safe="It was not touched.",
                    remedy="Give the results a name of their own.",
                )
            )
            return None
        return stack_result(workspace, here[0]), here[0]

    def decisions(
        self, result: StackResult, position: StackPosition
    ) -> tuple[tuple[Division, ...], Callable[[], Review] | None]:
        """Return divisions of a stack, and a function that gives its scores and decisions.

        Any thread may call the function, on what is known now: to look for doubtful frames of
        hundreds of objects takes seconds. Scores of volumes over time are of single slices: there
        are none for a whole volume.
        """
        if result.volumes:
            return (), None
        annotations = self._annotation.annotations(position)
        records = self._annotation.object_records.of_stack(position)
        prompted = {placed.object_frame for placed in annotations.prompts}
        review = partial(Review.of, records, prompted, annotations.accepted)
        return annotations.divisions, review

    def _submit(self, title: str, path: Path, job: Callable[[Progress], None]) -> None:
        if self._worker is None:
            self._worker = Worker("results", on_exit=self.close, on_end=lambda: None)
        self._cancelled.clear()
        self._section.show_writing(title, 0, 0)
        self._worker.submit(lambda: self._write(title, path, job))

    def _show_progress(self, title: str, done: int, total: int) -> None:
        if not self._closed and self.busy:
            self._section.show_writing(title, done, total)

    def _show_end(self, title: str, path: Path, error: Exception | None) -> None:
        if self._closed:
            return
        self._section.show_written()
        if error is None:
            show_done(f"{title}: {path}.")
        elif not isinstance(error, _CancelledError):
            show_problem(error)

    # Below: worker thread only.

    def _write(self, title: str, path: Path, job: Callable[[Progress], None]) -> None:
        def progress(done: int, total: int) -> None:
            if self._cancelled.is_set():
                raise _CancelledError
            self._signals.moved.emit(title, done, total)

        error: Exception | None = None
        try:
            job(progress)
        except Exception as found:  # nothing may get lost: all errors reach the user
            error = readable(found)
        self._signals.ended.emit(title, path, error)


def _write_tracks(
    path: Path,
    kind: TrackFormat,
    result: StackResult,
    divisions: tuple[Division, ...],
    progress: Progress,
) -> None:
    check_tracks_path(kind, path)
    scale, units = scale_of_tracks(result.scale, result.units)
    write_tracks(
        path,
        result.labels,
        divisions,
        kind=kind,
        scale=scale,
        units=units,
        progress=progress,
    )


def _write_measurements(
    path: Path,
    result: StackResult,
    divisions: tuple[Division, ...],
    review: Callable[[], Review] | None,
    progress: Progress,
) -> None:
    check_table_path(path)
    table = measure(
        result.labels,
        list(result.images),
        scale=result.scale,
        units=result.units,
        channels=result.channels,
        axes=result.axes,
        divisions=divisions,
        review=None if review is None else review(),
        progress=progress,
    )
    write_table(table, path)


def _write_movie(path: Path, result: StackResult, style: MovieStyle, progress: Progress) -> None:
    check_movie_path(path)
    write_movie(path, result.frames.read, result.frame_labels, style, progress=progress)
