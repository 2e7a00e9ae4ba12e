"""The status controller: shows the next hint or the current activity.

Main thread only.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_sam2.widgets.controllers.adapting import OFFERED_FROM
from napari_sam2.widgets.state.hints import (
    WEAK_SCORE,
    ContrastState,
    Situation,
    Weakness,
    hint,
)
from napari_sam2.widgets.state.positions import StackPosition
from napari_sam2.widgets.throttle import Throttle, halt, single_shot

if TYPE_CHECKING:
    from napari_sam2.widgets.controllers.adapting import AdaptController
    from napari_sam2.widgets.controllers.annotation import AnnotationController
    from napari_sam2.widgets.controllers.image import ImageController
    from napari_sam2.widgets.controllers.model import ModelController
    from napari_sam2.widgets.controllers.propagation import PropagationController
    from napari_sam2.widgets.state.image_source import Limits
    from napari_sam2.widgets.state.session_spec import Annotations
    from napari_sam2.widgets.views.panel_view import PanelView

_PATIENCE_MS = 300


class StatusController(QObject):
    """Shows the hint, and which parts of the panel can be used.

    Parameters
    ----------
    views : PanelView
    images : ImageController
    models : ModelController
    annotation : AnnotationController
    propagation : PropagationController
    adapting : AdaptController
        These tell where the user is. What changes seldom (channels, earlier work, outcomes of
        runs, the number of masks to learn from) is looked at only when it has changed.
    throttle : Throttle
        In time with which the hint changes: a click and its mask change it once, not twice.
    """

    def __init__(
        self,
        views: PanelView,
        images: ImageController,
        models: ModelController,
        annotation: AnnotationController,
        propagation: PropagationController,
        adapting: AdaptController,
        throttle: Throttle,
    ) -> None:
        super().__init__()
        self._views, self._images, self._models = views, images, models
        self._annotation, self._propagation, self._adapting = annotation, propagation, adapting
        self._closed = False
        self._shows_little = False
        self._awaits_part = False
        self._resumes = False  # earlier work is offered
        self._limits: Limits | None = None  # of the chosen channels now
        self._outcomes: dict[StackPosition, str] = {}  # how the last run of each stack ended
        self._phase = ""
        self._shown: Situation | None = None  # whose hint is shown
        self._steps = ("", "")
        self._started: tuple[object, ...] = ()
        self._masks: int | None = -1  # to learn from, as last shown; None: no stack or no model
        self._patience = single_shot(self, self._show_phase, _PATIENCE_MS)
        self._throttle = throttle
        for signal in (images.changed, images.replaced, images.channels.changed):
            signal.connect(self._look_at_channels)
        views.offer_changed.connect(self._look_at_offer)
        propagation.outcome_changed.connect(self._note_outcome)
        for signal in (annotation.prompted, annotation.edited, annotation.rewound):
            signal.connect(self.forget_outcomes)
        self._look_at_channels()

    def soon(self) -> None:
        """Show the next hint a little later, unless that is due already."""
        self._throttle.soon(self.show)

    def show(self) -> None:
        """Show the next hint now."""
        if self._closed:
            return
        here = self._annotation.here
        annotations = None if here is None else self._annotation.annotations(here[0])
        situation = self._situation(here, annotations)
        if situation != self._shown:
            self._shown = situation
            self._views.show_hint(hint(situation))
            self._views.show_contrast(situation.contrast is ContrastState.CHANGED)
        possible = situation.has_image and situation.has_model
        started = situation.started, possible, self._models.use.speed
        if started != self._started:
            self._started = started
            self._views.show_started(situation.started, possible=possible)
        masks = None if annotations is None or not situation.has_model else annotations.n_masks
        if masks != self._masks:
            self._masks = masks
            self._adapting.show(None if here is None else here[0])
        undo_stack = self._annotation.undo_stack
        undo, redo = undo_stack.next_undo, undo_stack.next_redo
        steps = undo.title if undo else "", redo.title if redo else ""
        if steps != self._steps:
            self._steps = steps
            self._views.history.show_steps(*steps)

    def busy(self, text: str) -> None:
        """Say what the worker is busy with, if it is so for long."""
        self._phase = text
        if not self._patience.isActive():
            self._patience.start()

    def judge_contrast(self, shows_little: bool) -> None:
        """Note whether the model sees nearly everything black or white."""
        self._shows_little = shows_little
        self.soon()

    def quiet(self) -> None:
        """Show the next hint instead of the current activity."""
        self._phase = ""
        halt(self._patience)
        self._throttle.soon(self.show)

    def forget_outcomes(self, positions: tuple[StackPosition, ...]) -> None:
        """Forget how the last run of these stacks ended: it is out of date."""
        for position in positions:
            self._outcomes.pop(position, None)

    def left(self) -> None:
        """Forget how all runs ended: the image is left."""
        self._outcomes.clear()

    def close(self) -> None:
        """Touch no view any more."""
        self._closed = True
        halt(self._patience)
        self._throttle.drop(self.show)

    def _look_at_channels(self, _image: object = None) -> None:
        channels = self._images.channels
        self._awaits_part, self._limits = channels.awaits_part, channels.contrast

    def _look_at_offer(self) -> None:
        self._resumes = self._views.offers_work

    def _note_outcome(self, position: StackPosition, text: str) -> None:
        self._outcomes[position] = text

    def _show_phase(self) -> None:
        if self._phase and not self._closed:
            self._shown = None
            self._views.show_hint(self._phase)

    def _situation(
        self, here: tuple[StackPosition, int] | None, annotations: Annotations | None
    ) -> Situation:
        """Say where the user is; during a run nothing is counted that the hint is not about."""
        workspace, propagation = self._annotation.workspace, self._propagation
        now = Situation(
            has_image=self._images.image is not None,
            has_model=self._models.has_model,
            awaits_server=self._models.awaits_server,
            fetching=self._models.fetching,
            awaits_part=self._awaits_part,
            resumes=self._resumes,
            started=workspace is not None,
            running=propagation.position is not None,
            paused=propagation.paused,
            cancelling=propagation.cancelling,
            outside=workspace is not None and here is None,
            contrast=self._contrast(),
        )
        if workspace is None or here is None or annotations is None or now.running:
            return now
        prompts, records = self._annotation.prompts, self._annotation.object_records
        prompted = Counter([each.object_id for each in prompts.at(here[0])])
        many = len(annotations.accepted) >= OFFERED_FROM
        return replace(
            now,
            n_prompted=len(prompted),
            fresh=workspace.marks.object_id not in prompted,
            n_frames=workspace.n_frames,
            followed=records.follows(here[0], prompted),
            ignored=prompts.ignored,
            rolled=workspace.rolled(),
            weakness=self._weakness(*here),
            outdated=len(frozenset().union(*records.outdated(here[0]).values())),
            teaches=many and self._adapting.offered(here[0]),
            outcome=self._outcomes.get(here[0], ""),
        )

    def _contrast(self) -> ContrastState:
        """Compare the contrast that the model sees with that of the layers."""
        seen, now = self._images.seen, self._limits
        if seen is None or seen.contrast is None:
            return ContrastState.AS_SEEN
        if now is not None and len(now) == len(seen.contrast) and now != seen.contrast:
            return ContrastState.CHANGED
        return ContrastState.HIDES if self._shows_little else ContrastState.AS_SEEN

    def _weakness(self, position: StackPosition, frame: int) -> Weakness | None:
        """Say what is wrong with the prompted mask of the current object in a frame."""
        workspace, annotation = self._annotation.workspace, self._annotation
        if workspace is None:
            return None
        number = workspace.marks.object_id
        record = annotation.object_records.record(position, number, frame)
        score = None if record is None else record.score
        if record is None or score is None or not record.area:
            return None
        if score >= WEAK_SCORE and not record.filling:
            return None
        prompt = annotation.prompts.get(position, number, frame)
        accepted = (position, number, frame) in workspace.user_state.accepted
        if prompt is None or prompt.mask is not None or accepted:
            return None
        boxed = prompt.box is not None
        one_click = len(prompt.points) == 1 and not boxed
        adapts = self._adapting.possible(position)
        return Weakness(score, record.filling, boxed, one_click, adapts)
