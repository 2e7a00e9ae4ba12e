"""Which of several looks at a click shows the object that is meant."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2.network import MaskPrediction
from napari_sam2.tracking.decoding.scale_choice import agreements, choose_other, choose_scale
from napari_sam2.tracking.images.object_window import Window

SIDE = 64
CLICK = (100.0, 120.0)


def windows(*sides: int) -> list[Window]:
    return [Window(100 - side // 2, 120 - side // 2, side, side) for side in sides]


def disc(window: Window, radius: float, centre: tuple[float, float] = CLICK) -> torch.Tensor:
    """A disc of some pixels of the frame as a window sees it, as logits."""
    steps = (torch.arange(SIDE) + 0.5) / SIDE
    y = window.top + steps * window.height - 0.5 - centre[0]
    x = window.left + steps * window.width - 0.5 - centre[1]
    return radius - (y[:, None] ** 2 + x[None, :] ** 2).sqrt()


def looks(masks: list[list[torch.Tensor]], ious: list[list[float]]) -> MaskPrediction:
    count, each = len(masks), len(masks[0])
    return MaskPrediction(
        torch.stack([torch.stack(row) for row in masks]),
        torch.tensor(ious),
        torch.zeros(count, each, 4),
        torch.full((count, 1), 5.0),
    )


@given(st.floats(12, 20), st.floats(12, 20))
@settings(max_examples=30, deadline=None)
def test_agreement_is_the_iou_of_discs_seen_at_any_scale(one, other):
    places = windows(48, 400)
    masks = torch.stack([disc(places[0], one)[None], disc(places[1], other)[None]])
    expected = (min(one, other) / max(one, other)) ** 2
    assert float(agreements(masks, places, CLICK)[0, 1]) == pytest.approx(expected, abs=0.2)


def test_a_mask_agrees_with_itself_and_not_with_what_lies_elsewhere():
    places = windows(100, 100)
    masks = torch.stack([disc(places[0], 10)[None], disc(places[0], 10, (70.0, 120.0))[None]])
    found = agreements(masks, places, CLICK)
    assert found.diagonal().tolist() == pytest.approx([1, 1])
    assert float(found[0, 1]) == 0


def test_an_empty_mask_agrees_with_none():
    places = windows(100, 100)
    masks = torch.stack([disc(places[0], 10)[None], torch.full((1, SIDE, SIDE), -5.0)])
    assert agreements(masks, places, CLICK)[1].tolist() == [0, 0]


def test_what_several_scales_see_wins_over_one_that_trusts_itself_more():
    places = windows(60, 120, 240)
    seen = [[disc(places[0], 20)], [disc(places[1], 21)], [disc(places[2], 90)]]
    assert choose_scale(looks(seen, [[0.6], [0.65], [0.8]]), places, CLICK).window == 1


def test_quality_decides_between_scales_that_do_not_agree():
    places = windows(60, 400)
    seen = [[disc(places[0], 8)], [disc(places[1], 120)]]
    for better in (0, 1):
        ious = [[0.3], [0.3]]
        ious[better] = [0.9]
        assert choose_scale(looks(seen, ious), places, CLICK).window == better


def test_a_closer_look_does_not_win_by_being_the_last():
    places = windows(60, 120, 80)
    seen = [[disc(places[0], 20)], [disc(places[1], 21)], [disc(places[2], 36)]]
    assert choose_scale(looks(seen, [[0.8], [0.7], [0.8]]), places, CLICK).window < 2


BESIDE = (100.0, 150.0)


def test_of_masks_without_the_background_click_the_likely_one_is_chosen():
    places = windows(100, 400)
    group = [disc(places[0], 60), disc(places[1], 60)]
    single = [disc(places[0], 12), disc(places[1], 12)]
    far = [disc(places[0], 5, (130.0, 120.0)), disc(places[1], 5, (130.0, 120.0))]
    ious = [[0.9, 0.3, 0.95], [0.9, 0.2, 0.95]]
    prediction = looks([list(row) for row in zip(group, single, far, strict=True)], ious)
    assert choose_scale(prediction, places, CLICK).mask == 0
    assert choose_other(prediction, places, CLICK, BESIDE) == (0, 1)


def test_nothing_is_chosen_where_all_masks_hold_the_background_click():
    places = windows(100, 400)
    prediction = looks([[disc(each, 60)] for each in places], [[0.9], [0.9]])
    assert choose_other(prediction, places, CLICK, BESIDE) is None
    beyond = (100.0, 300.0)  # of the first window, where its mask ends
    assert choose_other(prediction, places, CLICK, beyond) is not None
