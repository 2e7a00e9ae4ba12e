from __future__ import annotations

import os
import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from napari_sam2.checkpoints.state_dict import read_state
from napari_sam2.errors import CheckpointError

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "b.bias": torch.ones(2)}


class Evil:
    """Writes a file when it is unpickled without care."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.witness),)


def assert_is_state(path: Path) -> None:
    state = read_state(path)
    assert state.shapes() == {"a.weight": (2, 3), "b.bias": (2,)}
    for name, tensor in STATE.items():
        assert torch.equal(state.tensors[name].float(), tensor)


@pytest.mark.parametrize(
    "content",
    [
        {"model": STATE},
        {"model": STATE, "epoch": 3, "optimizer": {"step": 7}},
        {"state_dict": STATE},
        {"model_state": STATE},
        STATE,
        {f"module.{name}": value for name, value in STATE.items()},
        {"model": {f"sam2.{name}": value for name, value in STATE.items()}},
        {"model": {f"module._orig_mod.{name}": value for name, value in STATE.items()}},
        {name: nn.Parameter(value) for name, value in STATE.items()},
        {name: value.bfloat16() for name, value in STATE.items()},
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_layouts_of_torch_files(tmp_path: Path, content: Any, zipped: bool) -> None:
    path = tmp_path / "model.pt"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    assert_is_state(path)


def test_prefix_that_only_some_names_have_stays(tmp_path: Path) -> None:
    torch.save({"sam2.a": torch.ones(1), "decoder.b": torch.ones(1)}, tmp_path / "model.pt")
    assert set(read_state(tmp_path / "model.pt").tensors) == {"sam2.a", "decoder.b"}


def test_safetensors_with_metadata_under_any_suffix(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    safetensors.torch.save_file(STATE, path, metadata={"licence": "BSD-3-Clause"})
    assert_is_state(path)
    assert read_state(path).metadata == {"licence": "BSD-3-Clause"}


def test_safetensors_without_metadata(tmp_path: Path) -> None:
    safetensors.torch.save_file(STATE, tmp_path / "model.safetensors")
    assert read_state(tmp_path / "model.safetensors").metadata == {}


def test_file_is_free_after_reading(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"model": STATE}, path)
    state = read_state(path)
    total = sum(float(tensor.sum()) for tensor in state.tensors.values())
    del state
    path.unlink()
    assert total == 17


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_torch_file_is_not_run(tmp_path: Path, zipped: bool) -> None:
    path, witness = tmp_path / "model.pt", tmp_path / "witness"
    torch.save(
        {"model": {**STATE, "c": Evil(witness)}}, path, _use_new_zipfile_serialization=zipped
    )
    with pytest.raises(CheckpointError, match=r"more than weights \(\w+\.mkdir\).*run code"):
        read_state(path)
    assert not witness.exists()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_code_in_a_pickle_is_not_run(tmp_path: Path, protocol: int) -> None:
    path, witness = tmp_path / "model.pt", tmp_path / "witness"
    path.write_bytes(pickle.dumps(Evil(witness), protocol=protocol))
    with pytest.raises(CheckpointError, match="could run code"):
        read_state(path)
    assert not witness.exists()


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="TorchScript has no support there")
@pytest.mark.filterwarnings("ignore")
def test_torchscript_is_code(tmp_path: Path) -> None:
    torch.jit.script(nn.Linear(2, 2)).save(tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"more than weights \(TorchScript\)"):
        read_state(tmp_path / "model.pt")


@settings(max_examples=25, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_file_cut_short_is_an_error(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("cut") / "model"
    if kind == "safetensors":
        safetensors.torch.save_file(STATE, path)
    else:
        torch.save({"model": STATE}, path, _use_new_zipfile_serialization=kind == "zip")
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(CheckpointError):
        read_state(path)


def test_torch_file_cut_short_says_so(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"model": STATE}, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged or cut short"):
        read_state(path)


def test_safetensors_file_cut_short_says_so(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(STATE, path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="damaged or cut short: it is no whole safetensors"):
        read_state(path)


@settings(max_examples=25, deadline=None)
@given(noise=st.binary(max_size=200))
def test_noise_is_an_error(tmp_path_factory: pytest.TempPathFactory, noise: bytes) -> None:
    path = tmp_path_factory.mktemp("noise") / "model.pt"
    path.write_bytes(noise)
    with pytest.raises(CheckpointError):
        read_state(path)


@pytest.mark.parametrize(
    "content", [b"", b"<!doctype html><title>Not found</title>", b"version https://git-lfs\n"]
)
def test_other_kind_of_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match="no model file of the SAM 2 format"):
        read_state(tmp_path / "model.pt")


def test_other_zip_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        archive.writestr("notes.txt", "no model")
    with pytest.raises(CheckpointError, match="no model file of the SAM 2 format"):
        read_state(tmp_path / "model.pt")


@pytest.mark.parametrize("content", [torch.ones(2), [1, 2], {}, {"model": {}}, {"epoch": 3}])
def test_torch_file_without_weights(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"holds no weights but a (Tensor|list|dict)"):
        read_state(tmp_path / "model.pt")


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"cannot be read: No such file"):
        read_state(tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_state(tmp_path)
