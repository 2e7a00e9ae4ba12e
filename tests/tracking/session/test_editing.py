"""Merging, splitting, accepting, choosing, and coming back: on a tiny network."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from napari_sam2.errors import SessionError
from napari_sam2.tracking import TrackingSession

EVERYWHERE = list(itertools.product(range(1, 40, 3), range(1, 48, 3)))


@pytest.fixture
def session(model, stack) -> TrackingSession:
    """Two objects, clicked and propagated."""
    session = TrackingSession(model, stack)
    session.add_points(1, 3, [(10, 10)])
    session.add_points(2, 5, [(30, 35)])
    run(session)
    return session


def run(session, **options) -> list[int]:
    return [result.frame for result in session.propagate(**options)]


def areas(session, object_id) -> list[int]:
    return (session.labels == object_id).sum(axis=(1, 2)).tolist()


def test_snapshot_brings_prompts_acceptance_and_progress_back(session):
    labels, state = session.labels.copy(), session.snapshot()
    session.add_points(1, 7, [(20, 20)])
    session.accept(2, 2)
    session.remove_prompts(2)
    session.add_box(4, 0, (2, 2, 12, 12))
    session.restore(state)
    session.labels[:] = labels
    assert session.object_ids == (1, 2)
    assert session.accepted == ()
    assert [key[:2] for key in session.prompts] == [(1, 3), (2, 5)]
    assert session.planned_frames() == 2, "only the two clicked frames are handed out"
    run(session)
    np.testing.assert_array_equal(session.labels, labels)


def test_snapshot_is_not_changed_by_what_follows(session):
    state = session.snapshot()
    session.add_points(3, 1, [(20, 20)])
    session.accept_all(4)
    session.restore(state)
    session.add_points(5, 2, [(20, 20)])
    session.restore(state)
    assert session.object_ids == (1, 2)
    assert session.accepted == ()


def test_acceptance_comes_back_with_its_protection(session):
    session.accept(1, 4)
    state, before = session.snapshot(), session.labels[4].copy()
    session.unaccept(1, 4)
    session.restore(state)
    run(session, recompute=True)
    np.testing.assert_array_equal(session.labels[4] == 1, before == 1)


def test_accept_takes_an_object_of_the_labels_up(model, stack):
    labels = np.zeros(stack.shape, np.uint16)
    labels[2, 5:15, 5:15] = 9
    session = TrackingSession(model, stack, labels=labels)
    session.accept(9, 2)
    assert session.object_ids == (9,)
    assert len(run(session)) == len(stack)
    assert (labels[2] == 9).sum() == 100
    with pytest.raises(SessionError, match="no object"):
        session.accept(10, 2)


def test_lifted_acceptance_lets_the_frame_be_tracked_again(session):
    session.accept(1, 6)
    session.unaccept(1, 6)
    assert session.accepted == ()
    assert 6 in run(session, recompute=True, object_ids=[1])
    with pytest.raises(SessionError, match="not accepted"):
        session.unaccept(1, 6)


def test_lifted_acceptance_of_a_clicked_frame_keeps_its_mask(session):
    clicked = session.labels[3] == 1
    session.accept(1, 3)
    session.unaccept(1, 3)
    np.testing.assert_array_equal(session.labels[3] == 1, clicked)


def test_merged_objects_are_one_everywhere(session):
    together = (session.labels > 0).sum(axis=(1, 2)).tolist()
    session.merge(1, 2)
    assert session.object_ids == (1,)
    assert areas(session, 1) == together
    assert not (session.labels == 2).any()
    assert session.prompts.frames(1) == (3, 5)
    assert session.prompts.get(1, 5).mask.sum() == together[5]
    assert run(session) == [3, 5], "nothing needs to be tracked anew"
    assert areas(session, 1) == together


def test_merge_keeps_accepted_frames_accepted(session):
    session.accept(2, 6)
    both = session.labels[6] > 0
    session.merge(1, 2)
    assert session.accepted == ((1, 6),)
    run(session, recompute=True)
    np.testing.assert_array_equal(session.labels[6] == 1, both)


def test_merge_of_objects_that_were_corrected_away_accepts_that_they_are_not_there(
    session, stack, tmp_path
):
    for object_id in (1, 2):
        session.add_points(object_id, 7, EVERYWHERE, [False] * len(EVERYWHERE))
    assert not session.labels[7].any()
    session.merge(1, 2)
    assert session.prompts.frames(1) == (3, 5)
    assert session.accepted == ((1, 7),)
    run(session)
    session.save(tmp_path / "s.json")
    again = TrackingSession.load(tmp_path / "s.json", session.model, stack)
    run(again)
    assert not (session.labels[7] == 1).any()
    session.unaccept(1, 7)
    assert session.accepted == ()


@pytest.fixture
def whole(model, stack) -> TrackingSession:
    """Object 1 is in every frame, decided in the third only."""
    labels = np.zeros(stack.shape, np.uint16)
    session = TrackingSession(model, stack, labels=labels)
    session.add_points(1, 3, [(10, 10)])
    run(session)
    labels[:, 5:20, 5:20] = 1
    return session


def test_split_gives_the_rest_of_the_stack_to_a_new_object(whole):
    before = areas(whole, 1)
    whole.split(1, 6, 7)
    assert areas(whole, 1) == before[:6] + [0] * (len(before) - 6)
    assert areas(whole, 7) == [0] * 6 + before[6:]
    assert whole.prompts.frames(7) == (6,)
    assert whole.prompts.frames(1) == (3,)
    run(whole)
    assert areas(whole, 7) == [0] * 6 + before[6:]
    whole.add_points(7, 8, [(20, 20)])
    assert {7, 9} <= set(run(whole, object_ids=[7]))


def shown(session, object_id) -> list[int]:
    return [frame for frame, area in enumerate(areas(session, object_id)) if area]


@pytest.fixture
def split(whole) -> TrackingSession:
    """Object 1 is in frames 0 to 5, and what it was from there on is object 7."""
    whole.split(1, 6, 7)
    run(whole)
    return whole


def check_split(session) -> None:
    run(session, recompute=True)
    assert shown(session, 1) == list(range(6))
    assert shown(session, 7) == list(range(6, 12))


def test_a_split_holds_when_all_is_tracked_again(split):
    check_split(split)
    split.add_points(1, 1, [(10, 10)])
    split.add_points(7, 9, [(20, 20)])
    check_split(split)
    split.accept_all(8)
    assert split.accepted == ((7, 8),), "the other one is not there"


def test_a_split_is_saved_and_undone(split, stack, tmp_path):
    split.save(tmp_path / "s.json")
    again = TrackingSession.load(tmp_path / "s.json", split.model, stack)
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == (tmp_path / "s.json").read_text()
    check_split(again)
    state = split.snapshot()
    split.merge(1, 7)
    run(split, recompute=True)
    assert shown(split, 1) == list(range(12))
    split.restore(state)
    split.labels[:] = again.labels
    check_split(split)


def test_a_split_comes_back_from_a_store(split, stack, tmp_path):
    split.keep_in(tmp_path / "a.sam2.zarr")
    split.close()
    again = TrackingSession(split.model, stack, store=tmp_path / "a.sam2.zarr")
    check_split(again)


def test_a_decision_beyond_a_split_counts(split):
    split.add_points(1, 8, [(10, 10)])
    run(split, object_ids=[1], recompute=True)
    assert {8, 9} <= set(shown(split, 1))
    assert split.spans() == {7: (6, 12)}


def test_a_file_from_before_a_split_undoes_it(model, stack):
    session = TrackingSession(model, stack)
    session.add_points(1, 3, [(10, 10)])
    before = session.to_file()
    run(session)
    assert shown(session, 1) == list(range(12))
    session.split(1, 6, 7)
    list(session.replay(before))
    run(session)
    assert (session.object_ids, session.spans()) == ((1,), {})
    assert shown(session, 1) == list(range(12))


def test_split_before_the_click_leaves_something_to_follow(whole):
    before = areas(whole, 1)
    whole.accept(1, 8)
    whole.split(1, 2, 7)
    assert whole.prompts.frames(7) == (2, 3)
    assert whole.prompts.frames(1) == (1,)
    assert whole.accepted == ((7, 8),)
    assert areas(whole, 1) == before[:2] + [0] * (len(before) - 2)


@pytest.mark.parametrize(
    "change",
    [
        ("merge", 1, 1),
        ("merge", 1, 5),
        ("split", 1, 0, 7),
        ("split", 1, 6, 2),
        ("split", 5, 6, 7),
        ("choose", 1, 4, 1),
    ],
)
def test_impossible_changes_change_nothing(session, change):
    labels = session.labels.copy()
    name, *values = change
    with pytest.raises(SessionError):
        getattr(session, name)(*values)
    np.testing.assert_array_equal(session.labels, labels)
    assert session.object_ids == (1, 2)


def test_one_click_could_mean_three_masks(model, stack):
    session = TrackingSession(model, stack)
    best = session.add_points(1, 3, [(20, 20)])
    assert session.candidates(1, 3) == 3
    chosen = [session.choose(1, 3, rank) for rank in range(3)]
    np.testing.assert_array_equal(chosen[0].masks, best.masks)
    assert chosen[0].scores >= chosen[1].scores >= chosen[2].scores
    assert len({mask.masks.tobytes() for mask in chosen}) > 1
    np.testing.assert_array_equal(session.labels[3] == 1, chosen[2].masks[0])
    session.add_points(1, 3, [(10, 10)])
    assert session.candidates(1, 3) == 1


def test_writes_are_reported_with_the_former_labels(model, stack):
    session = TrackingSession(model, stack)
    session.add_points(1, 3, [(10, 10)])
    replayed = session.labels.copy()

    def seen(frame, old, new):
        np.testing.assert_array_equal(replayed[frame], old)
        replayed[frame] = new

    session.watch_labels(seen)
    run(session)
    session.remove_prompts(1)
    session.watch_labels(None)
    np.testing.assert_array_equal(replayed, session.labels)
    session.add_points(1, 3, [(10, 10)])
    assert not replayed[3].any()


@pytest.mark.parametrize(
    ("direction", "computed"), [("both", {5, 6, 7}), ("forward", {5, 6, 7}), ("backward", set())]
)
def test_a_part_is_computed_again_and_no_more(model, stack, direction, computed):
    session = TrackingSession(model, stack)
    session.add_points(1, 3, [(10, 10)])
    run(session)
    assert set(run(session, direction=direction, start=5, stop=8, recompute=True)) == computed
    assert session.outdated_frames() == {}
    assert session.planned_frames() == 1, "the clicked frame is handed out"


def test_each_frame_is_written_once_however_many_objects_are_removed(session):
    session.add_points(3, 4, [(20, 24)])
    run(session)
    session.accept(1, 6)
    labels, written = session.labels.copy(), []
    session.watch_labels(lambda frame, old, new: written.append(frame))
    session.remove_objects([1, 3])
    assert written == sorted(set(written))
    np.testing.assert_array_equal(session.labels, np.where(labels == 2, labels, 0))
    assert (session.object_ids, session.accepted) == ((2,), ())
    assert session.prompts.object_ids() == (2,)


def test_if_one_object_is_unknown_none_is_removed(session):
    labels = session.labels.copy()
    with pytest.raises(SessionError, match="no object 7"):
        session.remove_objects([1, 7])
    assert session.object_ids == (1, 2)
    np.testing.assert_array_equal(session.labels, labels)


def test_snapshots_share_what_has_not_changed(session):
    for frame in range(12):
        session.accept_all(frame)
    before = session.snapshot()
    session.add_points(3, 4, [(20, 24)])
    after = session.snapshot()
    assert after.accepted is before.accepted
    assert after.tracks[:2] == before.tracks[:2], "states are compared by identity"
    session.unaccept(1, 6)
    last = session.snapshot()
    assert len(before.accepted) == len(after.accepted) == len(last.accepted) + 1
    assert last.tracks[0] is not before.tracks[0]
    session.restore(before)
    assert session.accepted == tuple(sorted(before.accepted))
