"""The writer of finished masks: writes them to the labels and reports them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import FrameError, LabelsError
from napari_sam2.labels import LabelsVolume, PackedMask
from napari_sam2.labels.masks import Box, box_of
from napari_sam2.tracking.decoding.mask_postprocessing import FrameOutput
from napari_sam2.tracking.decoding.prediction import Conditioning, ObjectPrediction
from napari_sam2.tracking.engine import PromptedMask, TrackedFrame
from napari_sam2.tracking.images.object_window import Window
from napari_sam2.tracking.merge_split import MergeSplit
from napari_sam2.tracking.settings import TrackingSettings
from napari_sam2.types import FrameMasks, ObjectFrame

_NOBODY: frozenset[int] = frozenset()


class LabelWriter:
    """Writes masks to the labels and hands them out.

    Parameters
    ----------
    shape : tuple of int
        (T, Y, X).
    labels : array-like, optional
        The array to fill; a new one by default.
    settings : TrackingSettings
    """

    def __init__(
        self, shape: tuple[int, int, int], labels: Any, settings: TrackingSettings
    ) -> None:
        self.volume = LabelsVolume(shape, array=labels)
        self.accepted: set[ObjectFrame] = set()
        self._settings = settings

    def mask(self, object_id: int, frame: int) -> NDArray[np.bool_]:
        """Return the mask of an object in the labels of a frame, bool (Y, X)."""
        return self.volume.mask(object_id, frame)

    def put(self, object_id: int, frame: int, mask: NDArray[np.bool_]) -> None:
        """Write one mask as it is."""
        self.volume.write(frame, (object_id,), mask[None])

    def erase(self, object_id: int, frame: int) -> None:
        """Remove an object from a frame."""
        self.put(object_id, frame, np.zeros(self.volume.array.shape[1:], dtype=bool))

    def remove(self, frames_of: Mapping[int, Iterable[int]]) -> None:
        """Take objects out of frames, accepted ones too, or change nothing on failure.

        Each frame is written once for all its objects.

        Parameters
        ----------
        frames_of : mapping of int to iterable of int
            By object id.
        """
        held = [pair for pair in self.accepted if pair.object_id in frames_of]
        objects_of: dict[int, list[int]] = defaultdict(list)
        for object_id, frames in frames_of.items():
            for frame in frames:
                objects_of[frame].append(object_id)
        try:
            for pair in held:
                self.unaccept(*pair)
            with self.volume.all_or_nothing():
                for frame in sorted(objects_of):
                    left = self.volume.without(frame, objects_of[frame])
                    self.volume.put_frame(frame, left)
        except BaseException:
            for pair in held:
                self.accept(*pair)
            raise

    def pixels(self, frame: int, object_ids: Sequence[int]) -> NDArray[np.bool_]:
        """Return the pixels, bool (Y, X), that some objects have in a frame."""
        return self.volume.pixels(frame, object_ids)

    def regroup(self, change: MergeSplit) -> None:
        """Move pixels from one object to another and accept frames, or change nothing on failure.

        Raises
        ------
        LabelsError
            The labels cannot be written; the error names the frames, if there are any, where
            they could not be put back either.
        """
        held = {pair for pair in self.accepted if pair.object_id in (change.old, change.new)}
        renamed: list[tuple[int, PackedMask]] = []
        for pair in held:
            self.unaccept(*pair)
        try:
            for frame in change.frames:
                renamed.append((frame, PackedMask.of(self.mask(change.old, frame))))
                self._rename(change.old, frame, change.new)
        except BaseException as error:
            failed = self._put_back(change, renamed)
            for pair in held:
                self.accept(*pair)
            if failed:
                raise _half_way(change, failed) from error
            raise
        for pair in change.accepted:
            self.accept(*pair)

    def _rename(self, object_id: int, frame: int, new_id: int) -> None:
        """Assign an object's pixels in a frame to another object."""
        pair = self.pixels(frame, (object_id, new_id))
        self.volume.write(frame, (object_id, new_id), np.stack([np.zeros_like(pair), pair]))

    def _put_back(self, change: MergeSplit, renamed: Sequence[tuple[int, PackedMask]]) -> list[int]:
        """Restore an object's pixels; return the frames where that fails."""
        failed = []
        for frame, pixels in renamed:
            try:
                mask = pixels.unpack()
                others = self.mask(change.new, frame) & ~mask
                self.volume.write(frame, (change.old, change.new), np.stack([mask, others]))
            except (LabelsError, MemoryError):
                failed.append(frame)
        return failed

    def accept(self, object_id: int, frame: int) -> None:
        """Protect the pixels of an object in a frame from later computation."""
        self.accepted.add(ObjectFrame(object_id, frame))
        self.volume.protect(object_id, frame)

    def unaccept(self, object_id: int, frame: int) -> bool:
        """Lift the protection again; return whether there was any."""
        pair = ObjectFrame(object_id, frame)
        held = pair in self.accepted
        if held:
            self.accepted.discard(pair)
            self.volume.unprotect(object_id, frame)
        return held

    def tracked(self, tracked: TrackedFrame) -> FrameMasks:
        """Write objects that were tracked into a frame, and hand them out.

        Objects that are displaced are erased along with it.
        """
        update, output = tracked
        assert output is not None
        return self._write(update.frame, update.predictions, output, update.displaced)

    def decided(
        self, object_id: int, prompted: PromptedMask, others: Mapping[int, Conditioning]
    ) -> FrameMasks:
        """Write an object that the user prompted in a frame, and hand it out.

        Parameters
        ----------
        object_id : int
        prompted : PromptedMask
        others : mapping of int to Conditioning
            Conditioning frames of other objects in that frame.
        """
        decided, shared, logits = prompted
        frame = decided.frame
        if shared is None:
            held = [i for i, other in others.items() if other.binding]
            kept = decided.mask
            if held:
                box, part = decided.pixels.part()
                kept[box] = part & ~np.isin(self.volume.view(frame)[box], held)
            self.put(object_id, frame, kept)
            return _frame_masks(frame, (object_id,), kept[None], [decided], logits, [None])
        predictions: dict[int, ObjectPrediction] = {}  # of those that were not drawn
        for number in shared.object_ids:
            prediction = (decided if number == object_id else others[number]).prediction
            if prediction is not None:
                predictions[number] = prediction
        result = self._write(frame, predictions, shared.output)
        return result if len(result.object_ids) == 1 else select_object(result, object_id)

    def put_all(self, frame: int, masks: Mapping[int, PackedMask]) -> None:
        """Write new objects into a frame at once, on those of their pixels that are free."""
        labels = self.volume.frame(frame)
        for object_id, mask in masks.items():
            box, part = mask.part()
            labels[box][part & (labels[box] == 0)] = self.volume.checked_id(object_id)
        self.volume.put_frame(frame, labels)

    def _write(
        self,
        frame: int,
        predictions: Mapping[int, ObjectPrediction],
        output: FrameOutput,
        erased: Set[int] = _NOBODY,
    ) -> FrameMasks:
        """Write finished masks at once, so that the frame is never half of one thing."""
        ids = tuple(sorted(predictions))
        nothing = np.zeros((len(erased), *output.disjoint.shape[1:]), dtype=bool)
        disjoint = np.concatenate([output.disjoint, nothing]) if erased else output.disjoint
        boxes = (*output.boxes, *[None] * len(erased))
        self.volume.write(frame, (*ids, *erased), disjoint, boxes)
        ordered = [predictions[object_id] for object_id in ids]
        return _frame_masks(frame, ids, output.masks, ordered, output.logits, output.boxes)

    def decided_result(
        self, object_id: int, conditioning: Conditioning, logits: NDArray[np.float32] | None
    ) -> FrameMasks:
        """Return the result of a conditioning frame as it is; `logits` become part of it."""
        frame = conditioning.frame
        # Another object may have been prompted there since: then the labels decide.
        overlap = self._settings.overlap
        mask = conditioning.mask if overlap else self.mask(object_id, frame)
        masks = _sparse([mask], mask.shape)
        box = None if conditioning.prediction is None else box_of(mask)
        return _frame_masks(frame, (object_id,), masks, [conditioning], logits, [box])


def merge(frame: int, parts: Sequence[FrameMasks]) -> FrameMasks:
    """Merge results of one frame; objects are ordered by id."""
    if len(parts) == 1:
        return parts[0]
    parts = sorted(parts, key=lambda part: part.object_ids[:1])
    ids = [object_id for part in parts for object_id in part.object_ids]
    order = np.argsort(ids, kind="stable")
    masks = [mask for part in parts for mask in part.masks]
    logits = [part.logits for part in parts if part.logits is not None]
    return FrameMasks(
        frame,
        tuple(sorted(ids)),
        _sparse([masks[at] for at in order.tolist()], parts[0].masks.shape[1:]),
        np.concatenate([part.scores for part in parts])[order],
        np.concatenate([part.presence for part in parts])[order],
        np.concatenate(logits)[order] if logits else None,
        next((part.skipped for part in parts if part.skipped is not None), None),
        frozenset().union(*(part.filling for part in parts)),
    )


def _sparse(masks: Sequence[NDArray[np.bool_]], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Stack masks of this shape (Y, X); what is empty of them takes no memory.

    Hundreds of masks of a large frame would take all that a machine has.
    """
    stacked = np.zeros((len(masks), *shape), dtype=bool)
    for mask, copy in zip(masks, stacked, strict=True):
        box = box_of(mask)
        if box is not None:
            copy[box] = mask[box]
    return stacked


def nothing_in(frame: int, shape: tuple[int, int, int], error: FrameError) -> FrameMasks:
    """Return a result without any object, for a frame that cannot be read."""
    masks, scores = np.zeros((0, *shape[1:]), dtype=bool), np.zeros(0, dtype=np.float32)
    return FrameMasks(frame, (), masks, scores, scores, skipped=error.happened)


def undecided(object_id: int, frame: int, mask: NDArray[np.bool_]) -> FrameMasks:
    """Return a result with a mask (Y, X) that has no prediction of the network."""
    scores = np.zeros(1, dtype=np.float32)
    return FrameMasks(frame, (object_id,), mask[None], scores, scores)


def select_object(result: FrameMasks, object_id: int) -> FrameMasks:
    """Return the result of one object only."""
    at = result.object_ids.index(object_id)
    one = slice(at, at + 1)
    logits = None if result.logits is None else result.logits[one]
    return FrameMasks(
        result.frame,
        (object_id,),
        result.masks[one],
        result.scores[one],
        result.presence[one],
        logits,
        filling=result.filling & {object_id},
    )


def _frame_masks(
    frame: int,
    ids: tuple[int, ...],
    masks: NDArray[np.bool_],
    predictions: Sequence[ObjectPrediction | Conditioning],
    logits: NDArray[np.float32] | None,
    boxes: Sequence[Box | None],
) -> FrameMasks:
    """Return a result; `boxes` are the bounding boxes of predicted masks."""
    scores = np.array([prediction.score for prediction in predictions], dtype=np.float32)
    presence = np.array([prediction.presence for prediction in predictions], dtype=np.float32)
    each = zip(ids, predictions, boxes, masks, strict=True)
    filling = frozenset([i for i, made, box, mask in each if _fills(mask, box, made.window)])
    return FrameMasks(frame, ids, masks, scores, presence, logits, filling=filling)


def _fills(mask: NDArray[np.bool_], bound: Box | None, window: Window) -> bool:
    """Return whether a mask, empty outside `bound`, reaches all four sides of a window."""
    if bound is None or not window.is_filled(bound, mask.shape):
        return False
    box = box_of(mask)
    return box is not None and window.is_filled(box, mask.shape)


def _half_way(change: MergeSplit, frames: Sequence[int]) -> LabelsError:
    listed = ", ".join(map(str, frames))
    return LabelsError(
        f"The labels cannot be written, and in frames {listed} not be put back either.",
        safe="All other frames are as they were.",
        remedy=f"Object {change.old} may carry the label {change.new} there: "
        "save the labels elsewhere, or undo this step once they can be written.",
    )
