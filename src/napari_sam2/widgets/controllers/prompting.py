"""The prompting controller: current object, tool, prompts from other Labels layers.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_sam2.errors import PromptError
from napari_sam2.widgets.layers.appearance import solid
from napari_sam2.widgets.layers.factory import MAX_OBJECT_ID
from napari_sam2.widgets.layers.foreign_layers import label_prompts
from napari_sam2.widgets.layers.found_preview import is_preview
from napari_sam2.widgets.layers.geometry import spatial_shape
from napari_sam2.widgets.views.notifications import show_done, show_problem

if TYPE_CHECKING:
    from napari import Viewer

    from napari_sam2.widgets.controllers.annotation import AnnotationController
    from napari_sam2.widgets.layers.workspace import Workspace
    from napari_sam2.widgets.views.prompt_section import PromptSection


_FIRST_TOOL = "points"
_NEW_OBJECTS = frozenset({"add", "add_rectangle"})
"""Modes of layers in which each mark can begin a new object."""
_CLICK_PIXELS = 3  # a mouse that moves no further between press and release has clicked


class PromptingController(QObject):
    """Keeps the prompt section and the marks of a workspace in line with each other.

    Parameters
    ----------
    viewer : Viewer
        Its active layer tells the tool.
    section : PromptSection
        What the user sees of it.
    taken_ids : callable
        Returns the objects that have prompts or labels.

    Signals
    -------
    object_changed(int)
        The next prompts are for this object.
    """

    object_changed = Signal(int)

    def __init__(
        self, viewer: Viewer, section: PromptSection, taken_ids: Callable[[], frozenset[int]]
    ) -> None:
        super().__init__()
        self._viewer, self._section, self._taken_ids = viewer, section, taken_ids
        self._workspace: Workspace | None = None
        self._tool = _FIRST_TOOL  # the one that was in hand last
        self._clicking = False  # with the box tool
        section.object_id.changed.connect(self._object_chosen)
        section.next_object_requested.connect(self.next_object)
        section.background_requested.connect(self.mark_background)
        section.tool_requested.connect(self.choose_tool)
        viewer.layers.selection.events.active.connect(self._tool_changed)

    @property
    def object_id(self) -> int:
        """The object that prompts are for; 0 before the start."""
        return 0 if self._workspace is None else self._workspace.marks.object_id

    def attach(self, workspace: Workspace) -> None:
        """Begin with a new object in this workspace, ready to click."""
        self._workspace = workspace
        for layer in workspace.layers[1:]:
            layer.events.mode.connect(self._tool_changed)
        for layer in (workspace.points, workspace.shapes):
            layer.mouse_drag_callbacks.insert(0, self._pressed)  # before the mark gets its object
        workspace.shapes.events.data.connect(self._drawn)
        workspace.edit(_FIRST_TOOL)
        self.next_object()

    def detach(self) -> None:
        """Let go of the workspace; touches no view."""
        if self._workspace is not None:
            for layer in self._workspace.layers[1:]:
                layer.events.mode.disconnect(self._tool_changed)
            for layer in (self._workspace.points, self._workspace.shapes):
                if self._pressed in layer.mouse_drag_callbacks:
                    layer.mouse_drag_callbacks.remove(self._pressed)
            self._workspace.shapes.events.data.disconnect(self._drawn)
        self._workspace = None

    def close(self) -> None:
        """Listen to the viewer no longer."""
        self._viewer.layers.selection.events.active.disconnect(self._tool_changed)

    def choose_object(self, object_id: int) -> None:
        """Make the next prompts for this object."""
        if self._workspace is not None:
            marks = self._workspace.marks
            marks.object_id = object_id
            marks.prepare()
            self._section.show_object(object_id, solid(object_id))
            self.object_changed.emit(object_id)

    def _object_chosen(self, object_id: int) -> None:
        if object_id != self.object_id:
            self.choose_object(object_id)

    def free_id(self) -> int:
        """Return an id that no object has."""
        return max(self._used_ids(), default=0) + 1

    def next_object(self) -> None:
        """Make the next prompts for an object that has none yet, with the tool used last."""
        if self._workspace is not None:
            self.choose_object(self.free_id())
            self.mark_background(False)
            if self._workspace.tool() in (None, "eraser"):
                # There is nothing to erase of a new object.
                self._workspace.edit("brush" if self._tool == "eraser" else self._tool)

    def mark_background(self, background: bool) -> None:
        """Make the next clicks mark the background, or the object."""
        if self._workspace is not None:
            self._workspace.marks.background = background
            self._workspace.marks.prepare()
            self._section.show_background(background)

    def toggle_background(self) -> None:
        """Change what the next clicks mark; with the brush, change to the eraser or back."""
        workspace = self._workspace
        if workspace is None:
            return
        other = {"brush": "eraser", "eraser": "brush"}.get(workspace.tool() or "")
        if other is not None:
            workspace.edit(other)
        else:
            self.mark_background(not workspace.marks.background)

    def choose_tool(self, tool: str) -> None:
        """Take up a tool of `TOOLS`."""
        if self._workspace is not None:
            self._workspace.edit(tool)

    def _used_ids(self) -> frozenset[int]:
        """Return the objects that have prompts or labels, or marks that were not read yet."""
        workspace = self._workspace
        if workspace is None:
            return self._taken_ids()
        return self._taken_ids() | workspace.first_ids | workspace.marked_ids()

    def _pressed(self, layer: Any, event: Any) -> Iterator[None]:
        """Begin a new object if the user wants it so, and tell a click from a box."""
        self._begin_object(layer, event)
        pressed = np.array(event.pos, float)
        self._clicking = str(layer.mode) == "add_rectangle"
        yield
        while event.type == "mouse_move":
            if np.abs(np.asarray(event.pos, float) - pressed).max() > _CLICK_PIXELS:
                self._clicking = False
            yield

    def _drawn(self, event: Any) -> None:
        """Take a click with the box tool for a point: napari makes a tiny box of it."""
        if self._workspace is not None and self._clicking and str(event.action) == "added":
            self._clicking = False
            self._workspace.take_box_for_point()

    def _begin_object(self, layer: Any, event: Any) -> None:
        """Begin a new object with a click or a box, if the user wants it so."""
        workspace = self._workspace
        if workspace is None or not self._section.every_click.value or workspace.marks.background:
            return
        held = {"Shift", "Control"} & set(event.modifiers)
        marks = str(layer.mode) in _NEW_OBJECTS and not held
        if marks and self.object_id in self._used_ids():
            self.next_object()

    def _tool_changed(self, _event: Any = None) -> None:
        if self._workspace is not None:
            tool = self._workspace.tool()
            self._tool = tool or self._tool
            self._section.show_tool(tool)


def _renumbered(layer: str, new_ids: Mapping[int, int]) -> str:
    """Say which objects of a layer got other ids than they have there."""
    pairs = [f"{old} is {new}" for old, new in new_ids.items()]
    more = f" and {len(pairs) - _NAMED} more" if len(pairs) > _NAMED else ""
    return (
        f"Objects of {layer} whose id is taken or above {MAX_OBJECT_ID} have other ids here: "
        f"{', '.join(pairs[:_NAMED])}{more}."
    )


_NAMED = 5  # pairs of ids that are shown


class LabelPromptController(QObject):
    """Offers the Labels layers that fit, and takes their objects.

    Parameters
    ----------
    viewer : Viewer
    annotation : AnnotationController
        Knows which ids are taken.
    prompting : PromptingController
    section : PromptSection
    """

    def __init__(
        self,
        viewer: Viewer,
        annotation: AnnotationController,
        prompting: PromptingController,
        section: PromptSection,
    ) -> None:
        super().__init__()
        self._viewer, self._annotation = viewer, annotation
        self._prompting, self._section = prompting, section
        self._workspace: Workspace | None = None
        section.labels_requested.connect(self.take)
        for emitter in self._emitters():
            emitter.connect(self._offer)

    def attach(self, workspace: Workspace) -> None:
        """Offer the layers that fit this image."""
        self._workspace = workspace
        self._offer()

    def detach(self) -> None:
        """Offer nothing any more; touches no view."""
        self._workspace = None

    def close(self) -> None:
        """Follow the layer list no longer."""
        for emitter in self._emitters():
            emitter.disconnect(self._offer)

    def take(self, layer: Labels | None) -> None:
        """Make all objects of a layer in the frame in view objects to follow."""
        workspace = self._workspace
        here = None if workspace is None else workspace.here()
        if workspace is None or here is None or layer is None:
            return
        painted, new_ids = label_prompts(workspace, layer, *here, self._annotation.taken_ids())
        if painted:
            self._annotation.record_change(f"objects of {layer.name}", painted=painted)
            self._prompting.next_object()
            if new_ids:
                show_done(_renumbered(layer.name, new_ids))
        else:
            show_problem(
                PromptError(
                    f"There is no object of {layer.name} in this frame.",
                    remedy="Go to a frame where it has objects, and take them there.",
                )
            )

    def _emitters(self) -> tuple[Any, ...]:
        events = self._viewer.layers.events
        return events.inserted, events.removed, events.renamed

    def _offer(self, _event: object = None) -> None:
        workspace = self._workspace
        if workspace is None:
            return
        fitting = (2, len(spatial_shape(workspace.image)))
        layers = [
            (layer.name, layer)
            for layer in self._viewer.layers
            if isinstance(layer, Labels)
            and layer is not workspace.labels
            and layer.ndim in fitting
            and not is_preview(layer)
        ]
        self._section.show_labels(layers)
