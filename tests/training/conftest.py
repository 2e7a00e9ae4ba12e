"""Tiny data and a tiny network: everything in these tests runs in seconds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sam2.network import ConvTrunkConfig, Sam2, Sam2Config
from napari_sam2.training import LabelledStack, initialise_locality, make_stack


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_config() -> Sam2Config:
    return Sam2Config(
        trunk=ConvTrunkConfig(channels=(8, 8, 16, 16), depths=(1, 1, 1, 1)),
        image_size=64,
        width=32,
        top_down_levels=(0, 1, 2, 3),
        decoder_heads=2,
        decoder_mlp=32,
        memory_width=16,
        memory_layers=1,
        memory_mlp=32,
        fuser_layers=1,
    )


@pytest.fixture
def tiny_network(tiny_config: Sam2Config) -> Sam2:
    torch.manual_seed(0)
    network = Sam2(tiny_config)
    initialise_locality(network)
    return network


def discs(seed: int, size: int = 96, count: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Bright discs on a dark ground, with their labels."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:size, :size]
    image = np.full((size, size), 20.0)
    labels = np.zeros((size, size), np.int32)
    for object_id in range(1, count + 1):
        y, x, radius = *rng.uniform(10, size - 10, 2), rng.uniform(6, 10)
        inside = (yy - y) ** 2 + (xx - x) ** 2 < radius**2
        labels[inside] = object_id
        image[inside] = 180.0
    return image + rng.normal(0, 5, image.shape), labels


@pytest.fixture(scope="session")
def stacks() -> tuple[LabelledStack, ...]:
    """Two stills and a stack of six frames, in two groups."""
    stills = [make_stack(*discs(seed), name=f"still {seed}", group="stills") for seed in (0, 1)]
    pairs = [discs(seed, 64, 4) for seed in (2,) * 6]
    movie = make_stack(
        np.stack([np.roll(image, t, axis=1) for t, (image, _) in enumerate(pairs)]),
        np.stack([np.roll(labels, t, axis=1) for t, (_, labels) in enumerate(pairs)]),
        name="movie",
        group="movies",
    )
    return (*stills, movie)
