"""Converts a stack's annotations to a `SessionFile` and back. Any thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from napari_sam2.labels import PackedMask
from napari_sam2.prompts import (
    FramePrompt,
    JsonScalar,
    PromptBook,
    SessionFile,
    of_channels,
    of_kind,
)
from napari_sam2.stack import MAX_CHANNELS
from napari_sam2.stack.fingerprint import same_fingerprint
from napari_sam2.types import ObjectFrame, Region
from napari_sam2.widgets.state.image_source import ChannelChoice
from napari_sam2.widgets.state.positions import StackPosition
from napari_sam2.widgets.state.session_spec import Annotations, SessionFeedback, SessionSpec

_LAYERS = ("layer_2", "layer_3")  # settings: names of the layers of further channels
_PIXELS = "pixels"  # setting: fingerprint of the image


@dataclass(frozen=True, slots=True, eq=False)
class StackSession:
    """All that is to be kept of the work on one stack of an image.

    Attributes
    ----------
    spec : SessionSpec
    annotations : Annotations
        Prompts and acceptance as the window has them.
    feedback : SessionFeedback
        What the session has made of the prompts.
    names : mapping of int to str
        Names of objects.
    handed_over : frozenset of ObjectFrame
        Masks that nobody drew: they came from the volume before.
    found : frozenset of int
        Objects that were found automatically and that nobody has looked at.
    """

    spec: SessionSpec
    annotations: Annotations
    feedback: SessionFeedback = field(default_factory=SessionFeedback)
    names: Mapping[int, str] = field(default_factory=dict)
    handed_over: frozenset[ObjectFrame] = frozenset()
    found: frozenset[int] = frozenset()

    def says_the_same(self, other: StackSession | None) -> bool:
        """Whether the files of both would be the same, as far as can be told without pixels."""
        return (
            other is not None
            and self.feedback is other.feedback
            and self.annotations == other.annotations
            and self.names == other.names
            and self.handed_over == other.handed_over
            and self.found == other.found
        )


def session_file(work: StackSession, pixels: str | None = None) -> SessionFile:
    """Make a session file; accepted masks are those of the labels now.

    Parameters
    ----------
    work : StackSession
    pixels : str, optional
        Fingerprint of the image.
    """
    spec, labels = work.spec, work.spec.labels
    book = PromptBook(labels.shape)
    results: dict[ObjectFrame, PackedMask] = {}
    for placed in work.annotations.prompts:
        pair = placed.object_frame
        known = None if work.feedback.book is None else work.feedback.book.get(*pair)
        prompt = _with_rounds(pair, placed.prompt, work.feedback, known)
        if prompt is not None:
            book.put(*pair, prompt)
            result = work.feedback.results.get(pair)
            if result is not None and prompt is known:
                results[pair] = result
    settings: dict[str, JsonScalar] = {
        "model": spec.use.model,
        "device": spec.use.device,
        "precision": spec.use.precision,
        "speed": spec.use.speed.value,
        "channel_axis": spec.source.channel_axis,
        **({} if spec.source.picked is None else of_channels(spec.source.picked)),
        **of_kind(spec.source.kind),
        **dict(zip(_LAYERS, spec.source.further, strict=False)),
        **({} if pixels is None else {_PIXELS: pixels}),
    }
    return SessionFile.of_masks(
        book,
        work.annotations.accepted,
        lambda frame: labels[frame].copy(),  # the session may be writing to it
        ((pair, packed.corner_and_part()) for pair, packed in results.items()),
        handed_over=work.handed_over,
        found=work.found,
        settings=settings,
        contrast=spec.source.contrast or (),
        axis=spec.axis,
        at=dict(spec.held),
        region=spec.source.region,
        names=work.names,
        divisions=work.annotations.divisions,
        spans=work.feedback.spans,
    )


def position_of(saved: SessionFile, shape: tuple[int, ...]) -> StackPosition | None:
    """Find the stack of an image of this shape that a session was made for; None if none is."""
    leading = range(len(shape) - 2)
    if saved.axis is not None and saved.axis not in leading:
        return None
    frames = 1 if saved.axis is None else shape[saved.axis]
    picked = picked_channels(saved, shape)
    at = dict(saved.at) if picked is None else {**saved.at, picked.axis: 0}
    others = [axis for axis in leading if axis != saved.axis]
    region = saved.region or Region(0, 0, *shape[-2:])
    inside = min(region.y0, region.x0) >= 0 and region.y1 <= shape[-2] and region.x1 <= shape[-1]
    if saved.book.shape != (frames, *region.shape) or not inside:
        return None
    if any(not 0 <= at.get(axis, -1) < shape[axis] for axis in others):
        return None
    return tuple((axis, at[axis]) for axis in others)


def is_of_pixels(saved: SessionFile, pixels: str | None) -> bool:
    """Tell whether a session may be of an image with this fingerprint.

    Files of earlier versions have none; nor has an image that cannot be read.
    """
    known = saved.settings.get(_PIXELS)
    return known is None or pixels is None or same_fingerprint(str(known), pixels)


def further_layers(saved: SessionFile) -> tuple[str, ...]:
    """Return the names of the layers that a session composed with its image."""
    return tuple(str(saved.settings[key]) for key in _LAYERS if key in saved.settings)


def picked_channels(saved: SessionFile, shape: tuple[int, ...]) -> ChannelChoice | None:
    """Return which channels of one image of this shape a session composes; None if it does not.

    Colours, and layers that are composed, have their axis elsewhere than the sliders.
    """
    axis = saved.settings.get("channel_axis")
    if not isinstance(axis, int) or axis not in range(len(shape) - 2) or axis == saved.axis:
        return None
    channels = saved.channels or tuple(range(min(shape[axis], MAX_CHANNELS)))
    return ChannelChoice(axis, channels) if all(each < shape[axis] for each in channels) else None


def _with_rounds(
    pair: ObjectFrame, prompt: FramePrompt, feedback: SessionFeedback, known: FramePrompt | None
) -> FramePrompt | None:
    """Return a prompt as it replays, which is round by round where the session has `known` it.

    None if the session refused it: it would refuse the replay.
    """
    if pair in feedback.refused:
        return None if feedback.refused[pair] == prompt else prompt
    if known is None or not prompt.is_nearly(known):
        return prompt
    return known
