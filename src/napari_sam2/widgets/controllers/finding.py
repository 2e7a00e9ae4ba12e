"""The find controller: searches for objects, offers what was found, accepts or discards it.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_sam2.errors import DetectionError, StackError
from napari_sam2.types import ObjectFrame, Region
from napari_sam2.widgets.layers.found_preview import FoundPreview
from napari_sam2.widgets.layers.view_region import common_part, region_in_view
from napari_sam2.widgets.state import hints
from napari_sam2.widgets.state.object_edits import Discard
from napari_sam2.widgets.state.search import SearchPlan, Sighting, alike
from napari_sam2.widgets.views.notifications import show_problem
from napari_sam2.widgets.worker.messages import SearchEnded, Searching, SearchProgress

if TYPE_CHECKING:
    from napari import Viewer

    from napari_sam2.widgets.controllers.annotation import AnnotationController
    from napari_sam2.widgets.controllers.prompting import PromptingController
    from napari_sam2.widgets.layers.workspace import Workspace
    from napari_sam2.widgets.state.positions import StackPosition
    from napari_sam2.widgets.throttle import Throttle
    from napari_sam2.widgets.views.panel_view import PanelView
    from napari_sam2.widgets.worker.session_worker import SessionWorker


class FindController(QObject):
    """Has objects looked for, and makes ordinary objects of them as one step. Main thread only.

    Parameters
    ----------
    viewer : Viewer
        Its canvas tells the part in view.
    views : PanelView
    annotation : AnnotationController
    prompting : PromptingController
    session_worker : SessionWorker
        Searches.
    throttle : Throttle
        In time with which the progress changes.

    Signals
    -------
    ended(bool)
        A search is over, or the choice of what to add; whether the search went to its end.
    """

    ended = Signal(bool)

    def __init__(
        self,
        viewer: Viewer,
        views: PanelView,
        annotation: AnnotationController,
        prompting: PromptingController,
        session_worker: SessionWorker,
        throttle: Throttle,
    ) -> None:
        super().__init__()
        self._viewer, self._section, self._fields = viewer, views.search, views.settings
        self._selected: Callable[[], tuple[int, ...]] = lambda: views.objects.chosen
        self._annotation, self._prompting = annotation, prompting
        self._session_worker, self._throttle = session_worker, throttle
        self._numbers = 0  # of searches so far
        self._plan: SearchPlan | None = None  # of the search under way
        self._cancelling = False
        self._asked: SearchPlan | None = None  # of the search whose outcome is offered
        self._position: StackPosition = ()  # of the last search
        self._found: tuple[Sighting, ...] = ()  # that are offered
        self._preview: FoundPreview | None = None
        self._done = 0.0
        self._outcome = ""  # of the last search
        self._count = 0  # of found objects to look at, as shown
        self._blocked = False
        section = self._section
        section.like_requested.connect(self.begin_like)
        section.cancel_requested.connect(self.cancel)
        section.keep_requested.connect(self.keep)
        section.leave_requested.connect(self.leave)
        section.accept_requested.connect(self.accept)
        section.discard_requested.connect(self.discard)
        self._fields.similarity.changed.connect(self._show_choice)
        annotation.prompted.connect(self._forget_outcome)
        annotation.rewound.connect(self._forget_outcome)

    @property
    def running(self) -> bool:
        """Whether objects are being looked for."""
        return self._plan is not None

    @property
    def offering(self) -> bool:
        """Whether the user is to choose which similar objects are added."""
        return self._asked is not None

    def plan_here(self, like: tuple[int, ...] = ()) -> tuple[StackPosition, SearchPlan] | None:
        """Plan a search of the frame in view: with the sizes, and in the part, of now.

        None where none is possible; if the view shows nothing of the image, a message says so.
        """
        workspace, here = self._annotation.workspace, self._annotation.here
        if workspace is None or here is None or self.running or self._blocked:
            return None
        try:
            region = self._region(workspace)
        except StackError as error:
            show_problem(error)
            return None
        settings, (position, frame) = self._fields.value, here
        sizes = settings.min_size or None, settings.max_size or None
        return position, SearchPlan(0, frame, *sizes, region, like)

    def begin(self, position: StackPosition, plan: SearchPlan) -> bool:
        """Look for objects in a stack as planned, under a number of its own.

        All that are found are added, or offered where they are to be like others. Returns whether
        a search has begun.
        """
        if self.running or self._blocked:
            return False
        self._numbers += 1
        plan = replace(plan, number=self._numbers)
        if self._annotation.search(position, plan):
            self._close_choice()
            self._plan, self._position, self._done, self._outcome = plan, position, 0.0, ""
            self._cancelling = False
            self._section.show_running(0.0)
        return self.running

    def begin_like(self) -> None:
        """Look for objects like those that are selected in the table, and offer them."""
        here = self._annotation.here
        if here is None:
            return
        known = self._annotation.annotations(here[0]).by_object
        unseen = {each.object_id for each in self._unseen(here[0])}
        examples = tuple(i for i in self._selected() if i in known and i not in unseen)
        if examples:
            planned = self.plan_here(examples)
            if planned is not None:
                self.begin(*planned)
        else:
            show_problem(
                DetectionError(
                    "No object is selected that others could be like.",
                    remedy="Select one or more objects in the table whose masks you have clicked "
                    "or accepted.",
                )
            )

    def cancel(self) -> None:
        """Look no further; nothing is added."""
        if self.running:
            self._cancelling = True
            self._session_worker.cancel_run()
            self._section.show_cancelling()

    def take(self, answer: Searching) -> None:
        """Take in an answer of the worker about the search."""
        plan = self._plan
        if plan is None or answer.number != plan.number:
            return
        match answer:
            case SearchProgress(done=done):
                self._done = done
                self._throttle.soon(self._show_progress)
            case SearchEnded(found=found, failed=failed):
                self._stop()
                # It may have been at its end when it was cancelled, its answer under way.
                cancelled = answer.cancelled or self._cancelling
                if cancelled:
                    self._session_worker.forget_search()
                    self._end(hints.FIND_CANCELLED)
                elif failed:
                    self._end("")
                elif plan.like and found:
                    self._offer(plan, found)
                else:
                    self._add_likely(plan, found)
                self.ended.emit(not cancelled and not failed)

    def keep(self) -> None:
        """Add the similar objects that are outlined."""
        plan, chosen = self._asked, self._chosen()
        if plan is not None and chosen:
            found = self._found
            self._close_choice()
            self._add(plan, found, chosen)

    def leave(self) -> None:
        """Add none of them."""
        if self._asked is not None:
            self._close_choice()
            self._session_worker.forget_search()
            self._end("")
            self.ended.emit(True)

    def accept(self) -> None:
        """Accept all found objects of the stack in view that nobody has looked at."""
        workspace, here = self._annotation.workspace, self._annotation.here
        if workspace is None or here is None:
            return
        found = frozenset((here[0], *each) for each in self._unseen(here[0]))
        if found:
            title = f"acceptance of {_objects(len({number for _, number, _ in found}))}"
            accepted = workspace.user_state.accepted | found
            self._annotation.record_change(title, accepted=accepted)

    def discard(self) -> None:
        """Take all found objects away that nobody has looked at."""
        here = self._annotation.here
        ids = () if here is None else tuple(sorted({e.object_id for e in self._unseen(here[0])}))
        if ids:
            self._annotation.edit(Discard(ids), f"throwing {_objects(len(ids))} away")

    def add_to_outcome(self, text: str) -> None:
        """Say something more about the last search."""
        self._outcome = f"{self._outcome} {text}".lstrip()
        self.soon()

    def block(self, blocked: bool) -> None:
        """Look for nothing while something else runs."""
        self._blocked = blocked
        self._section.show_possible(not blocked)

    def soon(self) -> None:
        """Show what there is to look at a little later, unless that is due already."""
        self._throttle.soon(self.show)

    def show(self) -> None:
        """Show whether there are found objects in the stack in view that nobody has looked at."""
        workspace, here = self._annotation.workspace, self._annotation.here
        found = workspace.user_state.found_at(here[0]) if workspace is not None and here else None
        # One that went on where it was lost has points in several frames.
        count = len({each.object_id for each in found}) if found else 0
        if count != self._count:
            self._count = count
            self._section.show_found(count)
        if self._plan is None and self._asked is None:
            text = self._outcome
            if count:
                text = f"{hints.found_to_look_at(count)} {text}".rstrip()
            if text != self._section.state.text():
                self._section.show_state(text)

    def slider_moved(self) -> None:
        """Show what belongs to the frame in view."""
        if self._preview is not None:
            self._preview.show_in_view(self._in_view())
        self.soon()

    def stop(self) -> None:
        """Show nothing any more."""
        self._throttle.drop(self.show)

    def end(self, *, views_alive: bool = True) -> None:
        """Forget the search and what it has found."""
        if self.running:
            self._session_worker.cancel_run()
        self._stop()
        self._outcome = ""
        if views_alive:
            self._close_choice()
            self._section.show_idle("")

    def _region(self, workspace: Workspace) -> Region | None:
        """Return the part of the frames to look in; None: all."""
        if not self._fields.in_view.value:
            return None
        seen = region_in_view(self._viewer, workspace.image)
        return common_part(seen, workspace.source.region)

    def _add_likely(self, plan: SearchPlan, found: tuple[Sighting, ...]) -> None:
        """Add all but what is unlikely, and say how much that is."""
        kept = tuple(number for number, each in enumerate(found) if not each.unlikely)
        left_out = hints.unlikely_left_out(len(found) - len(kept))
        if kept:
            self._add(plan, found, kept, left_out)
            return
        self._session_worker.forget_search()
        nothing = hints.nothing_found(part=plan.region is not None, like=bool(plan.like))
        self._end(f"{nothing} {left_out}".rstrip())

    def _offer(self, plan: SearchPlan, found: tuple[Sighting, ...]) -> None:
        workspace = self._annotation.workspace
        if workspace is not None:
            self._asked, self._found = plan, found
            self._preview = FoundPreview(self._viewer, workspace, found)
            self._show_choice()

    def _show_choice(self, _similarity: object = None) -> None:
        if self._asked is not None and self._preview is not None:
            chosen = self._chosen()
            self._section.show_choice(len(chosen), len(self._found))
            self._preview.show(chosen, visible=self._in_view())

    def _chosen(self) -> tuple[int, ...]:
        return alike(self._found, self._fields.similarity.value)

    def _in_view(self) -> bool:
        """Whether the frame is in view whose objects are offered."""
        plan = self._asked
        return plan is not None and self._annotation.here == (self._position, plan.frame)

    def _close_choice(self) -> None:
        if self._preview is not None:
            self._preview.remove()
        self._preview, self._asked, self._found = None, None, ()

    def _add(
        self,
        plan: SearchPlan,
        found: tuple[Sighting, ...],
        chosen: tuple[int, ...],
        outcome: str = "",
    ) -> None:
        title = _objects(len(chosen))
        continued = {number: found[number].continues for number in chosen}
        ids = self._annotation.add_found(self._position, plan.number, continued, title)
        if self._prompting.object_id in ids:
            self._prompting.next_object()
        self._end(outcome)

    def _stop(self) -> None:
        self._plan = None
        self._throttle.drop(self._show_progress)

    def _end(self, outcome: str) -> None:
        self._outcome = outcome
        self._section.show_idle(outcome)
        self.soon()

    def _forget_outcome(self, _positions: object = None) -> None:
        self._outcome = ""

    def _show_progress(self) -> None:
        if self.running:
            self._section.show_running(self._done)

    def _unseen(self, position: StackPosition) -> frozenset[ObjectFrame]:
        workspace = self._annotation.workspace
        return frozenset() if workspace is None else workspace.user_state.found_at(position)


def _objects(count: int) -> str:
    return "1 found object" if count == 1 else f"{count} found objects"
