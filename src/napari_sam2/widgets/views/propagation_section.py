"""The section of propagation: direction, range, progress, cancel.

Main thread only.
"""

from __future__ import annotations

from typing import NamedTuple

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QProgressBar

from napari_sam2.types import Direction
from napari_sam2.widgets.state.session_spec import Through
from napari_sam2.widgets.views.base import Fold, Section, button, captioned, row
from napari_sam2.widgets.views.fields import PanelFields


class RunProgress(NamedTuple):
    """How far a run is.

    Attributes
    ----------
    done, total : int
        Frames that are finished, and all; a total of 0 is not known yet.
    visited, planned : int
        Results so far, and all: more than frames where objects come from both directions.
    unit : str
        "frames" or "slices".
    where : str
        Which of several volumes it is; empty where there is but one.
    """

    done: int
    total: int
    visited: int
    planned: int
    unit: str
    where: str


class PropagationSection(Section):
    """Starts, shows, holds and cancels propagation.

    Parameters
    ----------
    fields : PanelFields

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

    def __init__(self, fields: PanelFields) -> None:
        super().__init__("Propagate")
        self.then, self.first, self.last = fields.then, fields.first, fields.last
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
        self.progress.setToolTip("Frames that are done, in all their objects.")
        self.pause = button("Pause", "Hold after this frame. Prompts are still taken in.")
        self.cancel = button("Cancel", "Stop within one frame. All that is done stays.")
        self._ways = row(self.backward, self.both, self.forward, stretch=(1, 1, 1))
        self._running = row(self.progress, self.pause, self.cancel, stretch=(1,))
        self.body.addWidget(self._ways)
        self.body.addWidget(self._running)
        self._then = captioned("Then", self.then.native)
        self.body.addWidget(self._then)
        self.body.addWidget(self._options(fields))
        self.show_ways_on([])
        self._paused = False
        self.backward.clicked.connect(lambda: self.run_requested.emit(Direction.BACKWARD))
        self.both.clicked.connect(lambda: self.run_requested.emit(Direction.BOTH))
        self.forward.clicked.connect(lambda: self.run_requested.emit(Direction.FORWARD))
        self.pause.clicked.connect(lambda: self.pause_requested.emit(not self._paused))
        self.cancel.clicked.connect(lambda _checked: self.cancel_requested.emit())
        self.show_idle()

    def show_ways_on(self, axes: list[tuple[str, int]]) -> None:
        """Offer these axes, by name and number, to go on along from volume to volume."""
        ways: list[tuple[str, Through]] = []
        for name, axis in axes:
            ways.append((f"on forward through {name}", Through(axis, 1)))
            ways.append((f"on backward through {name}", Through(axis, -1)))
        known = {way for _, way in ways}
        self.then.offer(ways, self.then.value if self.then.value in known else None)
        self._then.setVisible(bool(axes))
        self._show_possible()

    def show_frames(self, count: int) -> None:
        """Say how long the stack is; the range becomes the whole stack."""
        for field, value in ((self.first, 0), (self.last, count - 1)):
            field.range = 0, max(0, count - 1)
            field.value = max(0, value)
        self._show_possible()

    def show_range(self, first: int, last: int) -> None:
        """Show which frames are chosen."""
        self.first.value, self.last.value = first, last

    def show_idle(self) -> None:
        """Show that nothing runs."""
        self._running.hide()
        self._show_possible()
        self._ways.show()
        self.show_paused(False)

    def show_running(self, now: RunProgress) -> None:
        """Show how far the run is."""
        if not now.visited:
            # In the same place: nothing below moves.
            self._ways.setEnabled(False)
            self._ways.hide()
            self._running.show()
            self.cancel.setEnabled(True)
        frames = f"{now.done} of {now.total} {now.unit}" if now.total else ""
        # Qt would paint each of these at once, and not together with the rest of the panel.
        self.progress.setUpdatesEnabled(False)
        self.progress.setRange(0, now.planned)
        self.progress.setValue(now.visited)
        self.progress.setFormat(", ".join(part for part in (now.where, frames) if part))
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
        self._ways.setEnabled(self.last.max > 0 or not self._then.isHidden())

    def _options(self, fields: PanelFields) -> Fold:
        self.from_here = button("From here", "The range begins at the frame in view.")
        self.whole = button("All", "The range is the whole stack.")
        fold = Fold("Range and options")
        fold.add_row("Frames", self.first.native, self.last.native, stretch=(1, 1))
        fold.add_row("", self.from_here, self.whole, stretch=(1, 1))
        fold.body.addWidget(fields.only_current.native)
        fold.body.addWidget(fields.recompute.native)
        self.whole.clicked.connect(lambda: self.show_range(0, self.last.max))
        return fold
