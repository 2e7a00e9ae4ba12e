"""Trunks and neck: shapes, windows, and the fused convolutions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from parity_data import Draws, largest_difference
from reference_weights import fill_randomly, random_network
from small_networks import SMALL_CONV, SMALL_HIERA, small_config
from torch import Tensor, nn

from napari_sam2.network.image_encoder import FpnNeck
from napari_sam2.network.trunks.conv_trunk import ConvTrunk
from napari_sam2.network.trunks.hiera import Hiera, HieraBlock

LEVELS = [(), (2, 3), (0, 1, 2, 3), (1, 2)]


def plain_neck(neck: FpnNeck, maps: list[Tensor], heads: dict[int, nn.Conv2d]) -> list[Tensor]:
    """Compute the pyramid as it is defined, every level at its full width."""
    laterals = [lateral.conv for lateral in reversed(list(neck.convs))]
    pyramid = [conv(each) for conv, each in zip(laterals, maps, strict=True)]
    for level in range(len(maps) - 2, -1, -1):
        if level in neck.top_down:
            above = F.interpolate(pyramid[level + 1], scale_factor=2.0, mode="nearest")
            pyramid[level] = pyramid[level] + above
    return [heads[i](each) if i in heads else each for i, each in enumerate(pyramid)]


@pytest.mark.parametrize("top_down", LEVELS)
@pytest.mark.parametrize("with_heads", [True, False])
def test_fused_neck_equals_the_plain_pyramid(top_down: tuple[int, ...], with_heads: bool) -> None:
    draw = Draws(20)
    channels = (8, 12, 16, 20)
    neck = FpnNeck(channels, 32, top_down)
    fill_randomly(neck)
    heads = {0: nn.Conv2d(32, 4, 1), 1: nn.Conv2d(32, 8, 1)} if with_heads else {}
    maps = [draw(2, each, 16 >> level, 16 >> level) for level, each in enumerate(channels)]
    ours, plain = neck(maps, heads), plain_neck(neck, maps, heads)
    assert len(ours) == len(plain) == 4
    for one, other in zip(ours, plain, strict=True):
        assert largest_difference(one, other) < 1e-5


@pytest.mark.parametrize("trunk", [Hiera(SMALL_HIERA), ConvTrunk(SMALL_CONV)])
def test_trunk_halves_resolution_stage_by_stage(trunk: nn.Module) -> None:
    config = SMALL_HIERA if isinstance(trunk, Hiera) else SMALL_CONV
    fill_randomly(trunk)
    maps = trunk.eval()(Draws(21)(2, 3, 96, 96))
    sides = [96 // stride for stride in (4, 8, 16, 32)]
    assert [tuple(each.shape) for each in maps] == [
        (2, channels, side, side) for channels, side in zip(config.channels, sides, strict=True)
    ]


def test_windows_see_only_themselves_and_global_blocks_everything() -> None:
    draw = Draws(22)
    x = draw(1, 8, 8, 16)
    changed = x.clone()
    changed[0, 0, 0] = draw(16)
    windowed, everywhere = HieraBlock(16, 16, 2, 4, False), HieraBlock(16, 16, 2, 0, False)
    for block in (windowed, everywhere):
        fill_randomly(block)
    touched = (windowed(x) != windowed(changed)).any(dim=3)[0]
    assert touched[:4, :4].all()
    assert not touched[4:].any()
    assert not touched[:, 4:].any()
    assert (everywhere(x) != everywhere(changed)).any(dim=3).all()


def test_window_padding_takes_part_as_keys() -> None:
    block = HieraBlock(16, 16, 1, 4, False)
    fill_randomly(block)
    x = Draws(23)(1, 6, 6, 16)
    out = block(x)
    assert out.shape == x.shape
    # The corner's window holds 2 x 2 tokens and twelve zeros, which attend as the bias alone.
    corner = F.pad(block.norm1(x)[:, 4:, 4:], (0, 0, 0, 2, 0, 2))
    attended = block.attn(corner)[:, :2, :2]
    by_hand = x[:, 4:, 4:] + attended
    by_hand = by_hand + block.mlp(block.norm2(by_hand))
    assert largest_difference(out[:, 4:, 4:], by_hand) < 1e-5


@pytest.mark.parametrize("frames", [1, 2])
def test_position_embedding_repeats_its_windows(frames: int) -> None:
    trunk = Hiera(SMALL_HIERA)
    fill_randomly(trunk)
    trunk.pos_embed.zero_()
    position = trunk._positioned(torch.zeros(frames, 20, 24, 16))
    assert position.shape == (frames, 20, 24, 16)
    assert torch.equal(position[:, 8:16, 16:24], position[:, :8, :8])
    assert torch.equal(position[:, 16:20], position[:, :4])


@pytest.mark.parametrize("trunk", [SMALL_HIERA, SMALL_CONV])
def test_top_down_levels_reach_the_fine_maps(trunk: object) -> None:
    image = Draws(24)(1, 3, 64, 64)
    some, every = (
        random_network(small_config(trunk, top_down_levels=levels))  # type: ignore[arg-type]
        for levels in ((2, 3), (0, 1, 2, 3))
    )
    apart, together = some.encode_image(image), every.encode_image(image)
    assert largest_difference(apart.stride16, together.stride16) < 1e-5
    assert largest_difference(apart.stride8, together.stride8) > 0.1
    assert largest_difference(apart.stride4, together.stride4) > 0.1
