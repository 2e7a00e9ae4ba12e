"""Logits to masks in the frame's own pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from napari_sam2.labels import clean_mask
from napari_sam2.tracking import TrackingSettings
from napari_sam2.tracking.decoding.mask_postprocessing import (
    clicked_parts,
    finish_masks,
    spread_logits,
)
from napari_sam2.tracking.decoding.prediction import ObjectPrediction
from napari_sam2.tracking.images.object_window import Window

PLAIN = TrackingSettings(max_hole=0, min_island=0)
NOTHING = np.zeros((32, 32), bool)


def seen(logits: torch.Tensor, window: Window | None = None) -> ObjectPrediction:
    window = window or Window.whole(NOTHING.shape)
    return ObjectPrediction(logits, 1.0, 1.0, torch.zeros(4), window)


def disc(y: float, x: float, radius: float, height: float = 4.0) -> torch.Tensor:
    yy, xx = np.mgrid[:32, :32]
    distance = np.hypot(yy - y, xx - x)
    return torch.from_numpy((height * (1 - distance / radius)).astype(np.float32))


TWO_DISCS = [seen(disc(16, 12, 8)), seen(disc(16, 20, 8))]


def test_the_highest_logit_wins_and_losers_keep_the_rest():
    output = finish_masks(TWO_DISCS, NOTHING, PLAIN, keep_logits=True)
    first, second = output.disjoint
    assert not (first & second).any()
    assert first[16, 13]
    assert second[16, 19]
    whole = (output.logits > 0).any(axis=0)
    np.testing.assert_array_equal(first | second, whole)


@pytest.mark.parametrize("overlap", [False, True])
def test_boxes_hold_all_of_their_masks(overlap):
    nowhere = seen(torch.full((32, 32), -4.0))
    chosen = TrackingSettings(overlap=overlap)
    output = finish_masks([*TWO_DISCS, nowhere], NOTHING, chosen, keep_logits=False)
    assert [box is None for box in output.boxes] == [False, False, True]
    for mask, box in zip(output.disjoint, output.boxes, strict=True):
        inside = np.zeros_like(mask)
        if box is not None:
            inside[box] = mask[box]
        np.testing.assert_array_equal(inside, mask)


def test_overlaps_are_kept_whole_where_they_are_allowed():
    chosen = TrackingSettings(max_hole=0, min_island=0, overlap=True)
    output = finish_masks(TWO_DISCS, NOTHING, chosen, keep_logits=True)
    np.testing.assert_array_equal(output.masks, output.logits > 0)
    assert output.disjoint.sum(axis=0).max() == 1


@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_each_mask_is_cleaned_as_it_would_be_alone_in_the_frame(seed, count, hole, island):
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(-0.3, 1, (count, 32, 32)).astype(np.float32))
    taken = rng.random((32, 32)) < 0.1
    chosen = TrackingSettings(max_hole=hole, min_island=island)
    output = finish_masks([seen(each) for each in logits], taken, chosen, keep_logits=False)
    winner = np.where(logits.amax(0) > 0, logits.argmax(0), -1)
    winner[taken] = -1
    free = (winner < 0) & ~taken
    for index in range(count):
        alone = winner == index
        expected = clean_mask(alone, hole, island) & (alone | free)
        np.testing.assert_array_equal(output.disjoint[index], expected)
        free &= ~expected


@given(
    st.integers(0, 2**31),
    st.lists(
        st.tuples(st.integers(-9, 30), st.integers(-9, 40), st.integers(4, 60), st.integers(4, 60)),
        min_size=1,
        max_size=5,
    ),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_masks_in_any_windows_are_those_of_whole_frames(seed, places, overlap):
    shape, rng = (33, 47), np.random.default_rng(seed)
    windows = [Window(*place) for place in places]
    windows = [w for w in windows if all(part.start < part.stop for part in w.inside(shape))]
    if not windows:
        return
    logits = [ndimage.gaussian_filter(rng.normal(-0.1, 1, (16, 16)), 2) for _ in windows]
    predictions = [
        seen(torch.from_numpy(each.astype(np.float32)), window)
        for each, window in zip(logits, windows, strict=True)
    ]
    taken = rng.random(shape) < 0.05
    chosen = TrackingSettings(max_hole=5, min_island=3, overlap=overlap)
    output = finish_masks(predictions, taken, chosen, keep_logits=True)
    spread = np.stack([spread_logits(p.logits, p.window, shape) for p in predictions])
    winner = np.where(spread.max(0) > 0, spread.argmax(0), -1)
    winner[taken] = -1
    free = (winner < 0) & ~taken
    for index in range(len(predictions)):
        alone = winner == index
        expected = clean_mask(alone, 5, 3) & (alone | free)
        np.testing.assert_array_equal(output.disjoint[index], expected)
        free &= ~expected
        whole = clean_mask(spread[index] > 0, 5, 3) if overlap else expected
        np.testing.assert_array_equal(output.masks[index], whole)
    np.testing.assert_array_equal(output.logits, spread)


def test_windows_place_masks_in_the_frame():
    prediction = seen(disc(16, 16, 8), Window(-8, 12, 32, 32))
    output = finish_masks([prediction], NOTHING, PLAIN, keep_logits=True)
    expected = NOTHING.copy()
    expected[:24, 12:] = disc(16, 16, 8).numpy()[8:, :20] > 0
    np.testing.assert_array_equal(output.disjoint[0], expected)
    assert (output.logits[0][:, :12] < -100).all()


def test_taken_pixels_stay_with_their_owner():
    taken = NOTHING.copy()
    taken[:, :16] = True
    output = finish_masks([seen(disc(16, 16, 8))], taken, PLAIN, keep_logits=False)
    assert not (output.disjoint[0] & taken).any()
    assert output.disjoint[0].any()
    assert output.logits is None


def test_a_filled_hole_leaves_the_object_inside_it():
    ring = disc(16, 16, 9)
    ring[14:19, 14:19] = -1
    inner = torch.full((32, 32), -1.0)
    inner[16, 16] = 1
    chosen = TrackingSettings(max_hole=50, min_island=0)
    output = finish_masks([seen(ring), seen(inner)], NOTHING, chosen, keep_logits=False)
    assert output.disjoint[1, 16, 16]
    assert not output.disjoint[0, 16, 16]
    assert output.disjoint[0, 14, 14]


def test_a_hole_in_two_masks_is_filled_for_one_of_them():
    rings = []
    for radius in (9, 5):
        ring = torch.full((32, 32), -1.0)
        ring[16 - radius : 17 + radius, 16 - radius : 17 + radius] = 1
        ring[18 - radius : 15 + radius, 18 - radius : 15 + radius] = -1
        rings.append(seen(ring))
    chosen = TrackingSettings(max_hole=1000, min_island=0)
    output = finish_masks(rings, NOTHING, chosen, keep_logits=False)
    assert output.disjoint.sum(axis=0).max() == 1
    assert output.disjoint[0, 16, 16], "the first one gets it"


@pytest.mark.parametrize("points", [[(4, 4)], [(4.4, 3.6)]])
def test_only_clicked_parts_stay(points):
    mask = NOTHING.copy()
    mask[2:7, 2:7] = True
    mask[20:30, 20:30] = True
    kept = clicked_parts(mask, points)
    assert kept[4, 4]
    assert not kept[25, 25]
    np.testing.assert_array_equal(clicked_parts(mask, [(4, 4), (25, 25)]), mask)
    np.testing.assert_array_equal(clicked_parts(mask, [(15, 15)]), mask)


@given(
    mask=hnp.arrays(bool, (9, 11)),
    points=st.lists(st.tuples(st.floats(-2, 12), st.floats(-2, 12)), min_size=1, max_size=3),
)
def test_clicked_parts_are_those_of_the_whole_frame(mask, points):
    parts, count = ndimage.label(mask, structure=np.ones((3, 3)))
    rows = [min(max(round(y), 0), 8) for y, _ in points]
    columns = [min(max(round(x), 0), 10) for _, x in points]
    clicked = set(parts[rows, columns].tolist()) - {0}
    wanted = np.isin(parts, list(clicked)) if clicked and count > 1 else mask
    np.testing.assert_array_equal(clicked_parts(mask, points), wanted)


@pytest.mark.parametrize("overlap", [False, True])
def test_parts_are_looked_for_in_the_box_of_a_mask_alone(monkeypatch, overlap):
    """A frame of 20000 x 20000 pixels took seconds for a cell of 40."""
    nothing = np.zeros((640, 640), bool)
    window = Window(100, 200, 32, 32)
    two = torch.maximum(disc(8, 8, 5), disc(24, 24, 5))
    chosen = TrackingSettings(max_hole=0, min_island=0, overlap=overlap)
    output = finish_masks([seen(two, window)], nothing, chosen, keep_logits=False)
    whole = output.masks[0].copy()
    sizes = []
    real = ndimage.label
    monkeypatch.setattr(
        ndimage,
        "label",
        lambda mask, **options: (sizes.append(mask.size), real(mask, **options))[1],
    )
    output.keep_clicked(0, [(108, 208)])
    assert sizes
    assert max(sizes) <= 40 * 40
    np.testing.assert_array_equal(output.masks[0], clicked_parts(whole, [(108, 208)]))
    np.testing.assert_array_equal(output.disjoint[0], output.masks[0])
    assert 0 < output.masks[0].sum() < whole.sum()


@pytest.mark.parametrize("overlap", [False, True])
def test_ids_under_masks_are_those_of_the_whole_frame(overlap):
    labels = np.arange(32 * 32).reshape(32, 32).astype(np.uint16)
    output = finish_masks(TWO_DISCS, NOTHING, TrackingSettings(overlap=overlap), keep_logits=False)
    wanted = set(labels[output.masks.any(axis=0)].tolist())
    assert output.ids_under(labels) == wanted
