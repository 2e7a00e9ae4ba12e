"""The section of propagation: direction, range, progress, cancel.

Main thread only.
"""

from __future__ import annotations

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QCheckBox, QProgressBar, QSpinBox

from napari_sam2.types import Direction
from napari_sam2.widgets.state.session_spec import RunPlan, Through
from napari_sam2.widgets.views.base import Choice, Fold, Section, button, captioned, row


class PropagationSection(Section):
    """Starts, shows, holds and cancels propagation.

    Signals
    -------
    run_requested(Direction)
        Propagate this way.
    pause_requested(bool)
        Hold the run, or let it go on.
    cancel_requested()
        Stop; what is done stays.
    """

    run_requested = Signal(object)
    pause_requested = Signal(bool)
    cancel_requested = Signal()

    def __init__(self) -> None:
        super().__init__("Propagate")
        self.backward = button(
            "◀ Backward", "From each object's first prompt to the beginning of the stack."
        )
        self.both = button(
            "◀ Both ▶", "Through the whole stack, both ways from the prompts. Key: P"
        )
        self.forward = button(
            "Forward ▶", "From each object's first prompt to the end of the stack."
        )
        self.progress = QProgressBar()
        self.progress.setToolTip("Frames that are done.")
        self.pause = button("Pause", "Hold after this frame. Prompts are still taken in.")
        self.cancel = button("Cancel", "Stop within one frame. All that is done stays.")
        self._ways = row(self.backward, self.both, self.forward, stretch=(1, 1, 1))
        self._running = row(self.progress, self.pause, self.cancel, stretch=(1,))
        self.body.addWidget(self._ways)
        self.body.addWidget(self._running)
        self.then = Choice(
            "After this volume, go on to the next one: each object is followed there in the slice "
            "with most of it, and its mask there is a prompt of that volume. Ids are kept. Objects "
            "that you prompt or accept there yourself stay yours."
        )
        self._then = captioned("Then", self.then)
        self.body.addWidget(self._then)
        self.body.addWidget(self._options())
        self.show_ways_on([])
        self._paused = False
        self.backward.clicked.connect(lambda: self.run_requested.emit(Direction.BACKWARD))
        self.both.clicked.connect(lambda: self.run_requested.emit(Direction.BOTH))
        self.forward.clicked.connect(lambda: self.run_requested.emit(Direction.FORWARD))
        self.pause.clicked.connect(lambda: self.pause_requested.emit(not self._paused))
        self.cancel.clicked.connect(lambda _checked: self.cancel_requested.emit())
        self.show_idle()

    def plan(self, direction: Direction, object_id: int) -> RunPlan:
        """Return what is to be run, with this object as the current one."""
        first, last = sorted((self.first.value(), self.last.value()))
        only = frozenset({object_id}) if self.only_current.isChecked() else None
        recompute, through = self.recompute.isChecked(), self.then.value
        return RunPlan(direction, first, last + 1, only, recompute, through)

    def show_ways_on(self, axes: list[tuple[str, int]]) -> None:
        """Offer these axes, by name and number, to go on along from volume to volume."""
        ways: list[tuple[str, Through | None]] = [("this one only", None)]
        for name, axis in axes:
            ways.append((f"on forward through {name}", Through(axis, 1)))
            ways.append((f"on backward through {name}", Through(axis, -1)))
        current = self.then.value
        known = any(current == way for _, way in ways)
        self.then.offer(ways, current if known else None)
        self._then.setVisible(bool(axes))
        self._show_possible()

    def show_frames(self, count: int) -> None:
        """Say how long the stack is; the range becomes the whole stack."""
        for field, value in ((self.first, 0), (self.last, count - 1)):
            field.setRange(0, max(0, count - 1))
            field.setValue(value)
        self._show_possible()

    def show_range(self, first: int, last: int) -> None:
        """Show which frames are chosen."""
        self.first.setValue(first)
        self.last.setValue(last)

    def show_idle(self) -> None:
        """Show that nothing runs."""
        self._running.hide()
        self._show_possible()
        self._ways.show()
        self.show_paused(False)

    def show_running(self, done: int, total: int, where: str = "") -> None:
        """Show how many frames of how many are done; a total of 0 is not known yet.

        `where` says which of several volumes it is.
        """
        if not done:
            # In the same place: nothing below moves.
            self._ways.setEnabled(False)
            self._ways.hide()
            self._running.show()
            self.cancel.setEnabled(True)
        frames = f"{done} of {total} frames" if total else ""
        # Qt would paint each of these at once, and not together with the rest of the panel.
        self.progress.setUpdatesEnabled(False)
        self.progress.setRange(0, total)
        self.progress.setValue(done)
        self.progress.setFormat(", ".join(part for part in (where, frames) if part))
        self.progress.setUpdatesEnabled(True)

    def show_paused(self, paused: bool) -> None:
        """Show whether the run is held."""
        self._paused = paused
        self.pause.setText("Resume" if paused else "Pause")

    def show_cancelling(self) -> None:
        """Show that the run will stop as soon as it can."""
        self.cancel.setEnabled(False)

    def _show_possible(self) -> None:
        """Offer no way where there is but one frame, unless others follow along another axis."""
        self._ways.setEnabled(self.last.maximum() > 0 or not self._then.isHidden())

    def _options(self) -> Fold:
        self.first, self.last = QSpinBox(), QSpinBox()
        self.first.setToolTip("First frame of the range.")
        self.last.setToolTip("Last frame of the range.")
        self.from_here = button("From here", "The range begins at the frame in view.")
        self.whole = button("All", "The range is the whole stack.")
        self.only_current = QCheckBox("Only the current object")
        self.only_current.setToolTip("Carry no other object; their masks stay as they are.")
        self.recompute = QCheckBox("Recompute what is up to date")
        self.recompute.setToolTip(
            "Go over everything again. A backward run after a forward one shows where both "
            "disagree: those frames count as doubtful."
        )
        fold = Fold("Range and options")
        fold.add_row("Frames", self.first, self.last, stretch=(1, 1))
        fold.add_row("", self.from_here, self.whole, stretch=(1, 1))
        fold.body.addWidget(self.only_current)
        fold.body.addWidget(self.recompute)
        self.whole.clicked.connect(lambda: self.show_range(0, self.last.maximum()))
        return fold
