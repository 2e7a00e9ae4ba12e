"""Buttons that write results to files: tracks, measurements, a movie.

Main thread only.
"""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QCheckBox, QFileDialog, QProgressBar, QVBoxLayout, QWidget

from napari_sam2.types import TrackFormat
from napari_sam2.widgets.views.base import button, row

_TRACKS = {
    TrackFormat.CTC: ("Cell Tracking Challenge (*_RES)", "_RES"),
    TrackFormat.GEFF: ("GEFF (*.geff.zarr)", ".geff.zarr"),
    TrackFormat.TRACKMATE: ("TrackMate (*.xml)", ".trackmate.xml"),
}
_TABLES = {"CSV (*.csv)": ".csv", "TSV (*.tsv)": ".tsv", "Parquet (*.parquet)": ".parquet"}
_MOVIES = {"GIF (*.gif)": ".gif", "MP4 (*.mp4)": ".mp4"}


class ResultFileButtons(QWidget):
    """Asks for files of results, and shows how far they are written.

    Signals
    -------
    tracks_requested(TrackFormat, Path)
    measurements_requested(Path)
    movie_requested(Path)
    cancel_requested()
        Write no further.
    """

    tracks_requested = Signal(object, object)
    measurements_requested = Signal(object)
    movie_requested = Signal(object)
    cancel_requested = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._folder: Path | None = None
        self._name = "labels"
        self.tracks = button(
            "Tracks as…",
            "Write tracks and divisions: Cell Tracking Challenge, GEFF or TrackMate.",
        )
        self.measurements = button(
            "Measurements as…",
            "Write a table with one row per object and frame, as CSV or Parquet.",
        )
        self.movie = button("Movie as…", "Write the labels over the image as a GIF or MP4.")
        self.names = _option("Names", "Write names, or else ids, into the movie.")
        self.spotlight = _option("Spotlight", "Dim all but the selected objects in the movie.")
        self.follow = _option("Follow", "Cut the movie to a square around the current object.")
        self.progress = QProgressBar()
        self.progress.setToolTip("How much of the file is written.")
        self.cancel = button("Cancel", "Write no further; the file that was there before stays.")
        self._writing = row(self.progress, self.cancel, stretch=(1,))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(row(self.tracks, self.measurements, stretch=(1, 1)))
        layout.addWidget(row(self.movie, self.names, self.spotlight, self.follow, stretch=(1,)))
        layout.addWidget(self._writing)
        self.tracks.clicked.connect(lambda _checked: self._ask_for_tracks())
        self.measurements.clicked.connect(lambda _checked: self._ask_for_table())
        self.movie.clicked.connect(lambda _checked: self._ask_for_movie())
        self.cancel.clicked.connect(lambda _checked: self.cancel_requested.emit())
        self.show_written()

    def show_image(self, folder: Path | None, name: str) -> None:
        """Say where files would go best."""
        self._folder, self._name = folder, name

    def show_writing(self, title: str, done: int, total: int) -> None:
        """Show how many frames of a file are written."""
        self._writing.show()
        self._enable(False)
        self.progress.setRange(0, total)
        self.progress.setValue(done)
        self.progress.setFormat(f"{title}: %v of %m frames")

    def show_written(self) -> None:
        """Show that nothing is being written."""
        self._writing.hide()
        self._enable(True)

    def _enable(self, possible: bool) -> None:
        for each in (self.tracks, self.measurements, self.movie):
            each.setEnabled(possible)

    def _ask_for_tracks(self) -> None:
        endings = dict(_TRACKS.values())
        found = self._ask("Save tracks", endings)
        if found is not None:
            path, filter_ = found
            kinds = {title: kind for kind, (title, _) in _TRACKS.items()}
            by_name = {".xml": TrackFormat.TRACKMATE, ".zarr": TrackFormat.GEFF}
            kind = by_name.get(path.suffix.lower(), kinds.get(filter_, TrackFormat.CTC))
            self.tracks_requested.emit(kind, path)

    def _ask_for_table(self) -> None:
        found = self._ask("Save measurements", _TABLES)
        if found is not None:
            self.measurements_requested.emit(found[0])

    def _ask_for_movie(self) -> None:
        found = self._ask("Save a movie", _MOVIES)
        if found is not None:
            self.movie_requested.emit(found[0])

    def _ask(self, title: str, endings: dict[str, str]) -> tuple[Path, str] | None:
        """Ask for a file; return it with an ending, and the chosen kind of file."""
        folder = self._folder or Path.home()
        first = next(iter(endings.values()))
        chosen, kind = QFileDialog.getSaveFileName(
            self, title, str(folder / f"{self._name}{first}"), ";;".join(endings)
        )
        if not chosen:
            return None
        path, ending = Path(chosen), endings.get(kind, first)
        named = bool(path.suffix) or path.name.endswith(ending)
        return (path if named else path.with_name(path.name + ending)), kind


def _option(text: str, tooltip: str) -> QCheckBox:
    box = QCheckBox(text)
    box.setToolTip(tooltip)
    return box
