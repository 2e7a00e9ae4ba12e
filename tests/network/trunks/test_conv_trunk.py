"""The convolutional trunk: normalisation is folded away for inference, and only then."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from parity_data import Draws, largest_difference
from reference_weights import fill_randomly
from small_networks import SMALL_CONV
from torch import Tensor

from napari_sam2.network.trunks.conv_trunk import ConvTrunk, NormalisedConv


def layer() -> NormalisedConv:
    with torch.inference_mode(False):
        made = NormalisedConv(3, 5, stride=2)
        fill_randomly(made)
        return made.eval()


def by_hand(made: NormalisedConv, x: Tensor) -> Tensor:
    conv, norm = made
    return norm(conv(x))


def more(made: NormalisedConv) -> None:
    with torch.inference_mode(False), torch.no_grad():
        made[1].running_var.mul_(3)
        made[0].weight.add_(1)


def other_weights(made: NormalisedConv) -> None:
    with torch.inference_mode(False):
        fill_randomly(made, seed=5)


def copied_weights(made: NormalisedConv) -> None:
    with torch.inference_mode(False):
        other = NormalisedConv(3, 5)
        fill_randomly(other, seed=6)
        made.load_state_dict(other.state_dict())


def rounded(made: NormalisedConv) -> None:
    made.half().float()


@pytest.mark.parametrize("change", [more, other_weights, copied_weights, rounded])
def test_folding_follows_every_change_of_the_weights(
    change: Callable[[NormalisedConv], None],
) -> None:
    made, x = layer(), Draws(50)(2, 3, 9, 9)
    before = made(x)
    assert largest_difference(before, by_hand(made, x)) < 1e-5
    change(made)
    after = made(x)
    assert largest_difference(after, by_hand(made, x)) < 1e-5
    assert largest_difference(after, before) > 0


def test_folding_leaves_no_trace_in_the_weights() -> None:
    made, x = layer(), Draws(51)(1, 3, 8, 8)
    names = list(made.state_dict())
    made(x)
    assert list(made.state_dict()) == names
    twin = deepcopy(made)
    more(made)
    assert largest_difference(twin(x), by_hand(twin, x)) < 1e-5
    assert largest_difference(twin(x), made(x)) > 1e-3


def test_statistics_are_learned_in_training() -> None:
    made, x = layer(), Draws(52)(2, 3, 9, 9)
    made(x)
    made.train()
    batch = made[0](x)
    mean = batch.mean(dim=(0, 2, 3), keepdim=True)
    deviation = (batch.var(dim=(0, 2, 3), keepdim=True, correction=0) + 1e-5).sqrt()
    norm = made[1]
    expected = (batch - mean) / deviation * norm.weight[:, None, None] + norm.bias[:, None, None]
    assert largest_difference(made(x), expected) < 1e-5


def test_gradients_of_the_trunk_are_those_of_inference() -> None:
    """What is computed in place spoils no gradient: compare with finite differences."""
    with torch.inference_mode(False):
        trunk = ConvTrunk(SMALL_CONV).eval()
        fill_randomly(trunk)
        trunk.requires_grad_(True)
        image, step = Draws(53)(1, 3, 32, 32), 1e-2
        weight = trunk.stages[1][2].conv1[0].weight
        sum(each.square().mean() for each in trunk(image)).backward()
        slope = float(weight.grad[0, 0, 1, 1])
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[0, 0, 1, 1] += sign * step
                values.append(float(sum(each.square().mean() for each in trunk(image))))
                weight[0, 0, 1, 1] -= sign * step
    assert slope == pytest.approx((values[0] - values[1]) / (2 * step), rel=0.05)
