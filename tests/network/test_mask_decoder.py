"""Which of the decoder's four masks is the answer."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity_data import Draws

from napari_sam2.network import MaskPrediction, Sam2
from napari_sam2.network.mask_decoder import MaskDecoder

IOUS = st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4)


def prediction(masks: torch.Tensor, ious: list[float]) -> MaskPrediction:
    tokens = torch.arange(4.0)[None, :, None].expand(1, 4, 32)
    return MaskPrediction(masks, torch.tensor([ious]), tokens, torch.ones(1, 1))


def masks_with(stable: bool) -> torch.Tensor:
    """Return four masks; the first one's logits are far from 0, or hardly above it."""
    masks = Draws(60)(1, 4, 8, 8)
    masks[0, 0] = torch.where(masks[0, 0] > 0, 5.0 if stable else 0.01, -5.0)
    return masks


@settings(max_examples=25, deadline=None)
@given(ious=IOUS, stable=st.booleans())
def test_unstable_single_masks_give_way_to_the_best_of_three(
    small: Sam2, ious: list[float], stable: bool
) -> None:
    every = prediction(masks_with(stable), ious)
    single = small.sam_mask_decoder.single(every)
    chosen = 0 if stable else 1 + max(range(3), key=lambda i: ious[1 + i])
    assert torch.equal(single.masks[0, 0], every.masks[0, chosen])
    assert single.ious.item() == every.ious[0, chosen].item()
    assert torch.equal(single.tokens, every.tokens[:, :1])  # the pointer is the single token's


def test_single_mask_is_kept_while_training(small: Sam2) -> None:
    decoder = MaskDecoder(small.config).train()
    every = prediction(masks_with(stable=False), [0.1, 0.2, 0.3, 0.4])
    assert torch.equal(decoder.single(every).masks, every.masks[:, :1])


def test_empty_masks_are_stable(small: Sam2) -> None:
    every = prediction(masks_with(stable=True), [0.1, 0.9, 0.9, 0.9])
    every.masks[0, 0] = -5
    assert torch.equal(small.sam_mask_decoder.single(every).masks, every.masks[:, :1])


@settings(max_examples=25, deadline=None)
@given(ious=IOUS)
def test_best_takes_mask_and_token_of_the_highest_iou(small: Sam2, ious: list[float]) -> None:
    every = prediction(Draws(61)(1, 4, 8, 8), ious)
    several = small.sam_mask_decoder.several(every)
    best = several.best()
    chosen = 1 + max(range(3), key=lambda i: ious[1 + i])
    assert best.masks.shape == (1, 1, 8, 8)
    assert torch.equal(best.masks[:, 0], every.masks[:, chosen])
    assert torch.equal(best.tokens[:, 0], every.tokens[:, chosen])
    assert torch.equal(best.object_scores, every.object_scores)
    again = best.best()
    assert torch.equal(again.masks, best.masks)
    assert torch.equal(again.tokens, best.tokens)


def test_each_object_of_a_batch_takes_its_own_best() -> None:
    draw = Draws(62)
    masks, ious = draw(5, 3, 4, 4), draw(5, 3).sigmoid()
    best = MaskPrediction(masks, ious, draw(5, 3, 8), torch.ones(5, 1)).best()
    for row, choice in enumerate(ious.argmax(dim=1).tolist()):
        assert torch.equal(best.masks[row, 0], masks[row, choice])
        assert best.ious[row, 0] == ious[row].max()


def square(top: int, side: int) -> torch.Tensor:
    """Return mask logits (16, 16) of a square whose left edge is at 0."""
    logits = torch.full((16, 16), -5.0)
    logits[top : top + side, :side] = 5.0
    return logits


def test_the_mask_that_goes_on_with_the_frame_before_beats_a_slightly_better_judged_one() -> None:
    # A larger thing around the object, a part of it, the object itself moved a little.
    masks = torch.stack([square(0, 12), square(4, 2), square(1, 6), square(10, 6)])[None]
    every = prediction(masks, [0.9, 0.7, 0.8, 0.95])
    before = square(0, 6)[None, None]
    assert every.most_similar(before).tolist() == [2]
    assert every.most_similar(before, torch.tensor([0.0])).tolist() == [3], "by predicted IoU alone"
    kept = every.chosen(every.most_similar(before))
    assert torch.equal(kept.masks[0, 0], square(1, 6))
    assert kept.tokens[0, 0, 0] == 2


@settings(max_examples=25, deadline=None)
@given(ious=IOUS)
def test_without_a_mask_before_the_predicted_iou_decides(ious: list[float]) -> None:
    every = prediction(Draws(63)(1, 4, 8, 8), ious)
    nothing = torch.full((1, 1, 8, 8), -5.0)
    assert every.most_similar(nothing).item() == max(range(4), key=lambda i: ious[i])


def test_each_object_of_a_batch_goes_on_with_its_own_mask() -> None:
    draw = Draws(64)
    masks, ious = draw(5, 4, 8, 8), torch.full((5, 4), 0.5)
    wanted = torch.tensor([3, 0, 2, 1, 0])
    before = masks[torch.arange(5), wanted][:, None]
    every = MaskPrediction(masks, ious, draw(5, 4, 8), torch.ones(5, 1))
    assert torch.equal(every.most_similar(before), wanted)
    assert torch.equal(every.chosen(wanted).masks, before)
