from __future__ import annotations

import math

import pytest
import torch

from napari_sam2.training.losses.primitives import (
    LossWeights,
    balanced_loss,
    click_loss,
    dice_loss,
    focal_loss,
    mask_iou,
    prediction_losses,
    silenced,
)

LOGITS = torch.tensor([[[0.0, math.log(3.0)]]])  # probabilities 0.5 and 0.75
TARGET = torch.tensor([[[1.0, 0.0]]])


def test_focal_by_hand():
    on_object = 0.25 * 0.5**2 * math.log(2)
    on_background = 0.75 * 0.75**2 * math.log(4)
    expected = (on_object + on_background) / 2
    torch.testing.assert_close(focal_loss(LOGITS, TARGET), torch.tensor([expected]))


def test_focal_without_alpha_or_gamma_is_cross_entropy():
    plain = focal_loss(LOGITS, TARGET, alpha=-1.0, gamma=0.0)
    torch.testing.assert_close(plain, torch.tensor([(math.log(2) + math.log(4)) / 2]))


def test_dice_by_hand():
    expected = 1 - (2 * 0.5 + 1) / (0.5 + 0.75 + 1 + 1)
    torch.testing.assert_close(dice_loss(LOGITS, TARGET), torch.tensor([expected]))


def test_balanced_gives_object_and_background_equal_weight():
    logits = torch.zeros(1, 1, 10)
    logits[..., 0] = math.log(3.0)
    target = torch.zeros(1, 1, 10)
    target[..., 0] = 1.0
    expected = 0.5 * (-math.log(0.75) + math.log(2))
    torch.testing.assert_close(balanced_loss(logits, target), torch.tensor([expected]))


@pytest.mark.parametrize(
    ("predicted", "wanted", "iou"),
    [([1, 1, 0, 0], [0, 1, 1, 0], 1 / 3), ([0, 0, 0, 0], [0, 0, 0, 0], 1.0), ([1, 0], [0, 1], 0.0)],
)
def test_iou(predicted, wanted, iou):
    logits = torch.tensor(predicted, dtype=torch.float32)[None] * 2 - 1
    target = torch.tensor(wanted, dtype=torch.float32)[None]
    assert mask_iou(logits, target).item() == pytest.approx(iou)


def candidates() -> tuple[torch.Tensor, torch.Tensor]:
    """Return a bad and a perfect candidate of one object, and the object."""
    target = torch.zeros(1, 8, 8)
    target[:, 2:5, 2:5] = 1.0
    perfect = (target * 2 - 1) * 20
    return torch.stack([-perfect, perfect], dim=1), target


def test_only_the_best_candidate_is_taught():
    masks, target = candidates()
    masks.requires_grad_()
    prediction_losses(
        masks, torch.zeros(1, 2), torch.zeros(1, 1), target, LossWeights()
    ).total.backward()
    assert masks.grad is not None
    assert masks.grad[:, 0].abs().max() == 0


def test_others_share_in_the_loss():
    masks, target = candidates()
    scores = torch.zeros(1, 2), torch.zeros(1, 1)
    best = prediction_losses(masks, *scores, target, LossWeights()).mask
    shared = prediction_losses(masks, *scores, target, LossWeights(others=0.5)).mask
    assert best < 0.01 < shared


def test_predicted_iou_is_measured_against_the_real_one():
    masks, target = candidates()
    losses = prediction_losses(
        masks, torch.tensor([[0.3, 0.9]]), torch.zeros(1, 1), target, LossWeights()
    )
    assert losses.iou.item() == pytest.approx((0.3 + 0.1) / 2, abs=1e-6)


def test_absent_objects_teach_only_the_score():
    masks, _ = candidates()
    masks.requires_grad_()
    ious = torch.full((1, 2), 0.7, requires_grad=True)
    scores = torch.full((1, 1), 2.0, requires_grad=True)
    losses = prediction_losses(masks, ious, scores, torch.zeros(1, 8, 8), LossWeights())
    losses.total.backward()
    assert losses.total.item() == pytest.approx(math.log(1 + math.e**2), rel=1e-5)
    assert masks.grad is None or masks.grad.abs().max() == 0
    assert ious.grad is None or ious.grad.abs().max() == 0
    assert scores.grad is not None
    assert scores.grad.item() > 0


def test_the_click_loss_counts_clicked_pixels_alone():
    logits = torch.full((2, 1, 8, 8), -20.0)
    logits[0, 0, 2, 5] = 20.0
    points = torch.tensor([[[21.0, 9.0], [0.0, 0.0]], [[21.0, 9.0], [31.0, 31.0]]])
    obeyed = click_loss(logits, points, torch.tensor([[1, 0], [0, 0]]), 4)
    assert obeyed < 1e-6
    ignored = click_loss(logits, points, torch.tensor([[0, -1], [-1, -1]]), 4)
    assert ignored == pytest.approx(20.0, abs=1e-3)
    assert click_loss(logits, points, torch.full((2, 2), 3), 4) == 0


def test_nothing_is_taught_where_nothing_is_known():
    generator = torch.Generator().manual_seed(0)
    masks = torch.randn(2, 3, 8, 8, generator=generator).requires_grad_()
    target = (torch.rand(2, 8, 8, generator=generator) > 0.6).float()
    target[:, :4] = -1.0
    weights = LossWeights(focal=20.0, dice=1.0, iou=0.0, object_score=0.0, balanced=1.0, others=0.5)
    losses = prediction_losses(masks, torch.zeros(2, 3), torch.zeros(2, 1), target, weights)
    losses.total.backward()
    assert (masks.grad[:, :, :4] == 0).all()
    assert (masks.grad[:, :, 4:] != 0).all()


def test_the_iou_is_that_of_what_is_known():
    target = torch.tensor([[[1.0, 1.0], [0.0, -1.0]]])
    assert float(mask_iou(torch.tensor([[[1.0, 1.0], [-1.0, 1.0]]]), target)) == 1.0
    assert float(mask_iou(torch.tensor([[[1.0, 1.0], [1.0, -1.0]]]), target)) == pytest.approx(
        2 / 3
    )


def test_what_is_known_wholly_is_as_it_was():
    generator = torch.Generator().manual_seed(0)
    masks = torch.randn(2, 3, 8, 8, generator=generator)
    target = (torch.rand(2, 8, 8, generator=generator) > 0.6).float()
    same_masks, same_target = silenced(masks, target)
    assert same_masks is masks
    assert same_target is target
