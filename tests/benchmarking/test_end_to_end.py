"""From uint16 frames to labels: what is timed is what happens, and the labels come back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from known_masks import known_masks

from napari_sam2.benchmarking import (
    DriftingDiscs,
    Journey,
    PeakMemory,
    agreement,
    device_name,
    measure_end_to_end,
    uint16_stack,
)
from napari_sam2.tracking import Model

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(known_masks(), "tiny", CPU, 64)


class Clock:
    """Ticks once a second, each time it is asked."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_frames_after_the_warm_up_are_timed_and_all_are_labelled(model):
    journey = Journey(objects=2, size=64, warm_up=2, frames=4, clicks=3)
    found = measure_end_to_end(model, journey, clock=Clock())
    assert found.objects == 2
    assert found.frame == 5 / 4, "one tick after each of four frames, and one at the end"
    assert found.frames_per_second == 4 / 5
    assert found.first_mask == 1
    assert found.peak_mib is None
    assert found.labels.shape == (7, 64, 64)
    for object_id in (1, 2):
        assert (found.labels == object_id).any(axis=(1, 2)).all()


def test_a_slow_device_goes_less_far(model):
    journey = Journey(objects=1, size=64, warm_up=9, frames=20, clicks=1, seconds=2.0)
    found = measure_end_to_end(model, journey, clock=Clock())
    assert found.labels.any(axis=(1, 2)).sum() == 3 + 3, "of each part of the way"
    assert found.frame == 4 / 3


def test_a_stack_of_uint16_is_in_memory():
    stack = uint16_stack(DriftingDiscs(3, 32, 1))
    assert stack.shape == (3, 32, 32)
    assert stack.dtype == np.uint16
    assert stack.max() == 36_000


def test_agreement_is_the_mean_iou_of_objects():
    labels, others = np.zeros((1, 4, 4), np.uint16), np.zeros((1, 4, 4), np.uint16)
    assert agreement(labels, others) == 1
    labels[0, :2], labels[0, 2:] = 1, 2
    others[0, :1], others[0, 2:] = 1, 2
    assert agreement(labels, others) == pytest.approx(0.75)
    others[0, 1] = 3
    assert agreement(labels, others) == pytest.approx(0.5), "nobody else has the third"


def test_a_cpu_keeps_no_account_of_its_memory():
    with PeakMemory(CPU) as memory:
        memory.look()
    assert memory.mib is None
    assert "CPU" in device_name(CPU)
