"""Means over objects, sequences, sets and sizes; the table and the JSON say the same."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from napari_sam2.evaluation import (
    STANDARD_PROTOCOLS,
    EvaluationOptions,
    EvaluationReport,
    MethodScores,
    ObjectScore,
    PromptKind,
    PromptProtocol,
    SequenceScore,
    format_report,
    report_to_json,
)
from napari_sam2.evaluation.scores import (
    SIZE_CLASSES,
    ClickEffect,
    FrameScore,
    count_clicks,
    size_class,
)

CLICK, BOX, THREE = STANDARD_PROTOCOLS


def scored(number: int, *curve: float, diameter: float = 20) -> ObjectScore:
    iou = curve[-1]
    in_frame = FrameScore((iou,), iou / 4, ())
    return ObjectScore(number, 1, 3, diameter, iou, iou, iou / 2, iou / 4, iou / 2, curve, in_frame)


def sequence(name: str, group: str, *ious: float, rounds: int = 0) -> SequenceScore:
    objects = tuple(
        scored(n, *(iou * (r + 1) / (rounds + 1) for r in range(rounds + 1)), diameter=6 * n)
        for n, iou in enumerate(ious, start=1)
    )
    accuracy = tuple(sum(ious) / len(ious) for _ in range(rounds + 1))
    return SequenceScore(
        name, group, (3, 8, 8), objects, accuracy, accuracy, (0.5, 1.0), (0.25, 0.5)
    )


def report_of(*methods: MethodScores, complete: bool = True, rounds: int = 0) -> EvaluationReport:
    options = EvaluationOptions(rounds=rounds)
    return EvaluationReport("bundled", "cpu", 256, options, methods, 75.0, complete)


@pytest.fixture
def scores() -> MethodScores:
    return MethodScores(
        "bundled",
        CLICK,
        (
            sequence("one", "nuclei", 1.0, 0.5, 0.0),
            sequence("two", "nuclei", 0.9),
            sequence("one", "yeast", 0.6, 0.8),
        ),
    )


def test_means_over_objects_and_over_sequences_differ(scores):
    nuclei, yeast = scores.sets()
    assert (nuclei.name, nuclei.sequences, nuclei.objects.objects) == ("nuclei", 2, 4)
    assert nuclei.objects.iou == pytest.approx(0.6)
    assert nuclei.iou_per_sequence == pytest.approx(0.7)
    assert nuclei.objects.j == pytest.approx(0.3)
    assert nuclei.objects.f == pytest.approx(0.15)
    assert nuclei.msa == (pytest.approx(0.7),)
    assert yeast.objects.iou == pytest.approx(0.7)
    total = scores.total()
    assert total is not None
    assert (total.objects.objects, total.seconds) == (6, 4.5)
    assert (total.seconds_per_interaction, total.seconds_per_response) == (0.75, 0.375)


def test_objects_fall_into_octaves_of_diameter(scores):
    assert [size_class(d) for d in (7.9, 8, 31, 32, 64, 500)] == [
        SIZE_CLASSES[i] for i in (0, 1, 2, 3, 4, 4)
    ]
    sizes = scores.sizes()
    assert [(one.name, one.objects) for one in sizes] == [
        ("< 8 px", 3),
        ("8-16 px", 2),
        ("16-32 px", 1),
    ]
    assert sizes[0].iou == pytest.approx((1.0 + 0.9 + 0.6) / 3)


def test_objects_that_never_get_there_count_as_one_more_than_there_were():
    objects = [scored(1, 0.5, 0.85, 0.95), scored(2, 0.9, 0.95, 0.97), scored(3, 0.1, 0.2, 0.3)]
    count = count_clicks(objects, 0.8)
    assert count.clicks == pytest.approx((2 + 1 + 4) / 3)
    assert count.reached == pytest.approx(2 / 3)
    assert count_clicks(objects, 0.9).clicks == pytest.approx((3 + 1 + 4) / 3)


def test_sets_count_alike_however_many_objects_they_have(scores):
    mean = scores.mean()
    assert mean is not None
    assert (mean.sets, mean.objects) == (2, 6)
    assert mean.iou == pytest.approx((0.6 + 0.7) / 2)
    assert mean.stack is not None
    assert (mean.stack.sets, mean.stack.iou) == (2, pytest.approx(0.65))
    assert mean.stack.f == pytest.approx((0.15 + 0.175) / 2)


def test_single_images_have_no_figures_through_a_stack():
    image = replace(sequence("one", "images", 0.8), shape=(1, 8, 8))
    mixed = MethodScores(
        "bundled", CLICK, (image, sequence("one", "mixed", 0.6), replace(image, group="mixed"))
    )
    images, both = mixed.sets()
    assert images.stack is None
    assert both.stack is not None
    assert both.stack.iou == pytest.approx(0.6)
    assert both.objects.in_frame.iou == pytest.approx(0.7)
    mean = mixed.mean()
    assert mean is not None
    assert mean.stack is not None
    assert (mean.stack.sets, mean.stack.iou, mean.iou) == (1, pytest.approx(0.6), 0.75)
    lines = [line.split() for line in format_report(report_of(mixed)).splitlines()]
    titles = next(line for line in lines if line[:1] == ["set"])
    row = next(line for line in lines if line[:1] == ["images"])
    assert row.count("-") == 3
    assert titles.index("stack") > titles.index("frame")


def corrected(curve: tuple[float, ...], *clicks: ClickEffect) -> MethodScores:
    one = sequence("one", "nuclei", 0.5)
    score = replace(one.objects[0], in_frame=FrameScore(curve, 0.5, clicks))
    return MethodScores("bundled", THREE, (replace(one, objects=(score, score)),))


def test_clicks_are_counted_by_what_they_did():
    clicks = (
        ClickEffect(True, 0.5, 0.8, False),
        ClickEffect(False, 0.8, 0.797, False),
        ClickEffect(False, 0.8, 0.7, False),
        ClickEffect(False, 0.8, 0.0, True),
    )
    scores = corrected((0.5, 0.8, 0.7), *clicks)
    (nuclei,) = scores.sets()
    found = nuclei.objects.in_frame.corrections
    assert found is not None
    assert (found.clicks, found.background, found.vanished) == (8, 6, 2)
    assert (found.helped, found.harmless) == (0.25, 0.5)
    assert nuclei.objects.in_frame.curve == pytest.approx((0.5, 0.8, 0.7))
    table = format_report(report_of(scores))
    line = next(line for line in table.splitlines() if line.split()[-1:] == ["2"])
    assert line.split() == ["nuclei", "0.500", "0.800", "0.700", "8", "25.0%", "50.0%", "6", "2"]
    content = json.loads(report_to_json(report_of(scores)))
    assert content["methods"][0]["sets"][0]["objects"]["in_frame"]["corrections"] == {
        "clicks": 8,
        "helped": 0.25,
        "harmless": 0.5,
        "background": 6,
        "vanished": 2,
    }


def test_without_corrective_clicks_nothing_is_reported_of_them(scores):
    assert "no harm" not in format_report(report_of(scores))
    content = json.loads(report_to_json(report_of(scores)))
    assert content["methods"][0]["sets"][0]["objects"]["in_frame"]["corrections"] is None


def test_protocols_stand_beside_each_other_by_set(scores):
    side_by_side = [replace(scores, protocol=each) for each in STANDARD_PROTOCOLS]
    report = report_of(*side_by_side)
    lines = format_report(report).splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("set "))
    assert [tuple(line.split()[:2]) for line in lines[start + 1 : start + 7]] == [
        ("nuclei", "click"),
        ("nuclei", "box"),
        ("nuclei", "three"),
        ("yeast", "click"),
        ("yeast", "box"),
        ("yeast", "three"),
    ]
    assert "nuclei/two" not in "\n".join(lines)
    assert "nuclei/two" in format_report(report, per_object=True)
    means = [line.split()[:5] for line in lines if line.startswith("mean over 2 sets")]
    assert means[-3:] == [["mean", "over", "2", "sets", name] for name in ("click", "box", "three")]
    assert "It took 1 min 15 s." in lines
    content = json.loads(report_to_json(report))
    assert [one["protocol"]["name"] for one in content["methods"]] == [
        "click",
        "box",
        "three clicks",
    ]
    assert "prompt" not in content["options"]
    assert content["methods"][0]["mean_over_sets"]["stack"]["sets"] == 2
    assert content["seconds"] == 75


def test_json_holds_every_object_and_the_options(scores):
    content = json.loads(report_to_json(report_of(scores)))
    assert content["options"]["prompt"] == "point"
    assert content["complete"] is True
    (method,) = content["methods"]
    assert method["method"] == "bundled"
    assert method["total"]["objects"]["objects"] == 6
    assert [one["name"] for one in method["sets"]] == ["nuclei", "yeast"]
    assert [one["name"] for one in method["sizes"]] == ["< 8 px", "8-16 px", "16-32 px"]
    first = method["sequences"][0]
    assert first["objects"][1]["iou"] == 0.5
    assert first["objects"][1]["size_class"] == "8-16 px"
    assert first["objects"][0]["clicks_to_90"] == 1
    assert first["objects"][2]["clicks_to_80"] is None
    assert first["iou"] == pytest.approx(0.5)


def test_the_table_lists_sequences_sets_and_on_request_objects(scores):
    report = report_of(scores)
    table = format_report(report)
    assert "nuclei/two" in table
    assert "0.700" in table
    assert "prompt frame" not in table
    assert "method" not in table
    assert "IoU@1" not in table
    detailed = format_report(report, per_object=True)
    assert "prompt frame" in detailed
    assert "yeast/one 2" in detailed
    assert len(detailed.splitlines()) > len(table.splitlines()) + 6


def test_methods_stand_beside_each_other(scores):
    baseline = MethodScores(
        "baseline", CLICK, (sequence("one", "nuclei", 0.3), sequence("one", "yeast", 0.2))
    )
    lines = format_report(report_of(scores, baseline)).splitlines()
    names = [tuple(line.split()[:2]) for line in lines if line]
    at = names.index(("nuclei", "bundled"))
    assert names[at : at + 6] == [
        ("nuclei", "bundled"),
        ("nuclei", "baseline"),
        ("yeast", "bundled"),
        ("yeast", "baseline"),
        ("all", "bundled"),
        ("all", "baseline"),
    ]


def test_with_corrections_the_first_figure_and_the_curve_are_shown():
    scores = MethodScores(
        "bundled",
        PromptProtocol("click, 1 rounds", PromptKind.POINT, rounds=1),
        (sequence("one", "nuclei", 0.8, 0.4, rounds=1),),
    )
    table = format_report(report_of(scores, rounds=1))
    assert "IoU@1" in table
    assert ["nuclei", "0.300", "0.600"] in [line.split() for line in table.splitlines()]


def test_columns_line_up(scores):
    lines = format_report(report_of(scores)).splitlines()[3:7]
    assert {len(line) for line in lines} == {len(lines[0])}


def test_a_stopped_evaluation_says_so():
    stopped = report_of(MethodScores("bundled", CLICK, ()), complete=False)
    assert stopped.total() is None
    assert "No sequence was finished" in format_report(stopped)
    assert json.loads(report_to_json(stopped))["methods"][0]["total"] is None
    one = MethodScores("bundled", CLICK, (sequence("a", "b", 0.5),))
    assert "Stopped early" in format_report(report_of(one, complete=False))
