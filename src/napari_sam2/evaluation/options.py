"""Options and protocols of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from napari_sam2.errors import EvaluationError
from napari_sam2.types import StackKind


class PromptKind(StrEnum):
    """The first prompt of each object."""

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
    """The rule for overlapping masks before they are scored.

    ``AUTO`` keeps overlaps in single images, where each object is scored alone as the
    interactive-segmentation literature does, and resolves them in stacks, where the
    labels that a user would save are what counts.
    """

    AUTO = "auto"
    KEEP = "keep"
    RESOLVE = "resolve"

    def keeps_overlaps(self, n_frames: int) -> bool:
        """Return whether the masks of a stack of `n_frames` frames are scored with overlaps."""
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
    clicks : int
        Corrective clicks that each object gets in its prompted frame before anything is
        propagated.
    kind : StackKind, optional
        What the frames of all stacks are; by default what the axes of each image say.

    Raises
    ------
    EvaluationError
        If `max_objects` is below 1, or `rounds` or `clicks` below 0.
    """

    prompt: PromptKind = PromptKind.POINT
    frame: PromptFrame = PromptFrame.MIDDLE
    overlap: OverlapRule = OverlapRule.AUTO
    max_objects: int | None = None
    rounds: int = 0
    baseline: bool = False
    clicks: int = 0
    kind: StackKind | None = None

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
        if self.clicks < 0:
            raise EvaluationError(
                f"{self.clicks} corrective clicks are impossible.",
                remedy="Give a number of 0 or more; 0 leaves the first prompts as they are.",
            )


@dataclass(frozen=True, slots=True)
class PromptProtocol:
    """The prompts of the simulated user for each object, from the first to the last correction.

    Attributes
    ----------
    name : str
        Name in reports.
    prompt : PromptKind
        The first prompt.
    clicks, rounds : int
        Corrections in the prompted frame before the propagation, and rounds of them after it; see
        `EvaluationOptions`.
    """

    name: str
    prompt: PromptKind
    clicks: int = 0
    rounds: int = 0

    @classmethod
    def of(cls, options: EvaluationOptions) -> PromptProtocol:
        """Return a short name of the options."""
        parts = ["click" if options.prompt is PromptKind.POINT else str(options.prompt)]
        if options.clicks:
            parts.append(f"{options.clicks} more")
        if options.rounds:
            parts.append(f"{options.rounds} rounds")
        return cls(", ".join(parts), options.prompt, options.clicks, options.rounds)


STANDARD_PROTOCOLS = (
    PromptProtocol("click", PromptKind.POINT),
    PromptProtocol("box", PromptKind.BOX),
    PromptProtocol("three clicks", PromptKind.POINT, clicks=2),
)
"""One click; one box; one click and two corrective ones in the same frame."""
