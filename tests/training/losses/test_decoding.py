from __future__ import annotations

import numpy as np
import pytest
import torch

from bundled_model.initialisation import LocalityPrior, initialise_locality
from bundled_model.validation import interior_point, mean_iou, one_prompt_ious
from napari_sam2.network import DenseHeads, Sam2
from napari_sam2.network.attention import RotaryTable
from napari_sam2.training import CropWindow
from napari_sam2.training.losses.auxiliary import dense_loss, dense_targets
from napari_sam2.training.losses.decoding import decode


def test_whole_window_equals_the_network_itself(tiny_network):
    network = tiny_network.eval()
    features = network.encode_image(torch.randn(2, 3, 64, 64))
    index = torch.tensor([0, 1, 1])
    conditioned = network.without_memory(features.stride16)[index]
    points, labels = torch.rand(3, 1, 2) * 60, torch.ones(3, 1, dtype=torch.int64)
    ours = decode(network, features, conditioned, index, points, labels, CropWindow.whole(64))
    theirs = network.predict_masks(
        conditioned,
        features.stride8[index],
        features.stride4[index],
        points=points,
        point_labels=labels,
        multimask=True,
    )
    torch.testing.assert_close(ours.masks[:, 1:], theirs.masks)
    torch.testing.assert_close(ours.ious[:, 1:], theirs.ious)


def test_positions_in_a_window_are_those_of_the_frame(tiny_network):
    encoder = tiny_network.sam_prompt_encoder.pe_layer
    window = CropWindow(128, 32, 64, 64)
    cropped = window.crop(encoder.grid(8, 8))
    torch.testing.assert_close(cropped, encoder.grid(8, 8)[..., 4:8, 2:6])


def test_windows_lie_on_the_grid_inside_the_frame():
    rng = np.random.default_rng(0)
    for _ in range(50):
        window = CropWindow.draw(rng, 64, 160)
        assert window.x % 16 == window.y % 16 == 0
        assert max(window.x, window.y) + 64 <= 160
    assert CropWindow.draw(rng, 64, 32) == CropWindow.whole(64)


def test_prompts_act_near_the_click_from_the_start(tiny_network):
    attention = tiny_network.sam_mask_decoder.transformer.layers[0].cross_attn_token_to_image
    encoder = tiny_network.sam_prompt_encoder.pe_layer
    grid = encoder.grid(32, 32).flatten(2).transpose(1, 2)
    click = grid[:, 10 * 32 + 20][:, None]
    with torch.no_grad():
        q, k = [
            x.unflatten(2, (attention.heads, -1)).transpose(1, 2)
            for x in (attention.q_proj(click), attention.k_proj(grid))
        ]
        weights = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).mean(dim=1).reshape(32, 32)
    assert divmod(int(weights.argmax()), 32) == (10, 20)
    assert weights[10, 20] == pytest.approx(LocalityPrior().peak, rel=1e-3)
    assert weights[8:13, 18:23].mean() > weights.mean() + 2


def test_initialisation_is_reproducible(tiny_config):
    networks = [Sam2(tiny_config) for _ in range(2)]
    for network in networks:
        initialise_locality(network, seed=3)
    buffers = [n.sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix for n in networks]
    torch.testing.assert_close(*buffers, rtol=0, atol=0)


def test_dense_targets_by_hand():
    labels = torch.zeros(2, 32, 32, dtype=torch.int64)
    labels[1, 8:16, 8:16] = 4
    targets = dense_targets(labels)
    assert targets.objects[0].sum() == 0
    assert targets.objects[1].sum() == 64
    assert targets.borders[0].sum() == 0
    assert targets.borders[1, 0, 7:9, 11].tolist() == [1, 1]
    assert targets.borders[1, 0, 11, 11] == 0
    assert targets.offsets[1, :, 8, 15].tolist() == pytest.approx([3.5 / 32, -3.5 / 32])


def test_dense_loss_reaches_the_trunk(tiny_network, tiny_config):
    labels = torch.zeros(1, 64, 64, dtype=torch.int64)
    labels[0, 10:40, 10:40] = 1
    features = tiny_network.encode_image(torch.randn(1, 3, 64, 64))
    known = torch.tensor([True])
    dense_loss(DenseHeads(tiny_config), features, dense_targets(labels), known).backward()
    gradient = tiny_network.image_encoder.trunk.stem[0][0].weight.grad
    assert gradient.abs().sum() > 0


def test_interior_point_is_off_the_frame_edge():
    mask = np.zeros((20, 20), bool)
    mask[0:9, 5:14] = True
    assert interior_point(mask) == (9.0, 4.0)


@pytest.mark.parametrize("boxes", [False, True])
def test_validation_measures_every_object(tiny_network, stacks, boxes):
    network = tiny_network.eval()
    ious = one_prompt_ious(network, stacks[0], boxes=boxes, chunk=4)
    assert ious.shape == (stacks[0].n_objects,)
    assert ((ious >= 0) & (ious <= 1)).all()
    assert mean_iou(network, stacks[:1], boxes=boxes) == pytest.approx(ious.mean())


def test_memories_are_attended_to_at_the_same_place_from_the_start(tiny_network):
    attention = tiny_network.memory_attention.layers[0].cross_attn_image
    turns = RotaryTable(12, 12, 32, torch.device("cpu"))
    with torch.no_grad():
        q = turns.rotate(attention.q_proj(torch.zeros(1, 144, 32)))
        k = turns.rotate(attention.k_proj(torch.zeros(1, 144, 16)))
        logits = (q @ k.transpose(1, 2))[0] / 32**0.5
    assert logits.argmax(dim=1).tolist() == list(range(144))
    assert logits[5, 5] == pytest.approx(LocalityPrior().peak, rel=1e-3)
