"""Choosing devices and precisions."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from half_precision import needs_half_precision
from scipy.ndimage import gaussian_filter
from torch.utils._python_dispatch import TorchDispatchMode

from napari_sam2.errors import CheckpointError, DeviceError, SessionError
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


@needs_half_precision
def test_masks_in_half_precision_are_those_in_single():
    discs = 0.1 + 0.6 * smooth_discs()
    image = discs + 0.02 * np.random.default_rng(0).normal(size=discs.shape)
    found = []
    for precision in ("float32", "bfloat16"):
        model = load_model("bundled", device="cpu", precision=precision)
        session = TrackingSession(model, image.astype(np.float32), contrast=(0.0, 1.0))
        session.add_points(1, 0, [(70, 70)])
        list(session.propagate("forward"))
        found.append(session.labels == 1)
    single, half = found
    assert (single.sum(axis=(1, 2)) > 500).all()
    # A blurred border of a small disc moves by a part of a pixel here and there.
    assert (single & half).sum() >= 0.95 * (single | half).sum()


def smooth_discs() -> np.ndarray:
    """A blurred disc that moves a pixel a frame, (3, 160, 160) in 0..1."""
    yy, xx = np.mgrid[:160, :160]
    discs = [(yy - 70) ** 2 + (xx - 70 - frame) ** 2 < 14**2 for frame in range(3)]
    return np.stack([gaussian_filter(each.astype(np.float32), 2.0) for each in discs])


def test_pixels_and_masks_are_never_in_half_precision(model):
    network, image, seen = model.network, torch.rand(1, 3, 64, 64), []
    first = network.image_encoder.trunk.first
    watching = first.register_forward_hook(lambda module, given, result: seen.append(result.dtype))
    with watching, torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        features = network.encode_image(image)
        drawn = network.predict_masks(features.stride16, features.stride8, features.stride4)
    assert features.stride16.dtype == torch.bfloat16
    assert {each.dtype for each in (drawn.masks, drawn.ious, drawn.tokens)} == {torch.float32}
    assert seen == [torch.float32]


@pytest.mark.parametrize("name", [None, 3, ""])
def test_an_unknown_model_is_an_error_that_lists_the_models(name):
    with pytest.raises(CheckpointError, match="bundled"):
        load_model(name, device="cpu")


def test_a_model_is_shown_in_a_line():
    model = load_model("bundled", device="cpu", image_size=np.int64(128))
    assert model.image_size == 128
    assert "\n" not in repr(model)
    assert "bundled" in repr(model)


def test_a_model_loaded_in_half_precision_keeps_its_norms_in_single():
    network = load_model("bundled", device="cpu", precision="bfloat16").network
    attention = network.memory_attention.layers[0]
    assert attention.linear1.weight.dtype == torch.bfloat16
    assert attention.norm1.weight.dtype == torch.float32
    assert network.sam_mask_decoder.iou_prediction_head.layers[0].weight.dtype == torch.float32
    assert network.maskmem_tpos_enc.dtype == torch.float32


def test_out_of_memory_is_distinguished_from_other_failures():
    assert is_out_of_memory(torch.OutOfMemoryError("x"))
    assert is_out_of_memory(RuntimeError("MPS backend out of memory"))
    assert not is_out_of_memory(RuntimeError("shape mismatch"))


@pytest.mark.parametrize(
    "options",
    [
        {"image_size": 100},
        {"image_size": 0},
        {"image_size": "64"},
        {"image_size": 64.0},
        {"image_size": True},
        {"precision": "float8"},
    ],
)
def test_impossible_models_are_refused_before_anything_is_read(options):
    with pytest.raises(SessionError):
        load_model("bundled", device="cpu", **options)
