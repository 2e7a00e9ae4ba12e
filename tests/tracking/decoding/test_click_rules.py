"""Masks obey their clicks, and corrections change what is near them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2.network import MaskPrediction
from napari_sam2.tracking import TrackingSession, TrackingSettings
from napari_sam2.tracking.decoding.click_rules import (
    change_near,
    click_inside,
    enforce_clicks,
    keep_far,
    keep_object,
    rejects_mask,
)

SIDE = 32
coordinates = st.tuples(st.integers(0, SIDE - 1), st.integers(0, SIDE - 1))


def prediction(seed: int = 0, score: float = 3.0) -> MaskPrediction:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, 1, 6, 6, generator=generator) * 5
    masks = torch.nn.functional.interpolate(noise, (SIDE, SIDE), mode="bicubic")
    return MaskPrediction(masks, torch.ones(1, 1), torch.ones(1, 1, 4), torch.tensor([[score]]))


@given(coordinates, st.booleans(), st.integers(0, 50))
@settings(max_examples=60, deadline=None)
def test_a_clicked_pixel_is_on_the_side_of_its_click(point, positive, seed):
    before = prediction(seed)
    after = enforce_clicks(before, torch.tensor([point]), [positive])
    x, y = point
    assert (after.masks[0, 0, y, x] > 0) == positive
    if before.masks[0, 0, y, x] * (1 if positive else -1) >= 1:
        torch.testing.assert_close(after.masks, before.masks)
    else:
        changed = after.masks - before.masks
        assert ((changed >= 0) if positive else (changed <= 0)).all()


def test_pixels_that_the_network_was_sure_of_stay():
    before = replace(prediction(), masks=torch.full((1, 1, SIDE, SIDE), 0.5))
    before.masks[..., :16, :] = 12.0
    after = enforce_clicks(before, torch.tensor([[16, 20]]), [False]).masks[0, 0]
    assert (after[:15] > 0).all()
    assert not (after[18:23, 14:19] > 0).any()


def test_an_object_click_makes_the_object_present():
    absent = prediction(score=-5.0)
    assert enforce_clicks(absent, torch.tensor([[3, 3]]), [True]).object_scores > 0
    assert enforce_clicks(absent, torch.tensor([[3, 3]]), [False]).object_scores == -5.0


def disc(radius: float = 8.0) -> torch.Tensor:
    line = torch.arange(SIDE) - SIDE / 2
    return radius - (line[:, None] ** 2 + line[None, :] ** 2).sqrt()


@given(st.floats(0, 2 * np.pi), st.floats(0.7, 1.4), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_background_click_at_the_border_never_makes_an_object_vanish(angle, share, absent):
    vanished = prediction(score=-5.0 if absent else 5.0)
    if not absent:
        vanished = replace(vanished, masks=torch.full((1, 1, SIDE, SIDE), -3.0))
    x, y = (SIDE / 2 + 8.0 * share * turn for turn in (np.cos(angle), np.sin(angle)))
    clicks = torch.tensor([[x, y]], dtype=torch.float32)
    after = enforce_clicks(keep_object(vanished, disc(), clicks, [False]), clicks, [False])
    assert after.object_scores > 0
    assert (after.masks > 0).any()
    assert after.masks[0, 0, round(y), round(x)] < 0


def test_a_background_click_into_the_middle_may_remove_the_object():
    vanished = prediction(score=-5.0)
    middle = torch.tensor([[SIDE / 2, SIDE / 2 + 1]])
    assert keep_object(vanished, disc(), middle, [False]) is vanished


def test_what_was_nothing_is_not_brought_back():
    vanished = prediction(score=-5.0)
    clicks = torch.tensor([[1.0, 1.0]])
    assert keep_object(vanished, torch.full((SIDE, SIDE), -4.0), clicks, [False]) is vanished


def shown(*boxes: tuple[slice, slice]) -> torch.Tensor:
    """Logits (SIDE, SIDE) of a mask that is made of boxes."""
    logits = torch.full((SIDE, SIDE), -4.0)
    for box in boxes:
        logits[box] = 4.0
    return logits


def predicted(logits: torch.Tensor) -> MaskPrediction:
    return replace(prediction(), masks=logits[None, None])


BODY = (slice(8, 24), slice(8, 20))
RIGHT, LEFT = (slice(12, 16), slice(20, 26)), (slice(18, 22), slice(2, 8))


@pytest.mark.parametrize(
    ("object_click", "background", "denied"),
    [
        ((16, 10), (16, 15), True),
        ((16, 15), (16, 10), False),  # the object's own click is deeper
        ((16, 9), (16, 11), False),  # not in the middle: it corrects the border
        ((16, 10), (16, 30), False),
        ((16, 10), (16, 99), False),
    ],
)
def test_a_background_click_into_the_middle_denies_the_mask(object_click, background, denied):
    assert rejects_mask(disc(), object_click, background) == denied


def flat(level: float) -> torch.Tensor:
    return torch.full((SIDE, SIDE), level)


def test_the_mask_before_is_kept_the_more_the_farther_from_a_click():
    after = keep_far(predicted(flat(2.0)), flat(6.0), torch.tensor([[4.0, 10.0]]))
    kept = (after.masks[0, 0, 10] - 2.0) / 4.0
    reach = 0.375 * SIDE
    expected = 0.6 * (torch.arange(SIDE) - 4).abs().div(reach).clamp(max=1.0)
    torch.testing.assert_close(kept, expected, atol=1e-5, rtol=0)


def test_of_several_clicks_the_nearest_one_counts():
    clicks = torch.tensor([[4.0, 10.0], [20.0, 10.0]])
    both = keep_far(predicted(flat(2.0)), flat(6.0), clicks).masks
    each = [keep_far(predicted(flat(2.0)), flat(6.0), clicks[n : n + 1]).masks for n in (0, 1)]
    torch.testing.assert_close(both, torch.minimum(*each))


def test_nothing_is_kept_of_a_mask_that_was_something_else():
    before = shown((slice(0, 10), slice(0, 10)))
    for columns, same in ((slice(0, 16), True), (slice(0, 17), False)):  # 100 of 160 and of 170
        new = predicted(shown((slice(0, 10), columns)))
        after = keep_far(new, before, torch.tensor([[12.0, 5.0]]))
        assert (after is new) == (not same)
    empty = predicted(shown())
    assert keep_far(empty, shown(), torch.tensor([[12.0, 5.0]])) is empty


def test_very_sure_logits_from_before_do_not_drown_the_correction():
    after = keep_far(predicted(flat(2.0)), flat(1e6), torch.tensor([[0.0, 0.0]]))
    assert after.masks.max() <= 32.0


def test_an_object_click_adds_what_is_connected_with_it_and_nothing_else():
    both = predicted(shown(BODY, LEFT, RIGHT))
    after = change_near(both, shown(BODY), torch.tensor([[22.0, 14.0]]), [True])
    assert torch.equal(after.masks[0, 0] > 0, shown(BODY, RIGHT) > 0)


def test_a_background_click_takes_away_what_is_connected_with_it_and_nothing_else():
    before = shown(BODY, LEFT, RIGHT)
    after = change_near(predicted(shown(BODY)), before, torch.tensor([[4.0, 20.0]]), [False])
    assert torch.equal(after.masks[0, 0] > 0, shown(BODY, RIGHT) > 0)


def test_a_correction_reaches_three_eighths_of_the_longer_side():
    long, click = (slice(14, 18), slice(0, SIDE)), torch.tensor([[30.0, 15.0]])
    after = change_near(predicted(shown(long)), shown((slice(14, 18), slice(0, 4))), click, [True])
    columns = torch.nonzero((after.masks[0, 0] > 0).any(dim=0))[:, 0].tolist()
    assert columns == [0, 1, 2, 3, *range(30 - 12, SIDE)]


def test_all_may_change_where_there_was_nothing_or_nothing_is_left():
    new, nothing, click = predicted(shown(LEFT)), shown(), torch.tensor([[4.0, 20.0]])
    assert change_near(new, nothing, click, [True]) is new
    gone = replace(new, object_scores=torch.tensor([[-5.0]]))
    assert change_near(gone, shown(BODY), click, [False]) is gone


@given(st.integers(0, 200), st.integers(0, 200), coordinates, st.booleans())
def test_what_changes_is_what_the_network_changed_and_the_click_asked_for(
    old, new, point, positive
):
    before = prediction(old).masks[0, 0]
    predicted_mask = enforce_clicks(prediction(new), torch.tensor([point]), [positive])
    after = change_near(predicted_mask, before, torch.tensor([point]).float(), [positive])
    was, now, is_now = before > 0, predicted_mask.masks[0, 0] > 0, after.masks[0, 0] > 0
    assert not (is_now & ~was & ~now).any()
    assert not (~is_now & was & now).any()
    assert not ((was & ~is_now) if positive else (is_now & ~was)).any()
    x, y = point
    if was.any():
        assert is_now[y, x] == positive


def test_masks_of_a_session_hold_their_clicks(absent_model, stack):
    plain = {"max_hole": 0, "min_island": 0, "clicked_part": False}
    clicks, kinds = [(20.0, 30.0), (36.0, 12.0), (8.0, 44.0)], [True, False, True]
    for enforces in (True, False):
        chosen = TrackingSettings(obey_clicks=enforces, **plain)
        session = TrackingSession(absent_model, stack, settings=chosen)
        mask = session.add_points(1, 0, clicks, kinds).masks[0]
        assert mask.any() == enforces
        if enforces:
            assert [bool(mask[round(y), round(x)]) for y, x in clicks] == kinds


def test_a_hole_where_background_was_clicked_stays_open(model, stack):
    session = TrackingSession(model, stack, settings=TrackingSettings(max_hole=400))
    whole = session.add_points(1, 0, [(20, 20)]).masks[0]
    ys, xs = whole.nonzero()
    inside = (float(ys.mean().round()), float(xs.mean().round()))
    mask = session.add_points(1, 0, [inside], [False]).masks[0]
    assert not mask[round(inside[0]), round(inside[1])]


@given(
    st.integers(0, 500),
    st.lists(st.tuples(st.floats(-0.5, 31.4), st.floats(-0.5, 31.4)), min_size=1, max_size=3),
)
@settings(max_examples=60, deadline=None)
def test_a_click_inside_a_drawing_is_on_it_and_on_no_other_click(seed, background):
    mask = np.random.default_rng(seed).random((SIDE, SIDE)) < 0.02
    mask[5:9, 20:27] = True
    y, x = click_inside(mask, background)
    assert mask[int(y), int(x)]
    assert (y, x) not in {(round(at[0]), round(at[1])) for at in background}


def test_there_is_no_click_inside_where_all_was_clicked():
    mask = np.zeros((SIDE, SIDE), bool)
    assert click_inside(mask, [(3.0, 3.0)]) is None
    mask[3, 3] = True
    assert click_inside(mask, [(3.2, 2.9)]) is None
    assert click_inside(mask, [(9.0, 9.0)]) == (3.0, 3.0)


def test_a_background_click_does_not_wipe_out_what_was_drawn(absent_model, stack):
    drawn = np.zeros(stack.shape[1:], bool)
    drawn[10:26, 12:30] = True
    session = TrackingSession(absent_model, stack)
    session.add_mask(1, 2, drawn)
    first = session.add_points(1, 2, [(18.0, 44.0)], [False])
    assert first.masks[0][drawn].any()
    assert not first.masks[0, 18, 44]
