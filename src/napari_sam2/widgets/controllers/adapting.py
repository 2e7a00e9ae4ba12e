"""The Adapt controller: starts an adaptation, shows it, takes its model into use.

Main thread only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_sam2.widgets.state import hints
from napari_sam2.widgets.state.settings import ModelUse
from napari_sam2.widgets.throttle import DelayedCall, halt
from napari_sam2.widgets.views.notifications import show_done, show_problem, show_skipped_masks
from napari_sam2.widgets.worker.adaptation import AdaptJob, AdaptOutcome, AdaptPlan, AdaptState
from napari_sam2.widgets.worker.thread import Worker, readable

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam2.widgets.controllers.annotation import AnnotationController
    from napari_sam2.widgets.controllers.model import ModelController
    from napari_sam2.widgets.state.positions import StackPosition
    from napari_sam2.widgets.views.adapt_section import AdaptSection
    from napari_sam2.widgets.worker.messages import Prepared

FEWEST_MASKS = 4
"""With fewer masks nothing can be learnt and measured."""

OFFERED_FROM = 8
"""With fewer accepted masks adapting is not offered."""


class _Signals(QObject):
    moved = Signal(object, object)
    ended = Signal(object, object, object)


class _Stage(Enum):
    IDLE = auto()
    PREPARING = auto()
    RUNNING = auto()


@dataclass(frozen=True, slots=True, eq=False)
class _Adaptation:
    """One adaptation.

    Attributes
    ----------
    use : ModelUse
        The model that it starts from.
    cancelled : threading.Event
    """

    use: ModelUse
    cancelled: threading.Event


class AdaptController(QObject):
    """Has the model learn from the masks of the stack in view. Main thread only.

    What it learns from is read by the session worker; then it goes on in a process of its own,
    whatever becomes of the session. A model that is better is taken into use as one step that can
    be undone, but not while anything runs that would be cancelled by that.

    Parameters
    ----------
    annotation : AnnotationController
        Knows the workspace and the masks.
    models : ModelController
        Knows the model, and takes the adapted one.
    section : AdaptSection
    destination : callable
        Gives the name and the folders for the file of an adapted model.
    running : callable
        Tells whether anything runs that another model would cancel.

    Signals
    -------
    changed()
        An adaptation has begun, or is over.
    """

    changed = Signal()

    def __init__(
        self,
        annotation: AnnotationController,
        models: ModelController,
        section: AdaptSection,
        destination: Callable[[], tuple[str, tuple[Path, ...]]],
        running: Callable[[], bool],
    ) -> None:
        super().__init__()
        self._annotation, self._models, self._section = annotation, models, section
        self._destination, self._running = destination, running
        self._signals = _Signals()
        self._worker: Worker | None = None  # from the first adaptation on
        self._stage = _Stage.IDLE
        self._adaptation: _Adaptation | None = None
        self._waiting: tuple[_Adaptation, AdaptOutcome] | None = None
        self._offered_at = 0  # accepted masks at the last adaptation
        self._closed = False
        # A run that ends may be a part of a search that goes on within the same event.
        self._soon = DelayedCall(self, self._use_waiting)
        section.asked.connect(self.ask)
        section.adapt_requested.connect(self.begin)
        section.cancel_requested.connect(self.cancel)
        annotation.model_needed.connect(lambda use: models.take(model=use.model))
        self._signals.moved.connect(self._show_progress)
        self._signals.ended.connect(self._ended)

    @property
    def busy(self) -> bool:
        """Whether an adaptation is under way, or waits to be taken into use."""
        return self._stage is not _Stage.IDLE or self._waiting is not None

    def offered(self, here: StackPosition) -> bool:
        """Tell whether adapting to a stack pays: scores are low, and many masks are accepted."""
        accepted = len(self._annotation.annotations(here).accepted)
        few = accepted < max(OFFERED_FROM, 2 * self._offered_at)
        if few or self.busy or not self._models.has_model:
            return False
        score = self._annotation.object_records.mean_score(here)
        return score is not None and score < hints.LOW_SCORE

    def possible(self, here: StackPosition | None) -> bool:
        """Tell whether the model can learn from the masks of a stack now."""
        return not self.busy and not self._reason(here)

    def show(self, here: StackPosition | None) -> None:
        """Show whether adapting to a stack is possible, and why not."""
        if not self._closed and not self.busy:
            self._section.show_possible(self._reason(here))

    def ask(self) -> None:
        """Say what would be done, and ask whether to."""
        here = self._here()
        count = self._masks(here)
        if not self._reason(here):
            title, partly = self._models.title, self._models.is_official
            self._section.show_question(hints.adapt_question(count, title, partly=partly))

    def begin(self, minutes: float) -> None:
        """Have it read what the model can learn from, and then have it learnt."""
        here = self._here()
        if here is None or self.busy:
            return
        stem, folders = self._destination()
        if self._annotation.adapt(here, AdaptPlan(minutes, stem, folders)):
            self._adaptation = _Adaptation(self._models.use, threading.Event())
            self._stage = _Stage.PREPARING
            self._offered_at = len(self._annotation.annotations(here).accepted)
            self._section.show_running(hints.READING_MASKS, 0.0)
            self.changed.emit()

    def take(self, answer: Prepared) -> None:
        """Have learnt what was read."""
        adaptation = self._adaptation
        if self._stage is not _Stage.PREPARING or adaptation is None:
            return
        if adaptation.cancelled.is_set():
            self._end(hints.ADAPT_CANCELLED)
        elif answer.job is None:
            self._fail(answer.error)
        else:
            job = answer.job
            self._stage = _Stage.RUNNING
            if self._worker is None:
                self._worker = Worker("adapting", on_exit=self.close, on_end=lambda: None)
            self._worker.submit(lambda: self._run(adaptation, job))

    def left(self) -> None:
        """Do without what was to be read: it will not be any more."""
        if self._stage is _Stage.PREPARING:
            self._end(hints.ADAPT_CANCELLED)
        self.run_ended()

    def cancel(self) -> None:
        """Stop the adaptation; the model stays as it is."""
        if self._adaptation is not None:
            self._adaptation.cancelled.set()
            self._section.show_cancelling()

    def run_ended(self) -> None:
        """Take a model into use that had to wait, soon: unless another thing runs by then."""
        if self._waiting is not None:
            self._soon.start()

    def close(self) -> None:
        """End the process and the thread; touches no view."""
        self._closed = True
        halt(self._soon)
        if self._adaptation is not None:
            self._adaptation.cancelled.set()
        if self._worker is not None:
            self._worker.close()

    def _here(self) -> StackPosition | None:
        here = self._annotation.here
        return None if here is None else here[0]

    def _masks(self, here: StackPosition | None) -> int:
        """Count the accepted and prompted masks of a stack."""
        return 0 if here is None else self._annotation.annotations(here).n_masks

    def _reason(self, here: StackPosition | None) -> str:
        if here is None or not self._models.has_model:
            return hints.ADAPT_NO_MODEL
        count = self._masks(here)
        return hints.adapt_too_few(count, FEWEST_MASKS) if count < FEWEST_MASKS else ""

    def _show_progress(self, adaptation: _Adaptation, state: AdaptState) -> None:
        if not self._closed and adaptation is self._adaptation:
            self._section.show_running(state.text, state.fraction)

    def _ended(
        self, adaptation: _Adaptation, outcome: AdaptOutcome | None, error: Exception | None
    ) -> None:
        if self._closed or adaptation is not self._adaptation:
            return
        if error is not None:
            self._fail(error)
        elif outcome is None:
            self._end(hints.ADAPT_CANCELLED)
        elif outcome.path is not None and self._running():
            self._waiting = adaptation, outcome
            self._stage = _Stage.IDLE
            self._section.show_running(hints.ADAPT_WAITS, 1.0)
            self._section.show_cancelling()
        else:
            self._use(adaptation, outcome)

    def _use_waiting(self) -> None:
        waiting = self._waiting
        if waiting is not None and not self._closed and not self._running():
            self._waiting = None
            self._use(*waiting)

    def _use(self, adaptation: _Adaptation, outcome: AdaptOutcome) -> None:
        """Take a model into use if it is better, and say what came of it."""
        path, same = outcome.path, self._models.use == adaptation.use
        text = hints.adapt_result(
            outcome.click, outcome.box, outcome.measured, taken=path is not None, used=same
        )
        self._end(text)
        if outcome.skipped:
            show_skipped_masks(outcome.skipped)
        show_done(text)
        if path is not None:
            self._models.add_file(path)
            if same:
                self._models.take(model=str(path))
                self._annotation.note_model(adaptation.use, self._models.use)

    def _fail(self, error: Exception | None) -> None:
        self._end("")
        if error is not None:
            show_problem(error)

    def _end(self, text: str) -> None:
        self._stage, self._adaptation = _Stage.IDLE, None
        self._section.show_result(text)
        self.show(self._here())
        self.changed.emit()

    # Below: worker thread only.

    def _run(self, adaptation: _Adaptation, job: AdaptJob) -> None:
        outcome, error = None, None
        try:
            outcome = job.run(
                lambda state: self._signals.moved.emit(adaptation, state),
                adaptation.cancelled.is_set,
            )
        except Exception as found:  # nothing may get lost: all errors reach the user
            error = readable(found)
        if self._worker is not None and not self._worker.closed:
            self._signals.ended.emit(adaptation, outcome, error)
