"""The sample z-stack: exact labels, solid objects, real optics, quick."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_sam2.errors import StackError
from napari_sam2.samples import SampleStack, nuclei_stack


@pytest.fixture(scope="module")
def stack() -> SampleStack:
    return nuclei_stack()


def test_default_stack(stack: SampleStack) -> None:
    assert stack.image.shape == stack.labels.shape == (40, 256, 256)
    assert (stack.image.dtype, stack.labels.dtype) == (np.uint16, np.uint16)
    assert (stack.axes, stack.parents) == ("ZYX", ())


def test_ids_are_consecutive_and_each_is_one_solid(stack: SampleStack) -> None:
    ids = np.unique(stack.labels)
    np.testing.assert_array_equal(ids, np.arange(len(ids)))
    assert len(ids) > 30
    for number, box in enumerate(ndimage.find_objects(stack.labels), start=1):
        solid = stack.labels[box] == number
        pieces, _ = ndimage.label(solid, np.ones((3, 3, 3)))
        assert np.bincount(pieces.ravel())[1:].max() > 0.9 * solid.sum()


def test_some_nuclei_touch(stack: SampleStack) -> None:
    left, right = stack.labels[:, :, :-1], stack.labels[:, :, 1:]
    touching = (left != right) & (left > 0) & (right > 0)
    assert touching.sum() > 50


def test_nuclei_are_brighter_than_the_ground_and_blur_is_longer_in_z(stack: SampleStack) -> None:
    inside = stack.image[stack.labels > 0].mean()
    outside = stack.image[stack.labels == 0].mean()
    assert inside > 2.5 * outside
    grey = ndimage.gaussian_filter(stack.image.astype(np.float32), (0, 1, 1))
    rim = (stack.labels > 0) ^ ndimage.binary_dilation(stack.labels > 0, iterations=1)
    per_um_z = np.abs(np.gradient(grey, axis=0))[rim].mean() / stack.scale[0]
    per_um_x = np.abs(np.gradient(grey, axis=2))[rim].mean() / stack.scale[2]
    assert per_um_z < per_um_x


def test_light_is_lost_with_depth(stack: SampleStack) -> None:
    levels = [np.median(f[m > 0]) for f, m in zip(stack.image, stack.labels, strict=True)]
    assert np.mean(levels[:8]) > 1.2 * np.mean(levels[-8:])


def test_same_seed_same_stack_other_seed_other_stack() -> None:
    shape = (8, 64, 64)
    first, again, other = (nuclei_stack(seed, shape) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert (first.labels != other.labels).any()


def test_too_small_a_shape_is_refused() -> None:
    with pytest.raises(StackError, match="too small"):
        nuclei_stack(shape=(1, 64, 64))
