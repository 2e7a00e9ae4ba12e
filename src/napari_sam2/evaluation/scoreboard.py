"""Scores of the objects of one stack, counted frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.evaluation.label_masks import (
    MaskPatch,
    MaskSource,
    hull,
    object_counts,
    object_windows,
)
from napari_sam2.evaluation.matching import Overlaps
from napari_sam2.evaluation.metrics import boundary_f, davis_tolerance
from napari_sam2.evaluation.scores import FrameScore, ObjectScore, equal_area_diameter
from napari_sam2.evaluation.simulated_user import ObjectPrompt


class Scoreboard:
    """Compares predicted masks with the truth and keeps counts, never masks.

    An object without a mask in a frame counts as predicted absent there.

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
        self._size = (len(self._prompts), len(truth))
        self._expected = self._count_truth()
        self._curves: list[NDArray[np.float64]] = []
        self._clear()

    def measure(self, masks: MaskSource) -> None:
        """Count the current masks in place of the former ones.

        Each call adds a point to the curves of the objects.
        """
        self._clear()
        for frame, plane in enumerate(self._truth):
            for patch in masks.patches(frame):
                row = self._rows.get(patch.object_id)
                if row is not None:
                    self._count(row, frame, patch, plane)
        self._curves.append(self.iou())

    def iou(self) -> NDArray[np.float64]:
        """Return the IoU of every object over all frames, in the order of the prompts."""
        common = self._common.sum(axis=1)
        union = self._predicted.sum(axis=1) + self._expected.sum(axis=1) - common
        values: NDArray[np.float64] = common / union
        return values

    def worst_frames(self) -> tuple[int | None, ...]:
        """Find the frame with the most wrong pixels of every object; None where all is right."""
        wrong = self._predicted + self._expected - 2 * self._common
        frames = wrong.argmax(axis=1)
        return tuple(
            int(frame) if wrong[row, frame] > 0 else None for row, frame in enumerate(frames)
        )

    def overlaps(self) -> Overlaps:
        """Return the shared pixels of true and predicted objects over all frames."""
        pairs = np.array(list(self._pairs), dtype=np.int64).reshape(-1, 2)
        return Overlaps(
            truth=pairs[:, 0],
            prediction=pairs[:, 1],
            common=np.array(list(self._pairs.values()), dtype=np.int64),
            truth_sizes=self._expected.sum(axis=1),
            prediction_sizes=self._predicted.sum(axis=1),
        )

    def scores(self, masks: MaskSource, in_frame: Sequence[FrameScore]) -> tuple[ObjectScore, ...]:
        """Return the scores of every object, in the order of the prompts.

        Parameters
        ----------
        masks : MaskSource
            Those that were measured last: their boundaries are compared now.
        in_frame : sequence of FrameScore
            Scores of the prompted frames before propagation, in the same order.
        """
        boundary = self._boundaries(masks)
        return tuple(
            self._score(row, prompt, boundary[row], in_frame[row])
            for row, prompt in enumerate(self._prompts)
        )

    def _clear(self) -> None:
        self._common = np.zeros(self._size, dtype=np.int64)
        self._predicted = np.zeros(self._size, dtype=np.int64)
        self._pairs: dict[tuple[int, int], int] = {}

    def _count(
        self, row: int, frame: int, patch: MaskPatch, plane: NDArray[np.integer[Any]]
    ) -> None:
        inside = plane[patch.window][patch.mask]
        self._predicted[row, frame] = inside.size
        ids, counts = np.unique(inside, return_counts=True)
        for object_id, count in zip(ids.tolist(), counts.tolist(), strict=True):
            true_row = self._rows.get(object_id)
            if true_row is None:
                continue
            self._pairs[true_row, row] = self._pairs.get((true_row, row), 0) + count
            if true_row == row:
                self._common[row, frame] = count

    def _boundaries(self, masks: MaskSource) -> NDArray[np.float64]:
        """Boundary F of every object in every frame; 0 if truth or prediction lacks it."""
        tolerance = davis_tolerance(self._truth.shape[1:])
        boundary = np.zeros(self._size, dtype=np.float64)
        for frame, plane in enumerate(self._truth):
            windows = object_windows(plane)
            for patch in masks.patches(frame):
                row = self._rows.get(patch.object_id)
                true_window = windows.get(patch.object_id)
                if row is None or true_window is None:
                    continue
                window = hull(patch.window, true_window)
                true = plane[window] == patch.object_id
                boundary[row, frame] = boundary_f(patch.within(window), true, tolerance=tolerance)
        return boundary

    def _score(
        self, row: int, prompt: ObjectPrompt, boundary: NDArray[np.float64], in_frame: FrameScore
    ) -> ObjectScore:
        common, predicted, expected = (
            counts[row] for counts in (self._common, self._predicted, self._expected)
        )
        union = predicted + expected - common
        seen, alive = union > 0, expected > 0
        return ObjectScore(
            object_id=prompt.object_id,
            prompt_frame=prompt.frame,
            frames=int(np.count_nonzero(expected)),
            diameter=equal_area_diameter(expected),
            iou=float(common.sum() / union.sum()),
            dice=float(2 * common.sum() / (predicted.sum() + expected.sum())),
            j=float(np.mean(common[seen] / union[seen])),
            f=float(np.mean(boundary[seen])),
            life=float(np.mean(common[alive] / union[alive])),
            curve=tuple(float(curve[row]) for curve in self._curves),
            in_frame=in_frame,
        )

    def _count_truth(self) -> NDArray[np.int64]:
        expected = np.zeros(self._size, dtype=np.int64)
        for frame, plane in enumerate(self._truth):
            for object_id, count in object_counts(plane).items():
                if object_id in self._rows:
                    expected[self._rows[object_id], frame] = count
        return expected
