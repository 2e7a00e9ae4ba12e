"""What inference computes in pieces and in place is what training computes whole."""

from __future__ import annotations

import pytest
import torch
from parity_data import Draws, largest_difference
from small_networks import SMALL_HIERA
from torch import Tensor

from napari_sam2.network import Sam2, memory_attention, memory_encoder
from napari_sam2.network.layers import full_precision, in_pieces
from napari_sam2.network.trunks import hiera
from napari_sam2.network.trunks.hiera import Hiera


def stages(network: Sam2, frames: int) -> list[Tensor]:
    draw = Draws(60)
    features = network.encode_image(draw(frames, 3, 64, 64))
    stride16 = features.stride16
    memory, where = draw(2, 3 * 16 + 4, 16), draw(2, 3 * 16 + 4, 16)
    conditioned = network.attend_memory(stride16, features.position, memory, where, 4)
    masks = network.predict_masks(conditioned, features.stride8, features.stride4)
    present = torch.tensor([[1.0], [0.0]])
    remembered = network.encode_memory(stride16, draw(2, 1, 64, 64).sigmoid(), present)
    return [features.stride4, features.stride8, stride16, conditioned, masks.masks, remembered]


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("rows", [16, 4096])
def test_every_stage_is_the_same_with_and_without_gradients(
    network: Sam2, rows: int, frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hiera, "_TOKENS", rows)
    monkeypatch.setattr(hiera, "_ROWS", rows)
    monkeypatch.setattr(memory_attention, "_ROWS", rows)
    monkeypatch.setattr(memory_encoder, "_ROWS", rows)
    without = stages(network, frames)
    with torch.enable_grad():  # all the difference that the network sees
        ordinary = stages(network, frames)
    for ours, theirs in zip(without, ordinary, strict=True):
        assert largest_difference(ours, theirs) < 1e-4


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20])
@pytest.mark.parametrize("dim", [0, 1])
def test_pieces_are_put_together_in_order(size: int, dim: int) -> None:
    x = Draws(61)(7, 6)
    whole = x * 2 + 1
    assert torch.equal(in_pieces(lambda part: part * 2 + 1, x, size, dim), whole)


def test_pieces_may_shrink() -> None:
    x = Draws(62)(2, 10, 3)
    halved = in_pieces(lambda part: part[:, ::2], x, 4, dim=1)
    assert torch.equal(halved, x[:, ::2])


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("shape", [(16, 16), (24, 40), (7, 7), (5, 11)])
def test_background_position_is_resized_as_torch_does(shape: tuple[int, int], frames: int) -> None:
    trunk = Hiera(SMALL_HIERA)
    torch.nn.init.normal_(trunk.pos_embed)
    background = torch.nn.functional.interpolate(trunk.pos_embed, size=shape, mode="bicubic")
    tokens = Draws(63)(frames, *shape, 16)
    ours = (trunk._positioned(tokens.clone()) - tokens).permute(0, 3, 1, 2)
    assert largest_difference(ours, background.expand_as(ours)) < 1e-5


def test_half_precision_is_switched_off_where_there_is_any() -> None:
    a = torch.ones(2, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (a @ a).dtype == torch.bfloat16
        with full_precision(a.device):
            assert (a @ a).dtype == torch.float32
    with full_precision(torch.device("meta")):  # a device that knows no half precision
        assert torch.ones(2, 2, device="meta").dtype == torch.float32
