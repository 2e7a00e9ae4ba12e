"""Choosing devices and precisions."""

from __future__ import annotations

import pytest
import torch

from napari_sam2.errors import DeviceError, SessionError
from napari_sam2.tracking import available_devices, load_model, resolve_device
from napari_sam2.tracking.device import half_precision_pays, is_out_of_memory


def test_auto_is_the_fastest_there_is():
    assert resolve_device("auto").type == available_devices()[0]
    assert available_devices()[-1] == "cpu"


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "xpu:3", ""])
def test_unknown_or_missing_devices_name_the_choices(name):
    with pytest.raises(DeviceError, match="cpu"):
        resolve_device(name)


def test_the_cpu_computes_in_float32():
    assert not half_precision_pays(torch.device("cpu"))


@pytest.mark.parametrize("major", [7, 8])
def test_half_precision_needs_native_bfloat16(monkeypatch, major):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (major, 5))
    assert half_precision_pays(torch.device("cuda")) is (major >= 8)


def test_out_of_memory_is_told_from_other_failures():
    assert is_out_of_memory(torch.OutOfMemoryError("x"))
    assert is_out_of_memory(RuntimeError("MPS backend out of memory"))
    assert not is_out_of_memory(RuntimeError("shape mismatch"))


@pytest.mark.parametrize(
    "options", [{"image_size": 100}, {"image_size": 0}, {"precision": "float8"}]
)
def test_impossible_models_are_refused_before_anything_is_read(options):
    with pytest.raises(SessionError):
        load_model("bundled", device="cpu", **options)
