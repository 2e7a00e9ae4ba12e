"""Objects of a volume are found again in the next one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_sam2.stack import FrameStack
from napari_sam2.tracking import TrackingSession, load_model
from napari_sam2.tracking.volume_series import VolumeHandover, follow_series, hand_over, key_frames
from napari_sam2.types import Direction, FrameMasks


class Shifting:
    """A session whose objects move one pixel down per step, and some of which are gone."""

    def __init__(self, frame: int, gone: set[tuple[int, int]]) -> None:
        self.frame, self.gone = frame, gone
        self.masks: dict[int, np.ndarray] = {}
        self.asked: tuple | None = None

    def set_prompt(self, object_id, frame, prompt) -> None:
        self.masks[object_id] = prompt.mask

    def propagate(self, direction, start, stop):
        self.asked = direction, start, stop
        order = (
            range(start, stop) if direction is Direction.FORWARD else range(stop - 1, start - 1, -1)
        )
        for shift, frame in enumerate(order):
            masks = [
                np.roll(mask, shift, axis=0) & ((number, self.frame) not in self.gone)
                for number, mask in self.masks.items()
            ]
            ones = np.ones(len(masks), np.float32)
            yield FrameMasks(frame, tuple(self.masks), np.stack(masks), ones, ones)


@pytest.fixture
def volume():
    """Object 1 is largest in frame 3, object 2 only in frame 5, object 9 everywhere."""
    labels = np.zeros((7, 20, 20), np.uint16)
    for frame, side in enumerate((2, 3, 4, 6, 4, 0, 0)):
        labels[frame, :side, :side] = 1
    labels[5, 10:14, 10:14] = 2
    labels[:, 16:18, :3] = 9
    return labels


@pytest.fixture
def handover():
    def make(here=2, there=3, gone=(), stopped=lambda: False):
        opened: list[Shifting] = []

        def open_session(frame: int) -> Shifting:
            opened.append(Shifting(frame, set(gone)))
            return opened[-1]

        return VolumeHandover(here, there, open_session, stopped), opened

    return make


def test_each_object_is_followed_where_most_of_it_is(volume, handover):
    way, opened = handover()
    seeds = hand_over(volume, {1, 2}, way)
    assert [(s.object_id, s.frame) for s in seeds] == [(1, 3), (2, 5)]
    assert np.array_equal(seeds[0].mask, np.roll(volume[3] == 1, 1, axis=0))
    assert [o.asked for o in opened] == [(Direction.FORWARD, 2, 4)] * 2


def test_it_also_goes_back(volume, handover):
    way, opened = handover(here=4, there=3)
    assert len(hand_over(volume, {1}, way)) == 1
    assert opened[0].asked == (Direction.BACKWARD, 3, 5)


def test_objects_of_one_frame_share_a_session(volume, handover):
    volume[3, 10:15, 10:15] = 4
    way, opened = handover()
    assert {s.object_id for s in hand_over(volume, {1, 4}, way)} == {1, 4}
    assert [(o.frame, set(o.masks)) for o in opened] == [(3, {1, 4})]


def test_an_object_that_left_its_frame_is_searched_towards_its_ends(volume, handover):
    way, opened = handover(gone=[(1, 3), (1, 1), (2, 5)])
    seeds = hand_over(volume, {1, 2, 9, 77}, way)
    assert [(s.object_id, s.frame) for s in seeds] == [(1, 4), (9, 0)]
    assert [o.frame for o in opened] == [0, 3, 5, 1, 4]


def test_it_can_be_stopped(volume, handover):
    asked = []
    way, opened = handover(stopped=lambda: len(asked) > 0 or asked.append(1))
    assert hand_over(volume, {1, 2}, way) == ()
    assert len(opened) == 1


def series(found: dict[int, list[str]], most: int = 9) -> tuple[list, list]:
    """Follow volumes 0 to 3, stopped after `most`; return all results and what was handed on."""
    given = []

    def follow(volume, handed):
        given.append((volume, handed))
        return iter(found.get(volume, ()))

    def pass_on(here, there):
        assert there == here + 1
        return (f"of {here}",) if found.get(here) else ()

    return list(follow_series(range(4), follow, pass_on, lambda: len(given) >= most)), given


def test_what_is_found_in_a_volume_is_given_to_the_next_one():
    results, given = series({0: ["a", "b"], 1: ["c"], 3: ["d"]})
    assert results == [(0, "a"), (0, "b"), (1, "c"), (3, "d")]
    assert given == [(0, ()), (1, ("of 0",)), (2, ("of 1",)), (3, ())]


def test_a_series_ends_before_the_volume_where_it_is_stopped():
    results, given = series({n: ["x"] for n in range(4)}, most=2)
    assert [volume for volume, _ in given] == [0, 1]
    assert results == [(0, "x"), (1, "x")]


@given(
    hnp.arrays(np.uint8, st.tuples(*[st.integers(1, 5)] * 3), elements=st.integers(0, 3)),
    st.sets(st.integers(1, 4)),
)
def test_key_frames_hold_their_object_and_begin_with_the_fullest(volume, ids):
    found = key_frames(volume, ids)
    assert set(found) == ids & set(np.unique(volume).tolist())
    for number, frames in found.items():
        areas = (volume == number).sum(axis=(1, 2))
        assert areas[frames[0]] == areas.max()
        assert len(set(frames)) == len(frames) <= 3
        assert all(areas[frame] for frame in frames)


def test_a_real_session_finds_an_object_that_has_moved():
    """A ball of 9 pixels radius moves by (1, 5, 4) between two volumes."""
    z, y, x = np.mgrid[:9, :96, :96]
    truth = np.stack(
        [
            np.hypot((z - cz) * 2, np.hypot(y - cy, x - cx)) < 9
            for cz, cy, cx in [(4, 40, 44), (5, 45, 48)]
        ]
    )
    image = np.where(truth, 180, 40) + np.random.default_rng(0).normal(0, 8, truth.shape)
    image = image.clip(0, 255).astype(np.uint8)
    model = load_model("bundled", "cpu")

    def open_session(frame: int) -> TrackingSession:
        return TrackingSession(model, FrameStack(image, 0, at={1: frame}, contrast=(0, 255)))

    (seed,) = hand_over(truth[0] * np.uint16(3), {3}, VolumeHandover(0, 1, open_session))
    assert (seed.object_id, seed.frame) == (3, 4)
    there = truth[1, 4]
    assert (seed.mask & there).sum() / (seed.mask | there).sum() > 0.8
