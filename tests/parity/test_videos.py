"""Whole videos: the public session against the reference's video predictor.

Each direction starts from the prompts alone, as ours does: on a state that has tracked forward
already, the reference goes backward with the memories of the frames ahead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from parity_data import stored
from reference_weights import PRESENT_BIAS

from napari_sam2.network import upsample_masks
from napari_sam2.tracking import Model, TrackingSession, TrackingSettings
from napari_sam2.types import Direction, FrameMasks

if TYPE_CHECKING:
    from oracle import OracleVideo, Pair, Prompt

pytestmark = pytest.mark.parity

TOLERANCE = 0.02
EXACT = TrackingSettings.like_reference()
SHAPE = (256, 256)


def rectangle(y0: int, x0: int, y1: int, x1: int) -> NDArray[np.bool_]:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


CLICK = {"points": [(124, 109)], "positive": [True]}
OTHER_CLICKS = {"points": [(60, 180), (124, 109)], "positive": [True, False]}
BOX = {"box": (138, 55, 189, 74)}
MASK = {"mask": rectangle(175, 75, 213, 105)}

# Direction, and (object, frame, prompt) in the order in which they are given.
SCENARIOS: dict[str, tuple[str, list[tuple[int, int, dict[str, Any]]]]] = {
    "clicks, backward": ("backward", [(1, 5, OTHER_CLICKS)]),
    "four objects": ("forward", [(1, 0, CLICK), (2, 0, BOX), (3, 0, MASK), (4, 0, OTHER_CLICKS)]),
    "objects one after another": ("forward", [(1, 0, CLICK), (2, 2, BOX), (3, 4, MASK)]),
    "click refined twice": (
        "forward",
        [
            (1, 0, CLICK),
            (1, 0, {"points": [(60, 60)], "positive": [False]}),
            (1, 0, {"points": [(140, 120)], "positive": [True]}),
        ],
    ),
    "box refined": ("forward", [(1, 0, BOX), (1, 0, {"points": [(150, 60)], "positive": [False]})]),
    "three prompted frames": ("forward", [(1, 1, CLICK), (1, 3, MASK), (1, 5, BOX)]),
    "three prompted frames, backward": ("backward", [(1, 1, CLICK), (1, 3, MASK), (1, 5, BOX)]),
}


@pytest.fixture(scope="session")
def frames() -> NDArray[np.uint8]:
    return stored("video_frames")["frames"][:7]


@pytest.fixture(scope="session")
def video(pair: Pair, frames: NDArray[np.uint8]) -> OracleVideo:
    from oracle import OracleVideo

    return OracleVideo(pair, frames)


def make_prompts(steps: list[tuple[int, int, dict[str, Any]]]) -> list[Prompt]:
    from oracle import Prompt

    return [Prompt(object_id, frame, **what) for object_id, frame, what in steps]


def new_session(pair: Pair, frames: NDArray[np.uint8]) -> TrackingSession:
    model = Model(pair.ours, "random", torch.device("cpu"), image_size=SHAPE[0])
    return TrackingSession(model, frames, keep_logits=True, settings=EXACT)


def give(session: TrackingSession, prompt: Prompt) -> FrameMasks:
    place = (prompt.object_id, prompt.frame)
    if prompt.mask is not None:
        return session.add_mask(*place, prompt.mask)
    if prompt.box is not None:
        return session.add_box(*place, prompt.box)
    return session.add_points(*place, prompt.points, prompt.positive)


def follow(session: TrackingSession, direction: Direction) -> dict[tuple[int, int], Any]:
    """Return logits by object id and frame."""
    return {
        (object_id, result.frame): logits
        for result in session.propagate(direction)
        for object_id, logits in zip(result.object_ids, result.logits, strict=True)
    }


@pytest.mark.parametrize("name", SCENARIOS)
def test_video(
    pair: Pair, video: OracleVideo, frames: NDArray[np.uint8], name: str, agreement: Any
) -> None:
    direction = Direction(SCENARIOS[name][0])
    prompts = make_prompts(SCENARIOS[name][1])
    their_clicks, theirs = video.run(prompts, direction)
    session = new_session(pair, frames)
    for prompt, mask in zip(prompts, their_clicks, strict=True):
        agreement.check(f"prompt: {name}", give(session, prompt).logits[0], mask, TOLERANCE)
    ours = follow(session, direction)
    assert sorted(ours) == sorted(theirs)
    for place, mask in theirs.items():
        agreement.check(f"video: {name}", ours[place], mask, TOLERANCE)


def test_long_video(pair: Pair, agreement: Any) -> None:
    """More frames than there are memories and pointers."""
    from oracle import OracleVideo, Prompt

    there = stored("video_frames")["frames"]
    frames = np.concatenate([there, there[::-1]])
    prompt = Prompt(1, 0, **CLICK)
    _, theirs = OracleVideo(pair, frames).run([prompt], Direction.FORWARD)
    session = new_session(pair, frames)
    give(session, prompt)
    ours = follow(session, Direction.FORWARD)
    assert len(ours) == len(theirs) == 20
    for place, mask in theirs.items():
        agreement.check("video: twenty frames", ours[place], mask, TOLERANCE)


@pytest.mark.parametrize("direction", [Direction.FORWARD, Direction.BACKWARD])
def test_frames_before_the_prompt(
    pair: Pair, video: OracleVideo, frames: NDArray[np.uint8], direction: Direction, agreement: Any
) -> None:
    """The reference also tracks an object towards its first prompt, without any pointer.

    Our sessions do not, but corrections before an object's prompts meet the same situation.
    """
    from oracle import Prompt

    first, step = (0, 1) if direction is Direction.FORWARD else (len(frames) - 1, -1)
    prompt = Prompt(1, 3, **CLICK)
    state = video.new_state()
    video.prompt(state, prompt)
    theirs = dict(video.propagate(state, first, direction))
    session = new_session(pair, frames)
    give(session, prompt)
    track, propagator = session._tracker.track(1), session._tracker.engine.propagator
    for _, frame in theirs:
        if frame != prompt.frame:
            advance = propagator.track(frame, [track], step, lambda _predictions: set())
            advance.remember()
            logits = advance.predictions[1].logits
            ours = upsample_masks(logits[None, None], *SHAPE)[0, 0]
            agreement.check("video: towards the prompt", ours, theirs[1, frame], TOLERANCE)
    assert len(theirs) == len(frames)


def test_object_that_comes_and_goes(
    pair: Pair, video: OracleVideo, frames: NDArray[np.uint8], agreement: Any
) -> None:
    from oracle import Prompt

    prompt = Prompt(1, 0, **MASK)
    try:
        pair.set_object_score_bias(-2.0)
        session = new_session(pair, frames)
        give(session, prompt)
        presence = np.array([each.presence[0] for each in session.propagate("forward")][1:])
        scores = np.sort(np.log(presence / (1 - presence)))
        widest = int(np.diff(scores).argmax())
        pair.set_object_score_bias(-2.0 - float(scores[widest] + scores[widest + 1]) / 2)
        _, theirs = video.run([prompt], Direction.FORWARD)
        session = new_session(pair, frames)
        give(session, prompt)
        ours = follow(session, Direction.FORWARD)
    finally:
        pair.set_object_score_bias(PRESENT_BIAS)
    absent = [frame for (_, frame), mask in theirs.items() if (mask == -1024).all()]
    assert 0 < len(absent) < len(frames) - 1
    for place, mask in theirs.items():
        agreement.check("video: object that comes and goes", ours[place], mask, TOLERANCE)
