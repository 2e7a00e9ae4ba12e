from __future__ import annotations

import numpy as np
import pytest
import torch
from small_networks import SMALL_CONV, small_config

from napari_sam2.evaluation.held_out import HeldOutLimits, HeldOutMeasure
from napari_sam2.network import Sam2
from napari_sam2.training import make_stack


@pytest.fixture(scope="module")
def network() -> Sam2:
    torch.manual_seed(0)
    return Sam2(small_config(SMALL_CONV)).eval().requires_grad_(False)


def disks(n_frames: int, *, empty: int = 0):
    """Return a bright disk that moves; the last `empty` frames have none."""
    y, x = np.mgrid[:48, :48]
    labels = np.zeros((n_frames, 48, 48), np.int32)
    for frame, plane in enumerate(labels[: n_frames - empty]):
        plane[np.hypot(y - 20, x - 10 - frame) < 7] = 9
    return make_stack(np.where(labels > 0, 200, 30), labels, name="disks")


def test_stills_have_no_tracked_figure(network):
    still = disks(1)
    iou = HeldOutMeasure([still, still])(network)
    assert 0 <= iou.click <= 1
    assert 0 <= iou.box <= 1
    assert iou.tracked is None
    assert iou.score == pytest.approx((iou.click + iou.box) / 2)


def test_stacks_are_tracked_through(network):
    iou = HeldOutMeasure([disks(4)])(network)
    assert iou.tracked is not None
    assert 0 <= iou.tracked <= 1
    assert iou.score == pytest.approx((iou.click + iou.box + iou.tracked) / 3)


def test_measuring_twice_gives_the_same(network):
    measure = HeldOutMeasure([disks(3)])
    assert measure(network) == measure(network)


def test_only_labelled_frames_and_the_fullest_clip_count():
    measure = HeldOutMeasure([disks(20, empty=15)], limits=HeldOutLimits(clip_frames=4))
    assert [frame for _, frame in measure.frames] == [0, 1, 2, 3, 4]
    ((image, labels),) = measure.clips
    assert len(image) == 4
    assert labels.any(axis=(1, 2)).all()


def test_limits_spread_over_the_data():
    stacks = [disks(9), disks(1), disks(12), disks(7)]
    limits = HeldOutLimits(frames=5, clips=2, clip_frames=3)
    measure = HeldOutMeasure(stacks, limits=limits)
    assert len(measure.frames) == 5
    assert len({id(stack) for stack, _ in measure.frames}) >= 3
    assert [len(image) for image, _ in measure.clips] == [3, 3]


def test_a_perfect_network_scores_one(monkeypatch, network):
    """Whatever is asked comes back as labelled: every figure is 1."""
    stack = disks(3)
    monkeypatch.setattr("napari_sam2.training.prompted_ious", lambda *a, **k: np.ones(1))
    iou = HeldOutMeasure([stack])(network)
    assert (iou.click, iou.box) == (1.0, 1.0)
