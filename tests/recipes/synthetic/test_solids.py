"""Bodies packed in three dimensions and structures that run through slices."""

from __future__ import annotations

import numpy as np
import pytest

from synthetic import random_clip
from synthetic.anatomy import random_course, tube
from synthetic.solids import MOST_BODIES, Packing, pack
from synthetic.spine import Spine


def test_sections_of_a_body_are_similar_ellipses_on_a_line() -> None:
    parts = pack(np.random.default_rng(2), Packing(), 12, 96)
    assert 1 <= parts.y.shape[1] <= MOST_BODIES
    np.testing.assert_allclose(np.diff(parts.y, n=2, axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(parts.a, parts.a[:1] * np.ones((12, 1)))
    np.testing.assert_array_equal(parts.present, parts.lift < 1)


def test_bodies_rarely_interpenetrate() -> None:
    packing = Packing(radius=(0.08, 0.08), fill=(0.3, 0.3), spread=0.01)
    labels = random_clip(np.random.default_rng(0), 8, 128, "solids").labels
    parts = pack(np.random.default_rng(0), packing, 8, 128)
    assert labels.max() > 0
    apart = np.hypot(parts.y[0, :, None] - parts.y[0, None], parts.x[0, :, None] - parts.x[0, None])
    both = parts.present[0, :, None] & parts.present[0, None] & ~np.eye(apart.shape[0], dtype=bool)
    overlapping = both & (apart < 0.5 * np.minimum(parts.a[0, :, None], parts.a[0, None]))
    assert overlapping.sum() <= 0.1 * max(1, both.any(axis=1).sum())


def test_solids_begin_and_end_inside_the_stack() -> None:
    begins, ends, lasts = 0, 0, 0
    for seed in range(20):
        labels = random_clip(np.random.default_rng(seed), 8, 96, "solids").labels
        for number in np.unique(labels[labels > 0]):
            frames = np.flatnonzero((labels == number).any(axis=(1, 2)))
            begins += int(frames[0] > 0)
            ends += int(frames[-1] < 7)
            lasts += int(len(frames) > 2)
    assert min(begins, ends, lasts) > 30


def test_light_reaches_beyond_the_end_of_a_body() -> None:
    fuzzy = []
    for seed in range(30):
        clip = random_clip(np.random.default_rng(seed), 8, 96, "solids")
        for number in np.unique(clip.labels[clip.labels > 0]):
            frames = np.flatnonzero((clip.labels == number).any(axis=(1, 2)))
            last = int(frames[-1])
            place = clip.labels[last] == number
            if last == 7 or place.sum() < 60 or clip.labels[last + 1][place].any():
                continue
            ground = np.median(clip.image[last + 1][clip.labels[last + 1] == 0])
            inside = np.median(clip.image[last][place])
            after = np.median(clip.image[last + 1][place])
            if inside > ground + 30:
                fuzzy.append((after - ground) / (inside - ground))
    assert len(fuzzy) > 10
    assert 0.1 < np.median(fuzzy) < 0.95


def test_a_cord_runs_through_the_stack_and_bends_slowly() -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        layout = Spine().lay_out(rng, 8, 128)
        parts = layout.parts
        assert parts.y.shape[0] == 8 + 2 * layout.margin
        cord = parts.y.shape[1] - 1
        assert parts.ids[cord] <= parts.ids.max() - layout.clutter
        step = np.abs(np.diff(parts.y[:, cord]))
        assert (step < parts.b[1:, cord]).all()


@pytest.mark.parametrize("ends", [0.0, 1.0])
def test_tubes_end_inside_the_stack_when_asked(ends: float) -> None:
    rng = np.random.default_rng(4)
    course = random_course(rng, 20, 100, 10.0)
    lift = tube(rng, course, (10.0, 8.0), 0.5, True, ends).lift
    assert (lift < 1).any()
    assert bool((lift >= 1).any()) == bool(ends)


def test_slices_say_so_in_their_axes() -> None:
    assert random_clip(np.random.default_rng(0), 4, 64, "solids").axes == "ZYX"
    assert random_clip(np.random.default_rng(0), 4, 64, "culture").axes == "TYX"
