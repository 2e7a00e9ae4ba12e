"""The section of prompts: tools, current object, object or background.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QButtonGroup, QLabel, QPushButton

from napari_sam2.widgets.state.tools import TOOLS
from napari_sam2.widgets.views.base import Fold, Section, button, row
from napari_sam2.widgets.views.fields import PanelFields

_SWATCH_PIXELS = 16
_TOOLS_PER_ROW = 3


class PromptSection(Section):
    """Chooses object, kind of click and tool.

    Parameters
    ----------
    fields : PanelFields

    Signals
    -------
    next_object_requested()
        The next prompts are for a new object.
    background_requested(bool)
        The next clicks mark the background (True) or the object (False).
    tool_requested(str)
        A tool of `TOOLS`.
    candidate_requested()
        Show the next of the masks that a click could mean.
    labels_requested(object)
        Take the objects of this Labels layer in the frame in view as prompts.
    """

    next_object_requested = Signal()
    background_requested = Signal(bool)
    tool_requested = Signal(str)
    candidate_requested = Signal()
    labels_requested = Signal(object)

    def __init__(self, fields: PanelFields) -> None:
        super().__init__("Prompts")
        self.swatch = QLabel()
        self.swatch.setFixedSize(_SWATCH_PIXELS, _SWATCH_PIXELS)
        self.swatch.setToolTip("The colour of this object's labels, points and shapes.")
        self.object_id, self.labels_layer = fields.object_id, fields.labels_layer
        self.every_click = fields.every_click
        self.next_object = button("Next (N)", "Begin a new object. Key: N")
        self.tool_buttons = {
            tool.name: button(tool.title, tool.help, checkable=True) for tool in TOOLS
        }
        self.tools = _exclusive(*self.tool_buttons.values())
        self.positive = button("Object", "Clicks mark the object. Key: T changes", checkable=True)
        self.negative = button(
            "Background",
            "Clicks mark what does not belong to the object. Shift-click does so once; "
            "key: T changes",
            checkable=True,
        )
        self.kinds = _exclusive(self.positive, self.negative)
        self.tool_buttons["points"].setChecked(True)
        self.positive.setChecked(True)
        number = self.object_id.native
        self.add_row("Object", self.swatch, number, self.next_object, stretch=(0, 1))
        tools = list(self.tool_buttons.values())
        for first in range(0, len(tools), _TOOLS_PER_ROW):
            some = tools[first : first + _TOOLS_PER_ROW]
            self.add_row("" if first else "Draw", *some, stretch=(1,) * len(some))
        self.add_row("Click is", self.positive, self.negative, stretch=(1, 1))
        self.add_row("", self.every_click.native)
        self.body.addWidget(self._more())
        self.next_object.clicked.connect(lambda _checked: self.next_object_requested.emit())
        self.tools.buttonClicked.connect(self._tool_used)
        self.kinds.buttonClicked.connect(
            lambda used: self.background_requested.emit(used is self.negative)
        )

    def show_object(self, object_id: int, colour: Iterable[float]) -> None:
        """Show the current object and its colour (RGBA in 0..1)."""
        self.object_id.value = object_id
        red, green, blue = (round(255 * float(part)) for part in list(colour)[:3])
        style = f"background-color: rgb({red}, {green}, {blue}); border-radius: 3px;"
        if style != self.swatch.styleSheet():
            self.swatch.setStyleSheet(style)

    def show_background(self, background: bool) -> None:
        """Show what the next click marks."""
        (self.negative if background else self.positive).setChecked(True)

    def show_tool(self, tool: str | None) -> None:
        """Show which tool is in hand; None if it is none of ours."""
        self.tools.setExclusive(False)
        for name, each in self.tool_buttons.items():
            each.setChecked(name == tool)
        self.tools.setExclusive(True)

    def show_labels(self, layers: list[tuple[str, Any]]) -> None:
        """Offer these Labels layers as prompts."""
        known = any(layer is self.labels_layer.value for _, layer in layers)
        last = layers[-1][1] if layers else None
        self.labels_layer.offer(layers, self.labels_layer.value if known else last)
        self.take.setEnabled(bool(layers))

    def _more(self) -> Fold:
        self.candidate = button(
            "Next candidate (M)",
            "One click may mean a part, the object or all around it: show the next of the three "
            "masks. Key: M",
        )
        self.labels_layer.native.setPlaceholderText("no other labels")
        self.take = button(
            "Take", "Make every object of this layer in the frame in view an object to follow."
        )
        fold = Fold("More ways to prompt")
        fold.body.addWidget(row(self.candidate, stretch=(1,)))
        fold.add_row("Labels", self.labels_layer.native, self.take, stretch=(1,))
        self.candidate.clicked.connect(lambda _checked: self.candidate_requested.emit())
        self.take.clicked.connect(lambda: self.labels_requested.emit(self.labels_layer.value))
        return fold

    def _tool_used(self, used: QPushButton) -> None:
        for name, each in self.tool_buttons.items():
            if each is used:
                self.tool_requested.emit(name)


def _exclusive(*buttons: QPushButton) -> QButtonGroup:
    group = QButtonGroup()
    group.setExclusive(True)
    for each in buttons:
        group.addButton(each)
    return group
