"""The propagation controller: starts, pauses, cancels and shows a propagation.

Main thread only.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_sam2.stack.frame_counter import FrameCounter
from napari_sam2.stack.series_steps import HandOverStep, PropagationStep, series_steps
from napari_sam2.types import Direction
from napari_sam2.widgets.controllers.volume_handover import arrival
from napari_sam2.widgets.layers.image_axes import axis_name, frame_word
from napari_sam2.widgets.state.hints import LOW_SCORE, RunFindings, outcome, volumes_outcome
from napari_sam2.widgets.state.object_edits import Delete
from napari_sam2.widgets.state.positions import StackPosition
from napari_sam2.widgets.state.session_spec import RunPlan
from napari_sam2.widgets.views.notifications import show_skipped
from napari_sam2.widgets.views.propagation_section import RunProgress
from napari_sam2.widgets.worker.messages import (
    FrameDone,
    HandedOver,
    RunEnded,
    Running,
    RunSplit,
    RunStarted,
)

if TYPE_CHECKING:
    from napari_sam2.widgets.controllers.annotation import AnnotationController
    from napari_sam2.widgets.throttle import Throttle
    from napari_sam2.widgets.views.propagation_section import PropagationSection
    from napari_sam2.widgets.worker.session_worker import SessionWorker


_SEVERAL = 2  # frames: an object that is in fewer was not followed


class PropagationController(QObject):
    """Knows which stack is being propagated, and shows how far it is.

    A run may go on from volume to volume: then each is propagated, its objects are looked for in
    the next one, and what is found are prompts there. Each of these is a step of the history.

    Parameters
    ----------
    annotation : AnnotationController
    session_worker : SessionWorker
    section : PropagationSection
    throttle : Throttle
        In time with which its progress changes.

    Signals
    -------
    frame_done(object, int)
        The labels of this frame of this stack are others than before.
    ended()
        Nothing runs any more.
    outcome_changed(object, str)
        How the last run of this stack has ended; empty where that is of no interest any more.

    Attributes
    ----------
    position : StackPosition or None
        The stack of the run under way.
    paused, cancelling : bool
        Whether that run is held, and whether it is to stop after this frame.
    completed : bool
        Whether the last run went to its end.
    """

    frame_done = Signal(object, int)
    ended = Signal()
    outcome_changed = Signal(object, str)

    def __init__(
        self,
        annotation: AnnotationController,
        session_worker: SessionWorker,
        section: PropagationSection,
        throttle: Throttle,
    ) -> None:
        super().__init__()
        self._throttle = throttle
        self._annotation, self._session_worker, self._section = annotation, session_worker, section
        self._counter = FrameCounter(())  # of the frames of this volume
        self._undo_then = False
        self._plan = RunPlan()
        self._steps = series_steps(list[StackPosition]())
        self._volumes, self._done = 0, 0  # volumes and frames that are done
        self._frames: set[int] = set()  # of the volume; those of both directions count once
        self._skipped: tuple[str, ...] = ()
        self._began: StackPosition = ()
        self.position: StackPosition | None = None
        self.paused = self.cancelling = self.completed = False

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self.position is not None

    def begin(self, position: StackPosition, plan: RunPlan) -> None:
        """Propagate the objects of a stack, and then on from volume to volume if so planned."""
        self.forget_outcome(position)
        self.paused = self.cancelling = self.completed = self._undo_then = False
        self._plan, self._began = plan, position
        self._volumes, self._done, self._skipped = 0, 0, ()
        self._steps = series_steps(self._series(position))
        self._next_step(position)

    def pause(self, paused: bool) -> None:
        """Hold the run after its frame, or let it go on."""
        if self.running:
            self.paused = paused
            self._session_worker.hold_run(paused)
            self._section.show_paused(paused)

    def cancel(self) -> None:
        """Stop the run within one frame; what is done stays."""
        if self.running:
            self.cancelling = True
            self._session_worker.cancel_run()
            self._section.show_cancelling()

    def cancel_and_undo(self) -> None:
        """Stop the run, and then take back what it has done."""
        self._undo_then = True
        self.cancel()

    def take(self, answer: Running) -> None:
        """Take in an answer of the worker about the run."""
        position = self.position
        if position is None:
            return
        match answer:
            case RunStarted(visits=visits):
                self._counter = FrameCounter(visits)
                self._section.show_running(self._progress(position))
            case FrameDone(frame=frame, records=records, changed=changed):
                self._frames.add(frame)
                self._counter.visit(frame)
                self._throttle.soon(self._show_progress)
                object_records = self._annotation.object_records
                object_records.put(position, records)
                object_records.renewed(position, frame, [each.object_id for each in records])
                self._annotation.changed.emit()
                if changed:
                    self.frame_done.emit(position, frame)
            case RunSplit(step=step):
                self._annotation.run_split(position, step)
            case RunEnded(cancelled=cancelled, failed=failed):
                self._done, self._skipped = (
                    self._done + len(self._frames),
                    self._skipped + answer.skipped,
                )
                self._volumes += bool(answer.done)
                if answer.outdated is not None:
                    self._annotation.object_records.set_outdated(position, answer.outdated)
                if cancelled or failed:
                    self._ended(position, cancelled=cancelled or self.cancelling)
                else:
                    self._next_step(position)
            case HandedOver():
                self._go_on(position, answer)

    def forget_outcome(self, position: StackPosition) -> None:
        """Have it forgotten how the last run of a stack ended."""
        self.outcome_changed.emit(position, "")

    def end(self, *, views_alive: bool = True) -> None:
        """Show that nothing runs any more, and make sure of it."""
        if not self.running:
            return
        self._session_worker.cancel_run()
        self.position, self.paused = None, False
        self._throttle.drop(self._show_progress)
        if views_alive:
            self._section.show_idle()
            self.ended.emit()

    def _run(self, position: StackPosition) -> None:
        self.position, self._frames = position, set()
        self._counter = FrameCounter(())
        self._annotation.run(position, self._plan)
        self._session_worker.hold_run(self.paused)
        self._section.show_running(self._progress(position))

    def _show_progress(self) -> None:
        position = self.position
        if position is not None and self._counter.visited:
            self._section.show_running(self._progress(position))

    def _progress(self, position: StackPosition) -> RunProgress:
        workspace, counter = self._annotation.workspace, self._counter
        unit = "frames" if workspace is None else frame_word(workspace.image, workspace.axis)
        where = self._where(position)
        return RunProgress(
            counter.done, counter.total, counter.visited, counter.planned, unit, where
        )

    def _series(self, position: StackPosition) -> list[StackPosition]:
        """Return the volumes that the plan leads through, this one first."""
        through, workspace, volumes = self._plan.through, self._annotation.workspace, [position]
        if through is not None and workspace is not None:
            size = workspace.labels.data.shape[through.axis]
            while (there := through.after(volumes[-1], size)) is not None:
                volumes.append(there)
        return volumes

    def _next_step(self, position: StackPosition) -> None:
        """Begin the next step of the run, which is at this volume, or end the run."""
        step = None if self.cancelling else next(self._steps, None)
        match step:
            case None:
                self.completed = not self.cancelling
                self._ended(position, cancelled=self.cancelling)
            case PropagationStep(volume):
                self._run(volume)
            case HandOverStep(here, there):
                self._annotation.hand_over(here, there, self._plan)

    def _go_on(self, position: StackPosition, answer: HandedOver) -> None:
        """Propagate in the next volume what was found there."""
        if not self.cancelling:
            self._take_over(answer)
        if answer.there not in self._annotation.positions():
            self._ended(position, cancelled=self.cancelling)
            return
        # Objects come in where most of them is: from there they reach both ways.
        self._plan = replace(self._plan, direction=Direction.BOTH)
        self._next_step(position)

    def _take_over(self, answer: HandedOver) -> None:
        """Make prompts of the objects that were found in the next volume."""
        annotation = self._annotation
        annotation.read_layers()
        if annotation.workspace is not None:
            new = arrival(annotation.prompts, annotation.workspace.user_state, answer)
            annotation.record_change("objects handed over", painted=new.painted, handed=new.handed)
            for number in new.ended:
                annotation.edit(Delete(number), f"end of object {number}", answer.there)

    def _where(self, position: StackPosition) -> str:
        """Say which volume it is, where there are several."""
        through, workspace = self._plan.through, self._annotation.workspace
        if through is None or workspace is None:
            return ""
        name = axis_name(workspace.image, through.axis)
        return f"{name} = {dict(position)[through.axis]}"

    def _found(self, position: StackPosition) -> RunFindings:
        """Say what the run has found of the objects that it was to follow."""
        object_records, wanted = self._annotation.object_records, self._plan.object_ids
        prompts = self._annotation.prompts.at(position)
        objects = set(self._annotation.annotations(position).by_object)
        objects = objects if wanted is None else objects & wanted
        frames = {i: len(object_records.frames(position, i)) for i in sorted(objects)}
        scores = {i: object_records.mean_score(position, i) for i in sorted(objects)}
        alone = [i for i, count in frames.items() if count < _SEVERAL <= len(self._frames)]
        low = [i for i, score in scores.items() if score is not None and score < LOW_SCORE]
        boxed = frozenset([each.object_id for each in prompts if each.prompt.box is not None])
        return RunFindings(len(objects), tuple(alone), tuple(low), boxed)

    def _ended(self, position: StackPosition, *, cancelled: bool) -> None:
        count, skipped = self._done, len(self._skipped)
        if count and self._volumes > 1:
            text = volumes_outcome(self._volumes, count, cancelled=cancelled, skipped=skipped)
            # Where it ended, and where the user is likely to be still.
            for each in {self._began, position}:
                self.outcome_changed.emit(each, text)
        elif count:
            text = outcome(
                count,
                max(count, self._counter.total),
                cancelled=cancelled,
                skipped=skipped,
                found=self._found(position),
            )
            self.outcome_changed.emit(self._began, text)
        if skipped:
            show_skipped(self._skipped)
        self.end()
        if self._undo_then:
            self._undo_then = False
            for each in {self._began, position}:
                self.forget_outcome(each)
            self._annotation.undo()
