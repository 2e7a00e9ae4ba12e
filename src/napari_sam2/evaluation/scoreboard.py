"""Scores of the objects of one stack, added up frame by frame as masks arrive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.evaluation.metrics import boundary_f, davis_tolerance
from napari_sam2.evaluation.prompting import ObjectPrompt
from napari_sam2.evaluation.report import ObjectScore


class Scoreboard:
    """Compares predicted masks with the truth and keeps counts, never masks.

    An object without a recorded mask in a frame counts as predicted absent there; a mask
    recorded again replaces the earlier one.

    Parameters
    ----------
    truth : ndarray of int, shape (T, Y, X)
        Label ids, 0 = background.
    prompts : sequence of ObjectPrompt
        The objects to score.
    """

    def __init__(self, truth: NDArray[np.integer[Any]], prompts: Sequence[ObjectPrompt]) -> None:
        self._truth = truth
        self._prompts = tuple(prompts)
        self._tolerance = davis_tolerance(truth.shape[1:])
        self._rows = {prompt.object_id: row for row, prompt in enumerate(self._prompts)}
        size = (len(self._prompts), len(truth))
        self._common = np.zeros(size, dtype=np.int64)
        self._predicted = np.zeros(size, dtype=np.int64)
        self._boundary = np.zeros(size, dtype=np.float64)
        self._expected = self._count_truth(size)

    def record(
        self, frame: int, object_ids: Sequence[int], masks: Sequence[NDArray[np.bool_]]
    ) -> None:
        """Score masks of one frame.

        Parameters
        ----------
        frame : int
        object_ids : sequence of int
            One per mask; ids that are not scored are passed over.
        masks : sequence of ndarray of bool, shape (Y, X)
        """
        plane = self._truth[frame]
        for object_id, mask in zip(object_ids, masks, strict=True):
            row = self._rows.get(object_id)
            if row is not None:
                self._record_one(row, frame, mask, plane == object_id)

    def record_labels(self, labels: NDArray[np.integer[Any]]) -> None:
        """Score a whole label stack of shape (T, Y, X), which is read frame by frame."""
        for frame, truth in enumerate(self._truth):
            plane = np.asarray(labels[frame])
            for object_id, window in _windows(plane, truth).items():
                row = self._rows.get(object_id)
                if row is not None:
                    masks = (plane[window] == object_id, truth[window] == object_id)
                    self._record_one(row, frame, *masks)

    def scores(self) -> tuple[ObjectScore, ...]:
        """Give the scores of every object, in the order of the prompts."""
        return tuple(self._score(row, prompt) for row, prompt in enumerate(self._prompts))

    def _record_one(
        self, row: int, frame: int, mask: NDArray[np.bool_], truth: NDArray[np.bool_]
    ) -> None:
        self._common[row, frame] = np.count_nonzero(mask & truth)
        self._predicted[row, frame] = np.count_nonzero(mask)
        self._boundary[row, frame] = boundary_f(mask, truth, tolerance=self._tolerance)

    def _score(self, row: int, prompt: ObjectPrompt) -> ObjectScore:
        common = self._common[row]
        union = self._predicted[row] + self._expected[row] - common
        seen = union > 0
        return ObjectScore(
            object_id=prompt.object_id,
            prompt_frame=prompt.frame,
            frames=int(np.count_nonzero(self._expected[row])),
            iou=float(common.sum() / union.sum()),
            j=float(np.mean(common[seen] / union[seen])),
            f=float(np.mean(self._boundary[row, seen])),
        )

    def _count_truth(self, size: tuple[int, int]) -> NDArray[np.int64]:
        expected = np.zeros(size, dtype=np.int64)
        for frame, plane in enumerate(self._truth):
            ids, counts = np.unique(plane, return_counts=True)
            for object_id, count in zip(ids.tolist(), counts.tolist(), strict=True):
                if object_id in self._rows:
                    expected[self._rows[object_id], frame] = count
        return expected


def _windows(
    plane: NDArray[np.integer[Any]], truth: NDArray[np.integer[Any]]
) -> dict[int, tuple[slice, slice]]:
    """Find the smallest window that holds each id of two label planes, in both of them."""
    windows: dict[int, tuple[slice, slice]] = {}
    for labels in (plane, truth):
        ids, dense = np.unique(labels, return_inverse=True)
        # Numbered anew from 1: however large the ids, the list of windows stays short.
        found = ndimage.find_objects(dense.reshape(labels.shape) + 1)
        for object_id, window in zip(ids.tolist(), found, strict=True):
            known = windows.get(object_id, window)
            windows[object_id] = (_hull(known[0], window[0]), _hull(known[1], window[1]))
    return windows


def _hull(one: slice, other: slice) -> slice:
    return slice(min(one.start, other.start), max(one.stop, other.stop))
