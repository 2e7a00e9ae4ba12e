"""Session files as points, shapes, masks and acceptance of a workspace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.prompts import FramePrompt, SessionFile
from napari_sam2.widgets.places import OBJECT, POSITIVE, Place, Spot
from napari_sam2.widgets.window_state import Said, WindowState

if TYPE_CHECKING:
    from napari.layers import Points, Shapes

    from napari_sam2.widgets.sight import Sight
    from napari_sam2.widgets.workspace import Workspace


def resumed_state(workspace: Workspace, files: Mapping[Place, SessionFile]) -> WindowState:
    """Return what a workspace is to hold when session files take the place of what it says.

    Parameters
    ----------
    workspace : Workspace
    files : mapping of Place to SessionFile
        By stack; what is said of other stacks stays.
    """
    said = workspace.said
    points = _Rows(workspace, workspace.points, files)
    shapes = _Rows(workspace, workspace.shapes, files)
    painted: dict[Spot, FramePrompt] = {s: m for s, m in said.painted.items() if s[0] not in files}
    accepted = {spot for spot in said.accepted if spot[0] not in files}
    handed = {spot for spot in said.handed if spot[0] not in files}
    names = dict(said.names)
    for place, saved in files.items():
        names |= saved.names
        accepted |= {(place, *pair) for pair in saved.accepted_masks}
        handed |= {(place, *pair) for pair in saved.handed_over}
        corner = (saved.region.y0, saved.region.x0) if saved.region else (0, 0)
        for object_id, frame, prompt in saved.book:
            index = workspace.index_of(place, frame)
            for (y, x), positive in zip(prompt.points, prompt.positive, strict=True):
                at = np.array([*index, y + corner[0], x + corner[1]])
                points.add(at, "", object_id, positive)
            if prompt.box is not None:
                shapes.add(_corners(index, prompt.box, corner), "rectangle", object_id, True)
            if prompt.mask is not None:
                painted[place, object_id, frame] = FramePrompt(mask=prompt.mask)
    return WindowState(
        np.array(points.data, float).reshape(-1, workspace.points.ndim),
        points.features(),
        tuple(zip(shapes.data, shapes.kinds, strict=True)),
        shapes.features(),
        Said(painted, frozenset(accepted), names, frozenset(handed)),
    )


def resumed_sight(sight: Sight, saved: SessionFile) -> Sight:
    """Return what is seen of an image in the part, and with the channels, of a session file.

    Layers are seen in the contrast that they have.
    """
    measured = None if sight.picked is None else saved.contrast or None
    return replace(sight, region=saved.region, contrast=measured or sight.contrast)


class _Rows:
    """Marks of a layer with their features: at first those of other stacks than these."""

    def __init__(
        self, workspace: Workspace, layer: Points | Shapes, files: Mapping[Place, SessionFile]
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
