"""Attention: a softmax over keys, head by head."""

from __future__ import annotations

import torch
from parity_data import Draws, largest_difference
from reference_weights import fill_randomly

from napari_sam2.network.attention.scaled_dot_product import Attention


def test_attention_is_a_softmax_over_keys() -> None:
    attention = Attention(8, heads=2, inner=12, key_width=6)
    fill_randomly(attention)
    draw = Draws(33)
    q, k, v = draw(2, 3, 8), draw(2, 5, 6), draw(2, 5, 6)
    heads = [
        torch.softmax(qh @ kh.transpose(1, 2) / 6**0.5, dim=2) @ vh
        for qh, kh, vh in zip(
            attention.q_proj(q).split(6, dim=2),
            attention.k_proj(k).split(6, dim=2),
            attention.v_proj(v).split(6, dim=2),
            strict=True,
        )
    ]
    by_hand = attention.out_proj(torch.cat(heads, dim=2))
    assert largest_difference(attention(q, k, v), by_hand) < 1e-5
