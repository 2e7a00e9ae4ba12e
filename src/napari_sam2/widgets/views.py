"""All views of the stack panel, one below the other."""

from __future__ import annotations

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_sam2.widgets.model_box import ModelBox
from napari_sam2.widgets.parts import button
from napari_sam2.widgets.prompt_box import PromptBox
from napari_sam2.widgets.run_box import RunBox
from napari_sam2.widgets.stack_box import StackBox

_MARGIN = 10
_GAP = 14
_WIDTH = 300


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
        self.start = button("Start", "")
        self.hint = QLabel()
        self.hint.setWordWrap(True)
        self.hint.setToolTip("What to do next.")
        self.start.clicked.connect(lambda _checked: self.start_requested.emit())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(_MARGIN, _MARGIN, _MARGIN, _MARGIN)
        layout.setSpacing(_GAP)
        for part in (self.stack, self.model, self.start, self.prompts, self.run, self.hint):
            layout.addWidget(part)
        layout.addStretch(1)
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
            else "Add layers for points, boxes and labels over the image and load the model."
        )
        self.prompts.setEnabled(started)
        self.run.setEnabled(started and possible)
