"""Labelled stills and stacks of discs to train on."""

from __future__ import annotations

import numpy as np

from napari_sam2.training import LabelledStack, make_stack


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


def disc_stacks() -> tuple[LabelledStack, ...]:
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
