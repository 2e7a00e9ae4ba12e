"""Draw the objects of a labelled stack that a model got worst, through their lives.

Each row is one object, six frames from the first to the last, or six objects of a single image;
blue is the label, orange is what the model made of one prompt. The prompts are those of
``napari-sam2 evaluate``::

    python docs/failures.py PATH/t98g_phase_image.tif failures.png --prompt box --frame first-whole
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from napari_sam2 import TrackingSession, load_model
from napari_sam2.evaluation import EvaluationOptions, PromptFrame, PromptKind, choose_prompts
from napari_sam2.stack import FrameStack, open_stack

_LABEL, _RESULT = (86, 180, 233), (230, 159, 0)  # apart for colour-blind eyes (Okabe and Ito)
_FRAMES = 6
_TILE = 160


def main(
    image: Annotated[Path, typer.Argument(help="NAME_image.tif; its labels lie beside it.")],
    picture: Annotated[Path, typer.Argument(help="The PNG to write.")],
    model: Annotated[str, typer.Option(help="Name or path of a model.")] = "bundled",
    prompt: PromptKind = PromptKind.POINT,
    frame: PromptFrame = PromptFrame.MIDDLE,
    worst: Annotated[int, typer.Option(help="How many objects.")] = 6,
    objects: Annotated[int, typer.Option(help="Of so many, evenly spread over the ids.")] = 40,
) -> None:
    """Prompt every object once, propagate, and draw the worst."""
    labels_path = image.with_name(image.name.replace("_image", "_labels"))
    truth = np.asarray(open_stack(labels_path).data)
    truth = truth[None] if truth.ndim == 2 else truth
    stack = FrameStack(open_stack(image).data, axis=0 if len(truth) > 1 else None)
    session = TrackingSession(load_model(model), stack)
    options = EvaluationOptions(prompt=prompt, frame=frame, max_objects=objects)
    chosen = choose_prompts(truth, options)
    for each in chosen:
        if each.box is not None:
            session.add_box(each.object_id, each.frame, each.box)
        elif each.point is not None:
            session.add_points(each.object_id, each.frame, [each.point])
    for _ in session.propagate():
        pass
    found = np.asarray(session.labels)
    ranked = sorted((each.object_id for each in chosen), key=lambda i: _life(truth, found, i))
    tiles = [_tiles(stack, truth, found, object_id) for object_id in ranked[:worst]]
    if len(truth) == 1:
        single = [tile for (tile,) in tiles]
        tiles = [single[start : start + _FRAMES] for start in range(0, len(single), _FRAMES)]
    Image.fromarray(np.concatenate([_row(each) for each in tiles])).save(picture, optimize=True)


def _life(truth: NDArray[np.integer], found: NDArray[np.integer], object_id: int) -> float:
    """Mean IoU over the frames that hold the object."""
    alive = np.flatnonzero((truth == object_id).any(axis=(1, 2)))
    return float(np.mean([_iou(truth[t] == object_id, found[t] == object_id) for t in alive]))


def _iou(one: NDArray[np.bool_], two: NDArray[np.bool_]) -> float:
    return float((one & two).sum() / (one | two).sum())


def _row(tiles: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    missing = [np.zeros_like(tiles[0])] * (_FRAMES - len(tiles))
    return np.concatenate(tiles + missing, axis=1)


def _tiles(
    stack: FrameStack, truth: NDArray[np.integer], found: NDArray[np.integer], object_id: int
) -> list[NDArray[np.uint8]]:
    areas = (truth == object_id).sum(axis=(1, 2))
    alive = np.flatnonzero(areas)
    zoom = max(1, round(_TILE / 2.5 / np.sqrt(areas.max())))
    tiles = []
    for frame in np.unique(np.linspace(alive[0], alive[-1], _FRAMES).astype(int)):
        mask = truth[frame] == object_id
        place = ndimage.center_of_mass(mask if mask.any() else truth[alive[0]] == object_id)
        grey = np.repeat(255 * stack.read(int(frame))[..., :1], 3, axis=2)
        tile = _window(grey, place, _TILE // zoom)
        for labels, colour in ((truth, _LABEL), (found, _RESULT)):
            inside = _window(labels[frame][..., None] == object_id, place, _TILE // zoom)[..., 0]
            outline = np.kron(inside, np.ones((zoom, zoom))) > 0
            outline &= ~ndimage.binary_erosion(outline)
            tile = np.kron(tile, np.ones((zoom, zoom, 1))) if len(tile) < len(outline) else tile
            tile[outline] = colour
        margin = _TILE - len(tile)
        tiles.append(np.pad(tile, ((0, margin), (0, margin), (0, 0))).astype(np.uint8))
    return tiles


def _window(image: NDArray[np.generic], place: tuple[float, ...], side: int) -> NDArray[np.generic]:
    """Cut a square around (y, x), black beyond the frame."""
    padded = np.pad(image, ((side, side), (side, side), (0, 0)))
    y, x = (round(c) + side - side // 2 for c in place)
    return padded[y : y + side, x : x + side]


if __name__ == "__main__":
    typer.run(main)
