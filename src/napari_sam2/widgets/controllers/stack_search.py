"""The stack search controller: looks for objects in every Nth frame, propagates in between.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_sam2.stack.series_steps import SearchStep, search_steps
from napari_sam2.types import StackKind
from napari_sam2.widgets.state import hints
from napari_sam2.widgets.state.search import SearchPlan
from napari_sam2.widgets.state.session_spec import RunPlan

if TYPE_CHECKING:
    from napari_sam2.widgets.controllers.annotation import AnnotationController
    from napari_sam2.widgets.controllers.finding import FindController
    from napari_sam2.widgets.controllers.propagation import PropagationController
    from napari_sam2.widgets.state.positions import StackPosition
    from napari_sam2.widgets.views.fields import PanelFields

_TITLE = "objects found through the stack"


class StackSearchController(QObject):
    """Alternates searches and propagations; all of them are one step of undo. Main thread only.

    Stack, sizes and part of the frames are those of the start: the user may look elsewhere.

    Parameters
    ----------
    annotation : AnnotationController
    finding : FindController
        Searches one frame.
    propagation : PropagationController
    fields : PanelFields
        Tell how often to look again, and through which frames.
    """

    def __init__(
        self,
        annotation: AnnotationController,
        finding: FindController,
        propagation: PropagationController,
        fields: PanelFields,
    ) -> None:
        super().__init__()
        self._annotation, self._finding = annotation, finding
        self._propagation, self._fields = propagation, fields
        self._steps: Iterator[SearchStep] | None = None
        self._step: SearchStep | None = None
        self._position: StackPosition = ()
        self._plan = SearchPlan(0, 0)  # of the first frame
        self._since = 0  # the step of the history before the first one of the search
        self._undo_then = False
        finding.ended.connect(self._searched)
        propagation.ended.connect(self._propagated)

    @property
    def running(self) -> bool:
        """Whether a stack is searched."""
        return self._steps is not None

    def begin(self) -> None:
        """Look for objects in the frame in view, and on through the stack if so set."""
        workspace, planned = self._annotation.workspace, self._finding.plan_here()
        every = self._fields.look_again.value
        if self.running or workspace is None or planned is None:
            return
        position, plan = planned
        if not every or workspace.n_frames == 1:
            self._finding.begin(position, plan)
            return
        first, last = sorted((self._fields.first.value, self._fields.last.value))
        first, last = min(first, plan.frame), max(last, plan.frame)
        self._annotation.read_layers()
        self._undo_then = False
        self._position, self._plan = position, plan
        self._since = self._annotation.undo_stack.last_number
        self._steps = search_steps(plan.frame, every, first, last + 1)
        self._next()

    def cancel_and_undo(self) -> None:
        """Stop the search of a frame, and then take back what was done before in other frames."""
        self._undo_then = self.running
        self._finding.cancel()

    def end(self, *, completed: bool = False) -> None:
        """Go on no further; what was done is one step."""
        if self.running:
            workspace = self._annotation.workspace
            unknown = workspace is not None and workspace.source.kind is StackKind.UNKNOWN
            if completed and unknown:
                self._finding.add_to_outcome(hints.SAY_KIND)
            self._steps = self._step = None
            # That was how the last part of it ended.
            self._propagation.forget_outcome(self._position)
            self._annotation.join_steps(self._position, self._since, _TITLE)
            last = self._annotation.undo_stack.next_undo
            if self._undo_then and last is not None and min(last.numbers) > self._since:
                self._annotation.undo()

    def drop(self) -> None:
        """Go on no further, since the stack is left."""
        self._steps = self._step = None

    def _next(self) -> None:
        """Begin with the next step, or end."""
        step = self._step = None if self._steps is None else next(self._steps, None)
        if step is None:
            self.end(completed=True)
        elif step.frame is None:
            self._propagate(step)
        elif not self._search(step.frame, step.also_searched):
            self.end()

    def _search(self, frame: int, also_searched: tuple[int, ...]) -> bool:
        """Begin to search a frame as planned, whatever is in view; return whether it has begun."""
        plan = replace(self._plan, frame=frame, also_searched=also_searched)
        return self._finding.begin(self._position, plan)

    def _searched(self, well: bool) -> None:
        if self._step is None:
            return
        if well:
            self._propagate(self._step)
        else:
            self.end()

    def _propagate(self, step: SearchStep) -> None:
        annotation = self._annotation
        if self._position not in annotation.positions() and not annotation.editing:
            self._next()  # nothing was found yet
            return
        self._finding.block(True)
        plan = RunPlan(step.direction, step.start, step.stop)
        self._propagation.begin(self._position, plan)

    def _propagated(self) -> None:
        if self._step is None:
            return
        self._finding.block(False)
        if self._propagation.completed:
            self._next()
        else:
            self.end()
