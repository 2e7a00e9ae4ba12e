"""Each part of the tiny models against what the reference computes with the same weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import torch
from parity_data import Draws, largest_difference, stored, thin
from reference_weights import random_network
from torch import Tensor

from napari_sam2.network import OFFICIAL_CONFIGS, Sam2

TOLERANCE = 1e-4
SIZE, GRID = 256, 16


@dataclass
class Inputs:
    """The random inputs, in the order in which they were drawn."""

    draw: Draws = field(default_factory=lambda: Draws(2))

    def __post_init__(self) -> None:
        draw, tokens = self.draw, GRID * GRID
        self.query = draw(tokens, 1, 256)
        self.query_position = draw(tokens, 1, 256)
        self.memory = draw(2 * tokens + 4, 1, 64)
        self.memory_position = draw(2 * tokens + 4, 1, 64)
        self.features = draw(1, 256, GRID, GRID)
        self.mask_for_memory = draw(1, 1, SIZE, SIZE)
        self.mask_prompt = draw(2, 1, 64, 64)
        self.embedding = draw(2, 256, GRID, GRID)
        self.stride4 = draw(2, 32, 64, 64)
        self.stride8 = draw(2, 64, 32, 32)
        self.points = torch.tensor([[[60, 80], [100.25, 40.5]], [[10, 20], [200, 220]]])
        self.labels = torch.tensor([[1, 0], [2, 3]])


@pytest.fixture(scope="module", params=["sam2.1-tiny", "sam2-tiny"])
def network(request: pytest.FixtureRequest) -> Iterator[Sam2]:
    with torch.inference_mode():
        yield random_network(OFFICIAL_CONFIGS[request.param])


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    return Inputs()


def assert_equal(ours: Tensor, name: str) -> None:
    assert largest_difference(ours, stored("blocks")[name]) < TOLERANCE


def to_maps(tokens: Tensor) -> Tensor:
    """Turn (h w, N, C) into (N, C, h, w)."""
    return tokens.permute(1, 2, 0).unflatten(2, (GRID, GRID))


def test_image_encoder(network: Sam2) -> None:
    features = network.encode_image(Draws(1)(1, 3, SIZE, SIZE))
    assert_equal(thin(features.stride4, 8), "stride4")
    assert_equal(thin(features.stride8, 4), "stride8")
    assert_equal(thin(features.stride16, 2), "stride16")
    assert_equal(thin(features.position, 4), "stride16_position")


def test_memory_attention(network: Sam2, inputs: Inputs) -> None:
    conditioned = network.attend_memory(
        to_maps(inputs.query),
        to_maps(inputs.query_position),
        inputs.memory.transpose(0, 1),
        inputs.memory_position.transpose(0, 1),
        pointer_tokens=4,
    )
    assert_equal(conditioned.flatten(2).permute(2, 0, 1)[::4], "ma_out")


def test_memory_encoder(network: Sam2, inputs: Inputs) -> None:
    assert_equal(network.memory_encoder(inputs.features, inputs.mask_for_memory), "me_features")


def test_memory_position(network: Sam2) -> None:
    position = network.memory_position(GRID, GRID, slot=0) - network.maskmem_tpos_enc[0]
    assert_equal(thin(position.transpose(1, 2).unflatten(2, (GRID, GRID)), 2), "me_position")


def test_prompt_encoder(network: Sam2, inputs: Inputs) -> None:
    encoder = network.sam_prompt_encoder
    assert_equal(encoder.encode_points(inputs.points, inputs.labels, SIZE), "pe_sparse")
    assert_equal(thin(encoder.encode_mask(inputs.mask_prompt), 4), "pe_dense")
    assert_equal(thin(encoder.pe_layer.grid(GRID, GRID), 4), "pe_image")


@pytest.mark.parametrize("multimask", [True, False])
def test_mask_decoder(network: Sam2, inputs: Inputs, multimask: bool) -> None:
    found = network.predict_masks(
        inputs.embedding,
        inputs.stride8,
        inputs.stride4,
        points=inputs.points,
        point_labels=inputs.labels,
        mask_inputs=inputs.mask_prompt,
        multimask=multimask,
    )
    prefix = "md_multi" if multimask else "md_single"
    assert_equal(thin(found.masks, 2), f"{prefix}_masks")
    assert_equal(found.ious, f"{prefix}_iou")
    assert_equal(found.tokens, f"{prefix}_tokens")
    assert_equal(found.object_scores, f"{prefix}_object_score")
