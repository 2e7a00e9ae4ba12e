"""In a time-lapse, found objects are looked for again where they were followed to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dividing_cell import FIRST, FRAMES, dividing_cell

from napari_sam2 import TrackingSession, load_model
from napari_sam2.errors import LabelsError, LineageError, SessionError
from napari_sam2.stack import FrameStack
from napari_sam2.tracking.automatic import find_and_follow
from napari_sam2.types import Division, Region


@pytest.fixture(scope="module")
def image():
    return dividing_cell()


@pytest.fixture(scope="module")
def model():
    return load_model("bundled", device="cpu")


@pytest.fixture
def followed(model, image):
    """The cells of frame 0 as far as frame 8, where the one that has divided is still one."""
    session = TrackingSession(model, image, kind="time-lapse")
    session.find_objects(0)
    list(session.propagate("forward", 0, 9))
    assert session.object_ids == (1, 2)
    return session


def found_in(session: TrackingSession) -> list[list[int]]:
    return [sorted(set(np.unique(plane).tolist()) - {0}) for plane in session.labels]


@pytest.mark.parametrize("frame", [0, FIRST])
def test_a_cell_that_divides_is_three_objects_forward_and_backward(model, image, frame):
    session = TrackingSession(model, image, kind="time-lapse")
    list(find_and_follow(session, frame, every=4))
    seen = found_in(session)
    assert [len(each) for each in seen] == [2] * FIRST + [3] * (FRAMES - FIRST)
    (division,) = session.divisions
    assert division.frame == FIRST
    assert all(division.parent in each for each in seen[:FIRST])
    assert all(set(division.children) <= set(each) for each in seen[FIRST:])


@pytest.mark.parametrize("kind", ["unknown", "z-stack"])
def test_elsewhere_nothing_divides(model, image, kind):
    session = TrackingSession(model, image, kind=kind)
    list(find_and_follow(session, 0, every=4))
    assert session.divisions == ()


def test_both_daughters_come_with_the_division_or_neither(followed):
    before = followed.labels.copy()
    found = followed.propose_objects(8)
    assert [(each.origin.parent, each.origin.frame) for each in found] == [(2, FIRST)] * 2
    assert np.array_equal(followed.labels, before), "a search changes nothing"
    with pytest.raises(SessionError, match="both or none"):
        followed.add_proposals(found[:1])
    assert np.array_equal(followed.labels, before)
    assert followed.object_ids == (1, 2)
    upper, lower = followed.add_proposals(found)
    assert followed.divisions == (Division(2, (upper, lower), FIRST),)
    for frame in (6, 7, 8):
        assert not (followed.labels[frame] == 2).any(), "the mother has ended"
    for object_id, each in zip((upper, lower), found, strict=True):
        assert np.array_equal(followed.labels[8] == object_id, each.mask.unpack())
    assert followed.found_objects == (1, 2, 3, 4)


def test_a_search_that_is_cancelled_at_any_moment_adds_nothing(followed):
    before, asked = followed.labels.copy(), 0

    def count() -> bool:
        nonlocal asked
        asked += 1
        return False

    assert followed.propose_objects(8, cancelled=count)
    for last in (1, asked // 2, asked - 1, asked):
        moments = iter(range(1, last))
        assert followed.find_objects(8, cancelled=lambda: next(moments, None) is None) == ()  # noqa: B023
    assert np.array_equal(followed.labels, before)
    assert (followed.divisions, followed.object_ids) == ((), (1, 2))


def test_ids_that_the_labels_cannot_hold_leave_what_was_followed(followed):
    found, before = followed.propose_objects(8), followed.labels.copy()
    planned = followed.planned_frames()
    with pytest.raises(LabelsError):
        followed.add_proposals(found, [65_535, 65_536])
    assert np.array_equal(followed.labels, before)
    assert (followed.divisions, followed.planned_frames()) == ((), planned)


@pytest.mark.parametrize("meanwhile", ["accepted", "divided"])
def test_proposals_that_an_edit_has_contradicted_add_nothing(followed, meanwhile):
    found = followed.propose_objects(8)
    if meanwhile == "accepted":
        followed.accept(2, 7)
    else:
        followed.add_mask(50, 6, np.pad(np.ones((3, 3), bool), ((5, 88), (5, 88))))
        followed.add_division(2, (50,), 6)
    before, ids, divisions = followed.labels.copy(), followed.object_ids, followed.divisions
    planned, found_before = followed.planned_visits(), followed.found_objects
    with pytest.raises((SessionError, LineageError)):
        followed.add_proposals(found)
    assert np.array_equal(followed.labels, before)
    assert (followed.object_ids, followed.divisions) == (ids, divisions)
    assert (followed.planned_visits(), followed.found_objects) == (planned, found_before)


def test_a_proposal_does_not_replace_what_was_accepted_meanwhile(followed):
    better = replace(followed.propose_objects(8)[0], origin=None, continues=1)
    followed.accept(1, 8)
    before = followed.labels.copy()
    with pytest.raises(SessionError, match="accepted in frame 8 since"):
        followed.add_proposals([better])
    assert np.array_equal(followed.labels, before)
    assert followed.accepted == ((1, 8),)


def test_a_snapshot_takes_the_division_back(followed):
    moment = followed.snapshot()
    followed.find_objects(8)
    assert followed.divisions
    followed.restore(moment)
    assert followed.divisions == ()
    assert followed.object_ids == (1, 2)


def test_a_session_file_brings_it_back(followed, image, model, tmp_path):
    followed.find_objects(8)
    list(followed.propagate())
    followed.save(tmp_path / "s.sam2.json")
    again = TrackingSession.load(tmp_path / "s.sam2.json", model, image)
    assert again.stack.kind == "time-lapse"
    assert again.divisions == followed.divisions
    list(again.propagate())
    assert found_in(again) == found_in(followed)
    assert np.mean(again.labels != followed.labels) < 1e-3


def test_what_the_user_has_looked_at_is_left_alone(followed):
    followed.review([2])
    before = followed.labels.copy()
    assert followed.find_objects(8) == ()
    assert np.array_equal(followed.labels, before)


def test_a_cell_that_is_seen_better_keeps_its_id(followed):
    whole = followed.labels[4] == 2
    followed.labels[4][whole & (np.arange(96) < 44)] = 0  # half of it is lost
    assert followed.find_objects(4) == (2,)
    now = followed.labels[4] == 2
    assert np.sum(now & whole) / np.sum(now | whole) > 0.9
    assert followed.prompts.frames(2) == (0, 4)


def test_what_lies_partly_outside_of_the_region_is_left_alone(followed):
    whole = followed.labels[4] == 2
    followed.labels[4][whole & (np.arange(96) < 44)] = 0
    assert followed.find_objects(4, region=Region(0, 0, 96, 50)) == ()
    assert followed.find_objects(4, region=Region(0, 0, 96, 70)) == (2,)


class Damaged:
    """An image, some of whose frames cannot be read."""

    def __init__(self, image: np.ndarray, frames: set[int]) -> None:
        self.image, self.frames = image, frames
        self.shape, self.dtype, self.ndim = image.shape, image.dtype, image.ndim

    def __getitem__(self, index):
        if index[0] in self.frames:
            raise OSError("damaged")
        return self.image[index]


def test_frames_that_cannot_be_read_leave_the_division_where_it_is_seen(model, image):
    damaged = FrameStack(Damaged(image, {6, 7}), contrast=(0, 255), kind="time-lapse")
    session = TrackingSession(model, damaged)
    session.find_objects(0)
    list(session.propagate("forward", 0, 9))
    found = session.propose_objects(8)
    assert [each.origin.frame for each in found] == [8, 8]
    session.add_proposals(found)
    assert [each.frame for each in session.divisions] == [8]
