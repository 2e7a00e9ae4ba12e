"""Random clips: labelled, varied, repeatable, within their time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2.errors import StackError
from synthetic import KINDS, random_clip

NAMES = [kind.name for kind in KINDS]


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_gives_visible_labelled_objects(name: str) -> None:
    seen = 0
    for seed in range(3):
        clip = random_clip(np.random.default_rng(seed), 3, 96, name)
        assert clip.image.shape == clip.labels.shape == (3, 96, 96)
        assert clip.image.dtype == np.uint8
        assert clip.labels.dtype == np.uint16
        assert clip.image.std() > 2
        seen += int(clip.labels.max() > 0)
    assert seen == 3


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), frames=st.integers(1, 4), size=st.integers(32, 120))
def test_any_seed_and_size_is_valid_and_repeatable(seed: int, frames: int, size: int) -> None:
    clip = random_clip(np.random.default_rng(seed), frames, size)
    again = random_clip(np.random.default_rng(seed), frames, size)
    np.testing.assert_array_equal(clip.image, again.image)
    np.testing.assert_array_equal(clip.labels, again.labels)
    assert clip.labels.shape == (frames, size, size)
    for frame in clip.labels:
        areas = np.bincount(frame.ravel())[1:]
        assert (areas[areas > 0] >= 12).all()


def test_global_random_state_is_untouched() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    random_clip(np.random.default_rng(0), 2, 64)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_divisions_end_the_parent_where_children_begin() -> None:
    checked = 0
    for seed in range(60):
        clip = random_clip(np.random.default_rng(seed), 6, 128, "nuclei")
        for child, parent in clip.parents:
            born = np.flatnonzero((clip.labels == child).any(axis=(1, 2)))
            alive = np.flatnonzero((clip.labels == parent).any(axis=(1, 2)))
            assert alive.max() < born.min()
            checked += 1
    assert checked > 5


def test_objects_keep_their_place_between_frames() -> None:
    clip = random_clip(np.random.default_rng(5), 4, 128, "membranes")
    same = np.mean(clip.labels[0] == clip.labels[1])
    assert same > 0.6


def test_sizes_counts_and_contrasts_vary() -> None:
    clips = [random_clip(np.random.default_rng(seed), 1, 128) for seed in range(80)]
    largest = [np.bincount(clip.labels.ravel())[1:].max(initial=0) for clip in clips]
    counts = [len(np.unique(clip.labels)) - 1 for clip in clips]
    darker_inside = [
        clip.image[clip.labels > 0].mean() < clip.image[clip.labels == 0].mean()
        for clip in clips
        if 0 < (clip.labels > 0).mean() < 1
    ]
    assert min(largest) < 200
    assert max(largest) > 0.2 * 128 * 128
    assert min(counts) <= 2
    assert max(counts) >= 25
    assert 0.15 < np.mean(darker_inside) < 0.85


@pytest.mark.parametrize(("frames", "size"), [(0, 64), (1, 8)])
def test_impossible_sizes_are_refused(frames: int, size: int) -> None:
    with pytest.raises(StackError, match="at least 1 frame"):
        random_clip(np.random.default_rng(0), frames, size)


def test_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(StackError, match="nuclei"):
        random_clip(np.random.default_rng(0), kind="unicorns")


def test_nested_organs_differ_in_grey_from_what_holds_them() -> None:
    visible = []
    for seed in range(12):
        clip = random_clip(np.random.default_rng(seed), 1, 128, "organs")
        levels = [
            np.median(clip.image[0][clip.labels[0] == i])
            for i in np.unique(clip.labels)
            if i and (clip.labels == i).sum() > 150
        ]
        visible += [abs(a - b) for k, a in enumerate(levels) for b in levels[k + 1 :]]
    assert np.median(visible) > 15


def test_objects_of_the_first_frame_end_stay_and_return() -> None:
    ended, stayed, returned = 0, 0, 0
    for seed in range(40):
        labels = random_clip(np.random.default_rng(seed), 8, 64).labels
        for number in np.unique(labels[0][labels[0] > 0]):
            alive = (labels == number).any(axis=(1, 2))
            ended += int(not alive[-1])
            stayed += int(alive.all())
            returned += int((np.diff(alive.astype(int)) > 0).any())
    assert stayed > ended > 30
    assert returned > 3
