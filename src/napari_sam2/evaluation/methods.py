"""The methods that are evaluated, a model or the classical baseline, behind one interface.

torch loads only when a model is opened on a stack: tracking is imported then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_sam2.evaluation.baseline.classical import ClassicalSegmenter
from napari_sam2.evaluation.label_masks import LabelMasks, MaskSource, StoredMasks
from napari_sam2.evaluation.simulated_user import Click, ObjectPrompt
from napari_sam2.labels import LabelsVolume
from napari_sam2.stack import FrameStack
from napari_sam2.types import FrameMasks, Unreadable

if TYPE_CHECKING:
    from napari_sam2.tracking import Model, TrackingSession

BASELINE = "baseline"
"""Name of the classical method in reports."""


class Segmenter(Protocol):
    """Segments one stack from prompts and corrections."""

    @property
    def masks(self) -> MaskSource:
        """The masks as they stand."""

    @property
    def immediate(self) -> bool:
        """Whether each prompt changes the masks at once, independently of other prompts.

        If not, `show` brings the clicked frames up to date with the clicks of all objects.
        """

    def show(self, frames: Collection[int]) -> None:
        """Update the masks of prompted frames without propagating."""

    def prompt(self, prompt: ObjectPrompt) -> None:
        """Add the first prompt of an object."""

    def correct(self, object_id: int, frame: int, click: Click) -> None:
        """Add a corrective click on an object."""

    def planned(self) -> int:
        """Return the number of steps of the next `propagate`."""

    def propagate(self) -> Iterator[int]:
        """Update all frames after the prompts; yields a frame number per step."""


class Method(Protocol):
    """A way to segment stacks."""

    @property
    def name(self) -> str:
        """Name of the method in reports."""

    def open(self, stack: FrameStack, object_ids: Sequence[int], overlap: bool) -> Segmenter:
        """Begin with a stack.

        Parameters
        ----------
        stack : FrameStack
        object_ids : sequence of int
            The objects that will be prompted.
        overlap : bool
            Whether the masks may overlap.
        """


class ModelMethod:
    """A model, in a tracking session.

    Parameters
    ----------
    model : Model
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    @property
    def name(self) -> str:
        """Name of the model."""
        return self._model.name

    def open(self, stack: FrameStack, object_ids: Sequence[int], overlap: bool) -> Segmenter:
        """Begin a session on a stack."""
        from napari_sam2.tracking import TrackingSession, TrackingSettings

        # A figure must not be that of a stack with holes.
        settings = TrackingSettings(overlap=overlap, unreadable=Unreadable.STOP)
        dtype = np.promote_types(np.uint16, np.min_scalar_type(max(object_ids, default=0)))
        labels = LabelsVolume(stack.shape, dtype=dtype).array
        session = TrackingSession(self._model, stack, settings=settings, labels=labels)
        return SessionSegmenter(session, object_ids)


class BaselineMethod:
    """Threshold and watershed; its masks never overlap."""

    @property
    def name(self) -> str:
        """``baseline``."""
        return BASELINE

    def open(self, stack: FrameStack, object_ids: Sequence[int], overlap: bool) -> Segmenter:
        """Begin with a stack."""
        return ClassicalSegmenter(stack, object_ids)


class SessionSegmenter:
    """A tracking session as a segmenter.

    Masks without overlaps are read from its labels; those that may overlap are kept as they come.

    Parameters
    ----------
    session : TrackingSession
    object_ids : sequence of int
        The objects that will be prompted.
    """

    def __init__(self, session: TrackingSession, object_ids: Sequence[int]) -> None:
        self._session = session
        self._kept = StoredMasks(session.frame_shape) if session.settings.overlap else None
        self._labels = LabelMasks(session.labels, object_ids)

    @property
    def masks(self) -> MaskSource:
        """The masks as they stand."""
        return self._labels if self._kept is None else self._kept

    @property
    def immediate(self) -> bool:
        """True: sessions predict a mask for each prompt."""
        return True

    def show(self, frames: Collection[int]) -> None:
        """Do nothing: the masks are up to date after each prompt."""

    def prompt(self, prompt: ObjectPrompt) -> None:
        """Add the first prompt of an object."""
        self._keep(give_prompt(self._session, prompt))

    def correct(self, object_id: int, frame: int, click: Click) -> None:
        """Add a corrective click on an object."""
        self._keep(self._session.add_points(object_id, frame, [click.point], [click.positive]))

    def planned(self) -> int:
        """Return the number of steps of the next `propagate`."""
        return self._session.planned_frames()

    def propagate(self) -> Iterator[int]:
        """Update all frames after the prompts; yields a frame number per step."""
        for result in self._session.propagate():
            self._keep(result)
            yield result.frame

    def _keep(self, result: FrameMasks) -> None:
        if self._kept is not None:
            for object_id, mask in zip(result.object_ids, result.masks, strict=True):
                self._kept.record(object_id, result.frame, mask)


def give_prompt(session: TrackingSession, prompt: ObjectPrompt) -> FrameMasks:
    """Set the prompt of one object in a session.

    Raises
    ------
    EvaluationError
        If the prompt holds neither a point nor a box.
    """
    asked = prompt.frame_prompt()
    return session.set_prompt(prompt.object_id, prompt.frame, asked)
