"""Mixtures of sources that candidates are trained on."""

from __future__ import annotations

import numpy as np
import pytest

from bundled_model.compare import MIXTURES, Mixture, mixed_clips
from napari_sam2.training import make_stack

SIDE = 128


def stripes(rng: np.random.Generator, n_frames: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Make frames with one object, from the left to the right, that no labelled image has."""
    labels = np.zeros((n_frames, size, size), np.int32)
    labels[:, 40:60] = 77
    return (labels > 0).astype(np.float32), labels


@pytest.mark.parametrize(("synthetic", "drawn"), [(1.0, True), (0.0, False)])
def test_a_mixture_draws_its_share_of_synthetic_stills(synthetic: float, drawn: bool) -> None:
    labels = np.zeros((1, SIDE, SIDE), np.int32)
    labels[0, 30:70, 30:70] = 1
    image = (200 * (labels > 0)).astype(np.uint8)
    clips = mixed_clips(
        [make_stack(image, labels, name="squares")], Mixture(0.0, synthetic, clip=stripes)
    )
    clip = clips.draw(np.random.default_rng(0))
    assert bool((clip.labels == 77).any()) == drawn


def test_only_one_mixture_has_all_sources() -> None:
    whole = MIXTURES["all"]
    assert all(each != whole for name, each in MIXTURES.items() if name != "all")
