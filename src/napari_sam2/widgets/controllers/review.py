"""The review controller: timeline, doubtful frames, acceptance.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_sam2.widgets.state.hints import (
    NO_OBJECT,
    NOT_PROMPTED,
    NOTHING_DOUBTFUL,
    NOTHING_TO_ACCEPT,
)
from napari_sam2.widgets.state.object_records import Doubts, ObjectSeries, next_frame, series
from napari_sam2.widgets.state.positions import MaskKey, StackPosition
from napari_sam2.widgets.views.notifications import show_done

if TYPE_CHECKING:
    from napari_sam2.widgets.controllers.annotation import AnnotationController
    from napari_sam2.widgets.controllers.prompting import PromptingController
    from napari_sam2.widgets.layers.workspace import Workspace
    from napari_sam2.widgets.throttle import Throttle
    from napari_sam2.widgets.views.review_section import ReviewSection


class ReviewController(QObject):
    """Keeps the timeline in line with what is known, goes to frames and accepts them.

    Parameters
    ----------
    annotation : AnnotationController
    prompting : PromptingController
        Knows which object is the current one.
    section : ReviewSection
    order : callable
        Returns all objects as the table lists them.
    throttle : Throttle
        In time with which the timeline changes.

    Signals
    -------
    doubt_shown(int)
        A doubtful frame of an object that was not the current one is in view.
    """

    doubt_shown = Signal(int)

    def __init__(
        self,
        annotation: AnnotationController,
        prompting: PromptingController,
        section: ReviewSection,
        order: Callable[[], tuple[int, ...]],
        throttle: Throttle,
    ) -> None:
        super().__init__()
        self._throttle = throttle
        self._annotation, self._prompting, self._section = annotation, prompting, section
        self._order = order
        section.frame_requested.connect(self.go_to)
        section.doubt_requested.connect(self.next_doubtful)
        section.prompted_requested.connect(self.next_prompted)
        section.accept_requested.connect(self.accept)
        prompting.object_changed.connect(self.soon)

    def soon(self, _object_id: int = 0) -> None:
        """Show the object a little later, unless that is due already."""
        self._throttle.soon(self.show)

    def stop(self) -> None:
        """Show nothing any more."""
        self._throttle.drop(self.show)

    def show(self) -> None:
        """Show the current object along the stack in view."""
        workspace, here = self._annotation.workspace, self._annotation.here
        if workspace is None or here is None:
            self._section.show_series(ObjectSeries(), 0)
        else:
            self._section.show_series(self._series(workspace, here[0]), here[1])

    def go_to(self, frame: int) -> None:
        """Show a frame."""
        if self._annotation.workspace is not None:
            self._annotation.workspace.go_to(frame)

    def next_doubtful(self, step: int = 1) -> None:
        """Go to the next doubtful frame: of the current object, then of the others in turn.

        The others come in the order of the table, and after the last one the first one again.
        """
        workspace, here = self._annotation.workspace, self._annotation.here
        if workspace is None or here is None:
            return
        position, frame = here
        current = self._prompting.object_id
        ahead = [f for f in self._doubts(position, current) if (f - frame) * step > 0]
        if ahead:
            self._visit(position, current, ahead[0] if step > 0 else ahead[-1])
            return
        for object_id in _from(self._order(), current, step):
            frames = list(self._doubts(position, object_id))
            if frames:
                self._visit(position, object_id, frames[0] if step > 0 else frames[-1])
                self.doubt_shown.emit(object_id)
                return
        show_done(NOTHING_DOUBTFUL)

    def next_object(self, step: int = 1) -> None:
        """Go to the next object of the table, or to the one before, and to a frame with it."""
        others = _from(self._order(), self._prompting.object_id, step)
        if others:
            self.go_to_object(others[0])
        elif self._annotation.workspace is not None:
            show_done(NO_OBJECT)

    def go_to_object(self, object_id: int) -> None:
        """Make an object the current one, and show it in the nearest frame that it is in."""
        workspace, here = self._annotation.workspace, self._annotation.here
        if workspace is None or here is None:
            self._prompting.choose_object(object_id)
            return
        position, frame = here
        frames: Iterable[int] = self._annotation.object_records.frames(position, object_id)
        if not frames:
            frames = self._annotation.annotations(position).decided(object_id)
        nearest = min(frames, key=lambda each: (abs(each - frame), each), default=frame)
        self._visit(position, object_id, nearest)

    def next_prompted(self, step: int = 1) -> None:
        """Go to the next prompted frame of the current object, forwards or backwards."""
        workspace, here = self._annotation.workspace, self._annotation.here
        if workspace is None or here is None:
            return
        number = self._prompting.object_id
        known = self._annotation.annotations(here[0]).by_object.get(number)
        target = next_frame(() if known is None else known.prompted, here[1], step)
        if target is None:
            show_done(NOT_PROMPTED.format(number=number))
        else:
            self._visit(here[0], number, target)

    def accept(self, what: str) -> None:
        """Accept "here", "frame", "object" or "all"; once more takes that of a frame back.

        An object without a mask in a frame that is doubtful is accepted as absent from there.
        """
        workspace, here = self._annotation.workspace, self._annotation.here
        if workspace is None or here is None:
            return
        (position, frame), number = here, self._prompting.object_id
        object_records = self._annotation.object_records
        objects = object_records.objects(position) if what in ("frame", "all") else (number,)
        everywhere = what in ("object", "all")
        if everywhere:
            mask_keys = {
                (position, each, f)
                for each in objects
                for f in object_records.frames(position, each)
            }
        else:
            mask_keys = {
                (position, each, frame)
                for each in objects
                if object_records.has(position, each, frame)
                or frame in self._doubts(position, each)  # accepted as absent
            }
        if not mask_keys:
            show_done(NOTHING_TO_ACCEPT)
        else:
            self._accept(workspace.user_state.accepted, frozenset(mask_keys), lift=not everywhere)

    def _accept(
        self, accepted: frozenset[MaskKey], mask_keys: frozenset[MaskKey], *, lift: bool
    ) -> None:
        if lift and mask_keys <= accepted:
            self._annotation.record_change("lifting of acceptance", accepted=accepted - mask_keys)
        elif mask_keys - accepted:
            self._annotation.record_change("acceptance", accepted=accepted | mask_keys)

    def _visit(self, position: StackPosition, object_id: int, frame: int) -> None:
        """Make an object the current one and show it in a frame."""
        workspace = self._annotation.workspace
        if workspace is None:
            return
        if object_id != self._prompting.object_id:
            self._prompting.choose_object(object_id)
        workspace.go_to(frame)
        record = self._annotation.object_records.record(position, object_id, frame)
        if record is not None and record.area:
            workspace.show_place(position, frame, record.centre)

    def _doubts(self, position: StackPosition, object_id: int) -> Doubts:
        decided = self._annotation.annotations(position).decided(object_id)
        return self._annotation.object_records.doubts(position, object_id, decided)

    def _series(self, workspace: Workspace, position: StackPosition) -> ObjectSeries:
        number, known = workspace.marks.object_id, self._annotation.object_records
        annotations = self._annotation.annotations(position)
        unseen = workspace.user_state.found_at(position)
        found = [each.frame for each in unseen if each.object_id == number] if unseen else ()
        return series(
            number,
            workspace.n_frames,
            known.records(position, number),
            annotations,
            frozenset(found),
            known.outdated(position).get(number, frozenset()),
            known.doubts(position, number, annotations.decided(number)),
        )


def _from(order: tuple[int, ...], current: int, step: int) -> tuple[int, ...]:
    """Return all objects once in their order, or backwards, from the one after the current one on.

    The current one is the last, if it is among them.
    """
    ordered = order[::step]
    if current not in ordered:
        return ordered
    after = ordered.index(current) + 1
    return ordered[after:] + ordered[:after]
