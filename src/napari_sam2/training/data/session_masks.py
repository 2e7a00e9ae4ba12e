"""Training data from the accepted and prompted masks of a session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.errors import FrameError
from napari_sam2.prompts import FramePrompt, PromptBook
from napari_sam2.stack import FrameStack
from napari_sam2.types import ObjectFrame

_MOST_FRAMES = 32

_Value = TypeVar("_Value")


class MaskedSession(Protocol):
    """The interface of a session that is read here, as of `napari_sam2.TrackingSession`."""

    prompts: PromptBook
    handed_over: set[ObjectFrame]

    @property
    def stack(self) -> FrameStack:
        """The frames."""

    @property
    def accepted(self) -> tuple[ObjectFrame, ...]:
        """Accepted objects and frames."""

    @property
    def labels(self) -> Any:
        """The labels (T, Y, X)."""


@dataclass(frozen=True, slots=True, eq=False)
class MaskedFrame:
    """One frame with its masks.

    Attributes
    ----------
    frame : int
        Number of the frame in the stack.
    image : ndarray of uint8, shape (Y, X, C)
        Pixels in the contrast of the session; C is 1 or 3.
    masks : ndarray of int32, shape (Y, X)
        Ids of the objects with masks; 0 elsewhere.
    object_ids : tuple of int
        The same ids, ascending.
    background : tuple of (float, float)
        Clicks (y, x) on the background.
    """

    frame: int
    image: NDArray[np.uint8]
    masks: NDArray[np.int32]
    object_ids: tuple[int, ...]
    background: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class SessionMasks:
    """All masks of a session that can be trained on.

    Attributes
    ----------
    frames : tuple of MaskedFrame
        By number.
    decided : frozenset of ObjectFrame
        Objects and frames whose masks are the user's: accepted, drawn, or corrected. The others
        are predictions from one prompt that the user did not correct.
    skipped : tuple of str
        Errors of the frames that could not be read.
    """

    frames: tuple[MaskedFrame, ...]
    decided: frozenset[ObjectFrame]
    skipped: tuple[str, ...] = ()

    @property
    def pairs(self) -> tuple[ObjectFrame, ...]:
        """Object and frame of every mask, frame by frame."""
        return tuple(
            ObjectFrame(number, each.frame) for each in self.frames for number in each.object_ids
        )


def read_session_masks(session: MaskedSession, most_frames: int = _MOST_FRAMES) -> SessionMasks:
    """Read the accepted and the prompted masks of a session.

    Masks that were handed over from another volume count only where they were accepted. Masks
    without a pixel do not count.

    Parameters
    ----------
    session : MaskedSession
    most_frames : int
        Most frames to read, evenly spread over those that have masks.
    """
    prompts = {ObjectFrame(number, frame): prompt for number, frame, prompt in session.prompts}
    accepted = frozenset(session.accepted)
    given = accepted | (prompts.keys() - session.handed_over)
    frames, skipped = [], []
    for frame in spread(sorted({pair.frame for pair in given}), most_frames):
        ids = {pair.object_id for pair in given if pair.frame == frame}
        try:
            found = _read(session, frame, ids, prompts)
        except FrameError as error:
            skipped.append(error.happened)
        else:
            if found is not None:
                frames.append(found)
    decided = accepted | {pair for pair in given - accepted if _is_decided(prompts[pair])}
    return SessionMasks(tuple(frames), frozenset(decided), tuple(skipped))


def _read(
    session: MaskedSession, frame: int, ids: Set[int], prompts: Mapping[ObjectFrame, FramePrompt]
) -> MaskedFrame | None:
    """Read a frame; None if none of the objects has a pixel there."""
    plane = np.asarray(session.labels[frame])
    masks = np.where(np.isin(plane, sorted(ids)), plane, 0).astype(np.int32)
    found = tuple(int(number) for number in np.unique(masks) if number)
    if not found:
        return None
    here = (prompt for pair, prompt in prompts.items() if pair.frame == frame)
    background = tuple(
        point
        for prompt in here
        for point, positive in zip(prompt.points, prompt.positive, strict=True)
        if not positive
    )
    picture = np.rint(session.stack.read(frame) * 255.0).astype(np.uint8)
    return MaskedFrame(frame, picture, masks, found, background)


def _is_decided(prompt: FramePrompt) -> bool:
    return prompt.mask is not None or len(prompt.points) + (prompt.box is not None) > 1


def spread(values: Sequence[_Value], most: int) -> list[_Value]:
    """Return at most `most` evenly spaced values, the first and the last included."""
    if len(values) <= most:
        return list(values)
    return [values[i] for i in np.linspace(0, len(values) - 1, most).round().astype(int)]


UNKNOWN = -1
"""Label of an unknown pixel, which the losses ignore."""

_LEAST_RIM = 2.0  # pixels
_CLICK_RADIUS = 2  # pixels around a click on the background


def known_labels(
    masks: NDArray[np.integer],
    rim: float,
    background: Iterable[tuple[float, float]] = (),
    hidden: NDArray[np.bool_] | None = None,
) -> NDArray[np.int32]:
    """Return labels in which known background and unlabelled pixels differ.

    A rim of pixels around each mask is background, unless it belongs to another mask, and so are
    background clicks. All other pixels are unknown: they may belong to objects without a mask.

    Parameters
    ----------
    masks : ndarray of integers, shape (Y, X)
        Ids of the objects that have masks, 0 elsewhere.
    rim : float
        Width of the rim, relative to the diameter of the disc of the object's area; at least two
        pixels. Infinite: every other pixel is background.
    background : iterable of (y, x)
        Clicks on the background.
    hidden : ndarray of bool, shape (Y, X), optional
        Pixels that stay unknown in any case.

    Returns
    -------
    ndarray of int32, shape (Y, X)
        The ids, 0 for known background and `UNKNOWN`.
    """
    if np.isinf(rim):
        labels = masks.astype(np.int32)
    else:
        labels = np.full(masks.shape, UNKNOWN, np.int32)
        for box, object_id in _boxes(masks):
            _add_object(labels, masks, box, object_id, rim)
        for point in background:
            _add_click(labels, point)
    if hidden is not None:
        labels[hidden] = UNKNOWN
    return labels


def _boxes(masks: NDArray[np.integer]) -> list[tuple[tuple[slice, slice], int]]:
    found = ndimage.find_objects(masks.astype(np.int32))
    return [(box, number + 1) for number, box in enumerate(found) if box is not None]


def _add_object(
    labels: NDArray[np.int32],
    masks: NDArray[np.integer],
    box: tuple[slice, slice],
    object_id: int,
    rim: float,
) -> None:
    """Write an object and a rim of background around it where no other object is."""
    area = int(np.count_nonzero(masks[box] == object_id))
    width = max(_LEAST_RIM, rim * 2.0 * float(np.sqrt(area / np.pi)))
    reach = int(np.ceil(width))
    around = tuple(slice(max(0, side.start - reach), side.stop + reach) for side in box)
    here = labels[around]
    near = ndimage.distance_transform_edt(masks[around] != object_id) <= width
    here[near & (masks[around] == 0)] = 0
    here[masks[around] == object_id] = object_id


def _add_click(labels: NDArray[np.int32], point: tuple[float, float]) -> None:
    y, x = (round(float(value)) for value in point)
    rows = slice(max(0, y - _CLICK_RADIUS), y + _CLICK_RADIUS + 1)
    columns = slice(max(0, x - _CLICK_RADIUS), x + _CLICK_RADIUS + 1)
    here = labels[rows, columns]
    here[here == UNKNOWN] = 0
