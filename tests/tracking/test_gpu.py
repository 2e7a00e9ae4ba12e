"""What only a real GPU can show: the bundled model as it is loaded, memory that ends, threads."""

from __future__ import annotations

import threading
from itertools import islice

import numpy as np
import pytest
import torch
from engine_internals import cache_of
from gpus import real_gpu

from napari_sam2 import load_model
from napari_sam2.benchmarking import DriftingDiscs, PeakMemory, agreement, uint16_stack
from napari_sam2.errors import DeviceError
from napari_sam2.network import OFFICIAL_CONFIGS, Sam2
from napari_sam2.tracking import Model, TrackingSession, TrackingSettings
from napari_sam2.tracking.device import half_precision_pays, halved

pytestmark = pytest.mark.gpu

DISCS = DriftingDiscs(6, 256, 4)


@pytest.fixture
def device() -> torch.device:
    return real_gpu()


@pytest.fixture(scope="module")
def stack() -> np.ndarray:
    return uint16_stack(DISCS)


@pytest.fixture(scope="module")
def expected(stack) -> np.ndarray:
    """Labels of the CPU, in float32."""
    return followed(load_model("bundled", "cpu"), stack).labels


def followed(model: Model, stack: np.ndarray, **options) -> TrackingSession:
    settings = TrackingSettings(**options)
    session = TrackingSession(model, stack, contrast=(0, 51_000), settings=settings)
    for index in range(DISCS.objects):
        session.add_points(index + 1, 2, [DISCS.centre(index, 2)])
    list(session.propagate())
    return session


def test_the_gpu_is_taken_by_itself_in_the_precision_that_pays(device):
    if device.type == "cpu":
        pytest.skip("a CPU stands for the GPU: it is not the fastest device")
    model = load_model("bundled")
    assert model.device.type == device.type
    assert model.half is half_precision_pays(model.device)


@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_the_bundled_model_gives_what_it_gives_on_the_cpu(device, stack, expected, precision):
    labels = followed(load_model("bundled", device, precision=precision), stack).labels
    assert set(np.unique(expected)) == {0, 1, 2, 3, 4}
    assert agreement(labels, expected) > 0.97


@pytest.mark.parametrize("options", [{"speed": "fastest"}, {"view": "frame", "encode_ahead": 4}])
def test_settings_change_nothing_about_that(device, stack, options):
    ours = followed(load_model("bundled", "cpu"), stack, **options).labels
    theirs = followed(load_model("bundled", device), stack, **options).labels
    assert agreement(theirs, ours) > 0.95


def test_a_session_goes_on_in_another_thread(device, stack, expected):
    """As in the window: precision and gradients are switched per thread."""
    found = []
    model = load_model("bundled", device)
    thread = threading.Thread(target=lambda: found.append(followed(model, stack).labels))
    thread.start()
    thread.join(120)
    assert agreement(found[0], expected) > 0.97


def test_an_official_network_keeps_its_memory_flat(device):
    """Random weights of the tiny model, at the size of use."""
    with device:
        network = Sam2(OFFICIAL_CONFIGS["sam2.1-tiny"]).eval().requires_grad_(False)
    half, size = half_precision_pays(device), 1024 if device.type != "cpu" else 128
    model = Model(halved(network) if half else network, "tiny", device, size, half)
    discs = DriftingDiscs(36, size, 3)
    session = TrackingSession(model, discs, settings=TrackingSettings(exclusive=False))
    for index in range(3):
        session.add_points(index + 1, 0, [discs.centre(index, 0)])
    walk, peaks = session.propagate("forward"), []
    for frames in (20, 8, 8):
        with PeakMemory(device) as memory:
            for result in islice(walk, frames):
                memory.look()
                assert np.isfinite(result.scores).all()
        peaks.append(memory.mib)
    if device.type != "cpu":
        assert peaks[2] <= 1.05 * peaks[1]


def test_missing_memory_is_an_error_and_the_run_goes_on_later(device, stack, expected):
    if device.type != "cuda":
        pytest.skip("only CUDA lets its memory be limited")
    model = load_model("bundled", device, precision="float32")
    session = TrackingSession(model, stack, contrast=(0, 51_000))
    for index in range(DISCS.objects):
        session.add_points(index + 1, 2, [DISCS.centre(index, 2)])
    before = session.labels.copy()
    cache_of(session).shrink()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(torch.cuda.memory_reserved(device) / total, device)
    taken: list[torch.Tensor] = []
    try:
        take_what_is_left(device, taken)
        with pytest.raises(DeviceError, match="too little memory"):
            list(session.propagate())
        np.testing.assert_array_equal(session.labels, before)
    finally:
        taken.clear()
        torch.cuda.set_per_process_memory_fraction(1.0, device)
    list(session.propagate())
    assert agreement(session.labels, expected) > 0.97


def take_what_is_left(device: torch.device, taken: list[torch.Tensor]) -> None:
    for size in (2**24, 2**20, 2**16):
        try:
            while True:
                taken.append(torch.empty(size, dtype=torch.uint8, device=device))
        except torch.OutOfMemoryError:
            continue
