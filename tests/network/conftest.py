"""Small networks with weights that make every term matter."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from reference_weights import random_network
from small_networks import SMALL_CONV, SMALL_HIERA, small_config

from napari_sam2.network import Sam2


@pytest.fixture(autouse=True)
def inference() -> Iterator[None]:
    """No gradients."""
    with torch.inference_mode():
        yield


@pytest.fixture(scope="session", params=["hiera", "conv"])
def network(request: pytest.FixtureRequest) -> Sam2:
    """A small network with either trunk."""
    trunk = SMALL_HIERA if request.param == "hiera" else SMALL_CONV
    return random_network(small_config(trunk))


@pytest.fixture(scope="session")
def small() -> Sam2:
    """A small SAM 2.1 with a Hiera trunk."""
    return random_network(small_config())
