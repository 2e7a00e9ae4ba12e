from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.errors import LabelsError
from napari_sam2.labels import contact_sheet, overlay
from napari_sam2.labels.rendering.contact_sheet import evenly_spaced

GAP = 6
IMAGES = np.linspace(0, 1, 20, dtype=np.float32)[:, None, None] * np.ones((30, 40), np.float32)
LABELS = np.zeros((20, 30, 40), np.uint16)
LABELS[:, 10:20, 10:20] = 1


def test_frames_stand_in_order_from_left_to_right():
    sheet = contact_sheet(IMAGES, LABELS, [3, 0, 7], 2, caption="")
    assert sheet.shape == (2 * 30 + GAP, 2 * 40 + GAP, 3)
    assert sheet.dtype == np.uint8
    np.testing.assert_array_equal(sheet[:30, :40], overlay(IMAGES[3], LABELS[3]))
    np.testing.assert_array_equal(sheet[:30, 40 + GAP :], overlay(IMAGES[0], LABELS[0]))
    np.testing.assert_array_equal(sheet[30 + GAP :, :40], overlay(IMAGES[7], LABELS[7]))
    assert len(np.unique(sheet[30 + GAP :, 40 + GAP :])) == 1  # an empty place


def test_by_default_twelve_frames_fill_a_wide_sheet():
    sheet = contact_sheet(IMAGES, LABELS)
    assert sheet.shape == (3 * (30 + GAP) - GAP, 4 * (40 + GAP) - GAP, 3)


def test_few_frames_are_all_shown():
    assert contact_sheet(IMAGES[:1], LABELS[:1]).shape == (30, 40, 3)


def test_captions_are_drawn_into_the_frame():
    plain = contact_sheet(IMAGES, LABELS, [5], caption="")
    captioned = contact_sheet(IMAGES, LABELS, [5], caption="frame {frame}")
    changed = (plain != captioned).any(axis=-1)
    assert changed[:15].any()
    assert not changed[20:].any()


def test_images_may_be_a_mapping_of_frame_to_image():
    images = {4: IMAGES[4][..., None], 6: IMAGES[6][..., None]}
    np.testing.assert_array_equal(
        contact_sheet(images, LABELS, [4, 6]), contact_sheet(IMAGES, LABELS, [4, 6])
    )


def test_options_reach_the_overlay():
    sheet = contact_sheet(IMAGES, LABELS, [2], alpha=0.9, outline=0, zoom=2, caption="")
    np.testing.assert_array_equal(sheet, overlay(IMAGES[2], LABELS[2], 0.9, 0, zoom=2))


@pytest.mark.parametrize(("frames", "columns"), [([], None), ([1], 0)])
def test_nothing_to_draw(frames, columns):
    with pytest.raises(LabelsError, match="nothing to draw"):
        contact_sheet(IMAGES, LABELS, frames, columns)


def test_frames_of_different_size():
    with pytest.raises(LabelsError, match="differ in size"):
        contact_sheet({0: IMAGES[0], 1: IMAGES[1][:9]}, {0: LABELS[0], 1: LABELS[1][:9]}, [0, 1])


def test_frames_are_evenly_spaced_from_end_to_end():
    assert evenly_spaced(37, 5) == [0, 9, 18, 27, 36]
    assert evenly_spaced(3, 6) == [0, 1, 2]
    assert evenly_spaced(1, 6) == [0]
