"""The losses of the frames after the prompted one: encode memories, attend, decode, as in SAM 2.

They compute as inference does: the memory of the prompted frame is made of its thresholded mask,
memories of tracked frames are made of probabilities. Conditioning frames take the last temporal
slot; a frame d steps back takes slot d - 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from napari_sam2.network import (
    ImageFeatures,
    MaskPrediction,
    Sam2,
    object_contrast,
    relative_brightness,
)
from napari_sam2.network.logits import (
    ABSENT_LOGIT,
    DRAWN_LOGIT,
    LOGIT_LIMIT,
    OUTSIDE_LOGIT,
)
from napari_sam2.network.position import sine_grid
from napari_sam2.training.data.batches import ClipBatch
from napari_sam2.training.losses.correction import correct
from napari_sam2.training.losses.decoding import CropWindow, decode
from napari_sam2.training.losses.image import (
    Prompted,
    chosen_mask,
    coarse_targets,
    four_mask_losses,
)
from napari_sam2.training.losses.primitives import mask_iou
from napari_sam2.training.run.recipe import TrainingPhase

_PROMPTED = 0
_MEMORY_ALONE = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Remembered:
    """The memories of N objects of one frame.

    Attributes
    ----------
    tokens : tensor, shape (N, h w, memory width)
    pointers : tensor, shape (N, C)
    """

    tokens: torch.Tensor
    pointers: torch.Tensor


@dataclass(frozen=True, slots=True, eq=False)
class TrackedLosses:
    """Mean loss over the frames that follow, and the mean IoU of objects that are in them."""

    total: torch.Tensor
    iou: float


def frame_features(features: ImageFeatures, frame: int, n_frames: int) -> ImageFeatures:
    """Select the features of one frame of every clip from those of all frames."""
    return features.frames(slice(frame, None, n_frames))


def tracked_losses(
    network: Sam2,
    features: ImageFeatures,
    batch: ClipBatch,
    prompted: Prompted,
    phase: TrainingPhase,
    generator: torch.Generator,
) -> TrackedLosses:
    """Track the prompted objects through the rest of their clips.

    Parameters
    ----------
    network : Sam2
        In training mode.
    features : ImageFeatures
        Features of all B T frames.
    batch : ClipBatch
        Clips and labels.
    prompted : Prompted
        Predictions of the first frame's prompts.
    phase : TrainingPhase
        Weights and shares.
    generator : torch.Generator
        Decides whether the first frame is given as a mask, whether and where a later one is
        corrected, and whether memories use the true presence of objects.
    """
    n_frames = batch.images.shape[1]
    draws = torch.rand(4, generator=generator)
    given = batch.masks(_PROMPTED) if draws[0] < phase.masks else None
    corrected = 1 + int(draws[2] * (n_frames - 1)) if draws[3] < phase.corrections else n_frames
    knows_presence = bool(torch.rand(1, generator=generator) < 0.5)
    # Sometimes without the former mask, so that the memory learns to find objects that moved far.
    alone = bool(torch.rand(1, generator=generator) < _MEMORY_ALONE)
    carries = network.config.carried_masks and not alone
    first = frame_features(features, _PROMPTED, n_frames)
    memory = [_remember_prompted(network, first, batch, prompted, given)]
    longest = network.config.max_pointers - 1
    reach = max(1, n_frames - 1) + float(draws[1]) * max(0, longest - n_frames + 1)
    decided_contrast = None
    if network.config.relative_brightness and not alone:
        shown = prompted.mask.detach() > 0 if given is None else given > 0
        decided_contrast = object_contrast(first.pixels[batch.clip_index], shown[:, None])
    losses, ious = [], []
    before = prompted.mask.detach() if given is None else (2.0 * given.float() - 1.0) * DRAWN_LOGIT
    for frame in range(1, n_frames):
        current = frame_features(features, frame, n_frames)
        decided = (_PROMPTED, corrected) if corrected < frame else (_PROMPTED,)
        conditioned = _attend(network, current, batch, memory, decided, reach)
        nowhere = _no_points(batch)
        carried = _moved(before, batch, frame) if carries else None
        prediction = decode(
            network,
            current,
            conditioned,
            batch.clip_index,
            *nowhere,
            batch.window,
            carried=carried,
            brightness=None
            if decided_contrast is None
            else relative_brightness(current.pixels[batch.clip_index], decided_contrast),
        )
        target = coarse_targets(batch, frame, network.config.mask_stride)
        losses.append(four_mask_losses(prediction, target, phase.losses))
        there = (target > 0.5).flatten(1).any(dim=1)
        mask, choice = chosen_mask(prediction, multimask=True, carried=carried)
        ious.append(mask_iou(mask.detach(), target)[there])
        if frame == corrected:
            present = prediction.object_scores.detach()[:, :, None] > 0
            known = _attend(network, current, batch, memory, (_PROMPTED,), reach, recent=False)
            better = correct(
                network, current, known, batch, (mask > 0) & present, target, phase, generator
            )
            losses += better.losses
            prediction, mask, choice = better.prediction, better.mask, better.choice
        if frame + 1 < n_frames:
            present = there if knows_presence else prediction.object_scores.detach()[:, 0] > 0
            before = torch.where(present[:, None, None], mask.detach(), ABSENT_LOGIT)
            shown = (mask.detach() > 0).float() if frame == corrected else mask.sigmoid()
            probability = shown * present[:, None, None]
            memory.append(
                _remember(network, current, batch, probability, present, prediction, choice)
            )
    every = torch.cat(ious)
    mean = float(every.mean()) if len(every) else float("nan")
    return TrackedLosses(torch.stack(losses).mean(), mean)


def _moved(logits: torch.Tensor, batch: ClipBatch, frame: int) -> torch.Tensor:
    """Return mask logits (N, h, w) of the frame before as this frame's windows see them."""
    moves = batch.moves[batch.clip_index, frame]
    side = batch.window.size
    affine = moves.new_zeros(len(moves), 2, 3)
    affine[:, 0, 0] = affine[:, 1, 1] = moves[:, 2]
    affine[:, 0, 2], affine[:, 1, 2] = 2 * moves[:, 1] / side, 2 * moves[:, 0] / side
    grid = functional.affine_grid(affine, [len(moves), 1, *logits.shape[1:]], align_corners=False)
    shifted = logits.float().clamp(-LOGIT_LIMIT, LOGIT_LIMIT)[:, None] - OUTSIDE_LOGIT
    return functional.grid_sample(shifted, grid, align_corners=False) + OUTSIDE_LOGIT


def _no_points(batch: ClipBatch) -> tuple[torch.Tensor, torch.Tensor]:
    n = len(batch.object_ids)
    return batch.points.new_zeros((n, 1, 2)), batch.object_ids.new_full((n, 1), -1)


def _remember_prompted(
    network: Sam2,
    features: ImageFeatures,
    batch: ClipBatch,
    prompted: Prompted,
    given: torch.Tensor | None,
) -> Remembered:
    present = torch.ones_like(batch.object_ids, dtype=torch.bool)
    if given is None:
        cut = (prompted.mask.detach() > 0).to(torch.float32)
        prediction, choice = prompted.prediction, prompted.choice
        return _remember(network, features, batch, cut, present, prediction, choice)
    drawn = given.to(torch.float32)[:, None]
    # A drawn mask is the answer itself: the decoder only makes its pointer.
    prediction = decode(
        network,
        features,
        features.stride16[batch.clip_index],
        batch.clip_index,
        *_no_points(batch),
        batch.window,
        network.downsample_mask(drawn),
    )
    choice = torch.zeros_like(batch.object_ids)
    return _remember(network, features, batch, drawn[:, 0], present, prediction, choice)


def _remember(
    network: Sam2,
    features: ImageFeatures,
    batch: ClipBatch,
    probability: torch.Tensor,
    present: torch.Tensor,
    prediction: MaskPrediction,
    choice: torch.Tensor,
) -> Remembered:
    """Encode masks (N, h, w) in 0..1, resized to the window, and the chosen masks' pointers."""
    size = (batch.window.size, batch.window.size)
    masks = functional.interpolate(
        probability[:, None].float(), size, mode="bilinear", align_corners=False
    )
    there = present.to(torch.float32)[:, None]
    spatial = network.encode_memory(features.stride16[batch.clip_index], masks, there)
    rows = torch.arange(len(choice), device=choice.device)
    pointers = network.object_pointers(prediction.tokens[rows, choice], there)
    return Remembered(spatial.flatten(2).transpose(1, 2), pointers)


def _attend(
    network: Sam2,
    features: ImageFeatures,
    batch: ClipBatch,
    memory: list[Remembered],
    decided: tuple[int, ...],
    reach: float,
    recent: bool = True,
) -> torch.Tensor:
    """Condition a frame's features, one copy per object, on decided and recent frames."""
    config = network.config
    frame = len(memory)
    split = config.pointer_tokens
    oldest = max(0, frame - config.memory_frames + 1)
    passed = [f for f in range(oldest, frame) if recent and f not in decided]
    frames = [*decided, *passed]
    slots = [*(config.memory_frames - 1 for _ in decided), *(frame - f - 1 for f in passed)]
    positions = [_memory_position(network, batch.window, slot) for slot in slots]
    ages = [float(frame - f) for f in frames]
    distances = torch.tensor(ages, device=features.stride16.device) / reach
    positions.append(network.pointer_position(distances).repeat_interleave(split, dim=0)[None])
    tokens = [memory[f].tokens for f in frames]
    tokens += [memory[f].pointers.unflatten(1, (split, -1)) for f in frames]
    stride16 = features.stride16
    side = batch.window.frame // 16
    position = batch.window.crop(sine_grid(side, side, stride16.shape[1], stride16.device))
    return network.attend_memory(
        stride16[batch.clip_index],
        position.to(stride16.dtype),
        torch.cat(tokens, dim=1),
        torch.cat(positions, dim=1),
        pointer_tokens=split * len(frames),
    )


def _memory_position(network: Sam2, window: CropWindow, slot: int) -> torch.Tensor:
    """Encode place and age of a remembered window, (1, h w, memory width)."""
    side = window.frame // 16
    whole = network.memory_position(side, side, slot)
    grid = whole.transpose(1, 2).unflatten(2, (side, side))
    return window.crop(grid).flatten(2).transpose(1, 2)
