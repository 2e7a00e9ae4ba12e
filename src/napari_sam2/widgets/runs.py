"""The propagation that is under way: begun, held, cancelled, shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_sam2.widgets.activity import Activity
from napari_sam2.widgets.hints import outcome
from napari_sam2.widgets.messages import FrameDone, RunEnded, RunSplit, RunStarted
from napari_sam2.widgets.notices import show_skipped

if TYPE_CHECKING:
    from napari_sam2.widgets.dialogue import Dialogue
    from napari_sam2.widgets.engine import Engine
    from napari_sam2.widgets.places import Place
    from napari_sam2.widgets.run_box import RunBox
    from napari_sam2.widgets.spec import RunPlan


class Runs(QObject):
    """Knows which stack is being propagated, and shows how far it is.

    Parameters
    ----------
    dialogue : Dialogue
    engine : Engine
    box : RunBox

    Signals
    -------
    frame_done(object, int)
        The labels of this frame of this stack are others than before.
    ended()
        Nothing runs any more.
    """

    frame_done = Signal(object, int)
    ended = Signal()

    def __init__(self, dialogue: Dialogue, engine: Engine, box: RunBox) -> None:
        super().__init__()
        self._dialogue, self._engine, self._box = dialogue, engine, box
        self._activity = Activity()
        self._total = 0
        self._undo_then = False
        self.place: Place | None = None
        self.paused = False
        self.outcomes: dict[Place, str] = {}  # how the last run of each stack ended

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self.place is not None

    def begin(self, place: Place, plan: RunPlan) -> None:
        """Propagate the objects of a stack."""
        self.outcomes.pop(place, None)
        self.place, self._total, self.paused, self._undo_then = place, 0, False, False
        self._dialogue.run(place, plan)
        self._box.show_running(0, 0)

    def pause(self, paused: bool) -> None:
        """Hold the run after its frame, or let it go on."""
        if self.running:
            self.paused = paused
            self._engine.hold_run(paused)
            self._box.show_paused(paused)

    def cancel(self) -> None:
        """Stop the run within one frame; what is done stays."""
        if self.running:
            self._engine.cancel_run()
            self._box.show_cancelling()

    def cancel_and_undo(self) -> None:
        """Stop the run, and then take back what it has done."""
        self._undo_then = True
        self.cancel()

    def take(self, answer: RunStarted | FrameDone | RunSplit | RunEnded) -> None:
        """Take in what the worker says about the run."""
        place = self.place
        if place is None:
            return
        match answer:
            case RunStarted(total=total):
                self._total = total
                image = self._dialogue.workspace and self._dialogue.workspace.image.name
                self._box.show_running(0, total)
                self._activity.start(total, f"SAM 2: {image}")
            case FrameDone(frame=frame, done=done, records=records):
                self._box.show_running(done, max(done, self._total))
                self._activity.done = done
                self._dialogue.shelf.put(place, records)
                self._dialogue.changed.emit()
                self.frame_done.emit(place, frame)
            case RunSplit(step=step):
                self._dialogue.run_split(place, step)
            case RunEnded():
                self._ended(place, answer)

    def forget_outcomes(self, places: tuple[Place, ...]) -> None:
        """Say no longer how the last run of these stacks ended: it is out of date."""
        for place in places:
            self.outcomes.pop(place, None)

    def end(self, *, views_alive: bool = True) -> None:
        """Show that nothing runs any more, and make sure of it."""
        if not self.running:
            return
        self._engine.cancel_run()
        self.place, self.paused = None, False
        self._activity.end()
        if views_alive:
            self._box.show_idle()
            self.ended.emit()

    def _ended(self, place: Place, how: RunEnded) -> None:
        if how.done:
            self.outcomes[place] = outcome(
                how.done, self._total, cancelled=how.cancelled, skipped=len(how.skipped)
            )
        if how.skipped:
            show_skipped(how.skipped)
        self.end()
        if self._undo_then:
            self._undo_then = False
            self.outcomes.pop(place, None)
            self._dialogue.undo()
