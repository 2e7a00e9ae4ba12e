"""Sequences of the Cell Tracking Challenge as labelled stacks."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from lineages import DIVISIONS, dividing, ground_truth

from napari_sam2.errors import EvaluationError
from napari_sam2.evaluation.baseline.classical import ClassicalSegmenter
from napari_sam2.evaluation.ctc_folders import read_segmented
from napari_sam2.evaluation.options import EvaluationOptions, PromptProtocol
from napari_sam2.evaluation.pairs import find_pairs, read_pair
from napari_sam2.evaluation.protocol import evaluate_sequence
from napari_sam2.lineage import write_ctc


@pytest.fixture
def dataset(tmp_path):
    """A dataset of one sequence whose cells are bright."""
    labels = dividing()
    write_ctc(tmp_path / "result", labels, DIVISIONS)
    folder = tmp_path / "Fluo-Small"
    ground_truth(tmp_path / "result", folder / "01_GT")
    (folder / "01").mkdir()
    for frame, plane in enumerate(labels):
        tifffile.imwrite(folder / "01" / f"t{frame:03d}.tif", (plane > 0) * np.uint8(200))
    return folder


def test_a_dataset_is_found_and_read(dataset):
    for folder in (dataset, dataset.parent):
        (pair,) = find_pairs(folder)
        assert (pair.group, pair.name) == ("Fluo-Small", "01")
    stack, truth = read_pair(pair)
    assert stack.shape == truth.shape == (6, 40, 50)
    assert stack.read(3).max() == 1
    assert set(np.unique(truth[5])) == {0, 2, 5, 6, 7}
    segmented = read_segmented(pair.labels)
    np.testing.assert_array_equal(segmented[3], truth[3])


class Baseline:
    name = "baseline"

    def open(self, stack, object_ids, overlap):
        return ClassicalSegmenter(stack, object_ids)


def test_seg_and_links_are_scored(dataset):
    (pair,) = find_pairs(dataset)
    options = EvaluationOptions()
    (score,) = evaluate_sequence(pair, Baseline(), options, [PromptProtocol.of(options)])
    assert 0 < score.tracks.seg <= 1
    assert 0 < score.tracks.link_accuracy <= 1


def test_a_truth_without_images_is_a_clear_error(dataset):
    (dataset / "01").rename(dataset / "02")
    with pytest.raises(EvaluationError, match="no images"):
        find_pairs(dataset)


def test_images_of_another_size_are_a_clear_error(dataset):
    for path in (dataset / "01").iterdir():
        tifffile.imwrite(path, np.zeros((8, 8), np.uint8))
    with pytest.raises(EvaluationError, match="frames"):
        read_pair(find_pairs(dataset)[0])
