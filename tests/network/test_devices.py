"""Every stage of the network stays on its device: nothing is left on the CPU, nothing read back."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from network_stages import stages
from parity_data import largest_difference
from pretended_gpu import MixedDevicesError, pretended_gpu
from reference_weights import random_network
from small_networks import SMALL_CONV, SMALL_FINE, SMALL_HIERA, small_config

from napari_sam2.network import Sam2, prompt_encoder, sam2
from napari_sam2.tracking.device import halved

CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=["hiera", "conv", "fine"])
def network(request: pytest.FixtureRequest) -> Sam2:
    """A small network of every kind."""
    if request.param == "fine":
        return random_network(SMALL_FINE)
    return random_network(small_config(SMALL_HIERA if request.param == "hiera" else SMALL_CONV))


def test_every_stage_gives_on_a_gpu_what_it_gives_on_the_cpu(network, gpu) -> None:
    found = stages(copy.deepcopy(network).to(gpu), gpu)
    for name, value in stages(network, CPU).items():
        assert found[name].device == gpu, name
        assert largest_difference(found[name].cpu(), value) < 2e-3, name


def test_every_stage_runs_on_a_gpu_in_half_precision(network, gpu) -> None:
    moved = halved(copy.deepcopy(network).to(gpu))
    with torch.autocast(gpu.type, dtype=torch.bfloat16):
        found = stages(moved, gpu)
    if not network.config.fine_channels:  # whose group normalisation gives float32
        assert found["stride16"].dtype == torch.bfloat16
    assert {found[n].dtype for n in ("clicked", "refined", "given", "followed")} == {torch.float32}
    for name, value in stages(network, CPU).items():
        off = (found[name].cpu().float() - value).abs().mean() / value.abs().mean()
        assert off < 0.1, name


FAULTS = {
    "position": (sam2, "sine_grid"),
    "prompts": (prompt_encoder.PromptEncoder, "encode_points"),
    "mask prompt": (Sam2, "downsample_mask"),
    "memory": (Sam2, "memory_position"),
    "pointers": (Sam2, "object_pointers"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_left_on_the_cpu_is_found(
    small: Sam2, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name = FAULTS[fault]
    real = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *args, **kwargs: real(*args, **kwargs).cpu())
    with pretended_gpu() as device, pytest.raises(MixedDevicesError, match="CPU"):
        stages(copy.deepcopy(small).to(device), device)


def test_the_pretended_gpu_has_the_rules_of_a_real_one() -> None:
    with pretended_gpu() as device:
        there, here = torch.ones(2, 3, device=device), torch.ones(2, 3)
        assert there.device == device
        for mixed in (
            lambda: there + here,
            lambda: here.add_(there),
            lambda: torch.cat((there, here)),
            lambda: torch.nn.Linear(3, 3)(there),
            lambda: torch.where(there > 0, there, here),
        ):
            with pytest.raises(MixedDevicesError):
                mixed()
        with pytest.raises((RuntimeError, TypeError)):
            np.asarray(there)
        there[:, 1:] = here[:, 1:] * 3
        there += torch.tensor(1.0)
        assert there.cpu().tolist() == there.tolist() == [[2, 4, 4], [2, 4, 4]]
        assert float(there.sum()) == 20
        assert there[torch.tensor([True, False])].device == device
