"""Divisions of a session: added, removed, undone, saved, proposed; on a tiny network."""

from __future__ import annotations

import json

import numpy as np
import pytest
from engine_internals import volume_of

from napari_sam2.errors import LabelsError, LineageError, PromptError, SessionError
from napari_sam2.lineage import Lineage
from napari_sam2.tracking import TrackingSession
from napari_sam2.tracking.division_proposals import ProposedDivision
from napari_sam2.types import Division, ObjectFrame

WHOLE, LEFT, RIGHT = (np.zeros((40, 48), bool) for _ in range(3))
WHOLE[8:28, 10:34] = True
LEFT[8:28, 10:21] = True
RIGHT[8:28, 23:34] = True
DIVISION = Division(1, (2, 3), 5)


@pytest.fixture
def session(model, stack) -> TrackingSession:
    """1 is whole, and 2 and 3 are its halves; each is tracked through all frames."""
    session = TrackingSession(model, stack)
    session.add_mask(1, 2, WHOLE)
    session.add_mask(2, 6, LEFT)
    session.add_mask(3, 8, RIGHT)
    run(session)
    return session


def run(session, **options) -> None:
    for _ in session.propagate(**options):
        pass


def frames_of(session, object_id) -> list[int]:
    return np.flatnonzero((session.labels == object_id).any(axis=(1, 2))).tolist()


def test_a_division_ends_the_parent_and_begins_the_children(session):
    assert session.add_division(1, (2, 3), 5) == DIVISION
    assert session.divisions == (DIVISION,)
    assert max(frames_of(session, 1)) == 4
    assert min(frames_of(session, 2) + frames_of(session, 3)) >= 5
    run(session)
    assert frames_of(session, 1) == [0, 1, 2, 3, 4]
    assert frames_of(session, 2) == frames_of(session, 3) == list(range(5, 12))
    Lineage.of(session.labels, session.divisions).check()


def test_tracking_again_keeps_to_the_division(session):
    session.add_division(1, (2, 3), 5)
    session.add_mask(1, 0, WHOLE)
    session.add_mask(2, 11, LEFT)
    run(session, recompute=True)
    assert max(frames_of(session, 1)) == 4
    assert min(frames_of(session, 2)) == 5


def test_a_removed_division_lets_all_be_tracked_again(session):
    before = session.labels.copy()
    session.add_division(1, (2, 3), 5)
    run(session)
    session.remove_division(1)
    assert session.divisions == ()
    run(session)
    for object_id in (1, 2, 3):
        assert len(frames_of(session, object_id)) >= len(
            np.flatnonzero((before == object_id).any(axis=(1, 2)))
        )
    with pytest.raises(SessionError, match="does not divide"):
        session.remove_division(1)


def test_a_snapshot_brings_divisions_back(session):
    labels, state = session.labels.copy(), session.snapshot()
    session.add_division(1, (2, 3), 5)
    divided, after = session.labels.copy(), session.snapshot()
    session.restore(state)
    session.labels[:] = labels
    assert session.divisions == ()
    session.restore(after)
    session.labels[:] = divided
    assert session.divisions == (DIVISION,)
    run(session)
    assert max(frames_of(session, 1)) == 4


def test_what_a_division_erases_is_seen_by_the_watcher_of_the_labels(session):
    before, seen = session.labels.copy(), []
    session.watch_labels(lambda frame, old, new: seen.append((frame, old, new)))
    session.add_division(1, (2, 3), 5)
    for frame, old, _ in reversed(seen):
        session.labels[frame] = old
    np.testing.assert_array_equal(session.labels, before)


def test_divisions_are_saved_and_replayed(session, stack, tmp_path):
    session.add_division(1, (2, 3), 5)
    path = tmp_path / "s.sam2.json"
    session.save(path)
    document = json.loads(path.read_text("utf-8"))
    assert document["divisions"] == [{"parent": 1, "children": [2, 3], "frame": 5}]
    again = TrackingSession.load(path, session.model, stack)
    assert again.divisions == (DIVISION,)
    run(again)
    assert max(frames_of(again, 1)) == 4
    assert min(frames_of(again, 2)) == 5


def test_files_without_divisions_still_load(session, stack, tmp_path):
    path = tmp_path / "s.sam2.json"
    session.save(path)
    document = json.loads(path.read_text("utf-8"))
    document["version"] = 2
    assert "divisions" not in document
    path.write_text(json.dumps(document), "utf-8")
    assert TrackingSession.load(path, session.model, stack).divisions == ()


@pytest.mark.parametrize(
    ("divisions", "error", "reason"),
    [
        ([{"parent": 1, "children": [1, 2], "frame": 5}], LineageError, "own child"),
        ([{"parent": 1, "children": [2], "frame": 50}], PromptError, "50"),
        ([{"parent": 1, "children": 2, "frame": 5}], PromptError, r"divisions\[0\]\.children"),
        ([{"parent": 1, "frame": 5}], PromptError, "children"),
    ],
)
def test_a_wrong_division_in_a_file_is_a_clear_error(
    session, stack, tmp_path, divisions, error, reason
):
    path = tmp_path / "s.sam2.json"
    session.save(path)
    document = json.loads(path.read_text("utf-8")) | {"divisions": divisions}
    path.write_text(json.dumps(document), "utf-8")
    with pytest.raises(error, match=reason):
        TrackingSession.load(path, session.model, stack)


@pytest.mark.parametrize(
    ("parent", "children", "frame", "error", "reason"),
    [
        (1, (1, 2), 5, LineageError, "own child"),
        (1, (2, 9), 5, SessionError, "no object 9"),
        (1, (2, 3), 12, SessionError, "no frame 12"),
        (1, (2, 3), 0, LineageError, "frame 0"),
        (1, (2, 3), 2, SessionError, "frame 2, after it divides"),
        (1, (2, 3), 7, SessionError, "frame 6, before it is born"),
    ],
)
def test_impossible_divisions_change_nothing(session, parent, children, frame, error, reason):
    before = session.labels.copy()
    with pytest.raises(error, match=reason):
        session.add_division(parent, children, frame)
    assert session.divisions == ()
    np.testing.assert_array_equal(session.labels, before)


def test_a_parent_that_begins_too_late_is_a_clear_error(model, stack):
    session = TrackingSession(model, stack)
    session.add_mask(1, 4, LEFT)
    session.add_mask(2, 6, RIGHT)
    with pytest.raises(LineageError, match="in no frame before 3"):
        session.add_division(1, (2,), 3)


def test_prompts_and_acceptance_outside_of_a_life_are_refused(session):
    session.add_division(1, (2, 3), 5)
    with pytest.raises(SessionError, match="divides in frame 5"):
        session.add_points(1, 7, [(20, 20)])
    with pytest.raises(SessionError, match="born in frame 5"):
        session.add_mask(2, 4, LEFT)
    with pytest.raises(SessionError, match="divides in frame 5"):
        session.accept(1, 5)
    session.accept_all(7)
    assert session.accepted == (ObjectFrame(2, 7), ObjectFrame(3, 7))


def test_removed_merged_and_split_objects_keep_divisions_true(session):
    session.add_division(1, (2, 3), 5)
    run(session)
    session.split(1, 3, 7)
    assert session.divisions == (Division(7, (2, 3), 5),), "the later part divides"
    session.merge(1, 7)
    assert session.divisions == (), "who was merged away divides no more"
    session.add_division(1, (2, 3), 5)
    session.remove_prompts(3)
    assert session.divisions == (Division(1, (2,), 5),)
    session.remove_prompts(1)
    assert session.divisions == ()


@pytest.fixture
def going_on(model, stack) -> TrackingSession:
    """1 is whole up to frame 4 and goes on as its right half; 2 begins in the left one."""
    inner = np.zeros((40, 48), bool)
    inner[11:25, 13:20] = True
    session = TrackingSession(model, stack)
    for frame in range(5):
        session.add_mask(1, frame, WHOLE)
    session.add_mask(1, 5, RIGHT)
    session.add_mask(2, 5, inner)
    run(session)
    assert frames_of(session, 2)[0] == 5
    return session


def test_a_division_is_proposed_and_accepted(going_on):
    before = going_on.labels.copy()
    (proposed,) = going_on.propose_divisions()
    np.testing.assert_array_equal(going_on.labels, before)
    assert proposed.division == Division(1, (2, 3), 5)
    assert proposed.new_id == 3
    assert proposed.overlap > 0.9
    assert going_on.divisions == (), "nothing is applied silently"
    assert going_on.accept_division(proposed) == proposed.division
    assert going_on.divisions == (proposed.division,)
    assert going_on.object_ids == (1, 2, 3)
    run(going_on)
    assert max(frames_of(going_on, 1)) == 4
    np.testing.assert_array_equal(going_on.labels[5] == 3, RIGHT)
    assert going_on.propose_divisions() == ()


def test_a_refused_division_is_not_proposed_again(going_on):
    state = going_on.snapshot()
    (proposed,) = going_on.propose_divisions()
    going_on.refuse_division(proposed)
    assert going_on.propose_divisions() == ()
    going_on.restore(state)
    assert going_on.propose_divisions() == (proposed,)
    with pytest.raises(SessionError, match="0 frames"):
        going_on.propose_divisions(0)


def test_a_search_is_cancelled_within_a_frame(going_on):
    before, told = going_on.labels.copy(), []
    assert going_on.propose_divisions(cancelled=lambda: True, progress=told.append) == ()
    assert told == []
    (proposed,) = going_on.propose_divisions(progress=told.append)
    assert told == [1.0]
    assert proposed.division == Division(1, (2, 3), 5)
    np.testing.assert_array_equal(going_on.labels, before)


def test_all_divisions_can_be_replaced_without_touching_the_labels(model, stack):
    session = TrackingSession(model, stack)
    session.add_mask(1, 2, WHOLE)
    session.add_mask(2, 6, LEFT)
    before = session.labels.copy()
    session.set_divisions([DIVISION])
    assert session.divisions == (DIVISION,)
    np.testing.assert_array_equal(session.labels, before)
    run(session)
    assert max(frames_of(session, 1)) == 4
    assert min(frames_of(session, 2)) == 5
    with pytest.raises(LineageError, match="its own child"):
        session.set_divisions([Division(1, (1,), 5)])
    assert session.divisions == (DIVISION,)


def test_a_proposal_that_is_refused_by_now_leaves_all_as_it_was(going_on):
    (proposed,) = going_on.propose_divisions()
    going_on.add_mask(5, 3, np.flip(RIGHT))
    going_on.add_division(5, (2,), 5)
    before, planned = going_on.labels.copy(), going_on.planned_visits()
    with pytest.raises(LineageError):
        going_on.accept_division(proposed)
    np.testing.assert_array_equal(going_on.labels, before)
    assert going_on.object_ids == (1, 2, 5)
    assert going_on.divisions == (Division(5, (2,), 5),)
    assert going_on.planned_visits() == planned
    assert going_on.prompts.frames(1) == (0, 1, 2, 3, 4, 5)


def test_a_division_that_cannot_be_written_leaves_all_as_it_was(session, monkeypatch):
    before, planned = session.labels.copy(), session.planned_visits()
    volume, count = volume_of(session), iter(range(100))
    real = volume.write

    def fail(*args, **options):
        if next(count) == 3:
            raise LabelsError("The disk is full.", remedy="Make room.")
        return real(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(volume, "write", fail)
        with pytest.raises(LabelsError):
            session.add_division(*(1, (2, 3), 5))
    np.testing.assert_array_equal(session.labels, before)
    assert (session.divisions, session.planned_visits()) == ((), planned)
    session.add_division(*(1, (2, 3), 5))


def test_an_accepted_division_and_a_split_take_no_id_of_the_labels(model, stack):
    labels = np.zeros(stack.shape, np.uint16)
    labels[9, 0:3, 40:47], labels[:, 36:39, 0:5] = 3, 8
    session = TrackingSession(model, stack, labels=labels)
    for frame in range(5):
        session.add_mask(1, frame, WHOLE)
    session.add_mask(1, 5, RIGHT)
    session.add_mask(2, 5, LEFT)
    before = labels.copy()
    with pytest.raises(SessionError, match="3 already, in frame 9"):
        session.split(1, 3, 3)
    np.testing.assert_array_equal(labels, before)
    proposed = ProposedDivision(Division(1, (2, 4), 5), 4, 0.9, 1.0)
    assert session.accept_division(proposed) == Division(1, (2, 9), 5)
    for other in (3, 8):
        np.testing.assert_array_equal(labels == other, before == other)
