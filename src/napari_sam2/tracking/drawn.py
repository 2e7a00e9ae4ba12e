"""What a mask that the user decided looks like to the network."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_sam2.network import ImageFeatures
from napari_sam2.tracking.feature_cache import FeatureCache
from napari_sam2.tracking.image_input import mask_to_input
from napari_sam2.tracking.model import Model
from napari_sam2.tracking.prediction import (
    ABSENT_LOGIT,
    DRAWN_LOGIT,
    Conditioning,
    ObjectPrediction,
)
from napari_sam2.tracking.window import Window


def decided_prediction(
    model: Model, cache: FeatureCache, decided: Conditioning
) -> ObjectPrediction:
    """Return what the network made of a decided frame, or makes of it only now.

    Raises
    ------
    FrameError
        The frame cannot be read.
    """
    if decided.prediction is not None:
        return decided.prediction
    if not decided.present:
        return absent_prediction(model, decided.window)
    features = cache.get(decided.frame, [decided.window])
    return predict_drawn(model, features, decided.shown, decided.window)


def decided_logits(model: Model, decided: Conditioning) -> Tensor:
    """Return the mask logits (h, w) of a decided frame, without the network."""
    if decided.prediction is not None:
        return decided.prediction.logits
    if not decided.present:
        return absent_prediction(model, decided.window).logits
    size, device = model.image_size, model.device
    drawn = mask_to_input(decided.shown, decided.window, size, device)
    return drawn_logits(drawn, model.config.mask_stride)


def predict_drawn(
    model: Model, features: ImageFeatures, mask: NDArray[np.bool_], window: Window
) -> ObjectPrediction:
    """Take a drawn mask as the answer; the decoder only makes its object pointer."""
    drawn = mask_to_input(mask, window, model.image_size, model.device)
    network = model.network
    decoded = network.predict_masks(
        features.stride16,
        features.stride8,
        features.stride4,
        features.finer,
        mask_inputs=network.downsample_mask(drawn),
    )
    present = (decoded.object_scores > 0).float()
    pointer = network.object_pointers(decoded.tokens[:, 0], present)[0].float()
    return ObjectPrediction(
        drawn_logits(drawn, model.config.mask_stride),
        iou=1.0,
        presence=1.0,
        pointer=pointer,
        window=window,
    )


def absent_prediction(model: Model, window: Window) -> ObjectPrediction:
    """Say that an object is not there."""
    side = model.image_size // model.config.mask_stride
    logits = torch.full((side, side), ABSENT_LOGIT, device=model.device)
    pointer = model.network.no_obj_ptr[0].float()
    return ObjectPrediction(logits, iou=1.0, presence=0.0, pointer=pointer, window=window)


def drawn_logits(drawn: Tensor, stride: int) -> Tensor:
    """Turn a mask (1, 1, S, S) of 0 and 1 into logits (S / stride, S / stride)."""
    side = drawn.shape[-1] // stride
    logits = (2 * drawn - 1) * DRAWN_LOGIT
    return F.interpolate(logits, size=(side, side), mode="bilinear", antialias=True)[0, 0]
