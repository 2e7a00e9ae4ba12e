"""Accuracy of whole segmentations: objects matched by overlap, over thresholds of IoU.

The mean segmentation accuracy (mSA) is that of the 2018 Data Science Bowl (Caicedo et al., Nature
Methods 2019), which Segment Anything for Microscopy (Archit et al., Nature Methods 2025) reports
too: the mean over thresholds of TP / (TP + FP + FN).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import maximum_bipartite_matching

# IoU .5 to .95 in twentieths: compared as whole numbers, no threshold is missed by rounding.
_TWENTIETHS = range(10, 20)


@dataclass(frozen=True, slots=True, eq=False)
class Overlaps:
    """Pixels that true and predicted objects share, of any number of frames together.

    Attributes
    ----------
    truth, prediction : ndarray of int, shape (P,)
        Row of the true and of the predicted object of each pair that shares pixels.
    common : ndarray of int, shape (P,)
        Pixels that the pair shares.
    truth_sizes, prediction_sizes : ndarray of int, shapes (N,) and (M,)
        Pixels of every object; one without a pixel does not exist.
    """

    truth: NDArray[np.int64]
    prediction: NDArray[np.int64]
    common: NDArray[np.int64]
    truth_sizes: NDArray[np.int64]
    prediction_sizes: NDArray[np.int64]

    @property
    def union(self) -> NDArray[np.int64]:
        """Pixels that either object of each pair has, shape (P,)."""
        sizes = self.truth_sizes[self.truth] + self.prediction_sizes[self.prediction]
        return sizes - self.common


@dataclass(frozen=True, slots=True)
class SegmentationAccuracy:
    """TP / (TP + FP + FN) of matched objects.

    Attributes
    ----------
    msa : float
        Mean over the IoU thresholds .5, .55, ... .95.
    sa50 : float
        At the threshold .5.
    """

    msa: float
    sa50: float


def segmentation_accuracy(overlaps: Overlaps) -> SegmentationAccuracy:
    """Match objects one to one and count.

    At each threshold the largest possible number of pairs with at least that IoU is matched;
    where nothing overlaps in truth or prediction there is only one way to do so.

    Returns
    -------
    SegmentationAccuracy
        1 when there is nothing in truth and prediction.
    """
    n_truth = int(np.count_nonzero(overlaps.truth_sizes))
    n_prediction = int(np.count_nonzero(overlaps.prediction_sizes))
    if n_truth + n_prediction == 0:
        return SegmentationAccuracy(1.0, 1.0)
    accuracies, union = [], overlaps.union
    for twentieths in _TWENTIETHS:
        hits = _matches(overlaps, 20 * overlaps.common >= twentieths * union)
        accuracies.append(hits / (n_truth + n_prediction - hits))
    return SegmentationAccuracy(fmean(accuracies), accuracies[0])


def _matches(overlaps: Overlaps, similar: NDArray[np.bool_]) -> int:
    if not similar.any():
        return 0
    # 32 bits: scipy 1.14 takes no others here.
    rows = overlaps.truth[similar].astype(np.int32)
    columns = overlaps.prediction[similar].astype(np.int32)
    shape = (len(overlaps.truth_sizes), len(overlaps.prediction_sizes))
    graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=shape)
    partners = maximum_bipartite_matching(graph.tocsr(), perm_type="column")
    return int(np.count_nonzero(partners >= 0))
