"""A model of some hundred thousand random weights."""

from __future__ import annotations

import pytest
import torch
from reference_weights import random_network
from small_networks import small_config

from napari_sam2.tracking import Model


@pytest.fixture(scope="module", autouse=True)
def quick(small_matrices: None) -> None:
    """The rate of this machine is not the point."""


@pytest.fixture(scope="session")
def model() -> Model:
    return Model(random_network(small_config()), "small", torch.device("cpu"), image_size=64)
