from __future__ import annotations

import os
import zipfile

import pytest
import torch

from napari_sam2.errors import TrainingError
from napari_sam2.training import Recipe, TrainingState
from napari_sam2.training.parts import Parts, choose_parts
from napari_sam2.training.run.state import load_average, saved_step

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


class Evil:
    """Makes a folder when it is unpickled without care."""

    def __init__(self, witness):
        self.witness = witness

    def __reduce__(self):
        return os.mkdir, (str(self.witness),)


@pytest.mark.parametrize("reader", ["load", "load_average", "saved_step"])
@pytest.mark.parametrize("zipped", [True, False])
def test_no_state_file_runs_code(tiny_network, tmp_path, reader, zipped):
    state = TrainingState.create(tiny_network, RECIPE)
    path, witness = tmp_path / "state.pt", tmp_path / "witness"
    state.save(path)
    content = torch.load(path, weights_only=True)
    torch.save(content | {"extra": Evil(witness)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(TrainingError, match=r"cannot go on from .*state\.pt"):
        READERS[reader](state, path)
    assert not witness.exists()


READERS = {
    "load": lambda state, path: state.load(path),
    "load_average": lambda state, path: load_average(path, state.average),
    "saved_step": lambda state, path: saved_step(path),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "content", [b"", b"noise", b"PK\x03\x04", b"\x80\x02", b"\x80\x02}q\x00.", b"\x80\x04" * 99]
)
def test_damaged_states_are_named(tiny_network, tmp_path, reader, content):
    path = tmp_path / "state.pt"
    path.write_bytes(content)
    state = TrainingState.create(tiny_network, RECIPE)
    with pytest.raises(TrainingError, match=r"cannot go on from .*state\.pt") as caught:
        READERS[reader](state, path)
    assert len(str(caught.value)) < 1000


def test_a_packed_state_is_not_unpacked(tiny_network, tmp_path):
    state = TrainingState.create(tiny_network, RECIPE)
    state.save(tmp_path / "plain.pt")
    path = tmp_path / "state.pt"
    with (
        zipfile.ZipFile(tmp_path / "plain.pt") as source,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))
    with pytest.raises(TrainingError, match="it is packed"):
        state.load(path)


def test_the_step_of_a_state_is_read_alone(tiny_network, tmp_path):
    state = TrainingState.create(tiny_network, RECIPE)
    assert saved_step(tmp_path / "state.pt") == 0
    state.step = 7
    state.save(tmp_path / "state.pt")
    assert saved_step(tmp_path / "state.pt") == 7
