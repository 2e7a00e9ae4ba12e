"""The last touches: fewer memory slots, an object score without its lean."""

from __future__ import annotations

import pytest
import torch

from bundled_model.finishing import (
    keep_recent_memories,
    lower_object_score,
    mean_of,
    see_windows,
)
from napari_sam2.errors import TrainingError
from napari_sam2.network import ConvTrunkConfig, Sam2, Sam2Config

CONFIG = Sam2Config(
    trunk=ConvTrunkConfig(channels=(8, 8, 16, 16), depths=(1, 1, 1, 1)),
    image_size=64,
    width=32,
    decoder_heads=2,
    memory_width=16,
    memory_layers=1,
)


def test_the_latest_slots_and_that_of_conditioning_frames_stay():
    network = Sam2(CONFIG)
    with torch.no_grad():
        network.maskmem_tpos_enc.copy_(torch.arange(7.0)[:, None, None, None].expand(7, 1, 1, 16))
    shorter = keep_recent_memories(network, 4)
    assert shorter.maskmem_tpos_enc[:, 0, 0, 0].tolist() == [0, 1, 2, 6]
    assert shorter.config.memory_frames == 4
    torch.testing.assert_close(shorter.no_mem_embed, network.no_mem_embed)
    for impossible in (1, 8):
        with pytest.raises(TrainingError, match="7 memory slots"):
            keep_recent_memories(network, impossible)


@torch.inference_mode()
def test_every_object_score_falls_by_the_lean():
    network = Sam2(CONFIG).eval()
    features = network.encode_image(torch.zeros(1, 3, 64, 64))
    conditioned = network.without_memory(features.stride16)

    def score() -> float:
        prediction = network.predict_masks(conditioned, features.stride8, features.stride4)
        return float(prediction.object_scores)

    before = score()
    lower_object_score(network, 3.0)
    assert score() == pytest.approx(before - 3.0, abs=1e-4)


@torch.inference_mode()
def test_clicks_act_as_far_in_windows_as_they_did_in_frames():
    network = Sam2(CONFIG).eval()
    size = CONFIG.image_size
    windowed = see_windows(network, size // 2)
    assert windowed.config.object_windows
    assert windowed.config.image_size == size // 2
    apart = torch.tensor([[[10.0, 10.0], [14.0, 7.0]]])
    encoders = (network.sam_prompt_encoder, size), (windowed.sam_prompt_encoder, size // 2)
    before, after = (encoder.pe_layer((apart + 0.5) / side)[0] for encoder, side in encoders)
    torch.testing.assert_close(before[0] @ before[1], after[0] @ after[1], rtol=1e-4, atol=1e-4)


def test_the_mean_lies_between_its_networks():
    one, other = Sam2(CONFIG), Sam2(CONFIG)
    mean = mean_of([one, other]).state_dict()
    for name, value in one.state_dict().items():
        expected = (value + other.state_dict()[name]) / 2 if value.is_floating_point() else value
        torch.testing.assert_close(mean[name], expected)
