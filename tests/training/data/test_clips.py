from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_sam2.errors import TrainingError
from napari_sam2.training import ClipBatches, ClipSampler, ClipSettings, Recipe, TrainingPhase
from napari_sam2.training.data.augmentation import random_look
from napari_sam2.training.data.clips import _moves
from napari_sam2.training.data.warps import Warp, drifted, random_matrix
from napari_sam2.training.losses.decoding import CropWindow
from napari_sam2.training.losses.tracking import _moved

SETTINGS = ClipSettings(size=32, n_frames=3, n_objects=3, diameter=(10.0, 16.0), min_area=12)


@pytest.mark.parametrize("moving", [0.0, 1.0])
def test_clips_have_prompts_on_their_objects(stacks, moving):
    sampler = ClipSampler(stacks, replace(SETTINGS, moving=moving))
    for seed in range(10):
        clip = sampler.draw(np.random.default_rng(seed))
        assert clip.image.shape == clip.labels.shape == (3, 32, 32)
        assert clip.image.dtype == np.float32
        assert 0 <= clip.image.min() <= clip.image.max() <= 1
        assert 1 <= len(clip.prompts.object_ids) <= 3
        for object_id, (x, y) in zip(clip.prompts.object_ids, clip.prompts.points, strict=True):
            assert clip.labels[0, int(y), int(x)] == object_id


def test_clips_are_deterministic(stacks):
    sampler = ClipSampler(stacks, SETTINGS)
    one, two = (sampler.draw(np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one.image, two.image)
    np.testing.assert_array_equal(one.labels, two.labels)


def test_synthetic_clips_come_in(stacks):
    def squares(rng, n_frames, size):
        labels = np.zeros((n_frames, size, size), np.int32)
        labels[:, 4:12, 4:12] = 77
        return np.zeros(labels.shape, np.float32), labels

    sampler = ClipSampler(stacks, replace(SETTINGS, synthetic=1.0), squares)
    assert sampler.draw(np.random.default_rng(0)).prompts.object_ids.tolist() == [77]


def test_emphasised_groups_are_drawn_more_often(stacks):
    plain = ClipSampler(stacks, replace(SETTINGS, moving=0.0))
    more = ClipSampler(stacks, replace(SETTINGS, moving=0.0, emphasis=(("movies", 50.0),)))

    def movies(sampler):
        wide = [sampler.draw(np.random.default_rng(seed)).labels.max() for seed in range(30)]
        return sum(highest <= 4 for highest in wide)

    assert movies(more) > movies(plain)


def test_objects_too_small_everywhere_are_an_error(stacks):
    sampler = ClipSampler(stacks, replace(SETTINGS, min_area=10_000))
    with pytest.raises(TrainingError, match="10000"):
        sampler.draw(np.random.default_rng(0))


def test_identity_warp_changes_nothing():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (16, 16)).astype(np.uint8)
    labels = rng.integers(0, 5, (16, 16)).astype(np.int32)
    warp = Warp((7.5, 7.5), np.eye(2), 16)
    np.testing.assert_allclose(warp.sample_image(image), image / 255.0, atol=1e-5)
    np.testing.assert_array_equal(warp.sample_labels(labels), labels)


def test_image_and_labels_warp_alike():
    labels = np.zeros((64, 64), np.int32)
    labels[20:40, 16:50] = 1
    warp = Warp((30.0, 33.0), 0.7 * np.array([[0.8, -0.6], [0.6, 0.8]]), 48)
    for step in range(4):
        seen = warp.sample_image((labels * 255).astype(np.uint8)) > 0.5
        wanted = warp.sample_labels(labels) == 1
        assert (seen & wanted).sum() / (seen | wanted).sum() > 0.95
        warp = drifted(warp, np.random.default_rng(step), 0.5)


def test_shrinking_averages():
    image = np.indices((64, 64)).sum(0) % 2 * 200
    warp = Warp((31.5, 31.5), 4 * np.eye(2), 16)
    assert warp.sample_image(image.astype(np.uint8)).std() < 0.05


def test_outside_the_source_is_background():
    warp = Warp((0.5, 0.5), np.eye(2), 8)
    labels = warp.sample_labels(np.ones((4, 4), np.int32))
    assert labels[0, 0] == 0
    assert labels[4, 4] == 1


@pytest.mark.parametrize("seed", range(8))
def test_augmentations_of_brightness_keep_range_and_shape(seed):
    rng = np.random.default_rng(seed)
    frame = rng.random((32, 32), dtype=np.float32)
    out = random_look(rng, 1.5).apply(frame, rng)
    assert out.shape == frame.shape
    assert out.dtype == np.float32
    assert 0 <= out.min() <= out.max() <= 1


def test_augmentation_of_no_strength_changes_nothing():
    rng = np.random.default_rng(0)
    frame = rng.random((32, 32), dtype=np.float32)
    np.testing.assert_allclose(random_look(rng, 0.0).apply(frame, rng), frame, atol=1e-6)


def test_batches_are_a_function_of_the_step(stacks):
    recipe = Recipe(
        (TrainingPhase("a", 3, SETTINGS, batch=2), TrainingPhase("b", 2, SETTINGS, batch=3))
    )
    every = list(ClipBatches(stacks, recipe))
    assert [batch.step for batch in every] == [0, 1, 2, 3, 4]
    assert [len(batch.images) for batch in every] == [2, 2, 2, 3, 3]
    late = next(iter(ClipBatches(stacks, recipe, first_step=3)))
    np.testing.assert_array_equal(late.images, every[3].images)
    assert late.window == every[3].window
    rows = late.clip_index, late.points[:, 1].long(), late.points[:, 0].long()
    assert late.labels[:, 0][rows].tolist() == late.object_ids.tolist()


def test_a_part_of_the_clips_is_about_regions_of_an_image(stacks):
    regions = ClipSampler(stacks, replace(SETTINGS, regions=1.0, diameter=(10.0, 28.0)))
    clips = [regions.draw(np.random.default_rng(seed)) for seed in range(6)]
    assert not any(clip.complete for clip in clips), "what is labelled there is not all there is"
    assert all(len(clip.prompts.object_ids) for clip in clips)
    assert not any(clip.clickable for clip in clips), "a region lies in others"
    assert ClipSampler(stacks, SETTINGS).draw(np.random.default_rng(0)).clickable


def test_groups_that_are_labelled_in_part_say_so(stacks):
    partly = ClipSampler(stacks, replace(SETTINGS, partial=("stills", "movies")))
    assert not partly.draw(np.random.default_rng(0)).complete
    assert ClipSampler(stacks, SETTINGS).draw(np.random.default_rng(0)).complete


def test_searched_objects_have_any_size_and_known_areas(stacks):
    settings = replace(SETTINGS, n_frames=1, n_objects=1, searches=1.0)
    sampler = ClipSampler(stacks, settings)
    clips = [sampler.draw(np.random.default_rng(seed)) for seed in range(40)]
    seen = [
        np.count_nonzero(clip.labels[0] == clip.prompts.object_ids[0]) / clip.labels[0].size
        for clip in clips
    ]
    assert min(seen) < 0.1
    assert max(seen) > 0.9
    beyond = [
        clip.prompts.areas[0] / np.count_nonzero(clip.labels[0] == clip.prompts.object_ids[0])
        for clip in clips
    ]
    assert min(beyond) == pytest.approx(1.0), "whole objects have the area that is seen"
    assert max(beyond) > 2, "what a window cuts off counts"


def test_a_mask_is_carried_to_where_it_is_in_the_next_window(stacks):
    labels = np.zeros((200, 200), np.int32)
    labels[80:120, 90:125] = 1
    turned = random_matrix(np.random.default_rng(1), 1.5)
    first = Warp((100.0, 105.0), turned, 64)
    second = Warp((112.0, 98.0), turned * 1.1, 64)
    one, other = (torch.from_numpy(warp.sample_labels(labels) > 0) for warp in (first, second))
    batch = SimpleNamespace(
        moves=torch.from_numpy(_moves([first, second]))[None],
        clip_index=torch.zeros(1, dtype=torch.long),
        window=CropWindow.whole(64),
    )
    moved = _moved((2.0 * one.float() - 1.0)[None] * 10.0, batch, 1)[0, 0] > 0
    assert (moved & other).sum() / (moved | other).sum() > 0.9
    assert (one & other).sum() / (one | other).sum() < 0.7, "unmoved it would lie elsewhere"
