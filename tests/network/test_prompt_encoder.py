"""Prompts to tokens."""

from __future__ import annotations

import torch
from parity_data import Draws, largest_difference

from napari_sam2.network import BACKGROUND, BOX_END, BOX_START, OBJECT, PAD, Sam2


def test_kinds_of_points_differ_by_their_embedding(small: Sam2) -> None:
    encoder = small.sam_prompt_encoder
    kinds = (BACKGROUND, OBJECT, BOX_START, BOX_END)
    points = torch.tensor([[20.0, 30.0]]).expand(1, len(kinds), 2)
    tokens = encoder.encode_points(points, torch.tensor([kinds]), 64)
    place = encoder.pe_layer(torch.tensor([20.5 / 64, 30.5 / 64]))
    for kind in kinds:
        embedding = encoder.point_embeddings[kind].get_parameter("weight")[0]
        assert largest_difference(tokens[0, kind], place + embedding) < 1e-5


def test_a_padding_point_is_appended_and_has_no_place(small: Sam2) -> None:
    encoder = small.sam_prompt_encoder
    points = Draws(50)(2, 3, 2) * 30
    tokens = encoder.encode_points(points, torch.tensor([[OBJECT, PAD, PAD], [PAD] * 3]), 64)
    assert tokens.shape == (2, 4, 32)
    nothing = encoder.not_a_point_embed.weight[0]
    assert torch.equal(tokens[0, 1:], nothing.expand(3, -1))
    assert torch.equal(tokens[1], nothing.expand(4, -1))


def test_mask_prompts_come_down_to_the_grid(small: Sam2) -> None:
    encoder = small.sam_prompt_encoder
    dense = encoder.encode_mask(Draws(51)(2, 1, 24, 24))
    assert dense.shape == (2, 32, 6, 6)
    assert torch.equal(encoder.no_mask()[0, :, 0, 0], encoder.no_mask_embed.weight[0])
