"""The panel's layout: all sections and the undo buttons.

Main thread only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QVBoxLayout, QWidget

from napari_sam2.labels import colour_of
from napari_sam2.widgets.views.adapt_section import AdaptSection
from napari_sam2.widgets.views.base import SHOW_OR_HIDE, Column, Fold, button, row, running_text
from napari_sam2.widgets.views.fields import STACK_FIELDS, PanelFields
from napari_sam2.widgets.views.find_section import FindSection
from napari_sam2.widgets.views.image_section import StackSection
from napari_sam2.widgets.views.model_section import ModelSection
from napari_sam2.widgets.views.object_section import ObjectSection
from napari_sam2.widgets.views.prompt_section import PromptSection
from napari_sam2.widgets.views.propagation_section import PropagationSection
from napari_sam2.widgets.views.results.results_section import ResultsSection
from napari_sam2.widgets.views.results.save_section import SESSION_FILES, ResumeSection, SaveSection
from napari_sam2.widgets.views.review_section import ReviewSection


class UndoSection(QWidget):
    """Undo, redo and help.

    Signals
    -------
    undo_requested(), redo_requested(), help_requested()
    """

    undo_requested = Signal()
    redo_requested = Signal()
    help_requested = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.undo, self.redo = button("↶ Undo", ""), button("↷ Redo", "")
        self.help = button("? Keys", "List all keys. Key: F1")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for each in (self.undo, self.redo, self.help):
            layout.addWidget(each, 1)
        self.undo.clicked.connect(lambda _checked: self.undo_requested.emit())
        self.redo.clicked.connect(lambda _checked: self.redo_requested.emit())
        self.help.clicked.connect(lambda _checked: self.help_requested.emit())
        self.show_steps("", "")

    def show_steps(self, undo: str, redo: str) -> None:
        """Show what can be taken back and made again; empty: nothing."""
        self.undo.setEnabled(bool(undo))
        self.redo.setEnabled(bool(redo))
        self.undo.setToolTip(f"Take back: {undo}. Key: Ctrl-Z" if undo else "Nothing to take back.")
        self.redo.setToolTip(
            f"Make again: {redo}. Key: Ctrl-Shift-Z" if redo else "Nothing to make again."
        )


_MARGIN = 10
_GAP = 12
_SETUP = "Image and model"
_HINT_LINES = 3


class PanelView(QWidget):
    """All that the user sees of a panel; knows nothing of layers or models.

    Parameters
    ----------
    propagates : bool
        Whether objects are followed through a stack; if not, that part is not there.

    Attributes
    ----------
    settings : PanelFields
        Every value that the user chooses, as a magicgui widget.

    Signals
    -------
    start_requested()
        Begin to segment the chosen image.
    resume_requested()
        Go on with the earlier work that is offered.
    offer_changed()
        Earlier work is offered, or none any more.
    open_requested(Path)
        Go on with a session file.
    shown()
        It is on the screen, perhaps in another window than before.
    """

    shown = Signal()
    start_requested = Signal()
    resume_requested = Signal()
    offer_changed = Signal()
    open_requested = Signal(object)

    def __init__(self, *, propagates: bool = True) -> None:
        super().__init__()
        self.propagates = propagates
        self.settings = fields = PanelFields()
        fields.native.setParent(self)
        self.stack, self.model = StackSection(fields, along=propagates), ModelSection(fields)
        self.prompts, self.run = PromptSection(fields), PropagationSection(fields)
        self.search = FindSection(fields, along=propagates)
        self.objects = ObjectSection(lambda number: QColor(*colour_of(number)))
        self.review, self.history = ReviewSection(), UndoSection()
        self.results = ResultsSection()
        self.start = button("Start", "")
        self.adapt, self.save, self.offer = (
            AdaptSection(fields),
            SaveSection(fields),
            ResumeSection(),
        )
        self.open = button("Open session…", "Go on with the prompts of a session file.")
        self.hint = running_text(_HINT_LINES, "What to do next.")
        self.contrast = button(
            "Use new contrast",
            "Begin again with the contrast limits that the image has now. Labels, prompts and "
            "Undo stay.",
        )
        self.contrast.hide()
        self.contrast.clicked.connect(lambda _checked: self.start_requested.emit())
        self.start.clicked.connect(lambda _checked: self.start_requested.emit())
        self.open.clicked.connect(lambda _checked: self._ask_for_session())
        self.offer.resume.clicked.connect(lambda _checked: self.resume_requested.emit())
        stack_only = (self.run, self.review, self.results)
        steps = (self.prompts, self.search, self.run, self.objects, self.review, self.results)
        parts = (*steps, self.adapt, self.save)
        self._started = tuple(part for part in parts if propagates or part not in stack_only)
        for unused in set(stack_only) - set(self._started):
            unused.setParent(self)
            unused.hide()
        if not propagates:
            fields.drop(*STACK_FIELDS)
        self.objects.split.setVisible(propagates)  # it is about the frames from here on
        self.setup = Fold(_SETUP)
        begin = row(self.start, self.open, stretch=(2, 1))
        for part in (self.stack, self.model, self.offer, begin):
            self.setup.body.addWidget(part)
        column = Column(self.setup, *self._started, margin=_MARGIN, gap=_GAP)
        column.height_changed.connect(self.objects.fit_to)
        foot = QVBoxLayout()
        foot.setContentsMargins(_MARGIN, 0, _MARGIN, _MARGIN)
        foot.addWidget(self.hint)
        foot.addWidget(self.contrast)
        foot.addWidget(self.history)  # at the bottom: it stays there, however long the hint is
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(column, 1)
        layout.addLayout(foot)
        self.setup.open(True)
        # A download can always be seen and cancelled.
        self.model.download_requested.connect(lambda _name: self.setup.open(True))

    def showEvent(self, event: Any) -> None:
        """Tell that it is on the screen."""
        super().showEvent(event)
        self.shown.emit()

    def show_offer(self, text: str) -> None:
        """Offer earlier work on the image; empty: there is none."""
        self.offer.show_work(text)
        self.offer_changed.emit()

    @property
    def offers_work(self) -> bool:
        """Whether earlier work on the image is offered."""
        return not self.offer.isHidden()

    def show_approximations(self, approximations: tuple[str, ...]) -> None:
        """Say what the chosen speed leaves out, also where the model's part is folded away."""
        self.model.show_approximations(approximations)
        self._name_setup()

    def show_hint(self, text: str) -> None:
        """Say what to do next."""
        self.hint.setText(text)

    def show_contrast(self, changed: bool) -> None:
        """Offer the contrast of now, if the model sees another one."""
        self.contrast.setVisible(changed)

    def show_started(self, started: bool, *, possible: bool) -> None:
        """Show whether an image is being segmented, and whether one could be."""
        self.start.setEnabled(possible)
        self.open.setEnabled(possible)
        self.offer.setEnabled(possible)
        self.start.setText("Restart" if started else "Start")
        self.start.setToolTip(
            "Begin again with the contrast, channels and part of now. Labels and prompts stay."
            if started
            else "Add layers for points, shapes and labels over the image and load the model."
        )
        if started == self._started[0].isHidden():
            self.setup.open(not started or self.model.downloading)
        for part in (*self._started, self.history):
            part.setEnabled(started)
            part.setVisible(started)
        self.run.setEnabled(started and possible)
        self._name_setup()

    def _name_setup(self) -> None:
        """Name a speed that approximates in the title, and what it leaves out in its tip."""
        approximate = self.model.approximate.text()
        title = f"{_SETUP} · {self.model.pace.speed}" if approximate else _SETUP
        self.setup.title.setText(title)
        self.setup.title.setToolTip(" ".join(filter(None, (SHOW_OR_HIDE, approximate))))

    def _ask_for_session(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Open session", "", SESSION_FILES)
        if chosen:
            self.open_requested.emit(Path(chosen))
