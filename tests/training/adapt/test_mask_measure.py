from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_sam2.training.adapt.mask_measure import likely_clicks, measure_masks
from napari_sam2.training.adapt.task import MeasuredFrame


class Answering:
    """A template whose sessions answer every prompt with a mask of a test's choice."""

    def __init__(self, mask):
        self.mask, self.asked, self.stacks = mask, [], []

    def open(self, network, stack):
        self.stacks.append(stack)
        return self

    def add_points(self, object_id, frame, points):
        self.asked.append(("click", points))
        return SimpleNamespace(masks=self.mask[None])

    def add_box(self, object_id, frame, box):
        self.asked.append(("box", box))
        return SimpleNamespace(masks=self.mask[None])

    def remove_prompts(self, object_id):
        self.asked.append(("gone", object_id))


def frame() -> MeasuredFrame:
    masks = np.zeros((20, 30), np.int32)
    masks[4:10, 5:17] = 7
    masks[15, 20] = 9
    image = np.arange(600, dtype=np.uint8).reshape(20, 30, 1)
    return MeasuredFrame(image, masks, (7, 9))


def test_every_mask_is_clicked_and_boxed_alone():
    template, done = Answering(frame().masks == 7), []
    iou = measure_masks(None, [frame()], template, done.append)
    assert (iou.click, iou.box, iou.tracked) == (0.5, 0.5, None)
    assert done == [1, 2]
    prompts = [each for each in template.asked if each[0] != "gone"]
    assert [kind for kind, _ in prompts] == ["click"] * 3 + ["box", "click", "box"]
    assert prompts[3][1] == (4.0, 5.0, 9.0, 16.0)
    y0, x0, y1, x1 = prompts[5][1]
    assert (y0 + y1, x0 + x1) == (30.0, 40.0)
    assert y1 > y0
    assert x1 > x0
    assert template.asked[1::2] == [("gone", 1)] * 6


def test_sessions_see_the_frame_as_it_was_read():
    template = Answering(frame().masks == 7)
    measure_masks(None, [frame()], template)
    assert np.abs(template.stacks[0].read(0) * 255 - frame().image).max() < 1e-3
    colour = MeasuredFrame(np.repeat(frame().image, 3, axis=2), frame().masks, (7,))
    measure_masks(None, [colour], template)
    assert template.stacks[1].shape == (1, 20, 30)
    assert np.abs(template.stacks[1].read(0) * 255 - colour.image).max() < 1e-3


@pytest.mark.parametrize("most", [1, 2, 3])
def test_clicks_are_inside_and_apart(most):
    mask = frame().masks == 7
    clicks = likely_clicks(mask, most)
    assert len(set(clicks)) == most
    assert all(mask[int(y), int(x)] for y, x in clicks)
    assert clicks[0][0] in (6.0, 7.0)
    if most > 1:
        assert abs(clicks[0][1] - clicks[1][1]) > 3


def test_one_pixel_is_clicked_once():
    assert likely_clicks(frame().masks == 9) == ((15.0, 20.0),)
