"""Means over objects, sequences and sets; the table and the JSON say the same."""

from __future__ import annotations

import json

import pytest

from napari_sam2.evaluation import (
    EvaluationOptions,
    EvaluationReport,
    ObjectScore,
    SequenceScore,
    format_report,
    report_to_json,
)


def sequence(name: str, group: str, *ious: float) -> SequenceScore:
    objects = tuple(
        ObjectScore(object_id=n, prompt_frame=1, frames=3, iou=iou, j=iou / 2, f=iou / 4)
        for n, iou in enumerate(ious, start=1)
    )
    return SequenceScore(name, group, (3, 8, 8), objects, seconds=1.5)


@pytest.fixture
def report() -> EvaluationReport:
    sequences = (
        sequence("one", "nuclei", 1.0, 0.5, 0.0),
        sequence("two", "nuclei", 0.9),
        sequence("one", "yeast", 0.6, 0.8),
    )
    return EvaluationReport("bundled", "cpu", 256, EvaluationOptions(), sequences)


def test_means_over_objects_and_over_sequences_differ(report):
    nuclei, yeast = report.sets()
    assert (nuclei.name, nuclei.sequences, nuclei.objects) == ("nuclei", 2, 4)
    assert nuclei.iou_per_object == pytest.approx(0.6)
    assert nuclei.iou_per_sequence == pytest.approx(0.7)
    assert nuclei.j_per_object == pytest.approx(0.3)
    assert nuclei.f_per_object == pytest.approx(0.15)
    assert yeast.iou_per_object == pytest.approx(0.7)
    total = report.total()
    assert total is not None
    assert (total.objects, total.seconds) == (6, 4.5)
    assert total.iou_per_sequence == pytest.approx(0.7)


def test_json_holds_every_object_and_the_options(report):
    content = json.loads(report_to_json(report))
    assert content["options"]["prompt"] == "point"
    assert content["complete"] is True
    assert content["total"]["objects"] == 6
    assert [one["name"] for one in content["sets"]] == ["nuclei", "yeast"]
    assert content["sequences"][0]["objects"][1]["iou"] == 0.5
    assert content["sequences"][0]["iou"] == pytest.approx(0.5)


def test_the_table_lists_sequences_sets_and_on_request_objects(report):
    table = format_report(report)
    assert "nuclei/two" in table
    assert "0.700" in table
    assert "prompt frame" not in table
    detailed = format_report(report, per_object=True)
    assert "prompt frame" in detailed
    assert "yeast/one 2" in detailed
    assert len(detailed.splitlines()) > len(table.splitlines()) + 6


def test_columns_line_up(report):
    lines = format_report(report).splitlines()[2:6]
    assert {len(line) for line in lines} == {len(lines[0])}


def test_a_stopped_evaluation_says_so():
    stopped = EvaluationReport("bundled", "cpu", 256, EvaluationOptions(), (), complete=False)
    assert stopped.total() is None
    assert "No sequence was finished" in format_report(stopped)
    assert json.loads(report_to_json(stopped))["total"] is None
    one = sequence("a", "b", 0.5)
    partial = EvaluationReport("bundled", "cpu", 256, EvaluationOptions(), (one,), complete=False)
    assert "Stopped early" in format_report(partial)
