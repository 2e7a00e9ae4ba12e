from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_sam2.tracking.decoding.prediction import drawn_logits
from napari_sam2.training import ClipBatches, ClipSettings, Recipe, TrainingPhase
from napari_sam2.training.data.session_masks import UNKNOWN
from napari_sam2.training.losses.correction import correct, drawn_prompt
from napari_sam2.training.losses.image import coarse_targets, corrective_clicks
from napari_sam2.training.losses.tracking import frame_features

CLIPS = ClipSettings(size=32, n_frames=2, n_objects=3, diameter=(10.0, 16.0), min_area=12)
PHASE = TrainingPhase("clips", 1, CLIPS, batch=2, frame_size=32, rounds=3)


def corrected(network, stacks, seed=0, tracked=None, **changes):
    batch = ClipBatches(stacks, Recipe((PHASE,))).batch(0)
    features = frame_features(network.encode_image(batch.network_input()), 1, 2)
    target = coarse_targets(batch, 1, network.config.mask_stride)
    conditioned = network.without_memory(features.stride16)[batch.clip_index]
    generator = torch.Generator().manual_seed(seed)
    tracked = torch.zeros_like(target, dtype=torch.bool) if tracked is None else target > 0.5
    phase = replace(PHASE, **changes)
    return correct(network, features, conditioned, batch, tracked, target, phase, generator)


@pytest.mark.parametrize("stride", [1, 4])
def test_a_drawn_prompt_is_what_inference_makes_of_a_mask(stride):
    masks = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0)) > 0.5
    full = masks.float().repeat_interleave(stride, 1).repeat_interleave(stride, 2)[:, None]
    expected = torch.stack([drawn_logits(each[None], stride) for each in full])
    torch.testing.assert_close(drawn_prompt(masks, stride)[:, 0], expected)


def test_rounds_differ_and_never_exceed_those_of_the_phase(tiny_network, stacks):
    counts = {len(corrected(tiny_network, stacks, seed).losses) for seed in range(12)}
    assert counts == {1, 2, 3}
    assert len(corrected(tiny_network, stacks, rounds=1).losses) == 1


def test_corrections_teach_clicks_and_mask_prompts(tiny_network, stacks):
    sum(corrected(tiny_network, stacks, seed=1).losses).backward()
    encoder = tiny_network.sam_prompt_encoder
    for gradient in (
        encoder.mask_downscaling[0].weight.grad,
        torch.stack([e.weight.grad for e in encoder.point_embeddings[:2]]),
    ):
        assert gradient.abs().sum() > 0


def test_what_was_tracked_matters(tiny_network, stacks):
    from_nothing = corrected(tiny_network, stacks, rounds=1)
    from_truth = corrected(tiny_network, stacks, rounds=1, tracked=True)
    assert not torch.equal(from_nothing.mask, from_truth.mask)
    assert from_nothing.mask.shape == from_nothing.prediction.masks[:, 0].shape
    assert set(from_nothing.choice.tolist()) <= {1, 2, 3}


def test_what_is_not_known_is_neither_taught_nor_corrected(stacks):
    still = stacks[0]
    labels = np.where(still.labels == 0, UNKNOWN, still.labels).astype(np.int32)
    batch = ClipBatches((replace(still, labels=labels),), Recipe((PHASE,))).batch(0)
    assert (batch.labels == UNKNOWN).any()
    target = coarse_targets(batch, 0, 4)
    known = target >= 0
    assert not known.all()
    generator = torch.Generator().manual_seed(0)
    everywhere = torch.ones_like(target, dtype=torch.bool)
    points, kinds = corrective_clicks(everywhere, target, 4, generator)
    x, y = ((points[:, 0] + 0.5) / 4).long().unbind(-1)
    assert known[torch.arange(len(x)), y, x].all()
    assert ((kinds[:, 0] == 0) == (target[torch.arange(len(x)), y, x] <= 0.5)).all()
