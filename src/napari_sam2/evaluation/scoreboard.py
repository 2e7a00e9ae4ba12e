"""Scores of the objects of one stack, added up frame by frame as masks arrive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.evaluation.metrics import boundary_f
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
        for frame in range(len(self._truth)):
            plane = np.asarray(labels[frame])
            for object_id in self._rows:
                self.record(frame, [object_id], [plane == object_id])

    def scores(self) -> tuple[ObjectScore, ...]:
        """Give the scores of every object, in the order of the prompts."""
        return tuple(self._score(row, prompt) for row, prompt in enumerate(self._prompts))

    def _record_one(
        self, row: int, frame: int, mask: NDArray[np.bool_], truth: NDArray[np.bool_]
    ) -> None:
        self._common[row, frame] = np.count_nonzero(mask & truth)
        self._predicted[row, frame] = np.count_nonzero(mask)
        self._boundary[row, frame] = boundary_f(mask, truth)

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
