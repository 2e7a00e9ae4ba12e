"""View: carrying the objects through the stack."""

from __future__ import annotations

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QProgressBar

from napari_sam2.types import Direction
from napari_sam2.widgets.parts import Section, button, row


class RunBox(Section):
    """Starts, shows and cancels propagation.

    Signals
    -------
    run_requested(Direction)
        Propagate this way.
    cancel_requested()
        Stop; what is done stays.
    """

    run_requested = Signal(object)
    cancel_requested = Signal()

    def __init__(self) -> None:
        super().__init__("Propagate")
        self.backward = button(
            "◀ Backward", "From each object's first prompt to the beginning of the stack."
        )
        self.both = button("◀ Both ▶", "Through the whole stack, both ways from the prompts.")
        self.forward = button(
            "Forward ▶", "From each object's first prompt to the end of the stack."
        )
        self.progress = QProgressBar()
        self.progress.setToolTip("Frames that are done.")
        self.cancel = button("Cancel", "Stop within one frame. All that is done stays.")
        self._ways = row(self.backward, self.both, self.forward, stretch=(1, 1, 1))
        self._running = row(self.progress, self.cancel, stretch=(1,))
        self.body.addWidget(self._ways)
        self.body.addWidget(self._running)
        self.backward.clicked.connect(lambda: self.run_requested.emit(Direction.BACKWARD))
        self.both.clicked.connect(lambda: self.run_requested.emit(Direction.BOTH))
        self.forward.clicked.connect(lambda: self.run_requested.emit(Direction.FORWARD))
        self.cancel.clicked.connect(lambda _checked: self.cancel_requested.emit())
        self.show_idle()

    def show_idle(self) -> None:
        """Show that nothing runs."""
        self._running.hide()
        self._ways.setEnabled(True)

    def show_running(self, done: int, total: int) -> None:
        """Show how many frames of how many are done; a total of 0 is not known yet."""
        self._ways.setEnabled(False)
        self._running.show()
        self.cancel.setEnabled(True)
        self.progress.setRange(0, total)
        self.progress.setValue(done)
        self.progress.setFormat(f"{done} of {total} frames" if total else "")

    def show_cancelling(self) -> None:
        """Show that the run will stop as soon as it can."""
        self.cancel.setEnabled(False)
