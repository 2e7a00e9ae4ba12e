"""Stages are timed and counted, and the network is left as it was."""

from __future__ import annotations

import pytest
import torch

from napari_sam2.benchmarking import STAGES, StageMeter, measured_peak

CPU = torch.device("cpu")


def test_calls_are_added_up_and_the_network_is_left_as_it_was(model):
    network, image = model.network, torch.zeros(1, 3, 64, 64)
    before = dict(vars(network))
    meter = StageMeter(CPU)
    with torch.inference_mode(), meter.metered(network):
        first = network.encode_image(image)
        second = network.encode_image(image)
    assert torch.equal(first.stride16, second.stride16)
    assert meter.totals["encode"].calls == 2
    assert meter.totals["encode"].seconds > 0
    assert all(meter.totals[stage].calls == 0 for stage in STAGES if stage != "encode")
    assert dict(vars(network)) == before


def test_a_failing_stage_leaves_the_network_as_it_was(model):
    before = dict(vars(model.network))
    meter = StageMeter(CPU)
    with pytest.raises(RuntimeError), meter.metered(model.network):
        model.network.encode_image(torch.zeros(1, 5, 64, 64))
    assert dict(vars(model.network)) == before
    assert meter.totals["encode"].calls == 0


@pytest.mark.parametrize("inference", [True, False])
def test_operations_are_counted(inference):
    """Against the sum over the parts, worked out by hand."""
    layer = torch.nn.Conv2d(3, 8, 3, bias=False)
    query = torch.randn(1, 2, 6, 4)

    class Stages(torch.nn.Module):
        def encode_image(self) -> None:
            layer(torch.zeros(1, 3, 10, 10))
            torch.nn.functional.scaled_dot_product_attention(query, query, query)
            torch.zeros(5, 7).addmm_(torch.zeros(5, 6), torch.zeros(6, 7))

        open_memory = attend_memory = predict_masks = encode_memory = encode_image

    network, meter = Stages(), StageMeter(CPU, count_flops=True)
    with torch.inference_mode(inference), meter.metered(network):
        network.encode_image()
    convolution = 2 * 8 * 8 * 8 * 3 * 9
    attention = 2 * 2 * (6 * 6 * 4 + 6 * 6 * 4)
    assert meter.totals["encode"].flops == convolution + attention + 2 * 5 * 6 * 7


def test_matrices_are_multiplied_at_a_plausible_rate():
    assert 1e8 < measured_peak(CPU) < 1e15
