"""The fields of a panel: one magicgui widget for every value that the user chooses.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from magicgui.widgets import (
    CheckBox,
    ComboBox,
    Container,
    FloatSlider,
    FloatSpinBox,
    LineEdit,
    Password,
    SpinBox,
)
from napari.layers import Image, Labels
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QAbstractSlider, QAbstractSpinBox, QComboBox, QSizePolicy, QWidget

from napari_sam2.types import Speed, StackKind
from napari_sam2.widgets.layers.factory import MAX_OBJECT_ID
from napari_sam2.widgets.state.model_catalog import model_title
from napari_sam2.widgets.state.panel_settings import PanelSettings
from napari_sam2.widgets.state.settings import AUTO, HERE, ON_SERVER

PARTS = (("whole image", "whole"), ("current view", "view"), ("rectangle…", "rectangle"))
"""What can be chosen as the part to work in: title and name."""

COMPUTERS = (("this computer", HERE), ("a server…", ON_SERVER))
"""Where the network can run, each with a title."""

KINDS = (
    ("slices of a z-stack", StackKind.Z_STACK),
    ("times of a time-lapse", StackKind.TIME_LAPSE),
)
"""What frames can be, each with a title."""

UNKNOWN_KIND = "not known"
"""Title of the unknown kind of frames."""

SPEEDS = (
    ("exact", Speed.EXACT),
    ("balanced (approximate)", Speed.BALANCED),
    ("fastest (approximate)", Speed.FASTEST),
)
"""Levels of speed, each with a title."""

PRECISIONS = (
    ("automatic", AUTO),
    ("float32 (full)", "float32"),
    ("bfloat16 (half)", "bfloat16"),
)
"""What a model computes in, each with a title."""

_DEVICE_TITLES = {
    "auto": "automatic",
    "cpu": "processor (cpu)",
    "cuda": "NVIDIA GPU (cuda)",
    "mps": "Apple GPU (mps)",
}
_FROM_FILE = "\0file"
_LEAST_CHARACTERS = 10
_SPIN_BUTTONS = 60  # pixels
_MOST_PIXELS = 100_000_000  # of one object
_MOST_FRAMES = 100_000  # between two searches

Choices = Iterable[tuple[str, Any]]


def device_titles(names: Iterable[str]) -> list[tuple[str, str]]:
    """Give each device a title."""
    return [(_DEVICE_TITLES.get(name, name), name) for name in names]


class WheelGuard(QObject):
    """Keeps the wheel from changing fields that do not have the focus: it scrolls the panel there.

    Parameters
    ----------
    parent : QWidget
        Owns it.
    """

    def watch(self, field: QWidget) -> None:
        """Guard a field; the wheel does not give it the focus either."""
        if isinstance(field, QComboBox | QAbstractSpinBox | QAbstractSlider):
            field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            field.installEventFilter(self)

    def eventFilter(self, field: QObject | None, event: QEvent | None) -> bool:
        """Leave a turn of the wheel to the parents of a field without the focus."""
        if event is None or event.type() != QEvent.Type.Wheel:
            return False
        if isinstance(field, QWidget) and not field.hasFocus():
            event.ignore()
            return True
        return False


class WholeNumber(SpinBox):
    """A field of a whole number, which never takes the focus by itself.

    superqt's box takes it whenever its text changes, also where a program sets the number. The
    arrow keys would then change the object instead of the row of the table or the slice.
    """

    def set_value(self, value: Any) -> None:
        """Set the number, and leave the focus where it is."""
        edit = self.native.lineEdit()
        blocked = edit.blockSignals(True)
        try:
            super().set_value(value)
        finally:
            edit.blockSignals(blocked)


class Choice(ComboBox):
    """A combo box that is narrow, and whose value stays while its choices change.

    magicgui's own box goes to its first choice when the text of the current one changes, as that
    of a layer that is renamed, and appends new choices to the former ones. Here the order is that
    of the choices, a value stays as long as it is among them, and is None after that.

    Parameters
    ----------
    null : str, optional
        Title of the choice None; without one, None cannot be chosen.
    titles : callable, optional
        Returns the title of a value that may be set although it is not among the choices yet, and
        None for any other value.
    **options
        See `magicgui.widgets.ComboBox`; choices are pairs of title and value.
    """

    def __init__(
        self, *, null: str = "", titles: Callable[[Any], str | None] | None = None, **options: Any
    ) -> None:
        self.null_string, self.titles = null, titles
        self._items: list[tuple[str, Any]] = []
        self._kept: Any = None  # the value that `changed` was emitted with last
        self._offering = False
        super().__init__(nullable=bool(null), **options)
        box = self.native
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        box.setMinimumContentsLength(_LEAST_CHARACTERS)
        box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    @property
    def value(self) -> Any:
        """Value of the current choice; None if there is none."""
        return self.get_value()

    @value.setter
    def value(self, value: Any) -> None:
        known = value in self.choices
        title = None if known or self.titles is None else self.titles(value)
        if title is not None:
            self.offer([*self._items, (title, value)], value)
        elif known:
            self.set_value(value)
        else:
            raise ValueError(f"{value!r} is not a valid choice. must be in {self.choices}")

    @property
    def choices(self) -> tuple[Any, ...]:
        """Values that can be chosen."""
        return tuple(value for _, value in self._widget._mgui_get_choices())

    @choices.setter
    def choices(self, choices: Any) -> None:
        self.offer(choices, self.get_value())

    def offer(self, choices: Choices | Callable[[Any], Choices], value: Any) -> None:
        """Replace choices and value together; `changed` is emitted once, if the value changes.

        Parameters
        ----------
        choices : iterable of (str, value), or callable
            Called with this widget, now and whenever the choices are reset.
        value : object
            A value that is no choice becomes None.
        """
        before = self._kept
        items = list(choices(self) if callable(choices) else choices)
        self._items, self._default_choices = items, choices if callable(choices) else items
        shown = [(self.null_string, None), *items] if self._nullable else items
        self._offering = True
        try:
            if shown != list(self._widget._mgui_get_choices()):
                self._widget._mgui_set_choices(())  # former choices would keep their places
                self._widget._mgui_set_choices(shown)
            self.set_value(value if value in self.choices else None)
        finally:
            self._offering = False
        self._kept = self.get_value()
        if self._kept != before:
            self.changed.emit(self._kept)

    def _on_value_change(self, value: Any = None) -> None:
        if not self._offering:
            self._kept = value
            super()._on_value_change(value)


class ModelChoice(Choice):
    """The choice of a model; its last item asks for a file and is never its value.

    Attributes
    ----------
    ask_for_file : callable
        Called when the user chose the item that asks for a file.
    """

    ask_for_file: Callable[[], None] = staticmethod(lambda: None)

    def offer(self, choices: Choices | Callable[[Any], Choices], value: Any) -> None:
        """Replace choices and value together, the item that asks for a file stays the last."""
        items = list(choices(self) if callable(choices) else choices)
        super().offer(
            [*(x for x in items if x[1] != _FROM_FILE), ("From file…", _FROM_FILE)], value
        )

    def _on_value_change(self, value: Any = None) -> None:
        if self._offering or value != _FROM_FILE:
            super()._on_value_change(value)
        else:
            self.offer(self._items, self._kept)
            self.ask_for_file()


class PanelFields(Container):
    """The fields of a panel by name, each a magicgui widget.

    The sections of the panel lay out the native widgets. ``fields.model.value`` reads and sets one
    value, `value` reads all of them, and the signal ``changed`` is emitted when one has changed.
    """

    def __init__(self) -> None:
        super().__init__(
            widgets=[
                *_image_fields(),
                *_model_fields(),
                *_prompt_fields(),
                *_find_fields(),
                *_propagation_fields(),
                _minutes(),
                _autosave(),
            ],
            labels=False,
            visible=False,
        )
        guard = WheelGuard(self.native)
        for field in self:
            guard.watch(field.native)

    @property
    def value(self) -> PanelSettings:
        """All values; the default of a field that this panel does not have."""
        values = self.asdict()
        # Some bindings of Qt return the plain string; a panel of single images has no kind.
        kind = StackKind(values.get("kind", StackKind.UNKNOWN))
        return PanelSettings(**values | {"speed": Speed(values["speed"]), "kind": kind})

    def drop(self, *names: str) -> None:
        """Remove fields that a panel does not have; their native widgets keep their parents."""
        for name in names:
            native = self[name].native
            parent = native.parent()
            self.remove(name)
            native.setParent(parent)


STACK_FIELDS = ("axis", "kind", "then", "first", "last", "only_current", "recompute")
"""Fields that a panel for single images does not have."""


def _image_fields() -> list[Choice]:
    return [
        Choice(
            name="image",
            annotation=Image,
            tooltip="The image layer to segment. The list follows napari's layers.",
        ),
        Choice(
            name="axis",
            tooltip="The axis along which objects are followed, like the time of a video: the "
            "slices of a z-stack or the frames of a time-lapse. Other sliders stay where they are.",
        ),
        Choice(
            name="kind",
            choices=[(UNKNOWN_KIND, StackKind.UNKNOWN), *KINDS],
            value=StackKind.UNKNOWN,
            tooltip="What the frames along the video axis are. In a z-stack, an object ends where "
            "another one follows it from slice to slice; in a time-lapse, cells may become dim and "
            "come back. Known by itself where the axis of the layer is called z or t.",
        ),
        Choice(
            name="channel_axis",
            null="slices or frames",
            tooltip="The axes of this layer have no names. If one of them holds channels, say so "
            "here to have up to three of them seen together.",
        ),
        Choice(
            name="channel",
            null="the one in view",
            tooltip="This layer holds several channels. The one in view is a picture of its own; "
            "or choose up to three that are seen together, in red, green and blue. Each has the "
            "contrast of its own 0.1 and 99.9 percentiles over the stack, and the labels hold for "
            "all channels.",
        ),
        Choice(
            name="channel_2",
            null="none",
            tooltip="A second channel: of the same layer, or an image layer of the same size and "
            "place. Layers are seen in the contrast that they have.",
        ),
        Choice(name="channel_3", null="none", tooltip="A third channel."),
        Choice(
            name="part",
            choices=PARTS,
            value="whole",
            tooltip="Where to work. A part is seen at its own resolution, so that small objects in "
            "large images are seen as they are; masks are written in place. Current view takes "
            "what is on the screen now; rectangle lets you draw one.",
        ),
    ]


def _model_fields() -> list[Any]:
    return [
        Choice(
            name="compute_on",
            choices=COMPUTERS,
            value=HERE,
            tooltip="Where the network runs: on this computer, or on another one with a GPU on "
            "which `napari-sam2 serve` runs. Images go there once; prompts and labels stay here.",
        ),
        LineEdit(
            name="server",
            tooltip="The address that the server shows, such as http://127.0.0.1:1528 at the end "
            "of an ssh tunnel.",
        ),
        Password(
            name="token",
            tooltip="The token that the server shows. It is kept in the system's keyring if the "
            "package keyring is installed, and asked for again otherwise.",
        ),
        ModelChoice(
            name="model",
            titles=model_title,
            tooltip="The network that segments. The bundled one is part of the plugin and works "
            "offline; the official SAM 2 models are larger and are downloaded when you ask for it.",
        ),
        Choice(
            name="device",
            choices=device_titles([AUTO]),
            value=AUTO,
            titles=_DEVICE_TITLES.get,
            tooltip="Where to compute: automatic takes the best of this computer.",
        ),
        Choice(
            name="precision",
            choices=PRECISIONS,
            value=AUTO,
            tooltip="Automatic takes bfloat16 on graphics cards that compute it natively, and "
            "float32 elsewhere. Masks may differ by a few pixels between the two.",
        ),
        Choice(
            name="speed",
            choices=SPEEDS,
            value=Speed.EXACT,
            tooltip="Exact computes what the model was trained to. Balanced makes its input "
            "smaller and remembers fewer frames; fastest sees small windows that follow the "
            "objects and remembers least. What is left out with this model is said below.",
        ),
    ]


def _prompt_fields() -> list[Any]:
    return [
        WholeNumber(
            name="object_id",
            min=1,
            max=MAX_OBJECT_ID,
            value=1,
            step=1,
            tooltip="The object that prompts are for; it is the value of its labels. "
            "Ctrl-click a mask to select its object.",
        ),
        CheckBox(
            name="every_click",
            text="Every click is a new object",
            tooltip="Each click of an object and each box begins a new object, so that N is not "
            "needed. Shift-click corrects the object of the last click.",
        ),
        Choice(
            name="labels_layer",
            annotation=Labels,
            tooltip="A Labels layer of this image, such as that of Cellpose or StarDist.",
        ),
    ]


def _find_fields() -> list[Any]:
    defaults = PanelSettings()
    sizes = [
        WholeNumber(
            name="min_size",
            min=0,
            max=_MOST_PIXELS,
            value=defaults.min_size,
            step=1,
            tooltip="Smallest area in pixels of objects that are looked for; 0: 8 pixels, and "
            "what is unlikely is left out: noise, tiny things, and dark ones among bright ones or "
            "the reverse.",
        ),
        WholeNumber(
            name="max_size",
            min=0,
            max=_MOST_PIXELS,
            value=defaults.max_size,
            step=1,
            tooltip="Largest area in pixels of objects that are looked for; 0: no limit.",
        ),
    ]
    similarity = FloatSlider(
        name="similarity",
        min=0.0,
        max=1.0,
        value=defaults.similarity,
        step=0.01,
        tooltip="How much like the examples objects must be to be added: to the left more objects, "
        "to the right fewer. 1: the same.",
    )
    for box in similarity.native.findChildren(QAbstractSpinBox):  # beside the slider
        box.setToolTip(similarity.tooltip)
    return [
        CheckBox(
            name="in_view",
            text="Only the part in view",
            tooltip="Look for objects only where the canvas shows the frame now.",
        ),
        *sizes,
        WholeNumber(
            name="look_again",
            min=0,
            max=_MOST_FRAMES,
            value=defaults.look_again,
            step=1,
            tooltip="Look again in every so many frames where no object is yet, so that those are "
            "found that begin later, and propagate in between. 0: look in the frame in view only.",
        ),
        similarity,
    ]


def _propagation_fields() -> list[Any]:
    return [
        Choice(
            name="then",
            null="stop after this volume",
            tooltip="After this volume, stop, or go on to the next one: each object is followed "
            "there in the slice with most of it, and its mask there is a prompt of that volume. "
            "Ids are kept. Objects that you prompt or accept there yourself stay yours.",
        ),
        WholeNumber(
            name="first", min=0, max=0, value=0, step=1, tooltip="First frame of the range."
        ),
        WholeNumber(name="last", min=0, max=0, value=0, step=1, tooltip="Last frame of the range."),
        CheckBox(
            name="only_current",
            text="Only the current object",
            tooltip="Carry no other object; their masks stay as they are.",
        ),
        CheckBox(
            name="recompute",
            text="Recompute what is up to date",
            tooltip="Go over everything again. A backward run after a forward one shows where both "
            "disagree: those frames count as doubtful.",
        ),
    ]


def _minutes() -> FloatSpinBox:
    minutes = FloatSpinBox(
        name="minutes",
        min=0.5,
        max=120.0,
        step=0.5,
        value=PanelSettings().minutes,
        tooltip="How long it may take, measuring included. Work can go on.",
    )
    box = minutes.native
    box.setDecimals(1)
    box.setSuffix(" min")
    box.setMinimumWidth(box.fontMetrics().horizontalAdvance("120.0 min") + _SPIN_BUTTONS)
    return minutes


def _autosave() -> CheckBox:
    return CheckBox(
        name="autosave",
        text="Keep the session at every change",
        value=True,
        tooltip="Prompts, accepted masks and settings are written to a file beside the image, so "
        "that the work can go on after a crash, or another day.",
    )
