"""The review controller: timeline, doubtful frames, acceptance.

Main thread only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_sam2.widgets.state.object_records import ObjectSeries, next_frame, series
from napari_sam2.widgets.state.positions import MaskKey

if TYPE_CHECKING:
    from napari_sam2.widgets.controllers.annotation import AnnotationController
    from napari_sam2.widgets.controllers.prompting import PromptingController
    from napari_sam2.widgets.throttle import Throttle
    from napari_sam2.widgets.views.review_section import ReviewSection


class ReviewController(QObject):
    """Keeps the timeline in line with what is known, goes to frames and accepts them.

    Parameters
    ----------
    dialogue : AnnotationController
    prompting : PromptingController
        Knows which object is the current one.
    box : ReviewSection
    beat : Throttle
        In time with which the timeline changes.
    """

    def __init__(
        self,
        dialogue: AnnotationController,
        prompting: PromptingController,
        box: ReviewSection,
        beat: Throttle,
    ) -> None:
        super().__init__()
        self._beat = beat
        self._dialogue, self._prompting, self._box = dialogue, prompting, box
        box.frame_requested.connect(self.go_to)
        box.doubt_requested.connect(self.next_doubtful)
        box.prompted_requested.connect(self.next_prompted)
        box.accept_requested.connect(self.accept)
        dialogue.changed.connect(self.soon)
        prompting.object_changed.connect(self.soon)

    def soon(self, _object_id: int = 0) -> None:
        """Show the object a little later, unless that is due already."""
        self._beat.soon(self.show)

    def stop(self) -> None:
        """Show nothing any more."""
        self._beat.drop(self.show)

    def show(self) -> None:
        """Show the current object along the stack in view."""
        workspace = self._dialogue.workspace
        here = None if workspace is None else workspace.here()
        if here is None:
            self._box.show_series(ObjectSeries(), 0)
        else:
            self._box.show_series(self._series(self._prompting.object_id), here[1])

    def go_to(self, frame: int) -> None:
        """Show a frame."""
        if self._dialogue.workspace is not None:
            self._dialogue.workspace.go_to(frame)

    def next_doubtful(self, step: int = 1) -> None:
        """Go to the next doubtful frame of the current object, forwards or backwards."""
        self._go_on(self._series(self._prompting.object_id).doubtful.keys(), step)

    def next_prompted(self, step: int = 1) -> None:
        """Go to the next prompted frame of the current object, forwards or backwards."""
        self._go_on(self._series(self._prompting.object_id).prompted, step)

    def accept(self, what: str) -> None:
        """Accept "here", "frame", "object" or "all"; once more takes that of a frame back."""
        workspace = self._dialogue.workspace
        here = None if workspace is None else workspace.here()
        if workspace is None or here is None:
            return
        (place, frame), number = here, self._prompting.object_id
        shelf = self._dialogue.shelf
        objects = shelf.objects(place) if what in ("frame", "all") else (number,)
        everywhere = what in ("object", "all")
        if everywhere:
            spots = {(place, each, f) for each in objects for f in shelf.frames(place, each)}
        else:
            spots = {(place, each, frame) for each in objects if shelf.has(place, each, frame)}
        if spots:
            self._accept(workspace.said.accepted, frozenset(spots), lift=not everywhere)

    def _accept(
        self, accepted: frozenset[MaskKey], spots: frozenset[MaskKey], *, lift: bool
    ) -> None:
        if lift and spots <= accepted:
            self._dialogue.say("lifting of acceptance", accepted=accepted - spots)
        elif spots - accepted:
            self._dialogue.say("acceptance", accepted=accepted | spots)

    def _go_on(self, frames: object, step: int) -> None:
        workspace = self._dialogue.workspace
        here = None if workspace is None else workspace.here()
        if here is not None:
            target = next_frame(frames, here[1], step)  # type: ignore[arg-type]
            if target is not None:
                self.go_to(target)

    def _series(self, object_id: int) -> ObjectSeries:
        workspace = self._dialogue.workspace
        here = None if workspace is None else workspace.here()
        if workspace is None or here is None:
            return ObjectSeries()
        place = here[0]
        records = self._dialogue.shelf.records(place, object_id)
        return series(object_id, workspace.n_frames, records, self._dialogue.wanted(place))
