"""Start, clicks, boxes and propagation in a viewer with real layers; the session is a double."""

from __future__ import annotations

import numpy as np
import pytest
from napari.utils.notifications import notification_manager

from napari_sam2.errors import DeviceError
from napari_sam2.widgets.state import hints
from napari_sam2.widgets.state.positions import OBJECT, POSITIVE


def messages() -> list[str]:
    return [note.message for note in notification_manager.records]


def area(panel, object_id, frame=0) -> int:
    return int((panel.labels[frame] == object_id).sum())


def test_hint_without_an_image_says_what_to_do(make_panel):
    panel = make_panel()
    assert "Open" in panel.hint
    assert not panel.can_start
    assert not panel.prompt_section.isEnabled()
    assert not panel.propagation_section.isEnabled()


def test_start_makes_layers_over_the_image_and_opens_the_session(make_panel, blobs, script):
    panel = make_panel(blobs(), scale=(3, 0.5, 0.5), translate=(1, 2, 3))
    assert "Start" in panel.hint
    panel.start()
    panel.wait_idle()
    image, labels, shapes, points = panel.viewer.layers
    for layer in (labels, shapes, points):
        assert np.allclose(layer.scale, image.scale)
        assert np.allclose(layer.translate, image.translate)
    assert labels.data.shape == image.data.shape
    assert panel.viewer.layers.selection.active is points
    assert points.mode == "add"
    assert len(script.opened) == 1
    assert script.opened[0].source.contrast == ((0, 1000),)
    assert "Click" in panel.hint


def test_click_shows_the_mask_of_its_frame_at_once(started, qtbot):
    redrawn = []
    started.labels_layer.events.set_data.connect(lambda _: redrawn.append(area(started, 1)))
    started.click(0, 8, 8)
    started.wait_idle()
    qtbot.waitUntil(lambda: redrawn[-1:] == [100])
    assert area(started, 1, frame=1) == 0
    assert "Propagate" in started.hint


def test_shift_click_marks_background(started, script):
    started.click(0, 8, 8)
    started.click(0, 30, 30, shift=True)
    started.click(0, 9, 9)
    started.wait_idle()
    assert list(started.points_layer.features[POSITIVE]) == [True, False, True]
    assert [str(s) for s in started.points_layer.symbol] == ["disc", "x", "disc"]
    assert [told[4] for told in script.told if told[0] == "points"][-1][-1] is True


def test_key_t_changes_what_clicks_mark(started):
    started.press("T")
    assert started.clicks_mark_background
    started.click(0, 30, 30)
    started.click(0, 8, 8, shift=True)
    assert list(started.points_layer.features[POSITIVE]) == [False, True]
    started.press("T")
    assert not started.clicks_mark_background


def test_key_n_begins_the_next_object_in_its_own_colour(started):
    started.press("N", started.viewer)
    assert started.current_object == 1, "the first object has no prompts yet"
    started.click(0, 8, 8)
    started.wait_idle()
    started.press("N", started.viewer)
    assert started.current_object == 2
    started.click(0, 25, 30)
    started.wait_idle()
    assert list(started.points_layer.features[OBJECT]) == [1, 2]
    assert np.allclose(
        started.points_layer.face_color[1], started.labels_layer.get_color(2), atol=0.01
    )
    assert not np.allclose(started.points_layer.face_color[0], started.points_layer.face_color[1])
    assert (area(started, 1), area(started, 2)) == (100, 12 * 13)
    assert started.labels_layer.selected_label == 2


def test_object_can_be_chosen_again(started):
    started.click(0, 8, 8)
    started.wait_idle()
    started.next_object()
    started.select_object(1)
    started.click(0, 9, 9)
    assert list(started.points_layer.features[OBJECT]) == [1, 1]


def test_deleting_the_only_point_keeps_the_masks_as_accepted_ones(started):
    started.click(0, 8, 12)
    started.propagate("both")
    started.wait_idle()
    started.delete_point(0)
    started.wait_idle()
    assert [area(started, 1, frame) for frame in range(6)] == [100] * 6
    assert started.accepted == {((), 1, frame) for frame in range(6)}
    assert "kept as accepted" in messages()[-1]
    started.undo()
    started.wait_idle()
    assert len(started.points) == 1
    assert started.accepted == frozenset()
    assert [area(started, 1, frame) for frame in range(6)] == [100] * 6


def test_masks_kept_without_a_prompt_are_open_again_after_a_new_click(started):
    started.click(0, 8, 12)
    started.propagate("both")
    started.wait_idle()
    started.delete_point(0)
    started.wait_idle()
    started.select_object(1)
    started.click(0, 28, 30)
    started.wait_idle()
    assert started.accepted == frozenset()
    started.propagate("both")
    started.wait_idle()
    assert [area(started, 1, frame) for frame in range(6)] == [156] * 6


def test_next_object_brings_the_last_tool_back(started):
    started.choose_tool("boxes")
    started.viewer.layers.selection.active = started.image_layer
    assert started.tool is None
    started.press("N", started.viewer)
    assert started.tool == "boxes"
    started.choose_tool("eraser")
    started.next_object()
    assert started.tool == "brush"


def test_deleting_a_point_deletes_its_mask(started):
    started.click(0, 8, 8)
    started.wait_idle()
    started.delete_point(0)
    started.wait_idle()
    assert not started.labels.any()
    assert "Click" in started.hint


def test_moving_a_point_moves_its_mask(started, script):
    started.click(0, 8, 8)
    started.wait_idle()
    started.move_point(0, 0, 25, 30)
    started.wait_idle()
    assert script.told[-1][0] == "set"
    assert area(started, 1) == 12 * 13


def test_drawn_rectangle_is_a_box(started, script):
    started.choose_tool("boxes")
    assert started.viewer.layers.selection.active is started.shapes_layer
    started.draw_box((0, 4, 4), (0, 16, 16))
    started.wait_idle()
    boxes = [told for told in script.told if told[0] == "box"]
    assert boxes == [("box", 1, 0, (4.0, 4.0, 16.0, 16.0))], "one, when it was finished"
    assert area(started, 1) == 100
    assert np.allclose(
        started.shapes_layer.edge_color[0], started.labels_layer.get_color(1), atol=0.01
    )


def test_scribble_gives_points_along_it(started, script):
    started.scribble((0, 10, 7), (0, 10, 9), (0, 10, 11), (0, 10, 14))
    started.wait_idle()
    assert script.told[-1] == ("points", 1, 0, ((10.0, 8.75), (10.0, 12.25)), (True, True))
    assert area(started, 1) == 100


def test_hint_says_that_a_mark_outside_is_ignored(started, script):
    started.click(0, -8, 8)
    started.wait_idle()
    assert "ignored" in started.hint
    assert [told for told in script.told if told[0] == "points"] == []


def test_rapid_clicks_are_processed_together(started, script):
    script.gate.clear()
    for x in range(5, 13):
        started.click(0, 8, x)
        started.send_prompts()
    script.gate.set()
    started.wait_idle()
    assert len([told for told in script.told if told[0] == "points"]) <= 3
    assert area(started, 1) == 100


@pytest.mark.parametrize(
    ("name", "frames"),
    [("forward", {2, 3, 4, 5}), ("backward", {0, 1, 2}), ("both", {0, 1, 2, 3, 4, 5})],
)
def test_propagation_fills_the_frames_of_its_direction(started, name, frames):
    started.viewer.dims.set_current_step(0, 2)
    started.click(2, 8, 10)
    started.wait_idle()
    started.propagate(name)
    assert started.running
    started.wait_idle()
    assert {f for f in range(6) if area(started, 1, f)} == frames
    assert f"Done: {len(frames)} frames" in started.hint


def test_frames_stream_into_the_layer_in_view(started, script, qtbot):
    started.click(0, 8, 8)
    started.wait_idle()
    started.viewer.dims.set_current_step(0, 3)
    qtbot.wait(100)
    shown = []
    started.labels_layer.events.set_data.connect(lambda _: shown.append(area(started, 1, 3)))
    script.seconds = 0.05
    started.propagate("forward")
    qtbot.waitUntil(lambda: shown[-1:] == [100], timeout=5000)
    assert started.running, "it was shown before the run was over"
    started.wait_idle()


def test_only_the_frame_in_view_is_redrawn(started, qtbot):
    started.click(0, 8, 8)
    started.wait_idle()
    qtbot.wait(100)
    redrawn = []
    started.labels_layer.events.set_data.connect(lambda _: redrawn.append(1))
    started.propagate("forward")
    started.wait_idle()
    qtbot.wait(100)
    assert len(redrawn) == 1, "at the end: frame 0 was as it should be"


def test_progress_is_shown_in_the_panel(started, script, qtbot):
    started.click(0, 8, 8)
    started.wait_idle()
    script.seconds = 0.1
    started.propagate("both")
    qtbot.waitUntil(lambda: started.frames_done >= 2)
    assert started.frames_to_do == 6
    started.wait_idle()
    assert not started.shows_progress


def test_cancel_keeps_what_is_done(started, script, qtbot):
    started.click(0, 8, 8)
    started.wait_idle()
    script.seconds = 0.1
    started.propagate("forward")
    qtbot.waitUntil(lambda: started.frames_done >= 2)
    started.cancel()
    started.wait_idle()
    assert area(started, 1, 1) == 100
    assert area(started, 1, 5) == 0
    assert "Cancelled" in started.hint


def test_propagate_without_prompts_asks_for_one(started, script):
    started.propagate("both")
    assert not started.running
    assert "Click" in started.hint


def test_click_during_a_run_is_answered_before_its_end(started, script, qtbot):
    started.click(0, 8, 8)
    started.wait_idle()
    script.seconds = 0.1
    started.propagate("forward")
    qtbot.waitUntil(lambda: started.frames_done >= 1)
    started.next_object()
    started.click(0, 25, 30)
    qtbot.waitUntil(lambda: area(started, 2) > 0, timeout=5000)
    assert started.running
    started.wait_idle()


def test_error_notification_says_what_to_do(started, script):
    script.fault = lambda step: (
        DeviceError("The GPU is gone.", safe="Labels are kept.", remedy="Choose cpu.")
        if step == "points"
        else None
    )
    started.click(0, 8, 8)
    started.wait_idle()
    assert messages()[-1] == "The GPU is gone. Labels are kept. Choose cpu."


def test_after_a_bug_in_a_run_the_panel_is_ready_again(started, script):
    started.click(0, 8, 8)
    started.wait_idle()
    script.fault = lambda step: KeyError("oops") if step == "frame" else None
    started.propagate("both")
    started.wait_idle()
    assert "oops" in messages()[-1]
    assert started.can_propagate
    script.fault = lambda _: None
    started.propagate("both")
    started.wait_idle()
    assert area(started, 1, 3) == 100


def test_contrast_is_fixed_until_the_restart(started, script):
    started.viewer.layers[0].contrast_limits = (0, 500)
    started.click(0, 8, 8)
    started.wait_idle()
    assert {spec.source.contrast for spec in script.opened} == {((0, 1000),)}
    started.start()
    started.wait_idle()
    assert script.opened[-1].source.contrast == ((0, 500),)
    assert len(started.viewer.layers) == 4, "the layers are taken up again"
    assert area(started, 1) == 100


def test_another_device_gets_all_prompts_again(started, script):
    started.click(0, 8, 8)
    started.wait_idle()
    started.choose_device("cpu")
    started.wait_idle()
    assert script.opened[-1].use.device == "cpu"
    assert script.told[-1][:3] == ("points", 1, 0)


def test_answers_of_a_closed_session_are_dropped(started, script, qtbot):
    started.click(0, 8, 8)
    started.wait_idle()
    script.seconds = 0.1
    started.propagate("both")
    qtbot.waitUntil(lambda: started.frames_done >= 1)
    started.choose_device("cpu")
    assert not started.running
    started.wait_idle()
    assert started.can_propagate
    assert "frames" not in started.hint.split("Propagate")[0]


def test_4d_labels_land_at_the_other_sliders(make_panel, blobs, script):
    panel = make_panel(
        blobs((3, 6, 40, 50)),
        scale=(1, 4, 0.5, 0.5),
        translate=(0, -8, 100, 0),
        axis_labels=("t", "z", "y", "x"),
    )
    assert panel.chosen_axis == 0, "time is the video"
    panel.choose_axis(1)
    panel.viewer.dims.set_current_step(0, 2)
    panel.viewer.dims.set_current_step(1, 3)
    panel.start()
    panel.wait_idle()
    panel.click(2, 3, 8, 10)
    panel.wait_idle()
    panel.propagate("both")
    panel.wait_idle()
    filled = (panel.labels == 1).sum(axis=(2, 3))
    assert filled.tolist() == [[0] * 6, [0] * 6, [100] * 6]
    assert script.opened[-1].at == ((0, 2),)
    panel.viewer.dims.set_current_step(0, 1)
    assert "Click" in panel.hint, "nothing is prompted at this time point"
    panel.click(1, 3, 8, 10)
    panel.wait_idle()
    assert (panel.labels[1] == 1).sum(axis=(1, 2)).tolist() == [0, 0, 0, 100, 0, 0]
    assert (panel.labels[2] == 1).sum(axis=(1, 2)).tolist() == [100] * 6


def test_click_segments_a_single_image(make_panel, blobs):
    panel = make_panel(blobs((40, 50)))
    assert not panel.can_choose_axis
    panel.start()
    panel.wait_idle()
    panel.click(8, 8)
    panel.wait_idle()
    assert (panel.labels == 1).sum() == 100


def test_click_segments_an_rgb_stack(make_panel, blobs, script):
    grey = (blobs() > 0).astype(np.uint8) * 255
    panel = make_panel()
    viewer = panel.viewer
    viewer.add_image(np.stack([grey] * 3, axis=-1), rgb=True)
    panel.start()
    panel.wait_idle()
    viewer.dims.set_current_step(0, 0)
    panel.click(0, 8, 8)
    panel.wait_idle()
    assert area(panel, 1) == 100
    sight = script.opened[0].source
    assert (sight.channel_axis, sight.contrast) == (3, None)


def test_another_axis_starts_again(started, script, blobs):
    viewer = started.viewer
    viewer.add_image(blobs((2, 6, 40, 50)), name="4d", contrast_limits=(0, 1000))
    assert started.image_layer.name == "blobs", "work goes on undisturbed"
    started.choose_image(viewer.layers["4d"])
    assert not started.started
    started.start()
    started.wait_idle()
    before = started.chosen_axis
    started.choose_axis(1 - before)
    started.wait_idle()
    assert started.axis == 1 - before
    assert script.opened[-1].axis == 1 - before


CHANGES = {
    "scale": (2, 0.5, 0.5),
    "translate": (3, 20, 10),
    "rotate": 20,
    "shear": (0.1, 0, 0.2),
    "affine": np.array([[1, 0, 0, 3], [0, 0.9, 0.2, 1], [0, -0.2, 0.9, 2], [0, 0, 0, 1]]),
    "units": ("um", "um", "um"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_layers_follow_an_image_that_is_moved_after_start(started, script, name):
    started.click(0, 8, 8)
    started.wait_idle()
    setattr(started.image_layer, name, CHANGES[name])
    started.wait_idle()
    corner = (5, 39, 49)
    for layer in (started.labels_layer, started.points_layer, started.shapes_layer):
        assert layer.units == started.image_layer.units
        placed, wanted = layer.data_to_world(corner), started.image_layer.data_to_world(corner)
        if name == "shear":  # of slices, which napari draws without: see the test below
            placed, wanted = placed[1:], np.asarray(wanted[1:])
        assert np.allclose(placed, wanted)
    before = started.prompts.at(())
    started.next_object()
    started.click(0, 28, 30)
    started.wait_idle()
    assert area(started, 1) == 100
    assert area(started, 2) == 156
    assert started.prompts.at(())[0].prompt == before[0].prompt


def tilted(element: float) -> np.ndarray:
    affine = np.eye(4)
    affine[0, 1], affine[1, 0] = element, -element
    return affine


def slice_shown(layer) -> float:
    """The slice that napari has cut out of a layer, as it computes it itself."""
    return float(layer._slice_input.data_slice(layer._data_to_world.inverse).point[0])


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
@pytest.mark.parametrize(
    "place",
    [
        {"affine": tilted(0.05)},
        {"affine": tilted(0.36), "scale": (2, 0.5, 0.5)},
        {"shear": (0.2, 0.1, 0.0)},
        {"rotate": (20, 10, 5), "translate": (3, -7, 2)},
    ],
)
def test_frame_of_a_tilted_image_is_the_slice_that_napari_shows(make_panel, blobs, place):
    notification_manager.records.clear()
    panel = make_panel(blobs(), **place)
    panel.start()
    panel.wait_idle()
    assert [text for text in messages() if "turned" in text] == []
    image = panel.image_layer
    for wanted in (4, 1, 3):
        panel.go_to(wanted)
        assert panel.frame == round(slice_shown(image)) == wanted
        for layer in (panel.labels_layer, panel.points_layer, panel.shapes_layer):
            assert slice_shown(layer) == pytest.approx(slice_shown(image), abs=1e-6)
    # What is drawn under the mouse: rows and columns transformed for themselves.
    matrix, start = image._data_to_world.linear_matrix, image._data_to_world.translate
    under = matrix[1:, 1:] @ (27, 32) + start[1:]
    panel.drag(panel.points_layer, (panel.viewer.dims.point[0], *under))
    panel.wait_idle()
    assert np.allclose(panel.points, [(3, 27, 32)], atol=1e-6)
    assert np.unique(panel.labels.nonzero()[0]).tolist() == [3]


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
def test_layers_over_a_tilted_image_lie_on_it_in_3d_and_after_the_end(make_panel, blobs):
    panel = make_panel(blobs(), affine=tilted(0.2))
    panel.start()
    panel.wait_idle()
    image, points, corner = panel.image_layer, panel.points_layer, (5, 39, 49)

    def lies_on_it() -> bool:
        return np.allclose(points.data_to_world(corner), image.data_to_world(corner))

    assert not lies_on_it(), "2D slices are drawn without the tilt"
    panel.viewer.dims.ndisplay = 3
    assert lies_on_it()
    panel.viewer.dims.ndisplay = 2
    assert not lies_on_it()
    panel.leave()
    assert lies_on_it()


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
def test_start_says_where_sliders_move_through_no_slices(make_panel, blobs):
    turned = np.eye(4)
    turned[:2, :2] = [[0, 1], [1, 0]]
    notification_manager.records.clear()
    panel = make_panel(blobs(), affine=turned)
    panel.start()
    panel.wait_idle()
    assert [text for text in messages() if "turned out of the plane" in text]


def test_layers_in_several_units_work_as_napari_draws_them(make_panel, blobs):
    scale = (2000, 500, 500)
    panel = make_panel(blobs(), scale=scale, units=("nm", "nm", "nm"))
    wide = panel.viewer.add_image(
        np.zeros((6, 4, 5), np.uint8), scale=(2, 5, 5), units=("um", "um", "um"), name="wide"
    )
    panel.choose_image(panel.viewer.layers["blobs"])
    panel.start()
    panel.wait_idle()
    world = panel.viewer.layers.extent.units or panel.image_layer.units
    factor = (1 * panel.image_layer.units[0]).to(world[0]).magnitude
    panel.go_to(3)
    assert panel.frame == 3
    panel.drag(panel.points_layer, tuple(factor * np.array(scale) * (3, 27, 28)))
    panel.wait_idle()
    assert np.allclose(panel.points, [(3, 27, 28)])
    assert area(panel, 1, 3) > 0
    # The other way round: the image is in the larger units.
    panel.choose_image(wide)
    panel.start()
    panel.wait_idle()
    panel.go_to(2)
    assert panel.frame == 2
    large = (1 * panel.image_layer.units[0]).to(world[0]).magnitude
    panel.drag(panel.points_layer, tuple(large * np.array((2, 5, 5)) * (2, 1, 3)))
    panel.wait_idle()
    assert np.allclose(panel.points, [(2, 1, 3)])


def test_rolled_view_is_said_to_show_no_frames_and_takes_no_clicks(started):
    notification_manager.records.clear()
    started.viewer.dims.roll()
    assert "no frames" in started.hint
    started.drag(started.points_layer, (1, 8, 8))
    started.wait_idle()
    assert len(started.points) == 0
    assert any("no frames" in text for text in messages())
    started.viewer.dims.order = (0, 2, 1)
    assert started.hint == hints.CLICK, "rows and columns are exchanged only"
    started.click(0, 8, 8)
    started.wait_idle()
    assert area(started, 1) == 100


def test_new_contrast_limits_are_said_and_offered(started, script):
    assert not started.offers_contrast
    started.click(0, 8, 8)
    started.wait_idle()
    before = started.image_layer.contrast_limits
    started.image_layer.contrast_limits = (0, 700)
    assert started.hint.endswith(hints.CONTRAST_CHANGED)
    assert started.offers_contrast
    started.image_layer.contrast_limits = before
    assert not started.hint.endswith(hints.CONTRAST_CHANGED)
    started.image_layer.contrast_limits = (0, 700)
    started.take_contrast()
    started.wait_idle()
    assert script.opened[-1].source.contrast == ((0, 700),)
    assert not started.offers_contrast
    assert area(started, 1) == 100


def test_contrast_that_hides_nearly_everything_is_named(make_panel, blobs):
    panel = make_panel(blobs() + np.arange(50, dtype=np.uint16))
    panel.chosen_image.contrast_limits = (0, 60_000)
    panel.start()
    panel.wait_idle()
    panel.click(0, 8, 8)
    panel.wait_idle()
    assert panel.hint == hints.CONTRAST_HIDES
    panel.image_layer.contrast_limits = (0, 1000)
    panel.take_contrast()
    panel.wait_idle()
    panel.click(0, 9, 9)
    panel.wait_idle()
    assert "black or white" not in panel.hint
