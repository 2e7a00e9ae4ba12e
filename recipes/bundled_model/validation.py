"""One-prompt IoU on labelled stills, which training reports."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional

from napari_sam2.network import Sam2
from napari_sam2.training.data.sources import LabelledStack

_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


def interior_point(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Return (x, y) of the pixel farthest from the mask's border; the frame's edge is a border."""
    distance = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(int(distance.argmax()), mask.shape)
    return float(x), float(y)


@torch.inference_mode()
def one_prompt_ious(
    network: Sam2,
    stack: LabelledStack,
    *,
    boxes: bool = False,
    image_size: int | None = None,
    chunk: int = 64,
) -> NDArray[np.float64]:
    """IoU of every object of a still (or of a stack's first frame), each prompted alone.

    Parameters
    ----------
    network : Sam2
        In evaluation mode.
    stack : LabelledStack
        Image and labels.
    boxes : bool
        Prompt by the tight box instead of a click on the most interior pixel.
    image_size : int, optional
        Side of the model input; the network's own by default.
    chunk : int
        Objects decoded at once.

    Returns
    -------
    ndarray of float64, one per object in order of ids
    """
    size = image_size or network.config.image_size
    image, labels = stack.image[0], stack.labels[0]
    device = next(network.parameters()).device
    frame = torch.from_numpy(image.astype(np.float32) / 255.0)[None, None].to(device)
    frame = functional.interpolate(frame, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
    mean, deviation = (frame.new_tensor(v)[:, None, None] for v in (_MEAN, _DEVIATION))
    features = network.encode_image((frame - mean) / deviation)
    conditioned = network.without_memory(features.stride16)
    ids = [int(i) for i in np.unique(labels) if i]
    points = torch.from_numpy(np.stack([_prompt(labels == i, boxes) for i in ids]))
    scale = torch.tensor([size / labels.shape[1], size / labels.shape[0]])
    points = ((points + 0.5) * scale - 0.5).to(device)
    kinds = torch.tensor([[2, 3]] if boxes else [[1]], device=device)
    results: list[float] = []
    for start in range(0, len(ids), chunk):
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
            prediction.masks, labels.shape, mode="bilinear", align_corners=False
        )
        predicted = (logits[:, 0] > 0).cpu().numpy()
        for mask, object_id in zip(predicted, ids[start : start + chunk], strict=True):
            wanted = labels == object_id
            results.append(float((mask & wanted).sum() / max((mask | wanted).sum(), 1)))
    return np.asarray(results)


def _prompt(mask: NDArray[np.bool_], box: bool) -> NDArray[np.float32]:
    if not box:
        return np.array([interior_point(mask)], np.float32)
    y, x = np.nonzero(mask)
    return np.array([[x.min(), y.min()], [x.max(), y.max()]], np.float32)


def mean_iou(network: Sam2, stacks: Sequence[LabelledStack], *, boxes: bool = False) -> float:
    """Mean IoU over the objects of several stills."""
    return float(np.concatenate([one_prompt_ious(network, s, boxes=boxes) for s in stacks]).mean())
