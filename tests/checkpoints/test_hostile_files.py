"""Model files and configurations that hang, flood the memory, or hold no plain weights."""

from __future__ import annotations

import json
import os
import struct
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from small_networks import small_config

from napari_sam2.checkpoints import (
    cache_folder,
    config_from_json,
    config_to_json,
    find_model_file,
    load_network,
    save_network,
)
from napari_sam2.checkpoints.loading import CONFIG_KEY
from napari_sam2.checkpoints.state_dict import read_state
from napari_sam2.errors import CheckpointError, Sam2Error
from napari_sam2.network import BUNDLED_CONFIG, FIRST_BUNDLED_CONFIG, OFFICIAL_CONFIGS, Sam2

CONFIGS = {"bundled": BUNDLED_CONFIG, "first": FIRST_BUNDLED_CONFIG, **OFFICIAL_CONFIGS}


def safetensors_file(path: Path, header: str, data: bytes = b"") -> Path:
    encoded = header.encode()
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + data)
    return path


@pytest.mark.parametrize("header", ["{}", '{"__metadata__":{"a":"b"}}'])
def test_safetensors_without_tensors_end(tmp_path: Path, header: str) -> None:
    with pytest.raises(CheckpointError, match=r"a\.safetensors .*holds no weights"):
        read_state(safetensors_file(tmp_path / "a.safetensors", header))


@pytest.mark.parametrize("header", ['{"a":' * 50_000, '{"a":' + "9" * 5000 + "}"])
def test_headers_that_no_file_has(tmp_path: Path, header: str) -> None:
    with pytest.raises(CheckpointError, match="damaged"):
        read_state(safetensors_file(tmp_path / "a.safetensors", header))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", [b'{"a":' * 20_000, b"a" * 100_000 + b"\xc3\xa4"])
def test_names_of_classes_that_would_be_searched_for_minutes(tmp_path, zipped, name) -> None:
    plain, crafted = tmp_path / "plain.pt", tmp_path / "crafted.pt"
    torch.save({"a": torch.zeros(3)}, plain, _use_new_zipfile_serialization=zipped)
    known = b"ctorch._utils\n"
    if zipped:
        with zipfile.ZipFile(plain) as source, zipfile.ZipFile(crafted, "w") as target:
            for part in source.namelist():
                target.writestr(part, source.read(part).replace(known, b"c" + name + b"\n"))
    else:
        crafted.write_bytes(plain.read_bytes().replace(known, b"c" + name + b"\n"))
    began = time.process_time()
    with pytest.raises(CheckpointError, match="damaged") as raised:
        read_state(crafted)
    assert time.process_time() - began < 5, "torch itself takes minutes"
    assert len(str(raised.value)) < 1000


def test_packed_torch_files_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    plain, packed = tmp_path / "plain.pt", tmp_path / "packed.pt"
    torch.save({"a": torch.zeros(10_000_000)}, plain)
    with (
        zipfile.ZipFile(plain) as source,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))
    assert packed.stat().st_size < 100_000
    with pytest.raises(CheckpointError, match=r"packed\.pt .*unpacks to 40 MB"):
        read_state(packed)


@pytest.mark.parametrize("zipped", [True, False])
def test_weights_that_repeat_few_values_many_times_are_refused(
    tmp_path: Path, zipped: bool
) -> None:
    path = tmp_path / "a.pt"
    wide = torch.zeros(1).expand(40_000, 40_000)
    torch.save({"a": wide}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"a\.pt .*take 6400 MB and the file has 0 MB"):
        read_state(path)


def test_weights_that_share_values_are_read(tmp_path: Path) -> None:
    values = torch.arange(50_000.0)
    torch.save({"a": values, "b": values}, tmp_path / "a.pt")
    assert set(read_state(tmp_path / "a.pt").tensors) == {"a", "b"}


UNUSUAL: dict[str, Any] = {
    "sparse": lambda: torch.eye(3).to_sparse(),
    "complex": lambda: torch.ones(3, dtype=torch.complex64),
    "quantised": lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
    "without values": lambda: torch.ones(3, device="meta"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", UNUSUAL)
def test_weights_that_are_no_plain_numbers_are_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.pt"
    torch.save({"model": {"trunk.weight": UNUSUAL[kind]()}}, path)
    with pytest.raises(CheckpointError, match=r"a\.pt ") as caught:
        read_state(path)
    assert kind in str(caught.value) or "not opened" in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_not_loaded(tmp_path: Path, value: float) -> None:
    path = tmp_path / "a.safetensors"
    network = Sam2(small_config())
    tensors = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    tensors["no_mem_embed"].view(-1)[1] = value
    texts = {CONFIG_KEY: config_to_json(network.config)}
    safetensors.torch.save_file(tensors, path, metadata=texts)
    with pytest.raises(CheckpointError, match=r"a\.safetensors .*no_mem_embed are not all finite"):
        load_network(path)


@pytest.mark.parametrize("name", CONFIGS)
def test_limits_let_our_own_configurations_through(name: str) -> None:
    assert config_from_json(config_to_json(CONFIGS[name])) == CONFIGS[name]


ABSURD = [
    ("decoder_layers", 10**7),
    ("memory_layers", 10**7),
    ("fuser_layers", 10**7),
    ("memory_frames", 10**7),
    ("width", 0),
    ("width", -8),
    ("width", 10**300),
    ("image_size", 0),
    ("image_size", 10**6),
    ("decoder_heads", 0),
    ("memory_width", 0),
    ("sigmoid_scale", float("nan")),
    ("sigmoid_bias", float("inf")),
    ("top_down_levels", [-1]),
    ("top_down_levels", [0] * 10**5),
    ("fine_channels", [0, 1, 1, 1]),
    ("trunk.depths", [10**7, 1, 1, 1]),
    ("trunk.depths", [1] * 10**6),
    ("trunk.channels", [0, 1, 1, 1]),
]


@pytest.mark.parametrize(("name", "value"), ABSURD, ids=[name for name, _ in ABSURD])
def test_configurations_that_no_network_has(name: str, value: Any) -> None:
    values = json.loads(config_to_json(BUNDLED_CONFIG))
    place = values["trunk"] if name.startswith("trunk.") else values
    place[name.removeprefix("trunk.")] = value
    with pytest.raises(CheckpointError, match="which no network has") as caught:
        config_from_json(json.dumps(values))
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("text", ['{"trunk":' * 50_000, '{"trunk": ' + "9" * 5000 + "}"])
def test_configurations_that_python_cannot_read(text: str) -> None:
    with pytest.raises(CheckpointError, match="is no JSON"):
        config_from_json(text)


def test_more_layers_than_weights_are_not_built(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    values = json.loads(config_to_json(small_config())) | {"memory_layers": 200}
    safetensors.torch.save_file({"a": torch.ones(1)}, path, metadata={"config": json.dumps(values)})
    with pytest.raises(CheckpointError, match=r"a\.safetensors.* layers, .* has 1 weight"):
        load_network(path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
@pytest.mark.parametrize("kind", ["device", "pipe", "loop", "folder"])
def test_what_is_no_file_is_not_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.pt"
    if kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    else:
        path.mkdir()
    with pytest.raises(CheckpointError, match=r"a\.pt cannot be read"):
        load_network(path)


@pytest.mark.parametrize("name", ["n" * 5000, "n" * 5000 + ".pt", "a\0b.pt"])
def test_names_that_no_file_has(name: str) -> None:
    with pytest.raises(CheckpointError):
        load_network(name)


@pytest.mark.parametrize("folder", ["~no-such-user-here/models", "/" + "n" * 5000])
def test_odd_cache_folders_are_named(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_SAM2_CACHE", folder)
    with pytest.raises(Sam2Error, match="NAPARI_SAM2_CACHE"):
        find_model_file("sam2.1-tiny")
    with pytest.raises(Sam2Error, match="NAPARI_SAM2_CACHE"):
        load_network("sam2.1-tiny")


def test_a_cache_folder_below_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NAPARI_SAM2_CACHE", str(tmp_path / "file" / "models"))
    assert cache_folder() == tmp_path / "file" / "models"
    assert find_model_file("sam2.1-tiny") is None


def test_a_model_of_a_long_name_is_saved(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 243 + ".safetensors")
    save_network(Sam2(small_config()), path)
    assert load_network(path).path == path
