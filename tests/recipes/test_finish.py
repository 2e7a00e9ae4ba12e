"""The last touch: an object score without its lean."""

from __future__ import annotations

import pytest
import torch
from reference_weights import random_network
from small_networks import SMALL_FINE

from bundled_model.finish import lower_object_score


def test_every_object_score_falls_by_the_lean():
    with torch.inference_mode(False):
        network = random_network(SMALL_FINE)
    with torch.inference_mode():
        features = network.encode_image(torch.zeros(1, 3, 64, 64))
        conditioned = network.without_memory(features.stride16)
        maps = (features.stride8, features.stride4, features.finer)
        before = float(network.predict_masks(conditioned, *maps).object_scores)
        lower_object_score(network, 3.0)
        after = float(network.predict_masks(conditioned, *maps).object_scores)
    assert after == pytest.approx(before - 3.0, abs=1e-4)
