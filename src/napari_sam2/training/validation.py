"""One prompt per object in labelled frames: the figures that training watches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional

from napari_sam2.network import ImageFeatures, Sam2
from napari_sam2.training.sources import LabelledStack

_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class HeldOutIou:
    """What users get on data that was not trained on: mean IoU over objects, 0..1.

    Attributes
    ----------
    click, box : float
        Of single frames, from one click or the tight box.
    tracked : float
        Of short clips from one click per object; None where there are no stacks.
    """

    click: float
    box: float
    tracked: float | None = None

    @property
    def score(self) -> float:
        """Return the mean of what was measured: the figure that decides."""
        return fmean(v for v in (self.click, self.box, self.tracked) if v is not None)


@dataclass(frozen=True, slots=True, eq=False)
class EncodedFrame:
    """Features of one frame, squashed to a square as at inference.

    Attributes
    ----------
    features : ImageFeatures
        Of one image.
    size : int
        Side of the model input in pixels.
    """

    features: ImageFeatures
    size: int


def interior_point(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Return (x, y) of the pixel farthest from the mask's border; the frame's edge is a border."""
    distance = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(int(distance.argmax()), mask.shape)
    return float(x), float(y)


@torch.inference_mode()
def encode_frame(
    network: Sam2, image: NDArray[np.uint8], image_size: int | None = None
) -> EncodedFrame:
    """Encode one frame (Y, X); the side of the model input is the network's own by default."""
    size = image_size or network.config.image_size
    device = next(network.parameters()).device
    frame = torch.from_numpy(image.astype(np.float32) / 255.0)[None, None].to(device)
    frame = functional.interpolate(frame, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
    mean, deviation = (frame.new_tensor(v)[:, None, None] for v in (_MEAN, _DEVIATION))
    return EncodedFrame(network.encode_image((frame - mean) / deviation), size)


@torch.inference_mode()
def prompted_ious(
    network: Sam2,
    encoded: EncodedFrame,
    labels: NDArray[np.int32],
    object_ids: Sequence[int],
    *,
    boxes: bool = False,
    chunk: int = 64,
) -> NDArray[np.float64]:
    """IoU of objects of a frame, each prompted alone.

    Parameters
    ----------
    network : Sam2
        In evaluation mode.
    encoded : EncodedFrame
        The frame.
    labels : ndarray of int32, shape (Y, X)
        Of the frame.
    object_ids : sequence of int
        Ids that are in the labels.
    boxes : bool
        Prompt by the tight box instead of a click on the most interior pixel.
    chunk : int
        Objects decoded at once.

    Returns
    -------
    ndarray of float64, one per object
    """
    features, size = encoded.features, encoded.size
    conditioned = network.without_memory(features.stride16)
    points = torch.from_numpy(np.stack([_prompt(labels == i, boxes) for i in object_ids]))
    scale = torch.tensor([size / labels.shape[1], size / labels.shape[0]])
    points = ((points + 0.5) * scale - 0.5).to(conditioned.device)
    kinds = torch.tensor([[2, 3]] if boxes else [[1]], device=conditioned.device)
    results: list[float] = []
    for start in range(0, len(object_ids), chunk):
        part = points[start : start + chunk]
        n = len(part)
        prediction = network.predict_masks(
            conditioned.expand(n, -1, -1, -1),
            features.stride8,
            features.stride4,
            points=part,
            point_labels=kinds.expand(n, -1),
            multimask=not boxes,
        ).best()
        logits = functional.interpolate(
            prediction.masks.float(), labels.shape, mode="bilinear", align_corners=False
        )
        predicted = (logits[:, 0] > 0).cpu().numpy()
        for mask, object_id in zip(predicted, object_ids[start : start + chunk], strict=True):
            wanted = labels == object_id
            results.append(float((mask & wanted).sum() / max((mask | wanted).sum(), 1)))
    return np.asarray(results)


def one_prompt_ious(
    network: Sam2,
    stack: LabelledStack,
    *,
    boxes: bool = False,
    image_size: int | None = None,
    chunk: int = 64,
) -> NDArray[np.float64]:
    """IoU of every object of a still (or of a stack's first frame), each prompted alone.

    Parameters and result are those of `encode_frame` and `prompted_ious`.
    """
    labels = stack.labels[0]
    encoded = encode_frame(network, stack.image[0], image_size)
    ids = [int(i) for i in np.unique(labels) if i]
    return prompted_ious(network, encoded, labels, ids, boxes=boxes, chunk=chunk)


def _prompt(mask: NDArray[np.bool_], box: bool) -> NDArray[np.float32]:
    if not box:
        return np.array([interior_point(mask)], np.float32)
    y, x = np.nonzero(mask)
    return np.array([[x.min(), y.min()], [x.max(), y.max()]], np.float32)


def mean_iou(network: Sam2, stacks: Sequence[LabelledStack], *, boxes: bool = False) -> float:
    """Mean IoU over the objects of several stills."""
    return float(np.concatenate([one_prompt_ious(network, s, boxes=boxes) for s in stacks]).mean())
