"""The review controller: timeline, doubtful frames, acceptance.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_sam2.widgets.state.object_records import ObjectSeries, next_frame, series
from napari_sam2.widgets.state.positions import MaskKey, StackPosition

if TYPE_CHECKING:
    from napari_sam2.widgets.controllers.annotation import AnnotationController
    from napari_sam2.widgets.controllers.prompting import PromptingController
    from napari_sam2.widgets.throttle import Throttle
    from napari_sam2.widgets.views.review_section import ReviewSection


class ReviewController(QObject):
    """Keeps the timeline in line with what is known, goes to frames and accepts them.

    Parameters
    ----------
    annotation : AnnotationController
    prompting : PromptingController
        Knows which object is the current one.
    box : ReviewSection
    throttle : Throttle
        In time with which the timeline changes.
    """

    def __init__(
        self,
        annotation: AnnotationController,
        prompting: PromptingController,
        box: ReviewSection,
        throttle: Throttle,
    ) -> None:
        super().__init__()
        self._throttle = throttle
        self._annotation, self._prompting, self._box = annotation, prompting, box
        box.frame_requested.connect(self.go_to)
        box.doubt_requested.connect(self.next_doubtful)
        box.prompted_requested.connect(self.next_prompted)
        box.accept_requested.connect(self.accept)
        annotation.changed.connect(self.soon)
        prompting.object_changed.connect(self.soon)

    def soon(self, _object_id: int = 0) -> None:
        """Show the object a little later, unless that is due already."""
        self._throttle.soon(self.show)

    def stop(self) -> None:
        """Show nothing any more."""
        self._throttle.drop(self.show)

    def show(self) -> None:
        """Show the current object along the stack in view."""
        workspace = self._annotation.workspace
        here = None if workspace is None else workspace.here()
        if workspace is None or here is None:
            self._box.show_series(ObjectSeries(), 0)
        else:
            self._box.show_series(self._series(here[0], workspace.n_frames), here[1])

    def go_to(self, frame: int) -> None:
        """Show a frame."""
        if self._annotation.workspace is not None:
            self._annotation.workspace.go_to(frame)

    def next_doubtful(self, step: int = 1) -> None:
        """Go to the next doubtful frame of the current object, forwards or backwards."""
        self._go_on(lambda series: series.doubtful.keys(), step)

    def next_prompted(self, step: int = 1) -> None:
        """Go to the next prompted frame of the current object, forwards or backwards."""
        self._go_on(lambda series: series.prompted, step)

    def accept(self, what: str) -> None:
        """Accept "here", "frame", "object" or "all"; once more takes that of a frame back."""
        workspace = self._annotation.workspace
        here = None if workspace is None else workspace.here()
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
            }
        if mask_keys:
            self._accept(workspace.user_state.accepted, frozenset(mask_keys), lift=not everywhere)

    def _accept(
        self, accepted: frozenset[MaskKey], mask_keys: frozenset[MaskKey], *, lift: bool
    ) -> None:
        if lift and mask_keys <= accepted:
            self._annotation.record_change("lifting of acceptance", accepted=accepted - mask_keys)
        elif mask_keys - accepted:
            self._annotation.record_change("acceptance", accepted=accepted | mask_keys)

    def _go_on(self, frames_of: Callable[[ObjectSeries], Iterable[int]], step: int) -> None:
        """Go to the next of some frames of the current object."""
        workspace = self._annotation.workspace
        here = None if workspace is None else workspace.here()
        if workspace is not None and here is not None:
            position, frame = here
            target = next_frame(frames_of(self._series(position, workspace.n_frames)), frame, step)
            if target is not None:
                workspace.go_to(target)

    def _series(self, position: StackPosition, n_frames: int) -> ObjectSeries:
        number = self._prompting.object_id
        records = self._annotation.object_records.records(position, number)
        workspace = self._annotation.workspace
        unseen = frozenset() if workspace is None else workspace.user_state.found_at(position)
        found = frozenset(each.frame for each in unseen if each.object_id == number)
        annotations = self._annotation.annotations(position)
        return series(number, n_frames, records, annotations, found)
