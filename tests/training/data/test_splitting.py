from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sam2.errors import TrainingError
from napari_sam2.training import check_enough, labelled_instances, make_stack, split_stacks


def still(name: str, group: str = "g"):
    labels = np.zeros((32, 48), int)
    labels[4:12, 4:12] = 1
    labels[20:28, 34:44] = 2
    return make_stack(np.arange(32 * 48).reshape(32, 48), labels, name=name, group=group)


def movie(n_frames: int, labelled: slice = slice(None)):
    labels = np.zeros((n_frames, 20, 20), int)
    labels[labelled, 4:12, 4:12] = 3
    image = np.broadcast_to(np.arange(n_frames)[:, None, None], labels.shape)
    return make_stack(image * 10, labels, name="movie", group="m")


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5).filter(lambda s: sum(s) > 1),
    share=st.floats(0.05, 0.95),
    seed=st.integers(0, 99),
)
def test_stacks_go_to_one_side_and_neither_is_empty(sizes, share, seed):
    stacks = [still(f"{g}/{i}", f"{g}") for g, size in enumerate(sizes) for i in range(size)]
    split = split_stacks(stacks, share, seed)
    names = [stack.name for stack in (*split.train, *split.held_out)]
    assert sorted(names) == sorted(stack.name for stack in stacks)
    assert split.train
    assert split.held_out
    again = split_stacks(stacks, share, seed)
    assert [s.name for s in again.held_out] == [s.name for s in split.held_out]
    # A group of several is in both halves' reach: it is never held out whole.
    kept = {stack.group for stack in split.train}
    assert all(str(g) in kept for g, size in enumerate(sizes) if size > 1 or len(sizes) == 1)


def test_the_seed_decides():
    stacks = [still(str(i)) for i in range(20)]
    chosen = {tuple(s.name for s in split_stacks(stacks, 0.2, seed).held_out) for seed in range(9)}
    assert len(chosen) > 5
    assert {len(names) for names in chosen} == {4}


@pytest.mark.parametrize(("n_frames", "guards"), [(40, 1), (6, 0)])
def test_frames_of_one_stack_are_held_out_in_a_block(n_frames, guards):
    stack = movie(n_frames)
    for seed in range(8):
        split = split_stacks([stack], 0.25, seed)
        (held_out,) = split.held_out
        used = [np.unique(part.image).tolist() for part in (*split.train, held_out)]
        assert len(held_out.image) == round(0.25 * n_frames)
        # No frame on both sides, and the frames next to the block on neither.
        assert not {v for part in used[:-1] for v in part} & set(used[-1])
        unused = n_frames - sum(map(len, used))
        assert guards * min(1, len(split.train)) <= unused <= 2 * guards


def test_the_block_holds_an_object_and_leaves_some():
    split = split_stacks([movie(30, slice(20, 24))], 0.1)
    assert labelled_instances(split.held_out) > 0
    assert labelled_instances(split.train) > 0


def test_one_end_of_a_single_still_is_held_out():
    split = split_stacks([still("one")], 0.35)
    (train,), (held_out,) = split.train, split.held_out
    assert train.image.shape[2] + held_out.image.shape[2] == 48
    assert train.n_objects == held_out.n_objects == 1
    assert "one[:, :, " in held_out.name


def test_parts_of_a_thin_volume_keep_the_axes_they_can():
    volume = make_stack(np.zeros((40, 40, 40)), np.ones((40, 40, 40), int), name="v")
    split = split_stacks([volume], 0.2)
    assert split.held_out[0].video_axes == (0,)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, float("nan")])
def test_impossible_shares(share):
    with pytest.raises(TrainingError, match="share"):
        split_stacks([still("a"), still("b")], share)


def test_what_cannot_be_split():
    with pytest.raises(TrainingError, match="cannot be split"):
        split_stacks([movie(12, slice(3, 4))], 0.2)


def test_too_few_objects():
    check_enough([movie(2), still("a")])
    with pytest.raises(TrainingError, match="Only 2 labelled"):
        check_enough([still("a")])
