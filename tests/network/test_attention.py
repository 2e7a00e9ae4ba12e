"""Attention: a softmax over keys; what turning must keep, and that in pieces it is the same."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity_data import Draws, largest_difference
from reference_weights import fill_randomly

from napari_sam2.network.attention import (
    Attention,
    RotaryAttention,
    RotaryTable,
    attend_spans,
    rotary_table,
)

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


@pytest.mark.parametrize("first", [0, 7])
def test_real_and_complex_turns_are_the_same(first: int) -> None:
    table = RotaryTable(4, 5, 16, CPU)
    x = Draws(36)(2, 13 if first else 40, 16)
    with torch.inference_mode():
        by_complex_product = table.rotate(x, first)
        in_half = table.rotate(x.bfloat16(), first)
    with torch.inference_mode(False), torch.enable_grad():
        by_pairs = table.rotate(x, first)
    assert largest_difference(by_pairs, by_complex_product) < 1e-6
    assert largest_difference(in_half.float(), by_complex_product) < 0.05


def test_a_table_first_used_without_gradients_serves_with_them_too() -> None:
    table = RotaryTable(3, 3, 8, CPU)
    x = Draws(37)(1, 9, 8)
    with torch.inference_mode():
        table.rotate(x.transpose(1, 2).contiguous().transpose(1, 2))  # no contiguous pairs
    with torch.inference_mode(False), torch.enable_grad():
        x = x.clone().requires_grad_(True)
        table.rotate(x).square().sum().backward()
    assert largest_difference(x.grad, 2 * x.detach()) < 1e-5  # lengths are kept


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


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    grids=st.integers(1, 4),
    size=st.integers(1, 100),
)
def test_spans_cover_every_token_once_and_turn_alike(
    height: int, width: int, grids: int, size: int
) -> None:
    table = RotaryTable(height, width, 8, CPU)
    keys = Draws(34)(1, grids * height * width, 8)
    spans = list(table.spans(keys.shape[1], size))
    assert all(stop - start <= max(size, 1) for start, stop in spans)
    pieces = [table.rotate(keys[:, start:stop], start) for start, stop in spans]
    assert largest_difference(torch.cat(pieces, dim=1), table.rotate(keys)) < 1e-6


@pytest.mark.parametrize(("side", "grids"), [(4, 1), (12, 3), (34, 2)])
@pytest.mark.parametrize("pointers", [0, 5])
@pytest.mark.parametrize(("sharpness", "error"), [(1, 1e-5), (5, 1e-5), (500, 1e-3)])
def test_inference_in_tiles_equals_training(
    side: int, grids: int, pointers: int, sharpness: float, error: float
) -> None:
    """With more than 512 keys, or 1024 queries, there are several tiles."""
    attention = RotaryAttention(16, key_width=8)
    fill_randomly(attention)
    draw = Draws(35)
    tokens = side * side
    q, k, v = draw(2, tokens, 16), *(draw(2, grids * tokens + pointers, 8) for _ in range(2))
    q.mul_(sharpness)
    table = RotaryTable(side, side, 16, CPU)
    with torch.enable_grad():  # takes the path of training
        ordinary = attention(q, k, v, table, unrotated=pointers)
    tiled = attention(q, k, v, table, unrotated=pointers)
    assert largest_difference(tiled, ordinary) < error


@pytest.mark.parametrize("first", [-1e3, -25, 0, 25, 1e3])
@pytest.mark.parametrize("gap", [-1e4, -90, 0, 90, 1e4])
def test_tiles_may_differ_in_their_scores(gap: float, first: float) -> None:
    """Only where the first tile says nothing of the others there is no result."""
    draw = Draws(39)
    q, keys, values = torch.ones(5, 1), draw(20, 1), draw(20, 3)
    keys += first
    keys[10:] += gap
    tiled = attend_spans(q, iter([(keys[:10], values[:10]), (keys[10:], values[10:])]))
    if gap == 1e4:
        assert tiled is None
        return
    assert tiled is not None
    expected = (q @ keys.T * math.log(2)).softmax(dim=1) @ values
    rounded = 2**-23 * float(keys.abs().max())  # of the scores themselves
    assert largest_difference(tiled, expected) < max(1e-5, rounded)


def test_gradients_reach_every_weight() -> None:
    with torch.inference_mode(False):
        attention = RotaryAttention(16, key_width=8)
        q, keys = Draws(36)(1, 4, 16), Draws(37)(1, 12, 8)
        turned = attention(q, keys, keys, RotaryTable(2, 2, 16, CPU))
        turned.square().sum().backward()
    for name, weight in attention.named_parameters():
        assert weight.grad is not None, name
        if name != "k_proj.bias":  # a constant that a softmax takes away
            assert weight.grad.abs().max() > 0, name


def test_a_table_made_without_gradients_serves_training() -> None:
    table = rotary_table(3, 5, 12, CPU)
    assert rotary_table(3, 5, 12, CPU) is table
    with torch.inference_mode(False):
        x = Draws(38)(1, 15, 12).requires_grad_()
        table.rotate(x).square().sum().backward()
    assert x.grad is not None
    assert largest_difference(x.grad, 2 * x.detach()) < 1e-5


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
