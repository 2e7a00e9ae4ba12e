"""The sample time-lapse: lineages, motion, bleaching, quick."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_sam2.errors import StackError
from napari_sam2.samples import SampleStack, dividing_cells


@pytest.fixture(scope="module")
def stack() -> SampleStack:
    return dividing_cells()


def _frames(stack: SampleStack, identity: int) -> np.ndarray:
    return np.flatnonzero((stack.labels == identity).any(axis=(1, 2)))


def test_default_stack(stack: SampleStack) -> None:
    assert stack.image.shape == stack.labels.shape == (40, 256, 256)
    assert (stack.image.dtype, stack.labels.dtype) == (np.uint16, np.uint16)
    assert stack.axes == "TYX"


def test_ids_are_consecutive(stack: SampleStack) -> None:
    ids = np.unique(stack.labels)
    np.testing.assert_array_equal(ids, np.arange(len(ids)))
    assert len(ids) > 15


def test_mothers_end_before_their_daughters_begin(stack: SampleStack) -> None:
    assert len(stack.parents) >= 6
    assert list(stack.parents) == sorted(stack.parents)
    children = [child for child, _ in stack.parents]
    assert len(children) == len(set(children))
    for child, parent in stack.parents:
        assert _frames(stack, parent).max() < _frames(stack, child).min()


def test_daughters_begin_where_the_mother_was(stack: SampleStack) -> None:
    checked = 0
    for child, parent in stack.parents:
        born, last = _frames(stack, child).min(), _frames(stack, parent).max()
        if born != last + 1:
            continue
        here = np.array(ndimage.center_of_mass(stack.labels[born] == child))
        there = np.array(ndimage.center_of_mass(stack.labels[last] == parent))
        assert np.linalg.norm(here - there) < 25
        checked += 1
    assert checked >= 6


def test_cells_move_touch_enter_and_leave(stack: SampleStack) -> None:
    lives = [_frames(stack, i) for i in range(1, int(stack.labels.max()) + 1)]
    daughters = {child for child, _ in stack.parents}
    mothers = {parent for _, parent in stack.parents}
    assert any(f.min() > 0 and i not in daughters for i, f in enumerate(lives, start=1))
    assert any(f.max() < 39 and i not in mothers for i, f in enumerate(lives, start=1))
    left, right = stack.labels[:, :, :-1], stack.labels[:, :, 1:]
    assert ((left != right) & (left > 0) & (right > 0)).sum() > 200
    overlap = np.mean(stack.labels[0][stack.labels[0] > 0] == stack.labels[12][stack.labels[0] > 0])
    assert overlap < 0.9


def test_cells_are_bright_and_the_dye_bleaches(stack: SampleStack) -> None:
    inside = [
        f[m > 0].mean() - f[m == 0].mean() for f, m in zip(stack.image, stack.labels, strict=True)
    ]
    assert min(inside) > 200
    assert np.mean(inside[-5:]) < 0.85 * np.mean(inside[:5])


def test_same_seed_same_stack() -> None:
    first, again, other = (dividing_cells(seed, (6, 96, 80)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert first.parents == again.parents
    assert (first.labels != other.labels).any()


def test_too_small_a_shape_is_refused() -> None:
    with pytest.raises(StackError, match="too small"):
        dividing_cells(shape=(40, 16, 16))
