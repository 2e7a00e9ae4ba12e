"""Prompts as maps: discs where was clicked, boxes filled, masks as probabilities."""

from __future__ import annotations

import pytest
import torch

from napari_sam2.network import BACKGROUND, BOX_END, BOX_START, OBJECT, PAD
from napari_sam2.network.mask_decoder import draw_prompts

SIDE = 32


def drawn(points: list[list[float]], labels: list[int], **masks: torch.Tensor) -> torch.Tensor:
    return draw_prompts(torch.tensor([points]), torch.tensor([labels]), SIDE, **masks)[0]


@pytest.mark.parametrize(("label", "channel"), [(OBJECT, 0), (BACKGROUND, 1)])
def test_a_click_is_a_disc_in_the_map_of_its_kind(label: int, channel: int) -> None:
    maps = drawn([[10.0, 20.0]], [label])
    assert maps.shape == (5, SIDE, SIDE)
    assert maps[channel, 20, 10] == 1
    assert maps[channel, 20, 13] > 0
    assert maps[channel, 20, 14] == 0
    maps[channel] = 0
    assert not maps.any()


def test_a_disc_moves_with_fractions_of_a_pixel() -> None:
    columns = torch.arange(SIDE, dtype=torch.float32)
    middles = []
    for x in (10.0, 10.25, 10.5):
        disc = drawn([[x, 16.0]], [OBJECT])[0]
        middles.append(float((disc.sum(0) * columns).sum() / disc.sum()))
    assert middles == pytest.approx([10.0, 10.25, 10.5], abs=0.02)


def test_a_box_covers_the_pixels_between_its_corners() -> None:
    box = drawn([[4.0, 6.0], [9.0, 8.0]], [BOX_START, BOX_END])[2]
    assert box.sum() == 6 * 3
    assert box[6:9, 4:10].all()


def test_padding_draws_nothing() -> None:
    assert not drawn([[5.0, 5.0], [0.0, 0.0]], [PAD, PAD]).any()


def test_masks_are_drawn_as_probabilities_for_every_object() -> None:
    logits = torch.full((1, 1, SIDE, SIDE), -50.0)
    logits[..., :16] = 50.0
    maps = draw_prompts(
        torch.zeros(2, 1, 2), torch.full((2, 1), PAD), SIDE, mask=logits, carried=-logits
    )
    assert torch.equal(maps[:, 3, :, :16], torch.ones(2, SIDE, 16))
    torch.testing.assert_close(maps[:, 3] + maps[:, 4], torch.ones(2, SIDE, SIDE))
    assert not maps[:, :3].any()


def test_objects_do_not_see_each_others_prompts() -> None:
    points = torch.tensor([[[5.0, 5.0]], [[20.0, 20.0]]])
    maps = draw_prompts(points, torch.tensor([[OBJECT], [BACKGROUND]]), SIDE)
    assert maps[0, 0, 5, 5] == 1
    assert not maps[0, :, 20, 20].any()
    assert maps[1, 1, 20, 20] == 1
    assert not maps[1, 0].any()


def test_brightness_is_one_more_map() -> None:
    brightness = torch.linspace(-1, 2, SIDE * SIDE).reshape(1, 1, SIDE, SIDE)
    maps = drawn([[10.0, 20.0]], [OBJECT], brightness=brightness)
    assert maps.shape == (6, SIDE, SIDE)
    assert torch.equal(maps[5], brightness[0, 0])
    assert torch.equal(maps[:5], drawn([[10.0, 20.0]], [OBJECT]))
