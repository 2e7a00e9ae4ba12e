"""Choosing devices and precisions."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from napari_sam2.errors import DeviceError, SessionError
from napari_sam2.tracking import TrackingSession, available_devices, load_model, resolve_device
from napari_sam2.tracking.device import half_precision_pays, halved, is_out_of_memory


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


class Casts(TorchDispatchMode):
    """Counts conversions of one type into another."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.count += operation is torch.ops.aten.to.dtype
        return operation(*args, **(kwargs or {}))


def test_weights_rounded_once_give_what_weights_rounded_in_every_call_give(model, noise):
    network = copy.deepcopy(model.network)
    found, casts = [], []
    for rounded in (network, halved(copy.deepcopy(network))):
        session = TrackingSession(replace(model, network=rounded, half=True), noise[:5])
        session.add_points(1, 0, [(20, 20)])
        with Casts() as counted:
            found.append(list(session.propagate("forward")))
        casts.append(counted.count)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one.masks, other.masks)
        assert one.scores == other.scores
    assert casts[1] < 0.5 * casts[0]


def test_a_model_loaded_in_half_precision_keeps_its_norms_in_single():
    network = load_model("bundled", device="cpu", precision="bfloat16").network
    attention = network.memory_attention.layers[0]
    assert attention.linear1.weight.dtype == torch.bfloat16
    assert attention.norm1.weight.dtype == torch.float32
    assert network.maskmem_tpos_enc.dtype == torch.float32


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
