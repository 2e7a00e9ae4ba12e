from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bundled_model.first_recipe import BUNDLED_RECIPE, FRAMES_RECIPE, synthetic_clip
from napari_sam2.training import ClipBatches

RECIPES = pytest.mark.parametrize("recipe", [FRAMES_RECIPE, BUNDLED_RECIPE], ids=["frames", "own"])


@RECIPES
def test_clips_fit_the_frame_and_the_network(recipe):
    for main in recipe.phases:
        for phase in (main, main.also):
            if phase is not None:
                assert phase.clips.size % 32 == 0
                assert phase.clips.size <= phase.frame_size <= 512
                assert phase.clips.diameter[1] < phase.clips.size


def test_frames_are_cut_and_windows_are_whole():
    for recipe, whole in ((FRAMES_RECIPE, False), (BUNDLED_RECIPE, True)):
        for phase in recipe.phases:
            assert (phase.clips.size == phase.frame_size) is whole


def test_statistics_freeze_once():
    freezes = [step for step in range(FRAMES_RECIPE.steps) if FRAMES_RECIPE.freezes_at(step)]
    assert freezes == [FRAMES_RECIPE.phases[0].steps]
    assert not any(BUNDLED_RECIPE.freezes_at(step) for step in range(BUNDLED_RECIPE.steps))


@RECIPES
def test_every_phase_draws_batches(recipe, stacks):
    phases = tuple(replace(p, steps=2, batch=1) for p in recipe.phases)
    recipe = replace(recipe, phases=phases)
    for batch in ClipBatches(stacks, recipe, synthetic=synthetic_clip):
        phase, _ = recipe.at(batch.step)
        size = phase.clips.size
        assert batch.images.shape[1:] == (phase.clips.n_frames, size, size)
        assert len(batch.object_ids) > 0


def test_synthetic_clips_are_grey_with_labels():
    image, labels = synthetic_clip(np.random.default_rng(0), 2, 64)
    assert image.shape == labels.shape == (2, 64, 64)
    assert image.dtype == np.float32
    assert 0 <= image.min() < image.max() <= 1
    assert labels.max() > 0
