"""A tiny network of random weights with masks that are known, and frames of smooth noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from known_masks import known_masks
from scipy.ndimage import gaussian_filter

from napari_sam2.tracking import Model


def smooth_noise(*shape: int) -> np.ndarray:
    sigma = (2,) * (len(shape) - 2) + (3, 3)
    return gaussian_filter(np.random.default_rng(3).normal(size=shape), sigma).astype(np.float32)


@pytest.fixture(scope="session")
def model() -> Model:
    return Model(known_masks(), "tiny", torch.device("cpu"), 64)


@pytest.fixture(scope="session")
def absent_model() -> Model:
    """A model that says of every tracked frame that the object is not there."""
    return Model(known_masks(object_score=-4.0), "tiny absent", torch.device("cpu"), 64)


@pytest.fixture(scope="session")
def noise() -> np.ndarray:
    """Twelve frames of smooth noise, 40 x 48; read-only."""
    frames = smooth_noise(12, 40, 48)
    frames.setflags(write=False)
    return frames


@pytest.fixture
def stack(noise) -> np.ndarray:
    """The same frames, to do anything with."""
    return noise.copy()


@pytest.fixture
def encoded(model, monkeypatch):
    """Images in each call of the encoder."""
    calls = []
    real = type(model.network).encode_image

    def encode(network, images):
        calls.append(len(images))
        return real(network, images)

    monkeypatch.setattr(type(model.network), "encode_image", encode)
    return calls
