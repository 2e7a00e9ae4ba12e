"""Marks with values that name no object are ignored one by one; all others count."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_sam2.widgets.state.positions import OBJECT, POSITIVE


@pytest.mark.parametrize("value", [np.nan, None, pd.NA, "cell", np.inf, 2.5, -1, 0, 10**400])
def test_a_point_of_no_object_is_ignored_and_the_others_work(started, script, value):
    started.click(0, 8, 8)
    started.wait_idle()
    features = started.points_layer.features.copy()
    features[OBJECT] = pd.Series([value], dtype=object)
    started.points_layer.features = features
    started.wait_idle()
    assert "1 mark is ignored" in started.hint
    assert not started.prompted_objects
    started.next_object()
    started.click(0, 28, 30)
    started.wait_idle()
    started.click(0, 28, 31)
    started.wait_idle()
    assert len(started.prompted_objects) == 1
    assert (started.labels[0] == started.current_object).sum() == 156


@pytest.mark.parametrize("gone", [OBJECT, POSITIVE])
def test_a_missing_feature_does_not_stop_the_panel(started, gone):
    started.click(0, 8, 8)
    started.draw_box((0, 4, 4), (0, 16, 16))
    started.wait_idle()
    for layer in (started.points_layer, started.shapes_layer):
        layer.features = layer.features.drop(columns=[gone])
    started.wait_idle()
    started.choose_tool("points")
    started.select_object(2)
    started.click(0, 28, 30)
    started.wait_idle()
    assert 2 in started.prompted_objects
    assert (1 in started.prompted_objects) == (gone == POSITIVE)


def test_numbers_and_words_that_can_be_read_count(started):
    started.click(0, 8, 8)
    started.click(0, 30, 5, shift=True)
    started.wait_idle()
    features = started.points_layer.features.copy()
    features[OBJECT], features[POSITIVE] = ["3", 3.0], ["yes", "false"]
    started.points_layer.features = features
    started.wait_idle()
    (placed,) = started.prompts.at(())
    assert (placed.object_id, placed.prompt.positive) == (3, (True, False))


def test_a_value_that_is_changed_in_place_is_noticed_with_the_next_prompt(started):
    started.click(0, 8, 8)
    started.wait_idle()
    features = started.points_layer.features
    features[OBJECT] = features[OBJECT].astype(float)
    features.loc[0, OBJECT] = np.nan
    started.select_object(2)
    started.click(0, 28, 30)
    started.wait_idle()
    assert started.prompted_objects == {2}
    assert "1 mark is ignored" in started.hint


def test_a_point_at_no_number_is_ignored(started):
    started.add_point(np.nan, 8, 8)
    started.wait_idle()
    assert "1 mark is ignored" in started.hint
    started.click(0, 8, 8)
    started.wait_idle()
    assert started.prompted_objects == {1}
