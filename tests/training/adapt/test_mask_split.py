from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sam2.errors import TrainingError
from napari_sam2.training.adapt.mask_split import split_masks
from napari_sam2.types import ObjectFrame

OBJECT_FRAMES = st.builds(ObjectFrame, st.integers(1, 9), st.integers(0, 30))
PAIRS = st.sets(OBJECT_FRAMES, min_size=1, max_size=60)


def every(frames, objects):
    return {ObjectFrame(number, frame) for frame in frames for number in objects}


@given(PAIRS, st.integers(0, 3), st.randoms(use_true_random=False))
def test_no_held_out_mask_is_much_like_one_that_is_trained_on(pairs, seed, random):
    decided = {pair for pair in pairs if random.random() < 0.5}
    try:
        split = split_masks(pairs, decided, seed)
    except TrainingError:
        few = len(pairs) < 4
        objects = {pair.object_id for pair in pairs}
        counts = sorted(sum(n == number for n, _ in pairs) for number in objects)
        assert few or len(objects) < 3 or counts[-1] > len(pairs) - 4
        return
    assert not split.train & split.held_out
    assert split.train | split.held_out <= pairs
    assert min(len(split.train), len(split.held_out)) >= 2
    shared = {n for n, _ in split.train} & {n for n, _ in split.held_out}
    if shared:
        last = max(frame for _, frame in split.train)
        first = min(frame for _, frame in split.held_out)
        assert first - last > 1
    assert split_masks(pairs, decided, seed) == split


@pytest.mark.parametrize(("n_objects", "held_out"), [(4, 2), (8, 2), (12, 3), (40, 8)])
def test_a_fifth_is_held_out_and_at_least_two(n_objects, held_out):
    pairs = every([3], range(1, n_objects + 1))
    split = split_masks(pairs, pairs)
    assert len(split.held_out) == held_out
    assert split.train == pairs - split.held_out


def test_an_object_is_held_out_with_all_its_masks():
    pairs = every([0, 9], range(1, 7))
    split = split_masks(pairs, pairs)
    assert len(split.held_out) == 4
    assert not {n for n, _ in split.train} & {n for n, _ in split.held_out}


def test_an_object_with_most_of_the_masks_is_trained_on():
    pairs = every(range(20), [1]) | every([0, 1], [2, 3])
    split = split_masks(pairs, pairs)
    assert every(range(20), [1]) <= split.train


def test_masks_that_the_model_made_by_itself_are_not_measured_on():
    pairs = every([0], range(1, 11))
    decided = every([0], range(1, 4))
    split = split_masks(pairs, decided)
    assert split.held_out <= decided
    assert len(split.held_out) == 2
    nothing_decided = split_masks(pairs, set())
    assert len(nothing_decided.held_out) == 2


def test_of_one_object_an_end_is_held_out_with_a_frame_between():
    pairs = every(range(10), [5])
    split = split_masks(pairs, pairs)
    assert split.held_out == every([8, 9], [5])
    assert split.train == every(range(7), [5])


def test_one_object_in_neighbouring_frames_is_too_little():
    pairs = every(range(4), [1])
    with pytest.raises(TrainingError, match="too much alike"):
        split_masks(pairs, pairs)
    far = every([0, 4, 8, 12], [1])
    assert split_masks(far, far).train == every([0, 4], [1])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_too_few_masks(count):
    pairs = every([0], range(1, count + 1))
    with pytest.raises(TrainingError, match=f"Only {count} accepted or prompted"):
        split_masks(pairs, pairs)
