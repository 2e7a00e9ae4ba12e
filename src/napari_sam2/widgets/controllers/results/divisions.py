"""The division controller: divides objects, and shows proposed divisions to accept or refuse.

Main thread only.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_sam2.errors import LineageError
from napari_sam2.widgets.state.division_choice import chosen_division
from napari_sam2.widgets.state.hints import NO_DIVISION, OUTSIDE
from napari_sam2.widgets.state.object_edits import Divide, Undivide
from napari_sam2.widgets.views.notifications import show_done, show_problem
from napari_sam2.widgets.worker.messages import DivisionProgress

if TYPE_CHECKING:
    from napari_sam2.tracking.division_proposals import ProposedDivision
    from napari_sam2.widgets.controllers.annotation import AnnotationController
    from napari_sam2.widgets.controllers.prompting import PromptingController
    from napari_sam2.widgets.state.positions import StackPosition
    from napari_sam2.widgets.views.object_section import ObjectSection
    from napari_sam2.widgets.views.results.results_section import ResultsSection
    from napari_sam2.widgets.worker.messages import DivisionsProposed

Key = tuple["StackPosition", int, frozenset[int]]


class DivisionController(QObject):
    """Turns what is asked about divisions into edits of objects.

    Parameters
    ----------
    annotation : AnnotationController
    prompting : PromptingController
        Knows which ids are free.
    objects : ObjectSection
        Knows the selected objects.
    section : ResultsSection

    Signals
    -------
    ended()
        A search for divisions is over.
    """

    ended = Signal()

    def __init__(
        self,
        annotation: AnnotationController,
        prompting: PromptingController,
        objects: ObjectSection,
        section: ResultsSection,
    ) -> None:
        super().__init__()
        self._annotation, self._prompting = annotation, prompting
        self._objects, self._section = objects, section
        self._proposals: list[tuple[StackPosition, ProposedDivision]] = []
        self._refused: set[Key] = set()
        self._stop = threading.Event()  # of the search under way
        self._searching = False
        section.divide_requested.connect(self.divide)
        section.undivide_requested.connect(self.undivide)
        section.proposals_requested.connect(self.propose)
        section.cancel_requested.connect(self.cancel)
        section.answer_requested.connect(self.answer)

    @property
    def running(self) -> bool:
        """Whether divisions are being looked for."""
        return self._searching

    def divide(self) -> None:
        """Have the selected objects divide in the frame in view."""
        annotation, here = self._annotation, self._annotation.here
        if here is None:
            show_done(OUTSIDE)
            return
        annotation.read_layers()
        (position, frame), chosen = here, self._objects.chosen
        frames = {each: annotation.object_records.frames(position, each) for each in chosen}
        known = annotation.annotations(position)
        try:
            edit = chosen_division(chosen, frame, known, frames, self._prompting.free_id())
        except LineageError as error:
            show_problem(error)
            return
        annotation.edit(edit, f"division of object {edit.parent}")

    def undivide(self) -> None:
        """Have the selected objects, or those that they come from, not divide."""
        chosen, here = set(self._objects.chosen), self._annotation.here
        if here is None:
            show_done(OUTSIDE)
            return
        known = self._annotation.annotations(here[0]).divisions
        parents = [each.parent for each in known if each.parent in chosen]
        if not parents:
            parents = [each.parent for each in known if chosen & set(each.children)]
        if parents:
            titles = ", ".join(map(str, parents))
            self._annotation.edit(Undivide(tuple(parents)), f"no division of object {titles}")
        else:
            show_done(NO_DIVISION)

    def propose(self) -> None:
        """Look for divisions in the stack in view."""
        here = self._annotation.here
        self._stop = stop = threading.Event()  # each search has its own
        if here is None:
            show_done(OUTSIDE)
        elif self._annotation.propose_divisions(here[0], stop):
            self._searching = True
            self._section.show_searching(0.0)

    def cancel(self) -> None:
        """Look no further; what was proposed before stays."""
        self._stop.set()

    def take(self, answer: DivisionProgress | DivisionsProposed) -> None:
        """Show how far the search is, or the first of the divisions that were found."""
        if isinstance(answer, DivisionProgress):
            self._section.show_searching(answer.done)
            return
        self._searching = False
        self._section.show_searching(None)
        self.ended.emit()
        if answer.cancelled or self._stop.is_set():  # cancelled when it was at its end already
            return
        if answer.error is not None:
            show_problem(answer.error)
            return
        where = answer.position
        self._proposals = [
            (where, each) for each in answer.proposals if (where, *each.key) not in self._refused
        ]
        if not self._proposals:
            show_done("No division was found.")
        self._show_next()

    def answer(self, accepted: bool) -> None:
        """Accept the division that is shown, or refuse it."""
        if not self._proposals:
            return
        position, proposed = self._proposals.pop(0)
        division = proposed.division
        if accepted:
            new_id = None if proposed.new_id is None else self._prompting.free_id()
            children = tuple(
                each if new_id is None or each != proposed.new_id else new_id
                for each in division.children
            )
            edit = Divide(division.parent, children, division.frame, new_id)
            self._annotation.edit(edit, f"division of object {division.parent}", position)
        else:
            self._refused.add((position, *proposed.key))
        self._show_next()

    def detach(self, *, views_alive: bool) -> None:
        """Forget what was proposed, and look no further."""
        self.end(views_alive=views_alive)
        self._proposals.clear()
        self._refused.clear()
        if views_alive:
            self._section.show_proposal("")

    def end(self, *, views_alive: bool = True) -> None:
        """Look no further, since no answer will come; what was proposed before stays."""
        self._stop.set()
        self._searching = False
        if views_alive:
            self._section.show_searching(None)

    def _show_next(self) -> None:
        if not self._proposals:
            self._section.show_proposal("")
            return
        position, proposed = self._proposals[0]
        division = proposed.division
        found = [f"{each}" for each in division.children if each != proposed.new_id]
        into = f"itself and {found[0]}" if proposed.new_id is not None else " and ".join(found)
        self._section.show_proposal(
            f"{len(self._proposals)} proposed. Frame {division.frame}: object {division.parent} "
            f"divides into {into} (areas {proposed.area_ratio:.0%}, overlap "
            f"{proposed.overlap:.0%})?"
        )
        workspace, here = self._annotation.workspace, self._annotation.here
        if workspace is not None and here is not None and here[0] == position:
            workspace.go_to(division.frame)
