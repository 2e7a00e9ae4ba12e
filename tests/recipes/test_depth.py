"""Random stacks: bodies that shrink towards their poles, always the same for the same seed."""

from __future__ import annotations

import numpy as np

from bundled_model.depth import random_stack

SEEDS = range(30)


def test_stacks_have_values_of_an_image_and_labels_of_their_slices():
    for seed in SEEDS:
        image, labels = random_stack(np.random.default_rng(seed), 4, 64)
        assert image.shape == labels.shape == (4, 64, 64)
        assert image.dtype == np.float32
        assert labels.dtype == np.int32
        assert 0 <= image.min() <= image.max() <= 1
        assert labels.min() >= 0


def test_the_same_seed_makes_the_same_stack():
    one, other = (random_stack(np.random.default_rng(3), 3, 64) for _ in range(2))
    assert np.array_equal(one[0], other[0])
    assert np.array_equal(one[1], other[1])


def test_bodies_end_and_others_come_into_view():
    ended = begun = 0
    for seed in SEEDS:
        _, labels = random_stack(np.random.default_rng(seed), 5, 64)
        first, last = (set(np.unique(labels[t])) - {0} for t in (0, -1))
        ended += bool(first - last)
        begun += bool(last - first)
    assert ended > 10
    assert begun > 10


def test_bodies_that_end_shrink_before():
    shares = []
    for seed in SEEDS:
        _, labels = random_stack(np.random.default_rng(seed), 5, 64)
        areas = np.stack([np.bincount(each.ravel(), minlength=labels.max() + 1) for each in labels])
        ends = (areas[0] > 60) & (areas[4] == 0) & (areas[2] > 0)
        shares += list((areas[2] / np.maximum(areas[0], 1))[ends][1:])
    assert len(shares) > 20
    assert np.median(shares) < 0.8
