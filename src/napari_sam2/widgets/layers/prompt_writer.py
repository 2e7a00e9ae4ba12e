"""Writes prompts of a session or of a session file into layers.

Main thread only.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_sam2.prompts import FramePrompt, SessionFile
from napari_sam2.types import ObjectFrame
from napari_sam2.widgets.layers.snapshot import UserState, WindowSnapshot
from napari_sam2.widgets.state.object_edits import (
    AddFound,
    Choose,
    Delete,
    Discard,
    Divide,
    Merge,
    ObjectEdit,
    Split,
    Undivide,
)
from napari_sam2.widgets.state.positions import OBJECT, POSITIVE, MaskKey, StackPosition
from napari_sam2.widgets.state.session_spec import Annotations

if TYPE_CHECKING:
    from napari.layers import Points, Shapes

    from napari_sam2.widgets.layers.workspace import Workspace
    from napari_sam2.widgets.state.image_source import ImageSource


def adopted(
    workspace: Workspace,
    state: WindowSnapshot,
    position: StackPosition,
    edit: ObjectEdit,
    changed: Annotations,
    fresh: frozenset[MaskKey] = frozenset(),
) -> WindowSnapshot:
    """Return what an edit leaves of a state: of the prompts and acceptance of its objects.

    Of marks that still hold, those of a part that was split off change their object; all others
    of these objects go. Masks come in their place. Objects that were found get their points. The
    name of an object goes with the last of it.

    Parameters
    ----------
    workspace : Workspace
        Tells where marks lie; it is left as it is.
    state : WindowSnapshot
        Of the window before the edit, or with what the user has done since it was asked for.
    position : StackPosition
    edit : ObjectEdit
    changed : Annotations
        What the session knows after it.
    fresh : frozenset of MaskKey
        What was prompted since the edit was asked for: it stays.
    """
    if isinstance(edit, AddFound):
        return _with_found(workspace, state, position, edit, changed)
    ours_here = [(position, object_id) for object_id in edit.objects]
    user_state = state.user_state.looked_at(ours_here)
    if isinstance(edit, Choose):
        return replace(state, user_state=user_state)
    user_state = user_state.divided(position, changed.divisions)
    split = edit if isinstance(edit, Split) else None
    if isinstance(edit, Divide) and edit.new_id is not None:
        split = Split(edit.parent, edit.frame, edit.new_id)
    elif isinstance(edit, Divide | Undivide):
        return replace(state, user_state=user_state)  # prompts and acceptance are as they were
    if split is not None:
        state = _handed_over(workspace, state, position, split)
        fresh |= {(w, split.new_id, f) for w, i, f in fresh if i == split.object_id}
    ours = frozenset(edit.objects)
    kept = {p.object_frame for p in changed.prompts if p.prompt.points or p.prompt.box is not None}
    kept |= {ObjectFrame(i, f) for where, i, f in fresh if where == position}
    all_pairs = {ObjectFrame(i, f) for i in ours for f in range(workspace.n_frames)}
    state = _without_marks(workspace, state, position, all_pairs - kept)
    painted = {
        mask_key: mask
        for mask_key, mask in user_state.painted.items()
        if mask_key[0] != position or mask_key[1] not in ours or mask_key in fresh
    }
    for placed in changed.prompts:
        if placed.object_id in ours and placed.prompt.mask is not None:
            mask = FramePrompt(mask=placed.prompt.mask)
            painted.setdefault((position, placed.object_id, placed.frame), mask)
    accepted = frozenset(a for a in user_state.accepted if a[0] != position or a[1] not in ours)
    accepted |= {(position, i, f) for i, f in changed.accepted if i in ours}
    # What was merged, split or chosen is the user's own from now on.
    handed = frozenset(h for h in user_state.handed if h[0] != position or h[1] not in ours)
    user_state = replace(user_state, painted=painted, accepted=accepted, handed=handed)
    return _without_names(replace(state, user_state=user_state), edit)


def _without_names(state: WindowSnapshot, edit: ObjectEdit) -> WindowSnapshot:
    """Return a state without the names of objects that an edit took out of the last stack.

    Their ids are free: the next objects that get them are others.
    """
    gone: set[int] = set()
    if isinstance(edit, Delete | Discard):
        gone = set(edit.objects)
    elif isinstance(edit, Merge):
        gone = {edit.other}
    user_state = state.user_state
    for features in (state.point_features, state.shape_features):
        gone -= {int(number) for number in features[OBJECT]}
    gone -= {object_id for _, object_id, _ in user_state.painted.keys() | user_state.accepted}
    for object_id in gone & user_state.names.keys():
        user_state = user_state.named(object_id, "")
    return replace(state, user_state=user_state)


def _with_found(
    workspace: Workspace,
    state: WindowSnapshot,
    position: StackPosition,
    edit: AddFound,
    changed: Annotations,
) -> WindowSnapshot:
    """Add the points of objects that were found, mark these as not looked at, and divide them."""
    region, ndim = workspace.source.region, workspace.points.ndim
    corner = (0, 0) if region is None else (region.y0, region.x0)
    ours = frozenset(edit.objects)
    places = workspace.where(workspace.points, state.points)
    numbers = state.point_features[OBJECT]
    there = {(where, int(number)) for where, number in zip(places, numbers, strict=True)}
    data, ids, signs, found = [], [], [], set()
    for placed in changed.prompts:
        # One that continues an object has that object's former points too.
        if placed.object_id in ours and ((position, placed.frame), placed.object_id) not in there:
            found.add((position, placed.object_id, placed.frame))
            index = workspace.index_of(position, placed.frame)
            for (y, x), positive in zip(placed.prompt.points, placed.prompt.positive, strict=True):
                data.append([*index, y + corner[0], x + corner[1]])
                ids.append(placed.object_id)
                signs.append(positive)
    if not found:
        return state
    new = pd.DataFrame({OBJECT: np.array(ids, int), POSITIVE: np.array(signs, bool)})
    before = np.asarray(state.points, float).reshape(-1, ndim)
    features = pd.concat([state.point_features, new], ignore_index=True) if len(before) else new
    user_state = state.user_state.divided(position, changed.divisions)
    return replace(
        state,
        points=np.concatenate([before, np.array(data, float)]),
        point_features=features,
        user_state=replace(user_state, found=user_state.found | found),
    )


def drop_marks(workspace: Workspace, position: StackPosition, pairs: set[ObjectFrame]) -> None:
    """Take away the points and shapes of some objects and frames of a stack."""
    before = workspace.state()
    after = _without_marks(workspace, before, position, pairs)
    after.show(workspace.points, workspace.shapes, before)


def _without_marks(
    workspace: Workspace,
    state: WindowSnapshot,
    position: StackPosition,
    pairs: set[ObjectFrame],
) -> WindowSnapshot:
    """Return a state without the points and shapes of some objects and frames of a stack."""

    def kept(layer: Points | Shapes, marks: Iterable[Any], features: Any) -> list[bool]:
        places = workspace.where(layer, marks)
        return [
            where is None or where[0] != position or (int(number), where[1]) not in pairs
            for where, number in zip(places, features[OBJECT], strict=True)
        ]

    keep = kept(workspace.points, state.points, state.point_features)
    if not all(keep):
        features = state.point_features[keep].reset_index(drop=True)
        state = replace(state, points=state.points[keep], point_features=features)
    outlines = [vertices for vertices, _ in state.shapes]
    keep = kept(workspace.shapes, outlines, state.shape_features)
    if not all(keep):
        features = state.shape_features[keep].reset_index(drop=True)
        shapes = tuple(itertools.compress(state.shapes, keep))
        state = replace(state, shapes=shapes, shape_features=features)
    return state


def _handed_over(
    workspace: Workspace, state: WindowSnapshot, position: StackPosition, edit: Split
) -> WindowSnapshot:
    """Return a state in which the marks of a part that is split off have the new object's id."""

    def of_new_object(layer: Points | Shapes, marks: Iterable[Any], features: Any) -> Any:
        ours = np.array(
            [
                where is not None and where[0] == position and where[1] >= edit.frame
                for where in workspace.where(layer, marks)
            ],
            bool,
        )
        ours &= features[OBJECT].to_numpy() == edit.object_id
        if not ours.any():
            return features
        features = features.copy()
        features.loc[ours, OBJECT] = edit.new_id
        return features

    outlines = [vertices for vertices, _ in state.shapes]
    return replace(
        state,
        point_features=of_new_object(workspace.points, state.points, state.point_features),
        shape_features=of_new_object(workspace.shapes, outlines, state.shape_features),
    )


def resumed_state(
    workspace: Workspace, files: Mapping[StackPosition, SessionFile]
) -> WindowSnapshot:
    """Return what a workspace is to hold when session files replace its annotations.

    Parameters
    ----------
    workspace : Workspace
    files : mapping of StackPosition to SessionFile
        By stack; the annotations of other stacks stay.
    """
    user_state = workspace.user_state
    points = _Rows(workspace, workspace.points, files)
    shapes = _Rows(workspace, workspace.shapes, files)
    painted: dict[MaskKey, FramePrompt] = {
        s: m for s, m in user_state.painted.items() if s[0] not in files
    }
    accepted = {mask_key for mask_key in user_state.accepted if mask_key[0] not in files}
    handed = {mask_key for mask_key in user_state.handed if mask_key[0] not in files}
    found = {mask_key for mask_key in user_state.found if mask_key[0] not in files}
    divisions = {each for each in user_state.divisions if each[0] not in files}
    names = dict(user_state.names)
    for position, saved in files.items():
        names |= saved.names
        accepted |= {(position, *pair) for pair in saved.accepted_masks}
        handed |= {(position, *pair) for pair in saved.handed_over}
        divisions |= {(position, each) for each in saved.divisions}
        corner = (saved.region.y0, saved.region.x0) if saved.region else (0, 0)
        for object_id, frame, prompt in saved.book:
            if object_id in saved.found:
                found.add((position, object_id, frame))
            index = workspace.index_of(position, frame)
            for (y, x), positive in zip(prompt.points, prompt.positive, strict=True):
                at = np.array([*index, y + corner[0], x + corner[1]])
                points.add(at, "", object_id, positive)
            if prompt.box is not None:
                shapes.add(_corners(index, prompt.box, corner), "rectangle", object_id, True)
            if prompt.mask is not None:
                painted[position, object_id, frame] = FramePrompt(mask=prompt.mask)
    return WindowSnapshot(
        np.array(points.data, float).reshape(-1, workspace.points.ndim),
        points.features(),
        tuple(zip(shapes.data, shapes.kinds, strict=True)),
        shapes.features(),
        UserState(
            painted,
            frozenset(accepted),
            names,
            frozenset(handed),
            frozenset(found),
            frozenset(divisions),
        ),
        workspace.source.region,
    )


def resumed_source(source: ImageSource, saved: SessionFile) -> ImageSource:
    """Return what is seen of an image in the part, and with the channels, of a session file.

    Layers are seen in the contrast that they have.
    """
    measured = None if source.picked is None else saved.contrast or None
    return replace(source, region=saved.region, contrast=measured or source.contrast)


class _Rows:
    """Marks of a layer with their features: at first those of other stacks than these."""

    def __init__(
        self,
        workspace: Workspace,
        layer: Points | Shapes,
        files: Mapping[StackPosition, SessionFile],
    ) -> None:
        self.data: list[NDArray[Any]] = []
        self.kinds: list[str] = []
        self._ids: list[int] = []
        self._signs: list[bool] = []
        self._frame = type(layer.features)
        kinds = getattr(layer, "shape_type", [""] * len(layer.data))
        features = layer.features[OBJECT], layer.features[POSITIVE]
        rows = zip(workspace.where(layer), layer.data, kinds, *features, strict=True)
        for where, mark, kind, object_id, positive in rows:
            if where is not None and where[0] not in files:
                self.add(np.array(mark, float), str(kind), int(object_id), bool(positive))

    def add(self, mark: NDArray[Any], kind: str, object_id: int, positive: bool) -> None:
        self.data.append(mark)
        self.kinds.append(kind)
        self._ids.append(object_id)
        self._signs.append(positive)

    def features(self) -> Any:
        return self._frame(
            {OBJECT: np.array(self._ids, int), POSITIVE: np.array(self._signs, bool)}
        )


def _corners(
    index: tuple[int, ...], box: tuple[float, float, float, float], corner: tuple[int, int]
) -> NDArray[Any]:
    y0, x0, y1, x1 = np.add(box, (*corner, *corner))
    return np.array([[*index, y, x] for y, x in ((y0, x0), (y0, x1), (y1, x1), (y1, x0))], float)
