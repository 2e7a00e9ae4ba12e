"""View: take back and make again."""

from __future__ import annotations

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_sam2.widgets.parts import button


class HistoryBox(QWidget):
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
