from __future__ import annotations

import numpy as np
import pytest
import torch
from known_masks import known_masks

from napari_sam2.evaluation.held_out import HeldOutLimits, HeldOutMeasure
from napari_sam2.evaluation.simulated_user import interior_point
from napari_sam2.network import Sam2
from napari_sam2.tracking import Model, TrackingSession
from napari_sam2.training import make_stack


@pytest.fixture(scope="module")
def network() -> Sam2:
    return known_masks()


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
    assert len(measure.frames) == 5
    assert all(labels.any() for _, labels in measure.frames)
    ((image, labels),) = measure.clips
    assert len(image) == 4
    assert labels.any(axis=(1, 2)).all()


def test_limits_spread_over_the_data():
    stacks = [disks(9), disks(1), disks(12), disks(7)]
    limits = HeldOutLimits(frames=5, clips=2, clip_frames=3)
    measure = HeldOutMeasure(stacks, limits=limits)
    assert len(measure.frames) == 5
    assert [len(image) for image, _ in measure.clips] == [3, 3]


def test_figures_are_those_of_sessions(network):
    """One click on the one object of a still, as a user would give it."""
    still = disks(1)
    model = Model(network, "small", torch.device("cpu"), 64)
    session = TrackingSession(model, still.image, axis=0)
    y, x = interior_point(still.labels[0] == 9)
    mask = session.add_points(9, 0, [(y, x)]).masks[0]
    truth = still.labels[0] == 9
    expected = (mask & truth).sum() / (mask | truth).sum()
    assert expected > 0.3
    assert HeldOutMeasure([still])(network).click == pytest.approx(expected)
