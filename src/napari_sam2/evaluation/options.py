"""What an evaluation is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from napari_sam2.errors import EvaluationError


class PromptKind(StrEnum):
    """What the simulated user gives for each object first."""

    POINT = "point"
    BOX = "box"


class PromptFrame(StrEnum):
    """In which frame of its life an object gets its first prompt.

    ``BEST`` is the largest, and ``WHOLE`` the first, of the frames in which it does not touch
    the frame's edge; of an object that always does, the largest or the first of all.
    """

    MIDDLE = "middle"
    FIRST = "first"
    LARGEST = "largest"
    BEST = "best"
    WHOLE = "first-whole"


class OverlapRule(StrEnum):
    """Whether masks may overlap before they are scored.

    ``AUTO`` keeps overlaps in single images, where each object is scored alone as the
    interactive-segmentation literature does, and resolves them in stacks, where the
    labels that a user would save are what counts.
    """

    AUTO = "auto"
    KEEP = "keep"
    RESOLVE = "resolve"

    def keeps_overlaps(self, n_frames: int) -> bool:
        """Whether the masks of a stack of `n_frames` frames are scored with overlaps."""
        if self is OverlapRule.AUTO:
            return n_frames == 1
        return self is OverlapRule.KEEP


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """The protocol of an evaluation.

    Attributes
    ----------
    prompt : PromptKind
        One click on the most interior pixel, or the bounding box.
    frame : PromptFrame
        The frame that gets the first prompt.
    overlap : OverlapRule
        Whether masks may overlap before they are scored.
    max_objects : int, optional
        At most this many objects per sequence, evenly spread over the ids; None: all.
    rounds : int
        Rounds of one corrective click per object after the first prompts.
    baseline : bool
        Whether the classical baseline is evaluated beside the model.

    Raises
    ------
    EvaluationError
        If `max_objects` is below 1 or `rounds` below 0.
    """

    prompt: PromptKind = PromptKind.POINT
    frame: PromptFrame = PromptFrame.MIDDLE
    overlap: OverlapRule = OverlapRule.AUTO
    max_objects: int | None = None
    rounds: int = 0
    baseline: bool = False

    def __post_init__(self) -> None:
        if self.max_objects is not None and self.max_objects < 1:
            raise EvaluationError(
                f"At most {self.max_objects} objects per sequence leaves nothing to score.",
                remedy="Give a number of 1 or more.",
            )
        if self.rounds < 0:
            raise EvaluationError(
                f"{self.rounds} rounds of corrections are impossible.",
                remedy="Give a number of 0 or more; 0 scores the first prompts.",
            )
