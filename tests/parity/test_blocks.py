"""Every part of the network against the reference's, on fresh weights and inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pytest
import torch
from numpy.typing import ArrayLike
from parity_data import Draws
from torch import Tensor

if TYPE_CHECKING:
    from oracle import Pair

pytestmark = pytest.mark.parity

TOLERANCE = 1e-4
SIZE, GRID = 256, 16
PROMPTS = {
    "nothing": [-1],
    "click": [1],
    "clicks": [1, 0, 1],
    "box": [2, 3],
    "box and clicks": [2, 3, 0, 1],
}


class Check(Protocol):
    """Compares outputs within the blocks' tolerance."""

    def __call__(self, name: str, ours: ArrayLike, theirs: ArrayLike) -> None: ...


@pytest.fixture
def check(agreement: Any) -> Check:
    return lambda name, ours, theirs: agreement.check(name, ours, theirs, TOLERANCE)


@pytest.fixture
def draw(seed: int) -> Draws:
    return Draws(1000 + seed)


def sequence(maps: Tensor) -> Tensor:
    """Turn (N, C, h, w) into the reference's (h w, N, C)."""
    return maps.flatten(2).permute(2, 0, 1)


def test_image_encoder(pair: Pair, draw: Draws, check: Check) -> None:
    image = draw(2, 3, SIZE, SIZE)
    ours, theirs = pair.ours.encode_image(image), pair.theirs.forward_image(image)
    for name, other in zip(("stride4", "stride8", "stride16"), theirs["backbone_fpn"], strict=True):
        check(f"image encoder, {name}", getattr(ours, name), other)
    position = theirs["vision_pos_enc"][-1][:1]
    check("image encoder, position", ours.position, position)


@pytest.mark.parametrize(("frames", "pointers"), [(1, 0), (1, 1), (3, 2), (7, 16)])
def test_memory_attention(
    pair: Pair, draw: Draws, check: Check, frames: int, pointers: int
) -> None:
    objects, tokens = 2, frames * GRID**2 + 4 * pointers
    features, position = draw(objects, 256, GRID, GRID), draw(1, 256, GRID, GRID)
    memory, memory_position = draw(objects, tokens, 64), draw(objects, tokens, 64)
    theirs = pair.theirs.memory_attention(
        curr=[sequence(features)],
        curr_pos=[sequence(position).expand(-1, objects, -1)],
        memory=memory.transpose(0, 1),
        memory_pos=memory_position.transpose(0, 1),
        num_obj_ptr_tokens=4 * pointers,
    )
    ours = pair.ours.attend_memory(features, position, memory, memory_position, 4 * pointers)
    check("memory attention", sequence(ours), theirs)


def test_memory_encoder(pair: Pair, draw: Draws, check: Check) -> None:
    features, logits = draw(2, 256, GRID, GRID), 3 * draw(2, 1, SIZE, SIZE)
    scores = torch.tensor([[2.0], [-2.0]])
    theirs, position = pair.theirs._encode_new_memory(
        [sequence(features)], [(GRID, GRID)], logits, scores, is_mask_from_pts=False
    )
    ours = pair.ours.encode_memory(features, logits.sigmoid(), (scores > 0).float())
    check("memory encoder", ours, theirs)
    for slot in range(pair.ours.config.memory_frames):
        encoded = sequence(position[0][:1]) + pair.theirs.maskmem_tpos_enc[slot]
        ours = pair.ours.memory_position(GRID, GRID, slot).transpose(0, 1)
        check("memory position", ours, encoded)


def test_pointer_position(pair: Pair, check: Check) -> None:
    from sam2.modeling.sam2_utils import get_1d_sine_pe

    if not pair.ours.config.temporal_pointers:
        assert not pair.theirs.add_tpos_enc_to_obj_ptrs
        return
    ages = torch.arange(-5, 16) / 15
    theirs = pair.theirs.obj_ptr_tpos_proj(get_1d_sine_pe(ages, dim=256))
    check("pointer position", pair.ours.pointer_position(ages), theirs)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("kind", PROMPTS)
def test_prompt_encoder(pair: Pair, draw: Draws, check: Check, kind: str, masked: bool) -> None:
    labels = torch.tensor([PROMPTS[kind]] * 2)
    points = SIZE * draw(*labels.shape, 2).sigmoid()
    masks = draw(2, 1, 64, 64) if masked else None
    theirs = pair.theirs.sam_prompt_encoder(points=(points, labels), boxes=None, masks=masks)
    encoder = pair.ours.sam_prompt_encoder
    check("prompt encoder, points", encoder.encode_points(points, labels, SIZE), theirs[0])
    dense = encoder.no_mask().expand_as(theirs[1]) if masks is None else encoder.encode_mask(masks)
    check("prompt encoder, masks", dense, theirs[1])
    grid = pair.theirs.sam_prompt_encoder.get_dense_pe()
    check("prompt encoder, grid", encoder.pe_layer.grid(GRID, GRID), grid)


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("kind", PROMPTS)
def test_mask_decoder(pair: Pair, draw: Draws, check: Check, kind: str, multimask: bool) -> None:
    labels = torch.tensor([PROMPTS[kind]] * 3)
    points = SIZE * draw(*labels.shape, 2).sigmoid()
    features, masks = draw(3, 256, GRID, GRID), draw(3, 1, 64, 64)
    stride4, stride8 = draw(3, 32, 64, 64), draw(3, 64, 32, 32)
    every, _, ious, best, _, pointers, scores = pair.theirs._forward_sam_heads(
        backbone_features=features,
        point_inputs={"point_coords": points, "point_labels": labels},
        mask_inputs=masks,
        high_res_features=[stride4, stride8],
        multimask_output=multimask,
    )
    ours = pair.ours.predict_masks(
        features,
        stride8,
        stride4,
        points=points,
        point_labels=labels,
        mask_inputs=masks,
        multimask=multimask,
    )
    present = (ours.object_scores > 0).float()
    assert present.all()  # else the reference has overwritten its masks
    check("mask decoder, masks", ours.masks, every)
    check("mask decoder, predicted IoU", ours.ious, ious)
    check("mask decoder, object score", ours.object_scores, scores)
    chosen = ours.best()
    check("mask decoder, best mask", chosen.masks, best)
    check("object pointer", pair.ours.object_pointers(chosen.tokens[:, 0], present), pointers)
