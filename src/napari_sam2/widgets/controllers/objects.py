"""The object controller: table, names, visibility, merge, split, delete.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_sam2.widgets.state.hints import NO_CANDIDATES, NO_PROMPT_IN_3D, rolled_text
from napari_sam2.widgets.state.object_edits import Choose, Delete, Merge, Split
from napari_sam2.widgets.state.object_records import object_rows
from napari_sam2.widgets.views.notifications import show_done

if TYPE_CHECKING:
    from napari_sam2.prompts import FramePrompt
    from napari_sam2.widgets.controllers.annotation import AnnotationController
    from napari_sam2.widgets.controllers.prompting import PromptingController
    from napari_sam2.widgets.layers.workspace import Workspace
    from napari_sam2.widgets.throttle import Throttle
    from napari_sam2.widgets.views.object_section import ObjectSection

_CANDIDATES = 3


def _why_no_candidates(prompt: FramePrompt | None) -> str:
    """Say why a prompt can mean one mask only; empty: it is one click on the object."""
    if prompt is None:
        return "has no click"
    if prompt.mask is not None:
        return "has a painted or drawn mask"
    if prompt.box is not None:
        return "has a box, which means one mask"
    if not all(prompt.positive):
        return "has a background click too, and several clicks mean one mask"
    return "" if len(prompt.points) == 1 else "has several clicks, which mean one mask"


_SEARCH_S = 0.005  # for doubtful frames, each time that the table is shown
_VOLUME = 3  # displayed axes of the 3D view


class ObjectController(QObject):
    """Keeps the table in line with what is known, and does what is asked there.

    Parameters
    ----------
    annotation : AnnotationController
    prompting : PromptingController
        Knows which object is the current one.
    section : ObjectSection
    throttle : Throttle
        In time with which the table changes.

    Signals
    -------
    doubts_counted(bool)
        Whether any frame of the stack in view is doubtful, as far as that is known.
    """

    doubts_counted = Signal(bool)

    def __init__(
        self,
        annotation: AnnotationController,
        prompting: PromptingController,
        section: ObjectSection,
        throttle: Throttle,
    ) -> None:
        super().__init__()
        self._throttle = throttle
        self._annotation, self._prompting, self._section = annotation, prompting, section
        self._hidden: set[int] = set()
        self._rank: tuple[int, int, int] | None = None  # object, frame, shown candidate
        section.rename_requested.connect(annotation.name)
        section.hide_requested.connect(self.hide)
        section.delete_requested.connect(self.delete)
        section.merge_requested.connect(self.merge)
        section.split_requested.connect(self.split)
        prompting.object_changed.connect(section.show_current)
        annotation.prompted.connect(self._prompted)
        annotation.rewound.connect(self._rewound)

    def attach(self, workspace: Workspace) -> None:
        """Begin with all objects shown; a click with Ctrl on a mask selects its object."""
        self._hidden.clear()
        workspace.marks.hide(frozenset())
        for layer in workspace.layers[1:]:
            layer.mouse_drag_callbacks.insert(0, self._pressed)
        workspace.labels.events.selected_label.connect(self._picked)
        self.show()

    def detach(self, workspace: Workspace) -> None:
        """Let go of the layers."""
        self._throttle.drop(self.show)
        for layer in workspace.layers[1:]:
            if self._pressed in layer.mouse_drag_callbacks:
                layer.mouse_drag_callbacks.remove(self._pressed)
        workspace.labels.events.selected_label.disconnect(self._picked)

    def soon(self) -> None:
        """Show the objects a little later, unless that is due already."""
        self._throttle.soon(self.show)

    def show(self) -> None:
        """Show the objects of the stack in view."""
        workspace, here = self._annotation.workspace, self._annotation.here
        if workspace is None or here is None:
            self._section.show_objects((), 0)
            return
        position, object_records = here[0], self._annotation.object_records
        annotations = self._annotation.annotations(position)
        doubtful = object_records.doubt_counts(position, annotations, _SEARCH_S)
        user_state = workspace.user_state
        found = user_state.found_at(position)
        rows = object_rows(
            annotations,
            object_records.summaries(position),
            user_state.names,
            self._hidden,
            {each.object_id for each in found} if found else (),
            doubtful.by_object,
            object_records.outdated(position),
            user_state.handed_at(position),
        )
        self._section.show_objects(rows, workspace.marks.object_id)
        self.doubts_counted.emit(any(doubtful.by_object.values()))
        if not doubtful.complete:
            self.soon()

    def reveal(self, object_id: int) -> None:
        """Show an object that is hidden: it is to be looked at."""
        if object_id in self._hidden:
            self.hide(object_id, False)

    def hide(self, object_id: int, hidden: bool) -> None:
        """Hide an object in the canvas, or show it again."""
        (self._hidden.add if hidden else self._hidden.discard)(object_id)
        workspace = self._annotation.workspace
        if workspace is not None:
            workspace.marks.hide(frozenset(self._hidden), self._prompting.free_id())
        self.show()

    def delete(self, object_ids: tuple[int, ...]) -> None:
        """Take objects out of all frames of the stack."""
        for object_id in object_ids:
            self._annotation.edit(Delete(object_id), f"deletion of object {object_id}")

    def merge(self, object_id: int, others: tuple[int, ...]) -> None:
        """Make other objects a part of this one."""
        for other in others:
            title = f"merging of objects {object_id} and {other}"
            self._annotation.edit(Merge(object_id, other), title)
        self._prompting.choose_object(object_id)

    def split(self, object_id: int) -> None:
        """Make an object of its own of what this one is from the frame in view on."""
        here = self._annotation.here
        if here is not None:
            new = self._prompting.free_id()
            title = f"splitting of object {object_id}"
            self._annotation.edit(Split(object_id, here[1], new), title)

    def next_candidate(self) -> None:
        """Show the next of the masks that a single click could mean, in the frame in view."""
        here = self._annotation.here
        if here is None:
            return
        number, (position, frame) = self._prompting.object_id, here
        prompt = self._annotation.prompts.get(position, number, frame)
        reason = _why_no_candidates(prompt)
        if reason:
            show_done(NO_CANDIDATES.format(number=number, reason=reason))
        else:
            shown = self._rank[2] if self._rank and self._rank[:2] == (number, frame) else 0
            rank = (shown + 1) % _CANDIDATES
            self._rank = number, frame, rank
            self._annotation.edit(Choose(number, frame, rank), f"mask {rank + 1} of a click")

    def _prompted(self) -> None:
        """Show the object that was prompted: nobody clicks for a mask that is not to be seen."""
        self._rank = None
        if self._hidden and self._prompting.object_id in self._hidden:
            self.hide(self._prompting.object_id, False)

    def _rewound(self) -> None:
        """Begin with the best mask again: which one is shown now is not known."""
        self._rank = None

    def _pressed(self, layer: Any, event: Any) -> Iterator[None]:
        workspace = self._annotation.workspace
        rolled = None if workspace is None else workspace.rolled()
        selects, in_3d = "Control" in event.modifiers, len(event.dims_displayed) == _VOLUME
        # Brush and eraser paint on the surface that is seen.
        marks = not isinstance(layer, Labels) and str(layer.mode) != "pan_zoom"
        refused = marks and (in_3d or rolled is not None)
        if not selects and not refused:
            return
        if selects:
            self._choose_at(event.position, event if in_3d else None)
        # The click is no prompt: the tool is laid down until the button is up.
        tool, layer.mode = layer.mode, "pan_zoom"
        dragged = False
        yield
        while event.type == "mouse_move":
            dragged = True
            yield
        layer.mode = tool
        if refused and not selects and not dragged:
            show_done(NO_PROMPT_IN_3D if rolled is None else rolled_text(rolled))

    def _choose_at(self, world: Sequence[float], ray: Any = None) -> None:
        """Select the object at a position; in 3D, the one that the ray of an event hits."""
        workspace = self._annotation.workspace
        if workspace is None:
            return
        if ray is not None:
            number = workspace.labels.get_value(
                world,
                view_direction=ray.view_direction,
                dims_displayed=list(ray.dims_displayed),
                world=True,
            )
            if number:
                self._prompting.choose_object(int(number))
            return
        data_coordinates = workspace.labels.world_to_data(world)
        index = tuple(np.rint(data_coordinates).astype(int))
        shape = workspace.labels.data.shape
        if all(0 <= i < size for i, size in zip(index, shape, strict=True)):
            number = int(workspace.labels.data[index])
            if number:
                self._prompting.choose_object(number)

    def _picked(self, _event: object = None) -> None:
        workspace = self._annotation.workspace
        if workspace is not None:
            number = int(workspace.labels.selected_label)
            if number and number != self._prompting.object_id:
                self._prompting.choose_object(number)
