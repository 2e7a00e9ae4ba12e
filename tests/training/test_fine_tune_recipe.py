from __future__ import annotations

from dataclasses import replace

import pytest

from napari_sam2.errors import TrainingError
from napari_sam2.network import FIRST_BUNDLED_CONFIG, OFFICIAL_CONFIGS
from napari_sam2.training import FineTuneSettings, Parts

OFFICIAL = OFFICIAL_CONFIGS["sam2.1-tiny"]
FRAMES = replace(FIRST_BUNDLED_CONFIG, image_size=512, object_windows=False)


def test_defaults_follow_the_model():
    ours, theirs = (FineTuneSettings().resolve(c) for c in (FIRST_BUNDLED_CONFIG, OFFICIAL))
    assert (ours.image_size, ours.crop, ours.batch) == (256, 256, 4)
    small = FineTuneSettings().resolve(FRAMES)
    assert (small.image_size, small.crop) == (512, 256)
    assert (theirs.image_size, theirs.crop, theirs.batch) == (1024, 1024, 1)
    assert ours.rate == 1e-4
    assert FineTuneSettings(Parts.DECODER).resolve(OFFICIAL).rate == 3e-4


def test_choices_are_kept():
    chosen = FineTuneSettings(image_size=320, crop=160, batch=3, rate=1e-3).resolve(OFFICIAL)
    assert (chosen.image_size, chosen.crop, chosen.batch, chosen.rate) == (320, 160, 3, 1e-3)


@pytest.mark.parametrize(
    "change",
    [
        {"image_size": 100},
        {"image_size": 0},
        {"crop": 40},
        {"crop": 1056},
        {"steps": 0},
        {"batch": 0},
        {"frames": 0},
        {"validate_every": 0},
        {"patience": 0},
        {"rate": 0.0},
        {"rate": float("nan")},
    ],
)
def test_impossible_choices_say_what_is_possible(change):
    with pytest.raises(TrainingError) as raised:
        replace(FineTuneSettings(), **change).resolve(OFFICIAL)
    assert raised.value.remedy


def test_recipes_train_frames_and_clips_in_turn(stacks):
    resolved = FineTuneSettings(steps=8, frames=2).resolve(FIRST_BUNDLED_CONFIG)
    recipe = resolved.recipe(stacks, bfloat16=False)
    phases = [recipe.at(step)[0] for step in range(8)]
    assert [phase.clips.n_frames for phase in phases] == [1, 2] * 4
    assert all(phase.freeze_statistics and phase.dense == 0 for phase in phases)
    # Whatever is prompted in a single frame is there: it must not teach that all is always there.
    assert [phase.losses.object_score > 0 for phase in phases] == [False, True] * 4
    assert recipe.learning_rate(7) < recipe.learning_rate(1)


def test_single_frames_only(stacks):
    recipe = FineTuneSettings(frames=1).resolve(FIRST_BUNDLED_CONFIG).recipe(stacks, bfloat16=False)
    assert {recipe.at(step)[0].clips.n_frames for step in range(4)} == {1}


def test_objects_are_trained_at_the_size_of_use(stacks):
    still = stacks[0]

    def diameters(config, **settings):
        recipe = FineTuneSettings(**settings).resolve(config).recipe([still], bfloat16=False)
        return recipe.phases[0].clips.diameter

    low, high = diameters(FRAMES, image_size=192)
    assert low < 192 / 96 * still.diameter < high < 3 * still.diameter
    assert diameters(FRAMES, image_size=2048, crop=64)[1] <= 64
    low, high = diameters(FIRST_BUNDLED_CONFIG, image_size=192)
    assert low < still.diameter < 192 / 3 < high


def test_models_of_windows_are_trained_on_whole_windows():
    assert FineTuneSettings(image_size=320).resolve(FIRST_BUNDLED_CONFIG).crop == 320
