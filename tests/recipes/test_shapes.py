"""Random shapes: clips of any kind, exact labels, always the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from bundled_model.shapes import random_shapes


@pytest.mark.parametrize("n_frames", [1, 4])
def test_clips_have_values_of_an_image_and_labels_of_their_frames(n_frames):
    for seed in range(12):
        image, labels = random_shapes(np.random.default_rng(seed), n_frames, 64)
        assert image.shape == labels.shape == (n_frames, 64, 64)
        assert image.dtype == np.float32
        assert labels.dtype == np.int32
        assert 0 <= image.min() <= image.max() <= 1
        assert labels.min() >= 0


def test_the_same_seed_makes_the_same_clip():
    one, other = (random_shapes(np.random.default_rng(3), 3, 64) for _ in range(2))
    assert np.array_equal(one[0], other[0])
    assert np.array_equal(one[1], other[1])


def test_objects_can_be_told_from_what_surrounds_them():
    # Not in every clip, but in most: brightness, texture or a rim differ.
    told = 0
    for seed in range(40):
        image, labels = random_shapes(np.random.default_rng(seed), 1, 96)
        border = np.zeros(labels[0].shape, bool)
        border[:, 1:] = labels[0][:, 1:] != labels[0][:, :-1]
        step = np.abs(np.diff(image[0], axis=1, prepend=image[0][:, :1]))
        if border.any():
            told += step[border].mean() > 1.2 * step[~border].mean()
    assert told > 20


def test_in_clips_objects_end_and_new_ones_begin():
    ended = begun = 0
    for seed in range(40):
        _, labels = random_shapes(np.random.default_rng(seed), 5, 64)
        first, last = (set(np.unique(labels[t])) - {0} for t in (0, -1))
        ended += bool(first - last)
        begun += bool(last - first)
    assert ended > 10
    assert begun > 5
