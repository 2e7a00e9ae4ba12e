"""All views of the stack panel, one below the other."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QFrame, QLabel, QScrollArea, QVBoxLayout, QWidget

from napari_sam2.labels import colour_of
from napari_sam2.widgets.history_box import HistoryBox
from napari_sam2.widgets.model_box import ModelBox
from napari_sam2.widgets.object_box import ObjectBox
from napari_sam2.widgets.parts import button
from napari_sam2.widgets.prompt_box import PromptBox
from napari_sam2.widgets.review_box import ReviewBox
from napari_sam2.widgets.run_box import RunBox
from napari_sam2.widgets.stack_box import StackBox

_MARGIN = 10
_GAP = 12
_WIDTH = 320


class Views(QWidget):
    """All that the user sees of a panel; knows nothing of layers or models.

    Signals
    -------
    start_requested()
        Begin to segment the chosen image.
    """

    start_requested = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.stack, self.model = StackBox(), ModelBox()
        self.prompts, self.run = PromptBox(), RunBox()
        self.objects = ObjectBox(lambda number: QColor(*colour_of(number)))
        self.review, self.history = ReviewBox(), HistoryBox()
        self.start = button("Start", "")
        self.hint = QLabel()
        self.hint.setWordWrap(True)
        self.hint.setToolTip("What to do next.")
        self.start.clicked.connect(lambda _checked: self.start_requested.emit())
        self._started = (self.prompts, self.history, self.run, self.objects, self.review)
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(_MARGIN, _MARGIN, _MARGIN, _MARGIN)
        column.setSpacing(_GAP)
        for part in (self.stack, self.model, self.start, *self._started):
            column.addWidget(part)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidget(inner)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        foot = QVBoxLayout()
        foot.setContentsMargins(_MARGIN, 0, _MARGIN, _MARGIN)
        foot.addWidget(self.hint)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(scroll, 1)
        layout.addLayout(foot)
        self.setMinimumWidth(_WIDTH)

    def show_hint(self, text: str) -> None:
        """Say what to do next."""
        self.hint.setText(text)

    def show_started(self, started: bool, *, possible: bool) -> None:
        """Show whether an image is being segmented, and whether one could be."""
        self.start.setEnabled(possible)
        self.start.setText("Restart" if started else "Start")
        self.start.setToolTip(
            "Begin again with the contrast of now. Labels and prompts stay."
            if started
            else "Add layers for points, shapes and labels over the image and load the model."
        )
        for part in self._started:
            part.setEnabled(started)
            part.setVisible(started)
        self.run.setEnabled(started and possible)
