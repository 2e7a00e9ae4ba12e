from __future__ import annotations

import pytest
import torch

from napari_sam2.errors import TrainingError
from napari_sam2.training import Recipe, TrainingState
from napari_sam2.training.parts import Parts, choose_parts

RECIPE = Recipe(phases=(), weight_decay=0.1)


def test_the_trunk_learns_at_a_rate_of_its_own(tiny_network):
    groups = TrainingState.create(tiny_network, RECIPE, trunk_rate=0.1).optimiser.param_groups
    trunk = {id(p) for p in tiny_network.image_encoder.trunk.parameters()}
    for group in groups:
        inside = [id(p) in trunk for p in group["params"]]
        assert all(inside) if group["scale"] == 0.1 else not any(inside)
    assert {group["scale"] for group in groups} == {0.1, 1.0}


def test_only_matrices_and_kernels_decay(tiny_network):
    for group in TrainingState.create(tiny_network, RECIPE).optimiser.param_groups:
        assert all((p.ndim > 1) is (group["weight_decay"] == 0.1) for p in group["params"])


def test_frozen_parameters_are_not_optimised(tiny_network):
    choose_parts(tiny_network, Parts.DECODER)
    state = TrainingState.create(tiny_network, RECIPE, trunk_rate=0.1)
    optimised = {id(p) for group in state.optimiser.param_groups for p in group["params"]}
    wanted = {id(p) for p in tiny_network.sam_mask_decoder.parameters()}
    assert optimised == wanted | {id(p) for p in state.dense.parameters()}


@pytest.mark.parametrize("error", [OSError(28, "No space left"), RuntimeError("writer failed")])
def test_a_full_disk_leaves_the_state_before(tiny_network, tmp_path, monkeypatch, error):
    state = TrainingState.create(tiny_network, RECIPE)
    path = tmp_path / "state.pt"
    state.save(path)
    before = path.read_bytes()

    def full(content, partial):
        partial.write_bytes(b"half of it")
        raise error

    monkeypatch.setattr(torch, "save", full)
    state.step = 7
    with pytest.raises(TrainingError, match="cannot be written") as raised:
        state.save(path)
    assert "whole" in raised.value.safe
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["state.pt"]
