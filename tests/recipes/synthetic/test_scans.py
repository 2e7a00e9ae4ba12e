"""Bodies in CT and MR: organs, vessels, noise."""

from __future__ import annotations

import numpy as np
import pytest

from synthetic import random_clip
from synthetic.scanner import scan
from synthetic.tissue import Tissue
from synthetic.torso import Torso
from synthetic.vessels import Vessels


@pytest.mark.parametrize("plan", [Torso(), Vessels(), Tissue(through_depth=1.0)])
def test_plans_draw_margins_and_count_their_clutter(plan: Torso | Vessels | Tissue) -> None:
    for seed in range(6):
        layout = plan.lay_out(np.random.default_rng(seed), 5, 96)
        assert layout.parts.y.shape[0] == 5 + 2 * layout.margin
        assert layout.parts.ids.min() == 1
        assert 0 <= layout.clutter < layout.parts.ids.max()


def test_the_branches_of_a_vessel_have_one_id() -> None:
    forked = 0
    for seed in range(10):
        layout = Vessels(forks=1.0).lay_out(np.random.default_rng(seed), 6, 96)
        _, counts = np.unique(layout.parts.ids, return_counts=True)
        assert (counts == 2).all()
        forked += int(np.diff(layout.parts.present.astype(int), axis=0).any())
    assert forked > 5


def test_scans_have_one_contrast_and_keep_the_order_of_greys() -> None:
    body = np.zeros((4, 64, 64), np.float32)
    body[:, 8:56, 8:56] = 0.4
    body[:, 24:40, 24:40] = 1.0
    brighter = 0
    for seed in range(20):
        image = scan(np.random.default_rng(seed), body.copy(), invertible=False)
        assert image.shape == body.shape
        assert image.dtype == np.uint8
        middle, around = image[:, 28:36, 28:36].mean(), image[:, 12:20, 12:52].mean()
        brighter += int(middle > around > image[:, :6, :6].mean())
    assert brighter >= 18


def test_cells_of_tissue_end_and_begin_through_depth() -> None:
    changes = 0
    for seed in range(6):
        labels = random_clip(np.random.default_rng(seed), 8, 96, "membranes").labels
        first, last = set(np.unique(labels[0])), set(np.unique(labels[-1]))
        changes += len(first ^ last)
    assert changes > 10
