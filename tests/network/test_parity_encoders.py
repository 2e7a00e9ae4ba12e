"""The larger image encoders against the reference's, on the same weights.

Hundreds of millions of random numbers take a while: by default only the size that differs most
from the tiny one, in heads and position embedding, is computed.
"""

from __future__ import annotations

import pytest
import torch
from parity_data import Draws, largest_difference, stored, thin
from reference_weights import random_network

from napari_sam2.network import OFFICIAL_CONFIGS

SIZES = [
    pytest.param("small", marks=pytest.mark.parity),
    "base+",
    pytest.param("large", marks=pytest.mark.parity),
]


@pytest.mark.parametrize("size", SIZES)
def test_encoder(size: str) -> None:
    network = random_network(OFFICIAL_CONFIGS[f"sam2.1-{size}"])
    with torch.inference_mode():
        features = network.encode_image(Draws(1)(1, 3, 256, 256))
    theirs = stored("encoders")
    assert largest_difference(thin(features.stride16, 2), theirs[f"{size}/stride16"]) < 1e-4
    assert largest_difference(thin(features.stride8, 8), theirs[f"{size}/stride8"]) < 1e-4
    assert largest_difference(thin(features.stride4, 16), theirs[f"{size}/stride4"]) < 1e-4
