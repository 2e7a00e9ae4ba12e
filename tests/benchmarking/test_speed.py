"""A benchmark measures what it says and reports it in both forms."""

from __future__ import annotations

import json

import pytest

from napari_sam2.benchmarking import Workload, format_report, measure_model, report_to_json


@pytest.fixture(scope="module")
def report(model):
    return measure_model(model, Workload(frames=3, frame_size=64), (1, 3))


def test_every_figure_is_there(report):
    assert [speed.objects for speed in report.speeds] == [1, 3]
    for speed in report.speeds:
        assert min(speed.first_mask, speed.next_click, speed.frame, speed.correction) > 0
        assert [cost.stage for cost in speed.stages] == ["encode", "attend", "decode", "remember"]
        assert all(cost.seconds > 0 and cost.flops > 0 for cost in speed.stages)


def test_objects_share_one_encoding_and_cost_the_rest_each(report):
    one, three = ({c.stage: c.flops for c in speed.stages} for speed in report.speeds)
    assert three["encode"] == one["encode"]
    assert 2 * one["attend"] < three["attend"] < 3 * one["attend"], "part of it is shared too"
    assert three["decode"] > 2 * one["decode"]


def test_report_as_table_and_json(report):
    content = json.loads(report_to_json(report))
    assert content["speeds"][1]["objects"] == 3
    assert content["image_size"] == 64
    lines = format_report(report).splitlines()
    assert lines[0].startswith("small on cpu")
    assert sum("attend" in line for line in lines) == 2
    assert all(line.rstrip().endswith("%") for line in lines if "attend" in line)
