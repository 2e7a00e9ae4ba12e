"""What a session promises, on a tiny network: real stacks, prompts and labels."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from engine_internals import track_of, tracks_of, watch

from napari_sam2.errors import LabelsError, PromptError, SessionError
from napari_sam2.prompts import read_session
from napari_sam2.tracking import TrackingSession, TrackingSettings
from napari_sam2.tracking.schedule import Schedule, Scope
from napari_sam2.types import Direction

PLAIN = TrackingSettings(max_hole=0, min_island=0, clicked_part=False, exclusive=False)


def masks_of(session: TrackingSession, **options) -> dict[tuple[int, int], np.ndarray]:
    found = {}
    for result in session.propagate(**options):
        for object_id, mask in zip(result.object_ids, result.masks, strict=True):
            found[result.frame, object_id] = mask.copy()
    return found


def frames_of(session: TrackingSession, **options) -> list[int]:
    return [result.frame for result in session.propagate(**options)]


def test_a_click_answers_at_once_and_lands_in_the_labels(model, stack):
    session = TrackingSession(model, stack)
    first = session.add_points(3, 5, [(20, 20)])
    assert first.frame == 5
    assert first.object_ids == (3,)
    assert first.masks.shape == (1, 40, 48)
    assert first.masks.dtype == bool
    assert first.scores.shape == (1,)
    assert 0 <= first.scores[0] <= 1
    assert first.logits is None
    np.testing.assert_array_equal(session.labels[5] == 3, first.masks[0])
    assert not session.labels[[0, 11]].any()


def test_both_directions_visit_every_frame_once(model, stack):
    session = TrackingSession(model, stack)
    session.add_points(1, 5, [(20, 20)])
    assert session.planned_frames("both") == 12
    assert frames_of(session, direction="both") == [5, 6, 7, 8, 9, 10, 11, 4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    ("direction", "expected"), [("forward", [5, 6, 7]), ("backward", [5, 4, 3])]
)
def test_range_limits_each_direction(model, stack, direction, expected):
    session = TrackingSession(model, stack)
    session.add_points(1, 5, [(20, 20)])
    planned = session.planned_frames(direction, start=3, stop=8)
    assert frames_of(session, direction=direction, start=3, stop=8) == expected
    assert planned == len(expected)


def test_visits_are_planned_for_every_frame(model, stack):
    session = TrackingSession(model, stack)
    session.add_points(1, 2, [(20, 20)])
    session.add_points(2, 9, [(10, 10)])
    visits = session.planned_visits("both")
    seen = frames_of(session, direction="both")
    assert visits == tuple(seen.count(frame) for frame in range(12))
    assert max(visits) == 2
    assert sum(visits) == len(seen)


def test_masks_around_a_changed_prompt_are_out_of_date_until_they_are_tracked_again(model, stack):
    session = TrackingSession(model, stack)
    session.add_points(1, 5, [(20, 20)])
    session.add_points(2, 5, [(10, 10)])
    assert session.outdated_frames() == {}
    list(session.propagate())
    assert session.outdated_frames() == {}
    session.accept(1, 8)
    session.add_points(1, 6, [(21, 20)])
    assert session.outdated_frames() == {1: (7,)}
    session.add_points(1, 5, [(22, 20)])
    assert session.outdated_frames() == {1: (0, 1, 2, 3, 4, 7)}
    state = session.snapshot()
    list(session.propagate("forward"))
    assert session.outdated_frames() == {1: (0, 1, 2, 3, 4)}
    list(session.propagate("backward"))
    assert session.outdated_frames() == {}
    session.restore(state)
    assert session.outdated_frames() == {1: (0, 1, 2, 3, 4, 7)}


def test_mask_that_fills_what_the_model_sees_is_told(model, stack):
    session = TrackingSession(model, stack, settings=PLAIN)
    assert session.add_points(1, 5, [(20, 20)]).filling == frozenset()
    assert session.add_box(2, 4, (0, 0, 39, 47)).filling == {2}
    drawn = session.add_mask(3, 3, np.ones((40, 48), bool))
    assert drawn.filling == frozenset(), "the user knows"
    at_4 = next(each for each in session.propagate() if each.frame == 4)
    assert 2 in at_4.filling
    assert 1 not in at_4.filling


def test_backward_from_the_first_frame_hands_out_that_frame(model, stack):
    session = TrackingSession(model, stack)
    session.add_points(1, 0, [(20, 20)])
    assert frames_of(session, direction="backward") == [0]


def test_a_single_image_is_a_stack_of_one_frame(model, stack):
    session = TrackingSession(model, stack[0])
    session.add_points(1, 0, [(20, 20)])
    results = list(session.propagate())
    session.add_points(1, 0, [(10, 10)], [False])
    assert session.labels.shape == (1, 40, 48)
    assert [r.frame for r in results] == [0]
    again = next(iter(session.propagate()))
    assert np.isfinite(again.scores).all()


def test_results_equal_the_labels_and_masks_are_disjoint(model, stack):
    session = TrackingSession(model, stack)
    session.add_points(1, 2, [(10, 10)])
    session.add_points(2, 2, [(30, 40)])
    for result in session.propagate():
        assert result.masks.sum(axis=0).max() <= 1
        for object_id, mask in zip(result.object_ids, result.masks, strict=True):
            np.testing.assert_array_equal(session.labels[result.frame] == object_id, mask)


def test_each_object_starts_from_its_own_prompt(model, stack):
    session = TrackingSession(model, stack)
    session.add_points(1, 2, [(10, 10)])
    session.add_points(2, 8, [(30, 40)])
    by_frame = {r.frame: r.object_ids for r in session.propagate("forward")}
    assert by_frame[5] == (1,)
    assert by_frame[8] == (1, 2)
    assert min(by_frame) == 2


def test_an_object_added_later_disturbs_no_other(model, stack):
    session = TrackingSession(model, stack, settings=PLAIN)
    session.add_mask(1, 4, np.pad(np.ones((12, 12), bool), ((2, 26), (2, 34))))
    alone = masks_of(session)
    before = session.labels.copy()
    session.add_mask(2, 6, np.pad(np.ones((8, 8), bool), ((30, 2), (38, 2))))
    masks_of(session)
    kept = before == 1
    kept[6] = False  # the frame of the new prompt: there the user's word counts
    assert (session.labels[kept] == 1).all()
    assert {frame for frame, _ in alone} == set(range(12))


def test_objects_do_not_depend_on_order_or_chunks(model, stack):
    clicks = {1: (10, 10), 2: (30, 40), 3: (20, 25)}
    outputs = []
    for order, chunk in (((1, 2, 3), 16), ((3, 1, 2), 16), ((1, 2, 3), 1), ((2, 3, 1), 2)):
        settings = TrackingSettings(overlap=True, max_hole=0, min_island=0, object_chunk=chunk)
        session = TrackingSession(model, stack, keep_logits=True, settings=settings)
        for object_id in order:
            session.add_points(object_id, 4, [clicks[object_id]])
        outputs.append(np.stack([r.logits for r in session.propagate()]))
    for other in outputs[1:]:
        np.testing.assert_allclose(other, outputs[0], atol=1e-4)


def test_a_correction_becomes_a_conditioning_frame_and_recomputes_locally(model, stack):
    session = TrackingSession(model, stack)
    session.add_points(1, 0, [(20, 20)])
    session.add_points(1, 9, [(20, 20)])
    masks_of(session)
    drawn = np.zeros((40, 48), bool)
    drawn[5:15, 5:20] = True
    session.add_mask(1, 5, drawn)
    again = masks_of(session)
    recomputed = {frame for frame, _ in again} - {0, 9, 5}
    assert recomputed == {1, 2, 3, 4, 6, 7, 8}
    np.testing.assert_array_equal(session.labels[5] == 1, drawn)
    assert masks_of(session).keys() == {(0, 1), (5, 1), (9, 1)}, "nothing else is out of date"


def test_a_click_on_a_tracked_frame_survives_the_next_propagation(model, stack):
    session = TrackingSession(model, stack)
    session.add_points(1, 0, [(20, 20)])
    masks_of(session)
    corrected = session.add_points(1, 6, [(30, 40)], [False])
    after = masks_of(session)
    np.testing.assert_array_equal(after[6, 1], corrected.masks[0])
    np.testing.assert_array_equal(session.labels[6] == 1, corrected.masks[0])


def test_accepted_frames_are_never_overwritten(model, stack):
    session = TrackingSession(model, stack)
    session.add_points(1, 0, [(20, 20)])
    masks_of(session)
    session.accept_all(6)
    fixed = session.labels[6].copy()
    session.add_points(1, 3, [(30, 40)])
    assert {f for f, _ in masks_of(session)} == {0, 1, 2, 3, 4, 5, 6}
    masks_of(session, recompute=True)
    np.testing.assert_array_equal(session.labels[6], fixed)
    assert session.accepted == ((1, 6),)


def test_a_drawn_mask_comes_back_as_drawn(model, stack):
    session = TrackingSession(model, stack)
    drawn = np.zeros((40, 48), bool)
    drawn[3:20:2, 4:30] = True
    drawn[30, 40] = True
    result = session.add_mask(1, 4, drawn)
    np.testing.assert_array_equal(result.masks[0], drawn)
    assert result.scores[0] == 1
    handed_out = {r.frame: r for r in session.propagate()}
    np.testing.assert_array_equal(handed_out[4].masks[0], drawn)


def test_stopping_early_keeps_what_is_done_and_goes_on_where_it_stopped(model, stack):
    whole = TrackingSession(model, stack, settings=PLAIN)
    whole.add_points(1, 2, [(20, 20)])
    expected = masks_of(whole)
    session = TrackingSession(model, stack, settings=PLAIN)
    session.add_points(1, 2, [(20, 20)])
    for count, _ in enumerate(session.propagate(), start=1):
        if count == 4:
            session.cancel()
    assert [f for f in range(12) if session.labels[f].any()] == [2, 3, 4, 5]
    rest = masks_of(session)
    assert {f for f, _ in rest} == {2, 6, 7, 8, 9, 10, 11, 1, 0}
    for key, mask in rest.items():
        np.testing.assert_array_equal(mask, expected[key])


def test_closing_the_generator_leaves_a_usable_session(model, stack):
    session = TrackingSession(model, stack)
    session.add_points(1, 2, [(20, 20)])
    running = session.propagate()
    next(running)
    next(running)
    running.close()
    assert len(frames_of(session)) > 0


def test_a_prompt_from_another_thread_is_taken_in_while_it_runs(model, stack):
    session = TrackingSession(model, stack)
    session.add_points(1, 0, [(20, 20)])
    seen: dict[int, tuple[int, ...]] = {}
    for result in session.propagate("forward"):
        seen[result.frame] = result.object_ids
        if result.frame == 3:
            click = threading.Thread(target=session.add_points, args=(2, 6, [(30, 40)]))
            click.start()
            click.join(timeout=30)
            assert not click.is_alive(), "the running propagation must not hold the session"
    assert seen[5] == (1,)
    assert seen[6] == (1, 2)
    assert seen[11] == (1, 2)


def propagated_with_a_late_click(session: TrackingSession, after: int, frame: int) -> list[bool]:
    """Propagate both ways, with a click of object 2 once a frame is done; return the directions."""
    directions = []
    clicked = False
    for result in session.propagate():
        directions.append(result.forward)
        if result.frame == after and not clicked:
            clicked = True
            session.add_points(2, frame, [(30, 40)])
    assert clicked
    return directions


@pytest.mark.parametrize(("after", "frame"), [(8, 4), (8, 10), (1, 3), (1, 0), (11, 4)])
def test_an_object_clicked_behind_a_run_is_followed_as_if_clicked_before(
    model, stack, after, frame
):
    before = TrackingSession(model, stack, settings=PLAIN)
    before.add_points(1, 4, [(20, 20)])
    before.add_points(2, frame, [(30, 40)])
    expected = masks_of(before)
    session = TrackingSession(model, stack, settings=PLAIN)
    session.add_points(1, 4, [(20, 20)])
    propagated_with_a_late_click(session, after, frame)
    assert {f for f in range(12) if (session.labels[f] == 2).any()} == {
        f for (f, number), mask in expected.items() if number == 2 and mask.any()
    }
    np.testing.assert_array_equal(session.labels == 2, before.labels == 2)
    assert not session.outdated_frames()


def test_a_correction_behind_a_run_leaves_nothing_out_of_date(model, stack):
    session = TrackingSession(model, stack, settings=PLAIN)
    session.add_points(1, 2, [(20, 20)])
    visited = []
    for result in session.propagate("forward"):
        visited.append(result.frame)
        if result.frame == 8 and 8 not in visited[:-1]:
            session.add_points(1, 5, [(24, 24)])
    assert visited == [2, 3, 4, 5, 6, 7, 8, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    assert not session.outdated_frames()


def test_results_tell_their_direction(model, stack):
    session = TrackingSession(model, stack)
    assert session.add_points(1, 2, [(20, 20)]).forward is None
    directions = {result.frame: result.forward for result in session.propagate()}
    assert directions == {frame: frame >= 2 for frame in range(12)}


def test_removing_prompts(model, stack):
    session = TrackingSession(model, stack)
    session.add_points(1, 2, [(20, 20)])
    session.add_points(1, 6, [(20, 20)])
    session.add_points(2, 2, [(35, 40)])
    masks_of(session)
    session.remove_prompts(1, 6)
    assert not (session.labels[6] == 1).any()
    assert 6 in {f for f, _ in masks_of(session)}
    session.remove_prompts(1)
    assert session.object_ids == (2,)
    assert not (session.labels == 1).any()
    with pytest.raises(SessionError, match="no object 1"):
        session.remove_prompts(1)


def test_absent_objects_are_left_alone_after_a_while(absent_model, stack):
    settings = TrackingSettings(absent_limit=3)
    session = TrackingSession(absent_model, stack, settings=settings)
    session.add_mask(1, 2, np.pad(np.ones((8, 8), bool), ((4, 28), (4, 36))))
    assert frames_of(session) == [2, 3, 4, 5, 1, 0]
    assert not session.labels[3:].any()
    assert frames_of(session) == [2], "the frames behind count as done"


def test_an_object_that_returns_in_between_is_not_left_alone(model, stack):
    session = TrackingSession(model, stack, settings=TrackingSettings(absent_limit=2))
    session.add_points(1, 0, [(20, 20)])
    track, scope = track_of(session, 1), Scope.of(tracks_of(session), len(stack), None, None, None)
    schedule = Schedule(Direction.FORWARD, scope, set(), {}, {})
    for frame, present in enumerate([False, True, False, True, False], start=1):
        watch(session, 1, frame, present, schedule)
    assert not track.done[6:].any()
    watch(session, 1, 6, False, schedule)
    assert track.done[7:].all(), "two in a row"


@pytest.mark.parametrize("stop", range(5, 9))
def test_an_object_that_has_ended_stays_away_whatever_is_propagated_next(absent_model, stack, stop):
    settings = TrackingSettings(absent_limit=3)
    session = TrackingSession(absent_model, stack, settings=settings)
    session.add_points(1, 0, [(10, 10)])
    first = [result.frame for result in session.propagate(stop=stop)]
    then = [result.frame for result in session.propagate()]
    assert sorted({*first, *then}) == [0, 1, 2, 3], "three frames without it, and no more"


def test_labels_outside_of_the_part_asked_for_stay_where_an_object_ends(absent_model, stack):
    session = TrackingSession(absent_model, stack, settings=TrackingSettings(absent_limit=2))
    session.add_points(1, 0, [(10, 10)])
    session.accept(1, 9)
    session.unaccept(1, 9)
    session.labels[9, 5:10, 5:10] = 1
    list(session.propagate(stop=6))
    assert (session.labels[9] == 1).sum() == 25
    assert session.planned_visits()[6:] == (0, 0, 0, 1, 0, 0)


def test_absent_objects_have_empty_masks_and_low_scores(absent_model, stack):
    ignores = TrackingSettings(obey_clicks=False)
    session = TrackingSession(absent_model, stack, settings=ignores, keep_logits=True)
    result = session.add_points(1, 2, [(20, 20)])
    assert not result.masks.any()
    assert result.presence[0] < 0.5
    assert result.logits.max() < -1000


def test_settings_may_allow_overlaps_in_results_but_never_in_labels(model, stack):
    session = TrackingSession(model, stack, settings=TrackingSettings(overlap=True))
    session.add_points(1, 2, [(20, 20)])
    session.add_points(2, 2, [(20, 21)])
    results = list(session.propagate())
    assert any(r.masks.sum(axis=0).max() > 1 for r in results)


def test_given_labels_are_filled_and_their_other_objects_kept(model, stack):
    labels = np.zeros(stack.shape, np.uint32)
    labels[:, :10] = 7
    session = TrackingSession(model, stack, labels=labels)
    session.add_points(1, 2, [(30, 30)])
    list(session.propagate())
    assert session.labels is labels
    frames = [f for f in range(12) if f != 2]
    assert (labels[frames, :10] == 7).all()
    assert (labels == 1).any()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda s: s.add_points(1, 99, [(1, 1)]), PromptError),
        (lambda s: s.add_points(1, 0, [(1, 480)]), PromptError),
        (lambda s: s.add_points(0, 0, [(1, 1)]), PromptError),
        (lambda s: s.add_points(1, 0, [(np.nan, 1)]), PromptError),
        (lambda s: s.add_box(1, 0, (5, 5, 5, 20)), PromptError),
        (lambda s: s.add_mask(1, 0, np.zeros((40, 48), bool)), PromptError),
        (lambda s: s.add_mask(1, 0, np.ones((4, 4), bool)), PromptError),
        (lambda s: s.add_points(70000, 0, [(1, 1)]), LabelsError),
        (lambda s: s.propagate(), SessionError),
        (lambda s: s.accept(4, 0), SessionError),
        (lambda s: TrackingSettings(object_chunk=0), SessionError),
        (lambda s: TrackingSettings(max_conditioning=1), SessionError),
    ],
)
def test_bad_prompts_say_so_and_change_nothing(model, stack, call, error):
    session = TrackingSession(model, stack)
    with pytest.raises(error):
        call(session)
    assert session.object_ids == ()
    assert len(session.prompts) == 0
    assert not session.labels.any()


@pytest.mark.parametrize(
    "options", [{"direction": "sideways"}, {"start": 8, "stop": 3}, {"object_ids": [9]}]
)
def test_impossible_propagations_say_so_at_once(model, stack, options):
    session = TrackingSession(model, stack)
    session.add_points(1, 0, [(20, 20)])
    with pytest.raises(SessionError):
        session.propagate(**options)


def test_a_session_file_replays(model, stack, tmp_path):
    session = TrackingSession(model, stack, settings=TrackingSettings(min_island=5))
    session.add_points(1, 2, [(20, 20), (5, 5)], [True, False])
    session.add_box(2, 3, (10, 10, 30, 30))
    session.add_mask(3, 4, np.pad(np.ones((8, 8), bool), ((4, 28), (4, 36))))
    list(session.propagate())
    session.accept(2, 7)
    session.save(tmp_path / "cells.sam2.json")
    expected = session.labels[7] == 2
    again = TrackingSession.load(tmp_path / "cells.sam2.json", model, stack)
    assert again.prompts == session.prompts
    assert again.settings == session.settings
    assert again.accepted == ((2, 7),)
    np.testing.assert_array_equal(again.labels[7] == 2, expected)
    np.testing.assert_array_equal(again.labels[4] == 3, session.labels[4] == 3)
    with pytest.raises(PromptError, match="shape"):
        TrackingSession.load(tmp_path / "cells.sam2.json", model, stack[:5])


def test_rounds_of_clicks_replay_as_they_were_made(model, stack, tmp_path):
    session = TrackingSession(model, stack)
    session.add_box(1, 2, (5, 5, 30, 30))
    session.add_points(1, 2, [(20, 20)])
    session.add_points(1, 2, [(8, 40)], [False])
    session.save(tmp_path / "clicks.json")
    again = TrackingSession.load(tmp_path / "clicks.json", model, stack)
    assert again.prompts.get(1, 2).rounds == (0, 1, 1)
    np.testing.assert_array_equal(again.labels, session.labels)


def test_a_replay_reports_how_much_is_left_and_may_end_early(model, stack, tmp_path):
    session = TrackingSession(model, stack)
    session.add_points(1, 5, [(20, 20)])
    session.add_points(2, 3, [(30, 30)])
    session.accept(1, 5)
    session.save(tmp_path / "cells.sam2.json")
    saved = read_session(tmp_path / "cells.sam2.json")
    again = TrackingSession(model, stack)
    steps = again.replay(saved)
    assert (next(steps).left, again.object_ids) == (2, (1,))
    steps.close()
    whole = TrackingSession(model, stack)
    replayed = list(whole.replay(saved))
    assert [step.left for step in replayed] == [2, 1, 0]
    assert [step.masks is None for step in replayed] == [True, False, True]
    assert whole.accepted == ((1, 5),)
    np.testing.assert_array_equal(whole.labels, session.labels)
    with pytest.raises(PromptError, match="belongs to a stack"):
        next(TrackingSession(model, stack[:5]).replay(saved))


def test_objects_prompted_in_different_frames_share_batches(model, stack, monkeypatch):
    sizes = []
    real = type(model.network).attend_memory

    def attend(network, stride16, position, memory, *args, **kwargs):
        sizes.append(len(memory))
        return real(network, stride16, position, memory, *args, **kwargs)

    monkeypatch.setattr(type(model.network), "attend_memory", attend)
    stack = np.concatenate([stack, stack])
    together = TrackingSession(model, stack, keep_logits=True, settings=PLAIN)
    for object_id in range(1, 5):
        together.add_points(object_id, object_id, [(8 * object_id, 9 * object_id)])
    logits = {r.frame: r.logits for r in together.propagate("forward")}
    assert max(sizes) == 4
    alone = TrackingSession(model, stack, keep_logits=True, settings=PLAIN)
    alone.add_points(2, 2, [(16, 18)])
    for result in alone.propagate("forward"):
        np.testing.assert_allclose(result.logits[0], logits[result.frame][1], atol=1e-4)


def test_prompts_of_one_frame_share_pixels_by_logits_whatever_their_order(model, stack):
    clicks = {1: (10, 10), 2: (30, 40), 3: (20, 25)}
    labels = []
    for order in ((1, 2, 3), (3, 2, 1)):
        session = TrackingSession(model, stack, settings=PLAIN, keep_logits=True)
        logits = {i: session.add_points(i, 4, [clicks[i]]).logits[0] for i in order}
        labels.append(session.labels[4].copy())
    np.testing.assert_array_equal(labels[0], labels[1])
    together = np.stack([logits[i] for i in (1, 2, 3)])
    winner = np.where(together.max(axis=0) > 0, together.argmax(axis=0) + 1, 0)
    np.testing.assert_array_equal(labels[0], winner)


def test_a_prompt_yields_to_drawn_and_accepted_masks_only(model, stack):
    session = TrackingSession(model, stack, settings=PLAIN)
    drawn = np.zeros((40, 48), bool)
    drawn[:, :20] = True
    session.add_mask(1, 4, drawn)
    session.add_points(2, 4, [(20, 40)])
    assert (session.labels[4][drawn] == 1).all()
    list(session.propagate())
    assert (session.labels[7] == 1).any(), "there is something to take"
    clicked = session.add_points(3, 7, [(20, 20)])
    np.testing.assert_array_equal(session.labels[7] == 3, clicked.masks[0])
    assert clicked.masks[0].any()
