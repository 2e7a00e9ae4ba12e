"""The panel's fields: magicgui widgets that scripts can set, and one frozen value of all."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from magicgui.widgets import Container
from napari.layers import Image
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QLineEdit, QSpinBox, QVBoxLayout, QWidget

from napari_sam2.types import Direction, Speed, StackKind
from napari_sam2.widgets.stack_panel import Wiring
from napari_sam2.widgets.state.panel_settings import PanelSettings
from napari_sam2.widgets.state.session_spec import RunPlan, Through
from napari_sam2.widgets.state.settings import ModelUse
from napari_sam2.widgets.views.fields import Choice, PanelFields
from napari_sam2.widgets.worker.model_fetcher import Sources

SHAPE = (2, 3, 6, 40, 50)


@pytest.fixture
def panel(make_panel, blobs, script, sources, qtbot):
    """A panel on an image with channels, volumes over time, another image and labels."""
    devices = Sources(sources.entries, lambda: ("cuda", "cpu"), sources.fetch)
    image = np.stack([np.stack([blobs()] * SHAPE[1])] * SHAPE[0])
    panel = make_panel(image, wiring=Wiring(script.open, devices))
    other = panel.viewer.add_image(image, name="other")
    panel.choose_image(panel.viewer.layers["blobs"])
    panel.viewer.add_labels(np.zeros(SHAPE, int), name="cells")
    panel.viewer.add_labels(np.zeros(SHAPE, int), name="more cells")
    panel.start()
    panel.wait_idle()
    assert panel.settings.image.value is not other
    qtbot.waitUntil(lambda: len(panel.devices_offered) == 3)
    return panel


VALUES = {
    "image": lambda panel: panel.viewer.layers["other"],
    "axis": lambda panel: 1,
    "kind": lambda panel: StackKind.Z_STACK,
    "channel_axis": lambda panel: 1,
    "channel": lambda panel: 2,
    "channel_2": lambda panel: panel.viewer.layers["other"],
    "channel_3": lambda panel: panel.viewer.layers["third"],
    "part": lambda panel: "rectangle",
    "compute_on": lambda panel: "server",
    "server": lambda panel: "http://127.0.0.1:1528",
    "token": lambda panel: "of-the-server",
    "model": lambda panel: "sam2.1-tiny",
    "device": lambda panel: "cuda",
    "precision": lambda panel: "float32",
    "speed": lambda panel: Speed.BALANCED,
    "object_id": lambda panel: 7,
    "every_click": lambda panel: True,
    "in_view": lambda panel: True,
    "min_size": lambda panel: 50,
    "look_again": lambda panel: 5,
    "max_size": lambda panel: 5000,
    "similarity": lambda panel: 0.25,
    "labels_layer": lambda panel: panel.viewer.layers["cells"],
    "then": lambda panel: Through(0, 1),
    "first": lambda panel: 2,
    "last": lambda panel: 3,
    "only_current": lambda panel: True,
    "recompute": lambda panel: True,
    "minutes": lambda panel: 4.5,
    "autosave": lambda panel: False,
}


def prepare(panel, name: str) -> None:
    """Bring the panel to where a field can be set."""
    if name == "channel":
        panel.settings.channel_axis.value = 1
    if name == "channel_3":
        image = panel.viewer.layers["blobs"]
        panel.viewer.add_image(image.data, name="third")
        panel.settings.image.value = image
        panel.settings.channel_2.value = panel.viewer.layers["other"]


# What one of them offers depends on the others: each is set in a panel of its own.
OF_THE_IMAGE = ("image", "axis", "channel_axis", "channel", "channel_2", "channel_3", "part")
OTHERS = [field.name for field in fields(PanelSettings) if field.name not in OF_THE_IMAGE]


@pytest.mark.parametrize("names", [[name] for name in OF_THE_IMAGE] + [OTHERS])
def test_script_sets_a_value_that_is_announced_once_and_part_of_the_frozen_value(panel, names):
    for name in names:
        prepare(panel, name)
        field, value, told = panel.settings[name], VALUES[name](panel), []
        assert field.value != value
        before = panel.settings.value
        assert getattr(before, name) == field.value
        field.changed.connect(told.append)
        field.value = value
        assert told == [value]
        assert field.value == value
        assert getattr(panel.settings.value, name) == value
        assert getattr(before, name) != value, "it is frozen"
        field.value = getattr(before, name)  # the next one finds the panel as it was


def test_script_value_reaches_the_work(panel, script):
    panel.settings.image.value = panel.viewer.layers["other"]
    panel.settings.axis.value = 1
    panel.settings.device.value, panel.settings.speed.value = "cpu", Speed.FASTEST
    panel.settings.channel_axis.value = 0
    panel.start()
    panel.wait_idle()
    spec = script.opened[-1]
    assert panel.image_layer is panel.viewer.layers["other"]
    assert panel.axis == 1
    assert spec.use == ModelUse("bundled", "cpu", "auto", Speed.FASTEST) == panel.settings.value.use
    assert spec.source.picked == (0, 1)


def test_value_that_is_no_choice_is_refused(panel):
    for name, value in (("axis", 3), ("model", "sam9"), ("device", "mps"), ("first", 6)):
        with pytest.raises(ValueError, match=str(value)):
            panel.settings[name].value = value
    with pytest.raises(AttributeError, match="value"):
        panel.settings.model = "sam2.1-tiny"


def test_models_and_devices_can_be_set_before_they_are_listed(
    make_panel, script, sources, qtbot, tmp_path
):
    panel = make_panel(wiring=Wiring(script.open, sources))
    panel.settings.model.value = str(tmp_path / "mine.safetensors")
    panel.settings.model.value = "sam2.1-tiny"
    panel.settings.device.value = "cuda"
    assert panel.settings.value.use == ModelUse("sam2.1-tiny", "cuda")
    qtbot.waitUntil(lambda: panel.devices_offered == ["automatic", "processor (cpu)"])
    assert panel.settings.value.use == panel.model_use == ModelUse("sam2.1-tiny")


def test_checkpoints_of_one_name_are_told_apart(panel, tmp_path):
    paths = [str(tmp_path / folder / "mine.safetensors") for folder in ("a", "b")]
    for path in paths:
        panel.settings.model.value = path
        assert panel.model_use.model == path
    assert {*paths} <= {*panel.settings.model.choices}


def test_fields_are_a_container_that_announces_every_change(panel):
    told = []
    panel.settings.changed.connect(told.append)
    assert isinstance(panel.settings, Container)
    assert {field.name for field in panel.settings} == {f.name for f in fields(PanelSettings)}
    panel.settings.recompute.value = True
    assert told == [panel.settings]


def test_image_field_follows_the_layers(panel):
    field, told = panel.settings.image, []
    assert field.annotation is Image
    field.changed.connect(told.append)
    image = field.value
    image.name = "renamed"
    panel.widget.reset_choices()
    assert field.value is image
    assert told == [], "it is the same layer"
    panel.viewer.layers.remove(image)
    panel.widget.reset_choices()
    assert field.value is panel.viewer.layers["other"]
    assert panel.chosen_image is field.value
    assert told[-1] is field.value
    panel.close()
    panel.viewer.layers.clear()
    panel.widget.reset_choices()
    assert field.value is not None, "a closed panel follows nothing"


@pytest.mark.gl
def test_window_keeps_the_choices_of_a_docked_panel(docked):
    told = []
    docked.settings.image.changed.connect(told.append)
    image = docked.settings.image.value
    image.name = "renamed"
    assert docked.images_offered == ["renamed"]
    assert docked.started
    docked.viewer.add_image(np.zeros((4, 5)), name="new")
    assert docked.images_offered == ["new", "renamed"]
    assert docked.settings.image.value is image, "work has begun on it"
    docked.viewer.layers.remove(image)
    assert docked.settings.image.value is docked.viewer.layers["new"]
    assert told == [docked.viewer.layers["new"]]


def test_choice_keeps_its_value_and_the_order_of_its_choices(qtbot):
    choice = Choice(name="x", null="none", choices=[("one", 1), ("two", 2)], value=2)
    qtbot.addWidget(choice.native)
    told = []
    choice.changed.connect(told.append)
    choice.choices = [("three", 3), ("deux", 2), ("one", 1)]
    assert choice.choices == (None, 3, 2, 1)
    assert choice.value == 2
    assert told == []
    choice.choices = [("one", 1)]
    assert choice.value is None
    assert choice.current_choice == "none"
    choice.offer([("one", 1), ("two", 2)], 2)
    choice.value = None
    assert told == [None, 2, None]


@pytest.mark.parametrize(("first", "last"), [(1, 4), (4, 1)])
def test_settings_make_a_plan(first, last):
    settings = PanelSettings(first=first, last=last, only_current=True, then=Through(0, -1))
    expected = RunPlan(Direction.FORWARD, 1, 5, frozenset({3}), False, Through(0, -1))
    assert settings.plan(Direction.FORWARD, 3) == expected
    assert PanelSettings(recompute=True).plan(Direction.BOTH, 3) == RunPlan(
        Direction.BOTH, 0, 1, None, True
    )


def turn_wheel(widget) -> bool:
    """Turn the wheel over a widget; return whether it was taken."""
    middle = QPointF(widget.rect().center())
    event = QWheelEvent(
        middle,
        QPointF(widget.mapToGlobal(widget.rect().center())),
        QPoint(),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)
    return event.isAccepted()


def test_wheel_changes_no_field_without_the_focus(panel):
    before = panel.settings.value
    watched = [field.native for field in panel.settings if hasattr(field, "choices")]
    watched += [panel.settings.object_id.native, panel.settings.last.native]
    for native in watched:
        assert native.focusPolicy() == Qt.FocusPolicy.StrongFocus, "the wheel gives no focus"
        assert not turn_wheel(native), "a parent scrolls"
    assert panel.settings.value == before


def test_wheel_would_change_a_field_that_is_not_guarded(qtbot):
    box = QSpinBox()
    qtbot.addWidget(box)
    box.setValue(5)
    assert turn_wheel(box)
    assert box.value() != 5


def test_number_that_is_set_does_not_take_the_focus(qtbot):
    window = QWidget()
    layout = QVBoxLayout(window)
    number, other = PanelFields().object_id, QLineEdit()
    layout.addWidget(number.native)
    layout.addWidget(other)
    qtbot.addWidget(window)
    window.show()
    other.setFocus()
    told = []
    number.changed.connect(told.append)
    number.value = 7
    assert number.native.lineEdit().text() == "7"
    assert window.focusWidget() is other, "arrow keys stay with what has the focus"
    number.native.setFocus()
    number.native.lineEdit().selectAll()
    qtbot.keyClicks(number.native, "12")
    assert number.value == 12
    assert told == [7, 1, 12]
