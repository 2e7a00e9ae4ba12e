"""Regions of an image as objects: what its own borders enclose."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.training.data.regions import random_regions

SIDE = 96


@pytest.fixture(scope="module")
def blocks() -> np.ndarray:
    """Four grey blocks with a little noise."""
    image = np.zeros((SIDE, SIDE), np.float32)
    half = SIDE // 2
    image[:half, half:], image[half:, :half], image[half:, half:] = 0.35, 0.65, 1.0
    noise = np.random.default_rng(0).normal(0, 0.01, image.shape)
    return np.clip(image + noise, 0, 1).astype(np.float32)


def test_regions_keep_to_the_borders_of_the_image(blocks):
    block = np.add.outer(2 * (np.arange(SIDE) >= SIDE // 2), np.arange(SIDE) >= SIDE // 2)
    purities = []
    for seed in range(30):
        labels = random_regions(blocks, np.random.default_rng(seed))
        for index in np.unique(labels[labels > 0]):
            counts = np.bincount(block[labels == index], minlength=4)
            purities.append(counts.max() / counts.sum())
    assert len(purities) > 20
    assert np.median(purities) > 0.95


def test_regions_have_many_sizes(blocks):
    areas = []
    for seed in range(30):
        labels = random_regions(blocks, np.random.default_rng(seed))
        areas += list(np.bincount(labels.ravel())[1:])
    areas = [area for area in areas if area]
    assert min(areas) >= 20
    assert max(areas) > 10 * min(areas)


def test_nothing_is_enclosed_in_a_constant_image():
    for seed in range(10):
        image = np.full((SIDE, SIDE), 0.5, np.float32)
        assert not random_regions(image, np.random.default_rng(seed)).any()


def test_the_same_seed_gives_the_same_regions(blocks):
    one, other = (random_regions(blocks, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(one, other)
