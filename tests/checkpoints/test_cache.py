from __future__ import annotations

from pathlib import Path

import pytest

from napari_sam2.checkpoints import (
    BUNDLED,
    cache_folder,
    find_model_file,
    get_model_info,
    model_path,
)
from napari_sam2.errors import CheckpointError


def test_variable_overrides_the_cache_folder(cache: Path) -> None:
    assert cache_folder() == cache
    assert not cache.exists()


def test_home_in_the_variable_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_SAM2_CACHE", "~/models")
    assert cache_folder() == Path.home() / "models"


@pytest.mark.parametrize("value", ["", "  "])
def test_platform_folder_without_the_variable(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_SAM2_CACHE", value)
    assert cache_folder().is_absolute()
    assert "napari-sam2" in cache_folder().parts


def test_file_put_there_by_hand_is_found(cache: Path) -> None:
    assert find_model_file("sam2.1-tiny") is None
    cache.mkdir()
    by_hand = cache / "sam2.1_hiera_tiny.pt"
    by_hand.write_bytes(b"weights")
    assert find_model_file("sam2.1-tiny") == by_hand


def test_folder_of_that_name_is_no_model_file(cache: Path) -> None:
    (cache / "sam2.1_hiera_tiny.pt").mkdir(parents=True)
    assert find_model_file("sam2.1-tiny") is None


def test_bundled_lies_in_the_package_whatever_the_folder(cache: Path) -> None:
    path = model_path(get_model_info(BUNDLED), cache)
    assert path.parts[-3:] == ("checkpoints", "weights", "bundled.safetensors")


def test_unknown_name() -> None:
    with pytest.raises(CheckpointError, match="no model named 'sam9'"):
        find_model_file("sam9")
