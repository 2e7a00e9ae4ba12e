"""From mask logits to clean masks in pixels of the frame, disjoint where objects share pixels.

`MaskFinisher` finishes the masks of one frame, of predictions and of the labels that are there. It
changes nothing, and runs where the network does.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from napari_sam2.labels import PackedMask, clean_mask
from napari_sam2.labels.array_storage import Labels
from napari_sam2.labels.masks import Box, apart, box_of, placed, size_of, within
from napari_sam2.labels.volume import pixels_of, without
from napari_sam2.network import upsample_masks
from napari_sam2.network.logits import ABSENT_LOGIT
from napari_sam2.tracking.decoding.prediction import (
    Conditioning,
    ObjectPrediction,
    decided_logits,
)
from napari_sam2.tracking.images.object_window import Window
from napari_sam2.tracking.model import Model
from napari_sam2.tracking.settings import TrackingSettings


@dataclass(frozen=True, slots=True, eq=False)
class FrameOutput:
    """Masks of N objects in one frame.

    Attributes
    ----------
    disjoint : ndarray of bool, shape (N, Y, X)
        Every pixel belongs to one object at most.
    masks : ndarray of bool, shape (N, Y, X)
        Masks of the results: `disjoint`, or whole masks where overlaps are allowed.
    logits : ndarray of float32, shape (N, Y, X), or None
    boxes : sequence of N Box or None
        Outside its box, a mask of `disjoint` is empty; without one, everywhere.
    """

    disjoint: NDArray[np.bool_]
    masks: NDArray[np.bool_]
    logits: NDArray[np.float32] | None
    boxes: Sequence[Box | None]

    def keep_clicked(self, index: int, points: Sequence[tuple[float, float]]) -> None:
        """Keep only the connected parts of one mask that contain a given point (y, x).

        The masks are changed in place, so only where nobody has them yet.
        """
        alike = self.masks is self.disjoint
        box = self.boxes[index] if alike else box_of(self.masks[index])
        kept = None if box is None else _clicked_in(self.masks[index], box, points)
        if box is None or kept is None:
            return
        self.masks[(index, *box)] = kept
        if not alike:
            self.disjoint[index] &= self.masks[index]

    def ids_under(self, labels: Labels) -> set[int]:
        """Return the ids that the masks cover in the labels (Y, X) of the frame."""
        ids: set[int] = set()
        for index, mask in enumerate(self.masks):
            box = self.boxes[index] if self.masks is self.disjoint else box_of(mask)
            if box is not None:
                ids |= set(np.unique(labels[box][mask[box]]).tolist())
        return ids


def finish_masks(
    predictions: Sequence[ObjectPrediction],
    taken: NDArray[np.bool_],
    settings: TrackingSettings,
    keep_logits: bool,
    pierced: Set[int] = frozenset(),
) -> FrameOutput:
    """Upsample, resolve overlaps by logits, and clean.

    Parameters
    ----------
    predictions : sequence of ObjectPrediction
        Predictions of N objects, which are absent outside their windows.
    taken : ndarray of bool, shape (Y, X)
        Pixels of other objects: these masks do not get them.
    settings : TrackingSettings
    keep_logits : bool
        Also return the upsampled logits.
    pierced : set of int
        Indices of masks whose holes stay open.
    """
    shape = (taken.shape[0], taken.shape[1])
    count = len(predictions)
    open_holes = replace(settings, max_hole=0) if pierced else settings
    cleaning = [open_holes if index in pierced else settings for index in range(count)]
    disjoint = np.zeros((count, *shape), dtype=bool)
    whole = np.zeros_like(disjoint) if settings.overlap else None
    boxes: list[Box | None] = [None] * count
    reaches = _reaches(predictions, shape)
    # Only pixels where masks can be are computed, apart for masks that cannot meet.
    for box, members in apart(reaches):
        best = torch.zeros(size_of(box), device=predictions[0].logits.device)
        owner = torch.zeros_like(best, dtype=torch.int32)  # 0: no object
        # One object at a time: the peak does not grow with their number.
        for number, index in enumerate(members, start=1):
            reach = reaches[index]
            assert reach is not None
            high, here = _upsampled(predictions[index], shape, reach), within(reach, box)
            owner[here].masked_fill_(high > best[here], number)
            best[here] = torch.maximum(best[here], high)
            if whole is not None:
                limits = cleaning[index].max_hole, cleaning[index].min_island
                whole[(index, *reach)] = clean_mask((high > 0).cpu().numpy(), *limits)
        chosen = [cleaning[index] for index in members]
        for number, place, mask in _split(owner.cpu().numpy(), taken[box], chosen):
            held, index = placed(place, box), members[number - 1]
            disjoint[(index, *held)], boxes[index] = mask, held
    kept = None
    if keep_logits:
        kept = np.stack([spread_logits(each.logits, each.window, shape) for each in predictions])
    return FrameOutput(disjoint, disjoint if whole is None else whole, kept, boxes)


def spread_logits(
    logits: Tensor, window: Window, frame_shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Return a window's mask logits (h, w) in the frame's own pixels; outside it the object is not.

    Parameters
    ----------
    logits : Tensor
    window : Window
    frame_shape : (Y, X)
    """
    spread = np.full(frame_shape, ABSENT_LOGIT, dtype=np.float32)
    spread[window.inside(frame_shape)] = _in_frame(logits, window, frame_shape).cpu().numpy()
    return spread


def clicked_parts(
    mask: NDArray[np.bool_], points: Sequence[tuple[float, float]]
) -> NDArray[np.bool_]:
    """Keep the connected parts (8-connected) of a mask that contain a given point (y, x).

    A mask that contains none of the points stays whole.
    """
    box = box_of(mask)
    inside = None if box is None else _clicked_in(mask, box, points)
    if box is None or inside is None:
        return mask
    kept = np.zeros_like(mask)
    kept[box] = inside
    return kept


def _clicked_in(
    mask: NDArray[np.bool_], box: Box, points: Sequence[tuple[float, float]]
) -> NDArray[np.bool_] | None:
    """Return the clicked parts of a mask within its box; None if all of it stays.

    A frame may be a thousand times as large as a mask: only the box is looked at.
    """
    parts, count = ndimage.label(mask[box], structure=np.ones((3, 3)))
    if count < 2:
        return None
    places = np.rint(np.asarray(points, dtype=np.float64)).astype(int)
    places = places.clip(0, np.array(mask.shape) - 1) - [box[0].start, box[1].start]
    rows, columns = places[((places >= 0) & (places < parts.shape)).all(axis=1)].T
    clicked = np.unique(parts[rows, columns])
    clicked = clicked[clicked > 0]
    return np.isin(parts, clicked) if len(clicked) else None


def _reaches(predictions: Sequence[ObjectPrediction], shape: tuple[int, int]) -> list[Box | None]:
    """Return the box of the frame that each mask lies in; None for masks without a pixel.

    The boxes follow from the logits before upsampling: no interpolated value exceeds both
    neighbours.
    """
    positive = torch.stack([each.logits for each in predictions]) > 0
    sides = positive.any(dim=2).cpu().numpy(), positive.any(dim=1).cpu().numpy()
    boxes: list[Box | None] = []
    for prediction, rows, columns in zip(predictions, *sides, strict=True):
        window = prediction.window
        inside = window.inside(shape)
        y = _reach(rows, window.top, window.height, inside[0])
        x = _reach(columns, window.left, window.width, inside[1])
        boxes.append((y, x) if y.start < y.stop and x.start < x.stop else None)
    return boxes


def _reach(positive: NDArray[np.bool_], first: int, length: int, inside: slice) -> slice:
    """Return the range of pixels that logits along one side of a window can make positive."""
    at = np.flatnonzero(positive)
    if not at.size:
        return slice(0, 0)
    scale = length / len(positive)
    low = first + math.floor((at[0] - 0.5) * scale) - 1
    high = first + math.ceil((at[-1] + 1.5) * scale) + 1
    return slice(max(low, inside.start), min(high, inside.stop))


def _upsampled(prediction: ObjectPrediction, shape: tuple[int, int], box: Box) -> Tensor:
    """Upsample the logits of an object within a box of the frame."""
    window = prediction.window
    return _in_frame(prediction.logits, window, shape)[within(box, window.inside(shape))]


def _in_frame(logits: Tensor, window: Window, shape: tuple[int, int]) -> Tensor:
    """Upsample a window's logits to the pixels of the frame that it covers."""
    high = upsample_masks(logits[None, None], window.height, window.width)[0, 0]
    return high[window.part(shape)]


def _split(
    owners: NDArray[np.int32], taken: NDArray[np.bool_], cleaning: Sequence[TrackingSettings]
) -> Iterator[tuple[int, Box, NDArray[np.bool_]]]:
    """Yield owners from 1 on that have pixels, with the box and the clean mask of each."""
    owners[taken] = 0
    free = (owners == 0) & ~taken
    # One pass finds the boxes of all masks.
    boxes = ndimage.find_objects(owners, max_label=len(cleaning))
    for number, (box, settings) in enumerate(zip(boxes, cleaning, strict=True), start=1):
        if box is None:
            continue
        mask = owners[box] == number
        # A filled hole may hold another object: that keeps its pixels.
        cleaned = clean_mask(mask, settings.max_hole, settings.min_island) & (mask | free[box])
        free[box] &= ~cleaned
        yield number, box, cleaned


class SharedMasks(NamedTuple):
    """Finished masks of prompted objects that share the pixels of a frame.

    Attributes
    ----------
    object_ids : tuple of int
        Ascending.
    output : FrameOutput
        In their order.
    """

    object_ids: tuple[int, ...]
    output: FrameOutput


class MaskFinisher:
    """Resolves overlaps of predicted masks by their logits, and cleans them.

    Parameters
    ----------
    model : Model
    settings : TrackingSettings
    keep_logits : bool
        Hand out logits at full resolution too.
    """

    def __init__(self, model: Model, settings: TrackingSettings, keep_logits: bool) -> None:
        self._model = model
        self._settings = settings
        self._keep_logits = keep_logits

    def tracked(
        self,
        predictions: Mapping[int, ObjectPrediction],
        labels: Labels,
        displaced: Collection[int] = (),
    ) -> FrameOutput:
        """Finish objects that were tracked into a frame with these labels, (Y, X).

        Among them the highest logit wins a pixel; they take none from any other object, but for
        those that are displaced.
        """
        taken: NDArray[np.bool_] = without(labels, [*predictions, *displaced]) != 0
        ordered = [predictions[object_id] for object_id in sorted(predictions)]
        return finish_masks(ordered, taken, self._settings, self._keep_logits)

    def decided(
        self,
        object_id: int,
        decided: Conditioning,
        others: Mapping[int, Conditioning],
        labels: Labels,
    ) -> SharedMasks:
        """Finish the predicted mask of an object that the user prompted in a frame.

        It takes pixels from what was only tracked there, shares by the highest logit with the
        objects that were prompted there too, and yields to what was drawn or accepted.

        Parameters
        ----------
        object_id : int
        decided : Conditioning
            With a prediction.
        others : mapping of int to Conditioning
            Conditioning frames of other objects in that frame.
        labels : ndarray of int, shape (Y, X)
            As they are.
        """
        taken = pixels_of(labels, [i for i, other in others.items() if other.drawn])
        sharing = {object_id: decided}
        free = {i for i, other in others.items() if not other.drawn}
        output = self._shared(sharing, taken)
        # Whoever meets one of them shares too: else the order of prompts would tell in the end.
        while met := free & output.ids_under(labels):
            if met <= sharing.keys():
                break
            sharing |= {rival: others[rival] for rival in met}
            output = self._shared(sharing, taken)
        return SharedMasks(tuple(sorted(sharing)), output)

    def mask_of(self, decided: Conditioning, shape: tuple[int, int]) -> PackedMask:
        """Return the mask of a decided frame as written to a frame without other objects."""
        if decided.prediction is None:
            return decided.pixels
        output = self._shared({0: decided}, np.zeros(shape, dtype=bool))
        box = output.boxes[0] or (slice(0, 0), slice(0, 0))
        return PackedMask.within(box, output.disjoint[(0, *box)], shape)

    def logits(self, decided: Conditioning) -> NDArray[np.float32] | None:
        """Return the logits (1, Y, X) of a decided frame; None unless results contain logits."""
        if not self._keep_logits:
            return None
        logits = decided_logits(self._model, decided)
        return spread_logits(logits, decided.window, decided.pixels.shape)[None]

    def _shared(self, sharing: Mapping[int, Conditioning], taken: NDArray[np.bool_]) -> FrameOutput:
        """Finish prompted masks that share pixels; each keeps the parts that its clicks are in."""
        ordered = [sharing[object_id] for object_id in sorted(sharing)]
        output = finish_masks(
            [each.prediction for each in ordered if each.prediction is not None],
            taken,
            self._settings,
            self._keep_logits,
            pierced={index for index, each in enumerate(ordered) if not each.closed},
        )
        if self._settings.clicked_part:
            for index, each in enumerate(ordered):
                clicks = each.clicks
                if clicks:
                    output.keep_clicked(index, clicks)
        return output
