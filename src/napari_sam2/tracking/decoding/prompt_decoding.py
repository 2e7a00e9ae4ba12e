"""Decoding of points and boxes to masks.

It runs on the session's thread.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_sam2.network import (
    BACKGROUND,
    BOX_END,
    BOX_START,
    OBJECT,
    ImageFeatures,
    MaskPrediction,
    upsample_masks,
)
from napari_sam2.network.logits import ABSENT_LOGIT, LOGIT_LIMIT, OUTSIDE_LOGIT
from napari_sam2.prompts import FramePrompt
from napari_sam2.tracking.decoding.click_rules import (
    change_near,
    enforce_clicks,
    keep_far,
    keep_object,
)
from napari_sam2.tracking.decoding.prediction import ObjectPrediction
from napari_sam2.tracking.images.object_window import Place, Window, WindowedObject, points_to_input
from napari_sam2.tracking.model import Model


def predict_points(
    model: Model,
    features: ImageFeatures,
    conditioned: Tensor,
    prompt: FramePrompt,
    window: Window,
    previous: Tensor | None,
    follows: bool,
    rank: int = 0,
    enforces: bool = True,
    settled: int | None = None,
) -> ObjectPrediction:
    """Segment one object from its points and box.

    Parameters
    ----------
    model : Model
    features : ImageFeatures
        Features of the window.
    conditioned : Tensor, shape (1, C, h, w)
        Its stride-16 features after memory, or after its absence.
    prompt : FramePrompt
        With at least one point or a box.
    window : Window
        Window of the frame that the model sees.
    previous : Tensor, shape (S / k, S / k), optional
        Mask logits of the same window that the prompt refines.
    follows : bool
        Say where the object is, for the next window.
    rank : int
        Of the masks that an ambiguous prompt could mean, which one by predicted IoU.
    enforces : bool
        Turn clicked pixels that the network leaves on the wrong side.
    settled : int, optional
        Only clicks after so many change `previous`, each near itself; by default all of it may
        change.
    """
    prediction = predict_prompts(model, features, conditioned, [prompt], [window], previous)
    chosen = prediction.best(rank)
    return as_clicked(model, chosen, prompt, window, previous, follows, enforces, settled)


def predict_windows(
    model: Model,
    features: ImageFeatures,
    conditioned: Tensor,
    prompt: FramePrompt,
    windows: Sequence[Window],
) -> MaskPrediction:
    """Segment one object in several windows of a frame; see `predict_points`.

    Returns
    -------
    MaskPrediction
        Masks of W windows: three each if the prompt is ambiguous, else one.
    """
    return predict_prompts(model, features, conditioned, [prompt] * len(windows), windows)


def predict_prompts(
    model: Model,
    features: ImageFeatures,
    conditioned: Tensor,
    prompts: Sequence[FramePrompt],
    windows: Sequence[Window],
    previous: Tensor | None = None,
) -> MaskPrediction:
    """Segment N objects, each from its own prompt in its own window; see `predict_points`.

    The prompts have as many points and boxes each.
    """
    given = zip(prompts, windows, strict=True)
    points, labels = zip(*[_tokens(prompt, window, model) for prompt, window in given], strict=True)
    mask_inputs = None
    if previous is not None:
        mask_inputs = previous.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)[None, None]
    return model.network.predict_masks(
        conditioned,
        features.stride8,
        features.stride4,
        features.finer,
        points=torch.cat(points),
        point_labels=torch.cat(labels),
        mask_inputs=mask_inputs,
        multimask=is_ambiguous(prompts[0], model),
    )


def as_clicked(
    model: Model,
    chosen: MaskPrediction,
    prompt: FramePrompt,
    window: Window,
    previous: Tensor | None,
    follows: bool,
    enforces: bool,
    settled: int | None = None,
) -> ObjectPrediction:
    """Correct one mask of one object by its clicks; see `predict_points`."""
    if enforces and prompt.points:
        yx = np.asarray(prompt.points, dtype=np.float32)
        points = points_to_input(yx, window, model.image_size, model.device)
        stride = model.image_size // chosen.masks.shape[-1]
        clicked = (points[0] + 0.5) / stride - 0.5
        if previous is not None and settled is not None:
            chosen = keep_far(chosen, previous, clicked[settled:])
        if previous is not None:
            chosen = keep_object(chosen, previous, clicked, prompt.positive)
        chosen = enforce_clicks(chosen, clicked, prompt.positive)
        if previous is not None and settled is not None:
            later = clicked[settled:], prompt.positive[settled:]
            chosen = change_near(chosen, previous, *later)
    return split_prediction(model, chosen, [window], follows)[0]


def is_ambiguous(prompt: FramePrompt, model: Model) -> bool:
    """Return whether so few points, or the box, can mean several masks."""
    tokens = len(prompt.points) + (0 if prompt.box is None else 2)
    return 0 < tokens <= model.config.multimask_max_points


def seen_from(logits: Tensor, window: Window, other: Window) -> Tensor:
    """Return the mask logits (h, w) of one window resampled to another; negative beyond it."""
    if window == other:
        return logits
    side = logits.shape[-1]
    steps = (torch.arange(side, device=logits.device) + 0.5) / side
    y = (other.top + steps * other.height - window.top) / window.height
    x = (other.left + steps * other.width - window.left) / window.width
    grid = torch.stack(torch.meshgrid(2 * x - 1, 2 * y - 1, indexing="xy"), dim=-1)[None]
    # Logits far below zero stand for what lies outside: shifted so that this is zero padding.
    shifted = logits.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)[None, None] - OUTSIDE_LOGIT
    return F.grid_sample(shifted, grid, align_corners=False)[0, 0] + OUTSIDE_LOGIT


def split_prediction(
    model: Model, prediction: MaskPrediction, windows: Sequence[Window], follows: bool
) -> list[ObjectPrediction]:
    """Split a batched prediction of one mask per object; absent objects get absent logits.

    If `follows`, the predictions also have the place of each object, for the next window.
    """
    scores = prediction.object_scores.float()
    present = (scores > 0).float()
    pointers = model.network.object_pointers(prediction.tokens[:, 0], present).float()
    absent = torch.full((), ABSENT_LOGIT, device=scores.device)
    logits = torch.where(present[:, :, None] > 0, prediction.masks[:, 0].float(), absent)
    # Together: a GPU is waited for once.
    numbers = torch.cat((scores.sigmoid(), prediction.ious.float()), dim=1).tolist()
    sightings = _sightings(logits, windows) if follows else [None] * len(windows)
    return [
        ObjectPrediction(logits[i], iou, presence, pointers[i], windows[i], sightings[i])
        for i, (presence, iou) in enumerate(numbers)
    ]


def _sightings(logits: Tensor, windows: Sequence[Window]) -> list[WindowedObject | None]:
    masks = (logits > 0).cpu().numpy()
    sightings: list[WindowedObject | None] = []
    for mask, window in zip(masks, windows, strict=True):
        place = Place.of_mask(mask, window)
        sightings.append(None if place is None else WindowedObject(place, window))
    return sightings


def encode_memory(
    model: Model, features: ImageFeatures, predictions: list[ObjectPrediction], decided: bool
) -> Tensor:
    """Encode the spatial memories of objects in one frame.

    Parameters
    ----------
    model : Model
    features : ImageFeatures
        Windows that the predictions cover.
    predictions : list of ObjectPrediction
        N of them.
    decided : bool
        The user decided on these masks: they are remembered as cut, not as probabilities.

    Returns
    -------
    Tensor of bfloat16, shape (N, h w, memory width)
        Rounded as the reference stores them.
    """
    size = model.image_size
    logits = upsample_masks(torch.stack([p.logits for p in predictions])[:, None], size, size)
    probability = (logits > 0).float() if decided else logits.sigmoid()
    flags = [[float(p.present)] for p in predictions]
    present = torch.tensor(flags, device=model.device)
    memory = model.network.encode_memory(features.stride16, probability, present)
    return memory.flatten(2).transpose(1, 2).to(torch.bfloat16)


def _rims(window: Window, model: Model) -> Tensor:
    """Return how far a box's corners move outwards, (2, 2), from a pixel of the frame to its rim.

    Corners are the middles of the outermost pixels, of the frame as of the input: where a pixel of
    the frame covers several of the input, its rim lies farther out than its middle.
    """
    across = model.image_size / np.array([window.width, window.height])
    out = torch.from_numpy(((across - 1) / 2).astype(np.float32)).to(model.device)
    return torch.stack((-out, out))


def _tokens(prompt: FramePrompt, window: Window, model: Model) -> tuple[Tensor, Tensor]:
    places = list(prompt.points)
    labels = [OBJECT if positive else BACKGROUND for positive in prompt.positive]
    if prompt.box is not None:
        y0, x0, y1, x1 = prompt.box
        if window.mirrored:
            x0, x1 = x1, x0
        places = [(y0, x0), (y1, x1), *places]
        labels = [BOX_START, BOX_END, *labels]
    yx = np.asarray(places, dtype=np.float32)
    points = points_to_input(yx, window, model.image_size, model.device)
    if prompt.box is not None and model.config.fine_channels:
        points[0, :2] += _rims(window, model)
    return points, torch.tensor([labels], device=model.device)
