"""The painting controller: strokes in the Labels layer become mask prompts.

Main thread only.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject

from napari_sam2.labels import PlaneChange
from napari_sam2.prompts import FramePrompt
from napari_sam2.types import ObjectFrame
from napari_sam2.widgets.layers.prompt_writer import drop_marks
from napari_sam2.widgets.layers.strokes import apply_stroke, stroke_changes
from napari_sam2.widgets.state.positions import MaskKey, StackPosition

if TYPE_CHECKING:
    from napari_sam2.widgets.controllers.annotation import AnnotationController
    from napari_sam2.widgets.layers.workspace import Workspace


class PaintingController(QObject):
    """Takes what is painted into the labels of a workspace for prompts. Main thread only.

    Brush and eraser change the current object only, see `Labels.preserve_labels`. The object is
    from then on what is drawn: its points and shapes in that frame are used up. So is any other
    object that loses pixels, where that was unticked or a script has painted. An object that is
    erased wholly is accepted as absent from that frame. Strokes beyond the part that is worked in
    stay as they are, and are no prompts.

    Parameters
    ----------
    annotation : AnnotationController
    """

    def __init__(self, annotation: AnnotationController) -> None:
        super().__init__()
        self._annotation = annotation
        self._workspace: Workspace | None = None

    def attach(self, workspace: Workspace) -> None:
        """Listen to the labels of a workspace."""
        self._workspace = workspace
        workspace.labels.events.paint.connect(self._painted)

    def detach(self) -> None:
        """Listen no longer."""
        if self._workspace is not None:
            self._workspace.labels.events.paint.disconnect(self._painted)
        self._workspace = None

    def _painted(self, event: Any) -> None:
        workspace = self._workspace
        if workspace is None:
            return
        labels = workspace.labels.data
        apply_stroke(labels, event.value)
        strokes: defaultdict[StackPosition, list[PlaneChange]] = defaultdict(list)
        masks: dict[MaskKey, FramePrompt | None] = {}
        erased: set[MaskKey] = set()
        followed = self._followed(workspace)
        region = workspace.source.region
        for row, change in stroke_changes(labels, event.value, region).items():
            position, frame = workspace.placed(row)
            plane = labels[row] if region is None else labels[row][region.slices]
            strokes[position].append(replace(change, frame=frame))
            for number in sorted(self._concerned(change, position)):
                mask = np.asarray(plane == number)
                mask_key = position, number, frame
                masks[mask_key] = FramePrompt(mask=mask) if mask.any() else None
                if masks[mask_key] is None and (position, number) in followed:
                    erased.add(mask_key)
        accepted = (workspace.user_state.accepted - masks.keys()) | erased
        for position in strokes:
            drawn = {ObjectFrame(i, f) for where, i, f in masks if where == position}
            drop_marks(workspace, position, drawn)
        title = "eraser" if erased or workspace.labels.mode == "erase" else "brush"
        self._annotation.record_change(
            title,
            painted=masks,
            accepted=accepted,
            strokes={position: tuple(changes) for position, changes in strokes.items()},
        )

    def _followed(self, workspace: Workspace) -> set[tuple[StackPosition, int]]:
        """Return the objects that a session knows, each with its stack."""
        by_position = self._annotation.prompts.by_position
        prompted = {
            (position, p.object_id) for position, placed in by_position.items() for p in placed
        }
        return prompted | {
            (position, number) for position, number, _ in workspace.user_state.accepted
        }

    def _concerned(self, change: PlaneChange, position: StackPosition) -> set[int]:
        """Return the objects that were painted, and those that lost pixels to the background."""
        before, after = _boxes(change)
        painted = set(np.unique(after[after != before]).tolist()) - {0}
        lost = set(np.unique(before[(after == 0) & (before != 0)]).tolist())
        prompted = {placed.object_id for placed in self._annotation.prompts.at(position)}
        known = set(self._annotation.object_records.objects(position)) | prompted
        return painted | (lost & known)


def _boxes(change: PlaneChange) -> tuple[NDArray[Any], NDArray[Any]]:
    shape = change.rows[1], change.columns[1]
    before, after = np.zeros(shape, change.dtype), np.zeros(shape, change.dtype)
    change.undo(before)
    change.redo(after)
    return before, after
