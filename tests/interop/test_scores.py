"""Results of the Cell Tracking Challenge as its scoring packages read them."""

from __future__ import annotations

import pytest
from lineages import ground_truth

from napari_sam2.lineage import write_ctc

pytestmark = pytest.mark.interop


@pytest.fixture
def folders(labels, divisions, tmp_path):
    """A result, and the same as its own truth."""
    result, truth = tmp_path / "01_RES", tmp_path / "01_GT"
    write_ctc(result, labels, divisions)
    ground_truth(result, truth)
    return result, truth


def test_ctc_metrics_score_a_result_against_itself_as_perfect(folders):
    from ctc_metrics import evaluate_sequence

    result, truth = folders
    scores = evaluate_sequence(str(result), str(truth), ["Valid", "TRA", "DET", "SEG", "LNK"])
    assert scores["Valid"] == 1
    for name in ("TRA", "DET", "SEG", "LNK"):
        assert scores[name] == pytest.approx(1), name


def test_traccuracy_scores_a_result_against_itself_as_perfect(folders):
    from traccuracy import run_metrics
    from traccuracy.loaders import load_ctc_data
    from traccuracy.matchers import CTCMatcher
    from traccuracy.metrics import CTCMetrics, DivisionMetrics

    result, truth = folders
    theirs = load_ctc_data(str(truth / "TRA"), str(truth / "TRA" / "man_track.txt"), name="truth")
    ours = load_ctc_data(str(result), str(result / "res_track.txt"), name="ours")
    (ctc, divided), _ = run_metrics(
        gt_data=theirs,
        pred_data=ours,
        matcher=CTCMatcher(),
        metrics=[CTCMetrics(), DivisionMetrics()],
    )
    assert ctc["results"]["TRA"] == pytest.approx(1)
    assert ctc["results"]["DET"] == pytest.approx(1)
    found = divided["results"]["Frame Buffer 0"]
    assert found["Division Recall"] == 1
    assert found["Division Precision"] == 1
