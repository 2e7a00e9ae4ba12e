"""The section of files, and the offer to resume a session.

Main thread only.
"""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QLocale, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QProgressBar, QWidget

from napari_sam2.labels import FORMATS
from napari_sam2.prompts import SESSION_SUFFIX
from napari_sam2.widgets.views.base import Fold, breakable, button, row
from napari_sam2.widgets.views.fields import PanelFields
from napari_sam2.widgets.views.results.result_files import ResultFileButtons

_LABEL_FILES = ";;".join(
    f"{each.title} ({' '.join('*' + suffix for suffix in each.suffixes)})" for each in FORMATS
)
_LABEL_SUFFIXES = {each.title: each.suffixes[0] for each in FORMATS}
SESSION_FILES = f"Session (*{SESSION_SUFFIX} *.json)"
"""What file dialogs offer as sessions."""

_TITLES = ", ".join(each.title for each in FORMATS)
_TITLE = "Save"


class SaveSection(Fold):
    """Shows where the session is kept, and asks for files.

    Parameters
    ----------
    fields : PanelFields

    Signals
    -------
    labels_requested(Path)
        Write the labels there.
    labels_cancel_requested()
        Write them no further.
    session_requested(Path)
        Keep the session there from now on.
    kept_work_requested()
        List the results that are kept on disk.
    """

    labels_requested = Signal(object)
    labels_cancel_requested = Signal()
    session_requested = Signal(object)
    kept_work_requested = Signal()

    def __init__(self, fields: PanelFields) -> None:
        super().__init__(_TITLE)
        self._folder: Path | None = None
        self._name = "labels"
        self._about_file, self._about_results = ("", "", ""), ("", "")
        self.state = QLabel()
        self.state.setWordWrap(True)
        self.labels = button("Labels as…", f"Write the labels as {_TITLES}, with scale and axes.")
        self.session = button(
            "Session as…",
            "Keep prompts, accepted masks and settings in a file of your choice from now on. "
            "`napari-sam2 segment` replays it.",
        )
        self.progress = QProgressBar()
        self.progress.setToolTip("How much of the labels is written.")
        self.cancel = button("Cancel", "Write no further; the file that was there before stays.")
        self._writing = row(self.progress, self.cancel, stretch=(1,))
        self.body.addWidget(self.state)
        self.body.addWidget(row(self.labels, self.session, stretch=(1, 1)))
        self.results = ResultFileButtons()
        self.body.addWidget(self.results)
        self.kept_work = button(
            "Kept work…",
            "List the labels and scores that are kept on disk, with their sizes; open or delete "
            "them.",
        )
        self.kept_work.clicked.connect(lambda _checked: self.kept_work_requested.emit())
        self.body.addWidget(self._writing)
        self.body.addWidget(self.kept_work)
        self.body.addWidget(fields.autosave.native)
        self.labels.clicked.connect(lambda _checked: self._ask_for_labels())
        self.session.clicked.connect(lambda _checked: self._ask_for_session())
        self.cancel.clicked.connect(lambda _checked: self.labels_cancel_requested.emit())
        self.show_location(None)
        self.show_written()

    def show_image(self, folder: Path | None, name: str) -> None:
        """Say where files would go best."""
        self._folder, self._name = folder, name
        self.results.show_image(folder, name)

    def show_location(self, path: Path | None, written: str = "") -> None:
        """Show where the session is kept (None: nowhere yet), and when it was written."""
        if path is None:
            self._show("The session is kept from the first prompt on.", "", "")
        elif not written:
            self._show(f"Session: {breakable(path)}", f"{path}", "")
        else:
            text = f"Session kept at {written}: {breakable(path)}"
            self._show(text, f"{path}", f" · kept {written}")

    def show_failure(self, text: str) -> None:
        """Show that the session could not be written."""
        self._show(f"The session is not kept. {text}", text, " · session not kept")

    def show_results(self, size: int | None, trouble: str = "") -> None:
        """Show how many bytes labels and scores take on disk, or why they are not there."""
        if trouble:
            self._about_results = (
                f"Labels and scores are not kept. {trouble}",
                " · labels not kept",
            )
        elif size is not None:
            text = QLocale().formattedDataSize(size)
            self._about_results = (f"Labels and scores on disk: {text}.", "")
        else:
            self._about_results = ("", "")
        self._show(*self._about_file)

    def show_writing(self, done: int, total: int) -> None:
        """Show how many planes of the labels are written."""
        self._writing.show()
        self.labels.setEnabled(False)
        self.progress.setRange(0, total)
        self.progress.setValue(done)
        self.progress.setFormat("%v of %m planes")

    def show_written(self) -> None:
        """Show that no labels are being written."""
        self._writing.hide()
        self.labels.setEnabled(True)

    def _show(self, text: str, tooltip: str, title: str) -> None:
        self._about_file = (text, tooltip, title)
        results, results_title = self._about_results
        self.state.setText(
            " ".join(filter(None, (f"{text}." if results and title else text, results)))
        )
        self.state.setToolTip(tooltip)
        self.title.setText(_TITLE + (results_title or title))

    def _ask_for_labels(self) -> None:
        folder = self._folder or Path.home()
        chosen, kind = QFileDialog.getSaveFileName(
            self, "Save labels", str(folder / f"{self._name}_labels.tif"), _LABEL_FILES
        )
        if chosen:
            suffix = _LABEL_SUFFIXES.get(kind.split(" (")[0], ".tif")
            path = Path(chosen)
            self.labels_requested.emit(path if path.suffix else path.with_name(path.name + suffix))

    def _ask_for_session(self) -> None:
        folder = self._folder or Path.home()
        chosen, _ = QFileDialog.getSaveFileName(
            self, "Keep the session", str(folder / f"{self._name}{SESSION_SUFFIX}"), SESSION_FILES
        )
        if chosen:
            self.session_requested.emit(Path(chosen))


class ResumeSection(QWidget):
    """One sentence and a button; not there while there is nothing to offer."""

    def __init__(self) -> None:
        super().__init__()
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.resume = button(
            "Resume",
            "Bring its prompts, accepted masks and names back. Start begins anew; the earlier work "
            "stays in its file.",
        )
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text, 1)
        layout.addWidget(self.resume)
        self.hide()

    def show_work(self, text: str) -> None:
        """Offer work; empty: there is none."""
        self.text.setText(text)
        self.setVisible(bool(text))
