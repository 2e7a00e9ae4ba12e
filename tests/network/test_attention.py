"""Rotary attention: what turning must keep, and how it repeats."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity_data import Draws, largest_difference
from reference_weights import fill_randomly

from napari_sam2.network.attention import Attention, RotaryAttention, RotaryTable

CPU = torch.device("cpu")


@settings(max_examples=20, deadline=None)
@given(height=st.integers(1, 9), width=st.integers(1, 9), repeats=st.integers(1, 3))
def test_turning_keeps_lengths_and_repeats_per_memory(
    height: int, width: int, repeats: int
) -> None:
    table = RotaryTable(height, width, 16, CPU)
    one = Draws(30)(2, height * width, 16)
    turned = table.rotate(one.repeat(1, repeats, 1))
    assert largest_difference(turned.norm(dim=2), one.norm(dim=2).repeat(1, repeats)) < 1e-4
    assert torch.equal(turned, table.rotate(one).repeat(1, repeats, 1))


def test_products_depend_on_relative_position_only() -> None:
    side, channels = 6, 16
    table = RotaryTable(side, side, channels, CPU)
    q, k = Draws(31)(2, channels)
    grid = torch.Size((1, side * side, channels))
    turned_q = table.rotate(q.expand(grid)).view(side, side, channels)
    turned_k = table.rotate(k.expand(grid)).view(side, side, channels)
    here = turned_q[1, 1] @ turned_k[2, 4]
    there = turned_q[3, 0] @ turned_k[4, 3]
    elsewhere = turned_q[3, 0] @ turned_k[3, 3]
    assert abs(here - there) < 1e-4
    assert abs(here - elsewhere) > 1e-3


def test_turns_have_closed_form() -> None:
    turned = RotaryTable(3, 4, 8, CPU).rotate(torch.tensor([1.0, 0.0] * 4).expand(1, 12, 8))
    x, y = 2, 1
    angles = torch.tensor([x, x / 100, y, y / 100])  # 10000 ** -(4 i / channels)
    by_hand = torch.stack((angles.cos(), angles.sin()), dim=1).flatten()
    assert largest_difference(turned[0, y * 4 + x], by_hand) < 1e-6


def test_pointer_tokens_are_not_turned() -> None:
    attention = RotaryAttention(16, key_width=8)
    fill_randomly(attention)
    draw = Draws(32)
    q, memory, pointers = draw(1, 4, 16), draw(1, 8, 8), draw(1, 3, 8)
    keys = torch.cat((memory, pointers), dim=1)
    table = RotaryTable(2, 2, 16, CPU)
    ours = attention(q, keys, keys, table, unrotated=3)
    # The order of unturned keys means nothing; that of turned ones does.
    shuffled = torch.cat((memory, pointers.flip(1)), dim=1)
    assert largest_difference(ours, attention(q, shuffled, shuffled, table, unrotated=3)) < 1e-5
    moved = torch.cat((memory.flip(1), pointers), dim=1)
    assert largest_difference(ours, attention(q, moved, moved, table, unrotated=3)) > 1e-3


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
