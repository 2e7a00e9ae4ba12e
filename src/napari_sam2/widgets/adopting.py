"""Prompts that the session has changed by itself, shown as points, shapes and masks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sam2.prompts import FramePrompt
from napari_sam2.types import ObjectFrame
from napari_sam2.widgets.edits import Choose, ObjectEdit, Split
from napari_sam2.widgets.places import OBJECT, Place, Spot
from napari_sam2.widgets.spec import Wanted
from napari_sam2.widgets.window_state import set_points, set_shapes

if TYPE_CHECKING:
    from napari_sam2.widgets.workspace import Workspace


def adopt(
    workspace: Workspace,
    place: Place,
    edit: ObjectEdit,
    changed: Wanted,
    fresh: frozenset[Spot] = frozenset(),
) -> None:
    """Show what an edit has left of the prompts and acceptance of its objects.

    Of marks that still hold, those of a part that was split off change their object; all others
    of these objects go. Masks come in their place.

    Parameters
    ----------
    workspace : Workspace
    place : Place
    edit : ObjectEdit
    changed : Wanted
        What the session knows after it.
    fresh : frozenset of Spot
        What was prompted since the edit was asked for: it stays.
    """
    if isinstance(edit, Choose):
        return
    if isinstance(edit, Split):
        _hand_over(workspace, place, edit)
    said = workspace.said
    ours = frozenset(edit.objects)
    if isinstance(edit, Split):
        fresh |= {(w, edit.new_id, f) for w, i, f in fresh if i == edit.object_id}
    kept = {p.place for p in changed.prompts if p.prompt.points or p.prompt.box is not None}
    kept |= {ObjectFrame(i, f) for where, i, f in fresh if where == place}
    all_pairs = {ObjectFrame(i, f) for i in ours for f in range(workspace.n_frames)}
    drop_marks(workspace, place, all_pairs - kept)
    painted = {
        spot: mask
        for spot, mask in said.painted.items()
        if spot[0] != place or spot[1] not in ours or spot in fresh
    }
    for placed in changed.prompts:
        if placed.object_id in ours and placed.prompt.mask is not None:
            mask = FramePrompt(mask=placed.prompt.mask)
            painted.setdefault((place, placed.object_id, placed.frame), mask)
    accepted = frozenset(a for a in said.accepted if a[0] != place or a[1] not in ours)
    accepted |= {(place, i, f) for i, f in changed.accepted if i in ours}
    # What was merged, split or chosen is the user's own from now on.
    handed = frozenset(h for h in said.handed if h[0] != place or h[1] not in ours)
    workspace.said = replace(said, painted=painted, accepted=accepted, handed=handed)
    workspace.marks.repaint()


def drop_marks(workspace: Workspace, place: Place, spots: set[ObjectFrame]) -> None:
    """Take away the points and shapes of some objects and frames of a stack."""
    points, shapes = workspace.points, workspace.shapes
    keep = [
        where is None or where[0] != place or (int(number), where[1]) not in spots
        for where, number in zip(workspace.where(points), points.features[OBJECT], strict=True)
    ]
    if not all(keep):
        set_points(points, points.data[keep], points.features[keep])
    keep = [
        where is None or where[0] != place or (int(number), where[1]) not in spots
        for where, number in zip(workspace.where(shapes), shapes.features[OBJECT], strict=True)
    ]
    if not all(keep):
        outlines = tuple(
            (np.array(vertices), str(kind))
            for vertices, kind, kept in zip(shapes.data, shapes.shape_type, keep, strict=True)
            if kept
        )
        set_shapes(shapes, outlines, shapes.features[keep])


def _hand_over(workspace: Workspace, place: Place, edit: Split) -> None:
    for layer in (workspace.points, workspace.shapes):
        features = layer.features.copy()
        for row, where in enumerate(workspace.where(layer)):
            ours = where is not None and where[0] == place and where[1] >= edit.frame
            if ours and features[OBJECT].iloc[row] == edit.object_id:
                features.loc[features.index[row], OBJECT] = edit.new_id
        layer.features = features
