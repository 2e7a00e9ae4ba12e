"""The network that sessions are tested with: its masks are known, whatever weights are drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from known_masks import TINY, known_masks
from small_networks import SMALL_FINE

from napari_sam2.tracking import Model, TrackingSession

CLICKS = {1: (12, 12), 2: (28, 36)}


def followed(noise: np.ndarray, config, seed: int) -> np.ndarray:
    model = Model(known_masks(config=config, seed=seed), "tiny", torch.device("cpu"), 64)
    session = TrackingSession(model, noise[:6])
    for object_id, place in CLICKS.items():
        session.add_points(object_id, 2, [place])
    session.add_points(1, 2, [(20, 20)], [False])
    session.add_box(3, 3, (4, 28, 14, 40))
    list(session.propagate())
    return session.labels


@pytest.mark.parametrize("config", [TINY, SMALL_FINE], ids=["coarse", "fine"])
def test_objects_stay_where_they_were_clicked_with_any_weights(noise, config):
    one, other = (followed(noise, config, seed) for seed in (1, 2))
    for labels in (one, other):
        for object_id, (y, x) in CLICKS.items():
            assert (labels[:, y, x] == object_id).all()
        assert (labels[:, 20, 20] != 1).all()
        assert (labels[:, 9, 34] == 3).all()
    assert np.mean(one != other) < 0.02, "but for their borders"
