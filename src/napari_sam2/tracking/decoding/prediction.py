"""`ObjectPrediction`: the mask of one object in one frame, predicted, drawn or accepted.

A mask that the user drew or accepted becomes a prediction here too: logits at the decoder's
resolution, and an object pointer. The module owns no state; it runs on the session's thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import compress
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_sam2.labels import PackedMask
from napari_sam2.network import ImageFeatures
from napari_sam2.network.logits import ABSENT_LOGIT, DRAWN_LOGIT
from napari_sam2.prompts import FramePrompt
from napari_sam2.tracking.images.feature_cache import FeatureCache
from napari_sam2.tracking.images.object_window import Window, WindowedObject, mask_to_input
from napari_sam2.tracking.model import Model


class SeenMask(NamedTuple):
    """Mask logits (h, w) and the window of a frame that they cover."""

    logits: Tensor
    window: Window


@dataclass(frozen=True, slots=True, eq=False)
class ObjectPrediction:
    """The mask of one object in one frame.

    Attributes
    ----------
    logits : Tensor of float32, shape (S / k, S / k)
        k is the configuration's `mask_stride`.
    iou : float
        Predicted IoU, in 0..1.
    presence : float
        Probability that the object is in the frame, in 0..1.
    pointer : Tensor of float32, shape (C,)
        Object pointer.
    window : Window
        The part of the frame that the logits cover.
    sighting : WindowedObject or None
        Where the object is; None where it is absent, or where windows do not follow objects.
    """

    logits: Tensor
    iou: float
    presence: float
    pointer: Tensor
    window: Window
    sighting: WindowedObject | None = None

    @property
    def present(self) -> bool:
        """Whether the object is in the frame."""
        return self.presence > 0.5

    @property
    def score(self) -> float:
        """Quality in 0..1: presence times predicted IoU."""
        return self.presence * self.iou


@dataclass(frozen=True, slots=True, eq=False)
class Conditioning:
    """A frame that the user decided about one object.

    Attributes
    ----------
    frame : int
    pixels : PackedMask
        The mask in the frame's own pixels: the user's, where one was drawn.
    window : Window
        Window of the frame that the model sees.
    sighting : WindowedObject or None
        Place of the object, if it is known.
    corrects : bool
        The object had been tracked through this frame before: prompts refine that mask.
    prediction : ObjectPrediction or None
        What the network made of clicks or a box. None where the mask is the user's, drawn or
        accepted: what that looks like to the memory is computed when a frame attends to it.
    prompt : FramePrompt, optional
        Prompt of the frame.
    found : bool
        A search for objects made this mask: its prompt alone would give a similar one only.
    chosen : bool
        The user chose another than the best of the masks that the prompt could mean.
    dismissed : bool
        Whether the user corrected the object away here.
    """

    frame: int
    pixels: PackedMask
    window: Window
    sighting: WindowedObject | None
    corrects: bool
    prediction: ObjectPrediction | None = None
    prompt: FramePrompt | None = None
    found: bool = False
    chosen: bool = False
    dismissed: bool = field(init=False)

    def __post_init__(self) -> None:
        # Asked of every decided frame in every step of a pass.
        object.__setattr__(self, "dismissed", self.corrects and not self.present)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The mask in the frame's own pixels, shape (Y, X)."""
        return self.pixels.unpack()

    @property
    def drawn(self) -> bool:
        """Whether the user drew the mask, so that no other object takes pixels from it."""
        return self.prediction is None

    @property
    def binding(self) -> bool:
        """Whether masks drawn later leave its pixels alone: it was drawn itself, or accepted."""
        return self.drawn and (self.prompt is None or self.prompt.mask is not None)

    @property
    def definite(self) -> bool:
        """Whether it is sure what the object is: by more than a single click."""
        prompt = self.prompt
        if self.found or self.drawn or prompt is None:
            return True
        return prompt.box is not None or prompt.mask is not None or len(prompt.points) > 1

    @property
    def shown(self) -> NDArray[np.bool_]:
        """The mask, shape (Y, X), for the memory: as drawn, also where other objects are."""
        drawn = None if self.prompt is None else self.prompt.mask
        return self.mask if drawn is None else drawn

    @property
    def present(self) -> bool:
        """Whether the object is in the frame."""
        return self.presence > 0.5

    @property
    def presence(self) -> float:
        """Probability in 0..1 that the object is in the frame."""
        if self.prediction is None:
            return float(self.sighting is not None)
        return self.prediction.presence

    @property
    def score(self) -> float:
        """Quality in 0..1: presence times predicted IoU, which is 1 for what the user drew."""
        return self.presence if self.prediction is None else self.prediction.score

    @property
    def clicks(self) -> tuple[tuple[float, float], ...]:
        """The positive clicks of the user, as (y, x)."""
        if self.prompt is None:
            return ()
        return tuple(compress(self.prompt.points, self.prompt.positive))

    @property
    def closed(self) -> bool:
        """Whether small holes may be filled, which a background click forbids."""
        return self.prompt is None or all(self.prompt.positive)


def decided_prediction(
    model: Model, cache: FeatureCache, decided: Conditioning
) -> ObjectPrediction:
    """Return the prediction of a conditioning frame, computed now if it was not before.

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
    """Return a drawn mask as a prediction; the decoder only makes its object pointer."""
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
    """Return the prediction that an object is absent."""
    side = model.image_size // model.config.mask_stride
    logits = torch.full((side, side), ABSENT_LOGIT, device=model.device)
    pointer = model.network.no_obj_ptr[0].float()
    return ObjectPrediction(logits, iou=1.0, presence=0.0, pointer=pointer, window=window)


def drawn_logits(drawn: Tensor, stride: int) -> Tensor:
    """Convert a mask (1, 1, S, S) of 0 and 1 to logits (S / stride, S / stride)."""
    side = drawn.shape[-1] // stride
    logits = (2 * drawn - 1) * DRAWN_LOGIT
    return F.interpolate(logits, size=(side, side), mode="bilinear", antialias=True)[0, 0]
