"""What the next prompt is for: which object, object or background, points or boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_sam2.widgets.keymap import BACKGROUND_KEY, NEXT_OBJECT_KEY, Keymap

if TYPE_CHECKING:
    from napari import Viewer

    from napari_sam2.widgets.prompt_box import PromptBox
    from napari_sam2.widgets.workspace import Workspace


class Prompting(QObject):
    """Keeps prompt box, keys and the marks of a workspace in line with each other.

    Parameters
    ----------
    viewer : Viewer
        Its keys are bound while there is a workspace.
    box : PromptBox
        What the user sees of it.

    Attributes
    ----------
    taken : frozenset of int
        Objects that have prompts; kept up to date by the user of the class.
    """

    def __init__(self, viewer: Viewer, box: PromptBox) -> None:
        super().__init__()
        self._viewer, self._box = viewer, box
        self._workspace: Workspace | None = None
        self._keymap = Keymap()
        self.taken: frozenset[int] = frozenset()
        box.object_requested.connect(self.choose_object)
        box.next_object_requested.connect(self.next_object)
        box.background_requested.connect(self.mark_background)
        box.tool_requested.connect(self.choose_tool)
        viewer.layers.selection.events.active.connect(self._active_changed)

    def attach(self, workspace: Workspace) -> None:
        """Begin with a new object in this workspace, ready to click."""
        self._workspace = workspace
        for layer in (workspace.points, workspace.boxes):
            self._keymap.bind(layer, BACKGROUND_KEY, self.toggle_background)
        self._keymap.bind(self._viewer, NEXT_OBJECT_KEY, self.next_object)
        workspace.edit("points")
        self.next_object()

    def detach(self) -> None:
        """Let go of the workspace and give the keys back; touches no view."""
        self._workspace = None
        self.taken = frozenset()
        self._keymap.release()

    def close(self) -> None:
        """Listen to the viewer no longer."""
        self._viewer.layers.selection.events.active.disconnect(self._active_changed)

    def choose_object(self, object_id: int) -> None:
        """Make the next prompts for this object."""
        if self._workspace is not None:
            marks = self._workspace.marks
            marks.object_id = object_id
            marks.prepare()
            self._box.show_object(object_id, marks.colour(object_id))

    def next_object(self) -> None:
        """Make the next prompts for an object that has none yet."""
        if self._workspace is not None:
            taken = self.taken | self._workspace.first_ids
            self.choose_object(max(taken, default=0) + 1)
            self.mark_background(False)

    def mark_background(self, background: bool) -> None:
        """Make the next clicks mark the background, or the object."""
        if self._workspace is not None:
            self._workspace.marks.background = background
            self._workspace.marks.prepare()
            self._box.show_background(background)

    def toggle_background(self) -> None:
        """Change what the next clicks mark."""
        if self._workspace is not None:
            self.mark_background(not self._workspace.marks.background)

    def choose_tool(self, tool: str) -> None:
        """Take up "points" or "boxes"."""
        if self._workspace is not None:
            self._workspace.edit(tool)

    def _active_changed(self, event: Any) -> None:
        workspace = self._workspace
        if workspace is not None and event.value in (workspace.points, workspace.boxes):
            self._box.show_tool("boxes" if event.value is workspace.boxes else "points")
