from __future__ import annotations

from dataclasses import replace

import torch

from napari_sam2.network import DenseHeads
from napari_sam2.training import ClipBatches, ClipSettings, Recipe, TrainingPhase
from napari_sam2.training.losses.clip import clip_losses
from napari_sam2.training.losses.decoding import decode

CLIPS = ClipSettings(size=32, n_frames=3, n_objects=3, diameter=(10.0, 16.0), min_area=12)
PHASE = TrainingPhase("clips", 1, CLIPS, batch=2, frame_size=64)


def one_batch(stacks):
    return ClipBatches(stacks, Recipe((PHASE,))).batch(0)


def losses_of(network, batch, **changes):
    dense = DenseHeads(network.config)
    generator = torch.Generator().manual_seed(0)
    return clip_losses(network, dense, batch, replace(PHASE, **changes), generator, False)


def test_memory_and_pointers_learn_from_later_frames(tiny_network, stacks):
    losses_of(tiny_network, one_batch(stacks), masks=0.0).total.backward()
    for parameter in (
        tiny_network.memory_encoder.out_proj.weight,
        tiny_network.memory_attention.layers[0].cross_attn_image.v_proj.weight,
        tiny_network.maskmem_tpos_enc,
        tiny_network.obj_ptr_proj.layers[0].weight,
        tiny_network.obj_ptr_tpos_proj.weight,
    ):
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0


def prompted_with(network, batch, monkeypatch, **changes) -> list[torch.Tensor]:
    """Return the kinds of the first prompts that were decoded, (N, P) of each time."""
    kinds: list[torch.Tensor] = []

    def spying(network, features, conditioned, index, points, labels, *rest):
        kinds.append(labels)
        return decode(network, features, conditioned, index, points, labels, *rest)

    monkeypatch.setattr("napari_sam2.training.losses.image.decode", spying)
    losses_of(network, batch, corrections=0.0, **changes)
    return kinds


def test_regions_of_an_image_are_never_clicked(tiny_network, stacks, monkeypatch):
    batch = one_batch(stacks)
    one = replace(batch, clickable=torch.tensor([True, False]))
    (kinds,) = prompted_with(tiny_network, one, monkeypatch, boxes=0.0)
    assert kinds.tolist() == [[1]] * int((batch.clip_index == 0).sum())
    neither = replace(batch, clickable=torch.tensor([False, False]))
    (kinds,) = prompted_with(tiny_network, neither, monkeypatch, boxes=0.0)
    assert kinds.tolist() == [[2, 3]] * len(batch.object_ids)
    (kinds,) = prompted_with(tiny_network, one, monkeypatch, boxes=1.0)
    assert kinds.tolist() == [[2, 3]] * len(batch.object_ids)


def test_drawn_masks_go_through_the_mask_prompt(tiny_network, stacks):
    losses_of(tiny_network, one_batch(stacks), masks=1.0).total.backward()
    assert tiny_network.mask_downsample.weight.grad.abs().sum() > 0


def test_vanished_objects_teach_the_absent_embedding(tiny_network, stacks):
    batch = one_batch(stacks)
    batch.labels[:, 1:] = 0
    with torch.no_grad():  # whether memories know the truth or what is predicted: it is not there
        tiny_network.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(-20.0)
    losses = losses_of(tiny_network, batch, masks=0.0)
    losses.total.backward()
    assert tiny_network.no_obj_ptr.grad.abs().sum() > 0
    assert tiny_network.no_obj_embed_spatial.grad.abs().sum() > 0
    assert losses.tracked_iou != losses.tracked_iou  # no object is there to be measured
