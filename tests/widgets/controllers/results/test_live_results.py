"""Tracks layer, features table and plot that follow the labels."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from napari.layers import Tracks
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QPointF, Qt
from qtpy.QtGui import QMouseEvent

from napari_sam2.labels.rendering.colours import colours_of
from napari_sam2.measure import Review
from napari_sam2.widgets.worker import live_results


@pytest.fixture
def tracked(make_panel, blobs):
    """Two squares that were propagated through six frames of 30 s and pixels of 0.5 µm."""
    panel = make_panel(
        blobs(), axis_labels=("t", "y", "x"), scale=(30, 0.5, 0.5), units=("s", "µm", "µm")
    )
    panel.viewer.dims.set_current_step(0, 0)
    panel.start()
    panel.click(0, 8, 12, object_id=1)
    panel.wait_idle()
    panel.click(0, 28, 30, object_id=2)
    panel.wait_idle()
    panel.propagate()
    panel.wait_idle()
    return panel


def tracks_layers(panel) -> list[Tracks]:
    return [layer for layer in panel.viewer.layers if isinstance(layer, Tracks)]


def test_tracks_layer_lies_on_the_objects_in_their_colours(tracked):
    tracked.select_object(2)
    active = tracked.viewer.layers.selection.active
    tracked.tick_tracks()
    tracked.wait_idle()
    (layer,) = tracks_layers(tracked)
    assert len(layer.data) == 12
    for number, *position in layer.data:
        assert tracked.labels[tuple(np.rint(position).astype(int))] == number
    assert tuple(layer.scale) == tuple(tracked.image_layer.scale)
    assert layer.units == tracked.image_layer.units
    ids = layer.data[:, 0].astype(int)
    np.testing.assert_allclose(layer.track_colors[:, :3], colours_of(ids), atol=1e-6)
    assert {"area", "speed", "generation"} <= set(layer.features.columns)
    assert tracked.viewer.layers.selection.active is active
    order = list(tracked.viewer.layers)
    assert order.index(layer) < order.index(tracked.points_layer)


def test_tracks_layer_and_table_follow_a_change(tracked):
    tracked.tick_tracks()
    tracked.tick_measuring()
    tracked.wait_idle()
    (layer,) = tracks_layers(tracked)
    tracked.delete(1)
    tracked.wait_idle()
    assert set(layer.data[:, 0]) == {2}
    assert tracked.labels_layer.features["index"].tolist() == [2]
    tracked.undo()
    tracked.wait_idle()
    assert set(layer.data[:, 0]) == {1, 2}
    assert tracked.labels_layer.features["index"].tolist() == [1, 2]


def test_unticking_or_removing_takes_the_tracks_away(tracked):
    tracked.tick_tracks()
    tracked.wait_idle()
    tracked.tick_tracks(False)
    assert tracks_layers(tracked) == []
    tracked.tick_tracks()
    tracked.wait_idle()
    tracked.viewer.layers.remove(tracks_layers(tracked)[0])
    tracked.click(0, 9, 12, object_id=1)
    tracked.wait_idle()
    assert tracks_layers(tracked) == []
    assert not tracked.results_section.tracks.isChecked()


def test_restart_goes_on_in_the_same_tracks_layer(tracked):
    tracked.tick_tracks()
    tracked.wait_idle()
    (layer,) = tracks_layers(tracked)
    tracked.start()
    tracked.wait_idle()
    tracked.delete(1)
    tracked.wait_idle()
    assert tracks_layers(tracked) == [layer]
    assert set(layer.data[:, 0]) == {2}


def test_features_are_those_of_the_frame_in_view(tracked):
    tracked.tick_measuring()
    tracked.wait_idle()
    features = tracked.labels_layer.features
    assert features["index"].tolist() == [1, 2]
    assert features["area"].tolist() == [25, 39]
    assert features["frame"].tolist() == [0, 0]
    tracked.go_to(3)
    features = tracked.labels_layer.features
    assert features["frame"].tolist() == [3, 3]
    assert features["time"].tolist() == [90, 90]
    status = tracked.labels_layer.get_status(
        tracked.image_layer.data_to_world((3, 8, 12)), world=True
    )
    assert "area: 25" in status["value"]
    tracked.tick_measuring(False)
    assert tracked.labels_layer.features.empty


def test_plot_shows_the_selected_objects_and_goes_to_a_frame(tracked):
    tracked.tick_measuring()
    tracked.wait_idle()
    tracked.select_rows(0, 1)
    plot = tracked.results_section.plot
    assert plot.title == "area (µm^2)"
    assert [line.object_id for line in plot.lines] == [1, 2]
    assert plot.lines[0].values.tolist() == [25] * 6
    tracked.select_rows(1)
    tracked.choose_plotted_column("centroid-1")
    (line,) = plot.lines
    assert line.values.tolist() == pytest.approx([15.5 - 0.5 * i - 0.25 + 0.25 for i in range(6)])
    plot.resize(300, plot.height())
    assert plot.frame_text == "frame 0 / 5", "as beside the slider of napari"
    spot = QPointF(plot.x_of(4), 50)
    kind, left = QMouseEvent.Type.MouseButtonPress, Qt.MouseButton.LeftButton
    plot.mousePressEvent(QMouseEvent(kind, spot, spot, left, left, Qt.KeyboardModifier.NoModifier))
    assert tracked.frame == 4
    assert not plot.grab().isNull()


def test_everything_is_computed_off_the_main_thread(tracked, monkeypatch):
    threads = []
    for name in ("tracks_of", "Measurements"):
        real = getattr(live_results, name)

        def noted(*values, real=real, **options):
            threads.append(threading.current_thread())
            return real(*values, **options)

        monkeypatch.setattr(live_results, name, noted)
    tracked.tick_tracks()
    tracked.tick_measuring()
    tracked.wait_idle()
    assert len(threads) >= 2
    assert threading.main_thread() not in threads


def test_tracks_of_volumes_go_through_all_axes(make_panel, blobs):
    panel = make_panel(blobs((2, 3, 40, 50)), axis_labels=("t", "z", "y", "x"))
    panel.start()
    panel.wait_idle()
    panel.labels_layer.data[:, 1, 5:15, 5:15] = 7
    panel.tick_tracks()
    panel.tick_measuring()
    panel.wait_idle()
    (layer,) = tracks_layers(panel)
    assert layer.data.tolist() == [[7, 0, 1, 9.5, 9.5], [7, 1, 1, 9.5, 9.5]]
    assert panel.labels_layer.features["num_pixels"].tolist() == [100]


def test_volumes_of_one_channel_follow_their_labels(make_panel, blobs):
    panel = make_panel(blobs((2, 2, 3, 40, 50)), axis_labels=("t", "c", "z", "y", "x"))
    panel.start()
    panel.wait_idle()
    panel.labels_layer.data[:, 0, :, 5:15, 5:15] = 7
    panel.tick_tracks()
    panel.tick_measuring()
    panel.wait_idle()
    features = panel.labels_layer.features
    assert features["num_pixels"].tolist() == [300]
    assert tracks_layers(panel) == []
    assert "up to four axes" in notification_manager.records[-1].message
    panel.labels_layer.data[:, 0, :, 5:15, 5:10] = 0
    panel.click(0, 0, 0, 28, 30, object_id=2)
    panel.wait_idle()
    changed = panel.labels_layer.features.set_index("index")["num_pixels"]
    assert changed[7] == 150
    assert panel.results_section.plot.title


def test_closing_leaves_the_tracks_and_no_thread(tracked, our_threads, qtbot):
    tracked.tick_tracks()
    tracked.wait_idle()
    tracked.close()
    qtbot.waitUntil(lambda: not our_threads(), timeout=10_000)
    assert len(tracks_layers(tracked)) == 1


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
def test_tracks_follow_the_labels_when_image_or_view_changes(tracked):
    tracked.tick_tracks()
    tracked.wait_idle()
    (layer,) = tracks_layers(tracked)
    place = (3.0, 10.0, 20.0)

    def lies_on_labels() -> bool:
        return np.allclose(layer.data_to_world(place), tracked.labels_layer.data_to_world(place))

    tracked.image_layer.scale = (30, 0.25, 0.25)
    tracked.image_layer.translate = (0, 4, 5)
    assert np.allclose(layer.scale, (30, 0.25, 0.25))
    assert lies_on_labels()
    affine = np.eye(4)
    affine[0, 1], affine[1, 0] = 0.05, -0.05
    tracked.image_layer.affine = affine
    assert lies_on_labels(), "2D slices are drawn without the tilt"
    flat = np.asarray(layer.data_to_world(place))
    tracked.viewer.dims.ndisplay = 3
    assert lies_on_labels()
    assert not np.allclose(layer.data_to_world(place), flat), "it is tilted in 3D"
    tracked.viewer.dims.ndisplay = 2
    assert np.allclose(layer.data_to_world(place), flat)


def test_scores_are_reviewed_outside_of_the_main_thread(tracked, monkeypatch):
    real, threads = Review.of, []

    def review(*known):
        threads.append(threading.current_thread())
        return real(*known)

    monkeypatch.setattr(Review, "of", review)
    tracked.tick_measuring()
    tracked.wait_idle()
    assert threads
    assert threading.main_thread() not in threads
    assert tracked.labels_layer.features["score"].notna().all()


def test_each_selected_object_has_its_own_line_in_the_plot(tracked):
    tracked.tick_measuring()
    tracked.wait_idle()
    tracked.select_rows(0, 1)
    first, second = tracked.results_section.plot.lines
    assert (first.object_id, second.object_id) == (1, 2)
    assert first.frames.tolist() == second.frames.tolist() == list(range(6))
