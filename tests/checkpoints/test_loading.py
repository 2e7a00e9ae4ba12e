from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch

from napari_sam2.checkpoints import config_to_json, find_model_file, load_network, save_network
from napari_sam2.checkpoints.config_inference import network_shapes
from napari_sam2.errors import CheckpointError
from napari_sam2.network import (
    BUNDLED_CONFIG,
    FIRST_BUNDLED_CONFIG,
    OFFICIAL_CONFIGS,
    ConvTrunkConfig,
    HieraConfig,
    Sam2,
    Sam2Config,
)

SMALL = Sam2Config(
    trunk=ConvTrunkConfig(channels=(8, 16, 32, 64), depths=(1, 1, 1, 1)),
    image_size=128,
    width=32,
    memory_width=16,
    decoder_mlp=32,
    memory_layers=1,
    memory_mlp=32,
    fuser_layers=1,
)
SMALL_HIERA = replace(
    SMALL,
    trunk=HieraConfig(embed_dim=8, stages=(1, 1, 2, 1), global_blocks=(3,), windows=(4, 4, 4, 4)),
)


@pytest.fixture(scope="module")
def network() -> Sam2:
    torch.manual_seed(0)
    return Sam2(SMALL)


def assert_equal_weights(found: Sam2, wanted: Sam2, *, rounded: bool = False) -> None:
    expected = wanted.state_dict()
    assert found.state_dict().keys() == expected.keys()
    for name, tensor in found.state_dict().items():
        want = expected[name]
        if want.is_floating_point():
            assert tensor.dtype == torch.float32
            want = want.half().float() if rounded else want
        assert torch.equal(tensor, want), name


@pytest.mark.parametrize("config", [SMALL, SMALL_HIERA])
def test_saved_network_comes_back(tmp_path: Path, config: Sam2Config) -> None:
    network = Sam2(config)
    path = tmp_path / "mine.safetensors"
    save_network(network, path, {"licence": "BSD-3-Clause"})
    loaded = load_network(path)
    assert (loaded.name, loaded.path) == ("mine", path)
    assert loaded.metadata == {"licence": "BSD-3-Clause"}
    assert loaded.network.config == config
    assert_equal_weights(loaded.network, network)
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.safetensors"]


def test_loaded_network_only_evaluates(tmp_path: Path, network: Sam2) -> None:
    save_network(network, tmp_path / "mine.safetensors")
    loaded = load_network(str(tmp_path / "mine.safetensors")).network
    assert not any(module.training for module in loaded.modules())
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert {parameter.device.type for parameter in loaded.parameters()} == {"cpu"}


def test_loaded_network_computes_the_same(tmp_path: Path) -> None:
    network = Sam2(SMALL_HIERA).eval()
    save_network(network, tmp_path / "mine.safetensors")
    loaded = load_network(tmp_path / "mine.safetensors").network
    images = torch.randn(1, 3, 128, 128)
    with torch.inference_mode():
        wanted, found = network.encode_image(images), loaded.encode_image(images)
    assert torch.equal(found.stride16, wanted.stride16)
    assert torch.equal(found.stride4, wanted.stride4)


def test_half_precision_halves_the_file(tmp_path: Path, network: Sam2) -> None:
    save_network(network, tmp_path / "full.safetensors")
    save_network(network, tmp_path / "half.safetensors", half=True)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("full", "half")]
    assert sizes[1] < 0.62 * sizes[0]
    assert_equal_weights(load_network(tmp_path / "half.safetensors").network, network, rounded=True)


def test_weights_beyond_half_precision_stay_as_they_are(tmp_path: Path) -> None:
    network = Sam2(SMALL)
    with torch.no_grad():
        network.no_obj_ptr.fill_(1e6)
    save_network(network, tmp_path / "mine.safetensors", half=True)
    loaded = load_network(tmp_path / "mine.safetensors").network
    assert torch.equal(loaded.no_obj_ptr, network.no_obj_ptr)


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    network = Sam2(SMALL)
    with torch.no_grad():
        network.no_obj_ptr[0, 0] = torch.nan
    with pytest.raises(CheckpointError, match="no_obj_ptr are not finite"):
        save_network(network, tmp_path / "mine.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_saved_models_are_for_whom_the_umask_lets(tmp_path: Path, network: Sam2) -> None:
    save_network(network, tmp_path / "model.safetensors")
    (tmp_path / "plain").touch()
    modes = [(tmp_path / name).stat().st_mode for name in ("model.safetensors", "plain")]
    assert modes[0] == modes[1]


def test_saving_into_no_folder(tmp_path: Path, network: Sam2) -> None:
    with pytest.raises(CheckpointError, match="cannot be written"):
        save_network(network, tmp_path / "none" / "mine.safetensors")


def test_saving_over_a_model_keeps_it_if_that_fails(
    tmp_path: Path, network: Sam2, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.safetensors"
    save_network(network, path)
    before = path.read_bytes()

    def fail(_tensors: object, target: Path, **_: object) -> None:
        Path(target).write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", fail)
    with pytest.raises(CheckpointError, match="No space left"):
        save_network(network, path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.safetensors"]


@pytest.mark.parametrize(
    "config", [*OFFICIAL_CONFIGS.values(), BUNDLED_CONFIG, FIRST_BUNDLED_CONFIG, SMALL_HIERA]
)
def test_checkpoints_hold_every_buffer(config: Sam2Config) -> None:
    # Loading fills a network without initialising it: what is not in the file would be garbage.
    with torch.device("meta"):
        network = Sam2(config)
    assert {name for name, _ in network.named_buffers()} <= network.state_dict().keys()
    loose = [
        name
        for name, module in network.named_modules()
        if any(isinstance(value, torch.Tensor) for value in vars(module).values())
    ]
    assert loose == []


def test_official_checkpoint_put_there_by_hand_loads_by_name(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = network_shapes(OFFICIAL_CONFIGS["sam2.1-tiny"])
    weights = {
        name: torch.full(shape, index / 8, dtype=torch.float16)
        for index, (name, shape) in enumerate(shapes.items())
    }
    cache.mkdir()
    torch.save({"model": weights}, cache / "sam2.1_hiera_tiny.pt")
    loaded = load_network("sam2.1-tiny")
    assert (loaded.name, loaded.path) == ("sam2.1-tiny", find_model_file("sam2.1-tiny"))
    assert loaded.network.config == OFFICIAL_CONFIGS["sam2.1-tiny"]
    for name, tensor in loaded.network.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, weights[name].float()), name


def test_model_that_is_not_here_says_where_it_would_go(cache: Path) -> None:
    with pytest.raises(CheckpointError, match="is not on this machine") as caught:
        load_network("sam2-large")
    assert "napari-sam2 models download sam2-large" in caught.value.remedy
    assert str(cache / "sam2_hiera_large.pt") in caught.value.remedy
    assert "https://" in caught.value.remedy


def test_name_that_does_not_exist() -> None:
    with pytest.raises(CheckpointError, match="no model named 'sam2-huge'"):
        load_network("sam2-huge")


@pytest.mark.parametrize("name", ["mine.pt", "mine.safetensors", "sub/mine"])
def test_path_that_does_not_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="cannot be read: No such file"):
        load_network(name)


def test_foreign_checkpoint_is_named_with_its_path(tmp_path: Path) -> None:
    torch.save({"fc.weight": torch.ones(2, 2)}, tmp_path / "resnet.pt")
    with pytest.raises(CheckpointError, match=r"resnet\.pt.*no known SAM 2 network"):
        load_network(tmp_path / "resnet.pt")


def test_weights_that_do_not_fit_the_configuration_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    state = {**Sam2(SMALL).state_dict(), "no_obj_ptr": torch.ones(1, 7)}
    safetensors.torch.save_file(state, path, metadata={"config": config_to_json(SMALL)})
    with pytest.raises(CheckpointError, match=r"no_obj_ptr is \(1, 7\), not \(1, 32\)"):
        load_network(path)


def test_configuration_that_is_damaged(tmp_path: Path, network: Sam2) -> None:
    path = tmp_path / "mine.safetensors"
    safetensors.torch.save_file(network.state_dict(), path, metadata={"config": "{"})
    with pytest.raises(CheckpointError, match=r"mine\.safetensors: .*is no JSON"):
        load_network(path)
