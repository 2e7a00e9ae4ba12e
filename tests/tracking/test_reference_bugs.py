"""What goes wrong in the reference must go right here: its reproduced bugs, one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from known_masks import known_masks
from small_networks import SMALL_CONV, small_config

from napari_sam2.tracking import Model, TrackingSession
from napari_sam2.tracking.device import half_precision_pays

INSIDE, OUTSIDE = [(20, 20)], [(30, 40)]


def results(session: TrackingSession, **options) -> dict[int, np.ndarray]:
    """Return logits (N, Y, X) by frame."""
    return {each.frame: each.logits for each in session.propagate(**options)}


@pytest.fixture(scope="module")
def model() -> Model:
    """A network whose logits depend on its memories strongly enough to be seen."""
    return Model(
        known_masks(config=small_config(SMALL_CONV)), "small", torch.device("cpu"), image_size=64
    )


@pytest.fixture
def session(model: Model, stack: np.ndarray) -> TrackingSession:
    return TrackingSession(model, stack, keep_logits=True)


def test_corrections_survive_and_reach_other_frames(session):
    session.add_points(1, 0, INSIDE)
    before = results(session)
    corrected = session.add_points(1, 6, OUTSIDE, [False])
    assert np.abs(corrected.logits[0] - before[6][0]).max() > 0.1
    after = results(session)
    np.testing.assert_array_equal(after[6], corrected.logits)
    for frame in (1, 5, 7, 11):
        assert np.abs(after[frame] - before[frame]).max() > 1e-3, "it is a conditioning frame"
    again = results(session, recompute=True)
    np.testing.assert_array_equal(again[6], corrected.logits)


@pytest.mark.parametrize("prompted", [11, 6])
def test_corrections_before_the_first_prompt_have_no_pointer(session, prompted):
    session.add_points(1, prompted, INSIDE)
    results(session)
    corrected = session.add_points(1, 2, OUTSIDE, [False])
    after = results(session, direction="both")
    assert np.isfinite(corrected.logits).all()
    assert np.isfinite(np.stack(list(after.values()))).all()
    assert len(after) >= prompted


def test_objects_prompted_late_go_both_ways_beside_early_ones(session):
    session.add_points(1, 0, INSIDE)
    session.add_points(2, 11, OUTSIDE)
    visited = {}
    for each in session.propagate("both"):
        for object_id in each.object_ids:
            visited.setdefault(object_id, set()).add(each.frame)
    assert visited == {1: set(range(12)), 2: set(range(12))}


def test_memories_around_a_correction_are_forgotten(model, stack):
    """A corrected session equals one that knew the corrected mask from the start."""
    drawn = np.zeros((40, 48), dtype=bool)
    drawn[10:24, 12:30] = True
    corrected = TrackingSession(model, stack, keep_logits=True)
    corrected.add_points(1, 0, INSIDE)
    corrected.add_points(2, 0, OUTSIDE)
    before = results(corrected)
    corrected.add_mask(1, 5, drawn)
    results(corrected)
    fresh = TrackingSession(model, stack, keep_logits=True)
    fresh.add_points(1, 0, INSIDE)
    fresh.add_mask(1, 5, drawn)
    ours = results(corrected, object_ids=[1], recompute=True)
    theirs = results(fresh)
    for frame, logits in theirs.items():
        np.testing.assert_allclose(ours[frame], logits, atol=1e-4)
    assert np.abs(ours[6][0] - before[6][0]).max() > 0.01


def test_one_frame_refined_after_propagation_keeps_its_object(model, stack):
    session = TrackingSession(model, stack[:1], keep_logits=True)
    session.add_points(1, 0, INSIDE)
    results(session)
    refined = session.add_points(1, 0, OUTSIDE, [False])
    assert np.isfinite(refined.scores).all()
    assert refined.presence[0] > 0.5
    assert refined.masks.any()
    np.testing.assert_array_equal(results(session)[0], refined.logits)


def test_drawn_masks_come_back_untouched_after_propagation(session):
    drawn = np.zeros((40, 48), dtype=bool)
    drawn[5:20, 8:31] = True
    drawn[9:12, 15] = False
    given = session.add_mask(1, 3, drawn)
    handed_out = {each.frame: each.masks for each in session.propagate()}
    np.testing.assert_array_equal(given.masks[0], drawn)
    np.testing.assert_array_equal(handed_out[3][0], drawn)
    np.testing.assert_array_equal(session.labels[3] == 1, drawn)


def test_running_propagations_see_new_objects(session):
    session.add_points(1, 0, INSIDE)
    ids = {}
    for each in session.propagate("forward"):
        if each.frame == 4:
            session.add_points(2, 5, OUTSIDE)
        ids[each.frame] = each.object_ids
    assert ids[4] == (1,)
    assert ids[5] == ids[11] == (1, 2)


def test_backward_from_frame_zero_and_exact_frame_counts(session):
    session.add_points(1, 0, INSIDE)
    assert list(results(session, direction="backward")) == [0]
    assert list(results(session, direction="forward", stop=5)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("capability", "pays"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_bfloat16_only_where_native(monkeypatch, capability, pays):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_, **__: True)
    assert half_precision_pays(torch.device("cuda")) is pays
