"""View: which object the next click is for, and of what kind it is."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import QSignalBlocker, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QButtonGroup, QLabel, QPushButton, QSpinBox

from napari_sam2.widgets.layers import MAX_OBJECT_ID
from napari_sam2.widgets.parts import Section, button

_SWATCH_PIXELS = 16


class PromptBox(Section):
    """Chooses object, kind of click and tool.

    Signals
    -------
    object_requested(int)
        The next prompts are for this object.
    next_object_requested()
        The next prompts are for a new object.
    background_requested(bool)
        The next clicks mark the background (True) or the object (False).
    tool_requested(str)
        "points" or "boxes".
    """

    object_requested = Signal(int)
    next_object_requested = Signal()
    background_requested = Signal(bool)
    tool_requested = Signal(str)

    def __init__(self) -> None:
        super().__init__("Prompts")
        self.swatch = QLabel()
        self.swatch.setFixedSize(_SWATCH_PIXELS, _SWATCH_PIXELS)
        self.swatch.setToolTip("The colour of this object's labels, points and boxes.")
        self.object_id = QSpinBox()
        self.object_id.setRange(1, MAX_OBJECT_ID)
        self.object_id.setToolTip(
            "The object that clicks and boxes are for; it is the value of its labels."
        )
        self.next_object = button("Next object (N)", "Begin a new object. Key: N")
        self.points = button("Points", "Click objects. Drag a point to move it.", checkable=True)
        self.boxes = button("Boxes", "Draw a rectangle around an object.", checkable=True)
        self.tools = _exclusive(self.points, self.boxes)
        self.positive = button("Object", "Clicks mark the object. Key: T changes", checkable=True)
        self.negative = button(
            "Background",
            "Clicks mark what does not belong to the object. Shift-click does so once; "
            "key: T changes",
            checkable=True,
        )
        self.kinds = _exclusive(self.positive, self.negative)
        self.points.setChecked(True)
        self.positive.setChecked(True)
        self.add_row("Object", self.swatch, self.object_id, self.next_object, stretch=(0, 1))
        self.add_row("Draw", self.points, self.boxes, stretch=(1, 1))
        self.add_row("Click is", self.positive, self.negative, stretch=(1, 1))
        self.object_id.valueChanged.connect(self.object_requested)
        self.next_object.clicked.connect(lambda _checked: self.next_object_requested.emit())
        self.tools.buttonClicked.connect(
            lambda used: self.tool_requested.emit("boxes" if used is self.boxes else "points")
        )
        self.kinds.buttonClicked.connect(
            lambda used: self.background_requested.emit(used is self.negative)
        )

    def show_object(self, object_id: int, colour: Iterable[float]) -> None:
        """Show the current object and its colour (RGBA in 0..1)."""
        blocker = QSignalBlocker(self.object_id)
        self.object_id.setValue(object_id)
        blocker.unblock()
        red, green, blue = (round(255 * float(part)) for part in list(colour)[:3])
        style = f"background-color: rgb({red}, {green}, {blue}); border-radius: 3px;"
        if style != self.swatch.styleSheet():
            self.swatch.setStyleSheet(style)

    def show_background(self, background: bool) -> None:
        """Show what the next click marks."""
        (self.negative if background else self.positive).setChecked(True)

    def show_tool(self, tool: str) -> None:
        """Show which layer takes prompts: "points" or "boxes"."""
        (self.boxes if tool == "boxes" else self.points).setChecked(True)


def _exclusive(*buttons: QPushButton) -> QButtonGroup:
    group = QButtonGroup()
    group.setExclusive(True)
    for each in buttons:
        group.addButton(each)
    return group
