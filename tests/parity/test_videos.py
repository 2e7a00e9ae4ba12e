"""Whole videos: the public session against the reference's video predictor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from parity_data import stored

from napari_sam2.tracking import Model, TrackingSession, TrackingSettings
from napari_sam2.types import Direction, FrameMasks

if TYPE_CHECKING:
    from oracle import OracleVideo, Pair, Prompt

pytestmark = pytest.mark.parity

TOLERANCE = 0.02
EXACT = TrackingSettings(overlap=True, max_hole=0, min_island=0, max_conditioning=None)
SHAPE = (256, 256)


def rectangle(y0: int, x0: int, y1: int, x1: int) -> NDArray[np.bool_]:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


CLICK = {"points": [(124, 109)], "positive": [True]}
OTHER_CLICKS = {"points": [(60, 180), (124, 109)], "positive": [True, False]}
BOX = {"box": (138, 55, 189, 74)}
MASK = {"mask": rectangle(175, 75, 213, 105)}

SCENARIOS: dict[str, tuple[str, list[tuple[int, int, dict[str, Any]]]]] = {
    "click": ("forward", [(1, 0, CLICK)]),
    "clicks, backward": ("backward", [(1, 7, OTHER_CLICKS)]),
    "box, backward": ("backward", [(1, 6, BOX)]),
    "mask": ("forward", [(1, 0, MASK)]),
    "four objects": ("forward", [(1, 0, CLICK), (2, 0, BOX), (3, 0, MASK), (4, 0, OTHER_CLICKS)]),
    "objects one after another": ("forward", [(1, 0, CLICK), (2, 3, BOX), (3, 5, MASK)]),
    "click refined twice": (
        "forward",
        [
            (1, 0, CLICK),
            (1, 0, {"points": [(60, 60)], "positive": [False]}),
            (1, 0, {"points": [(140, 120)], "positive": [True]}),
        ],
    ),
    "box refined": ("forward", [(1, 0, BOX), (1, 0, {"points": [(150, 60)], "positive": [False]})]),
    "three prompted frames": ("forward", [(1, 1, CLICK), (1, 4, MASK), (1, 6, BOX)]),
    "three prompted frames, backward": ("backward", [(1, 1, CLICK), (1, 4, MASK), (1, 6, BOX)]),
}


@pytest.fixture(scope="session")
def frames() -> NDArray[np.uint8]:
    return stored("video_frames")["frames"][:8]


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
