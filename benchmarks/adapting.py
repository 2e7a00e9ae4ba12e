"""What a model learns from a few masks of an image, measured in other frames of it.

    python benchmarks/adapting.py data/train/bacteria_dapi data/train/ct_organs --minutes 2
    python benchmarks/adapting.py data/validation/t98g_phase --masks 12 --frames 2 --json t98g.json

Every folder holds labelled pairs, NAME_image.tif beside NAME_labels.tif. Its largest stack is
taken; of single images of one size a stack is made, and a single image is cut into parts, which are
its frames. The masks of so many objects in so many frames are given and accepted, `fine_tune_on`
adapts the model, and one click and one box on the objects of other frames, neighbours left out
where there are enough, are measured with the model as it was and with the one that is in use then.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from figures import read_options, write_figures
from numpy.typing import NDArray

from napari_sam2 import TrackingSession, load_model
from napari_sam2.benchmarking import table
from napari_sam2.stack import FrameStack, open_stack
from napari_sam2.training import HeldOutIou, fine_tune_on
from napari_sam2.training.adapt.mask_measure import measure_masks
from napari_sam2.training.adapt.task import MeasuredFrame

_LEAST_AREA = 30
_LEAST_SIDE = 96


@dataclass(frozen=True)
class AdaptedSet:
    """One set of images."""

    name: str
    masks: int
    steps: int
    seconds: float
    taken: bool
    held_out_before: float
    held_out_after: float
    click_before: float
    click_after: float
    box_before: float
    box_after: float


def read_stack(folder: Path) -> tuple[NDArray[Any], NDArray[np.integer[Any]]]:
    """Read image (T, Y, X) or (T, Y, X, C) and labels (T, Y, X) of a folder."""
    pairs = []
    for path in sorted(folder.glob("*_image.tif")):
        with (
            open_stack(path) as image,
            open_stack(path.with_name(path.name.replace("_image", "_labels"))) as labels,
        ):
            pairs.append((np.array(image.data), np.array(labels.data)))
    stacks = [pair for pair in pairs if pair[1].ndim == 3]
    if stacks:
        return max(stacks, key=lambda pair: pair[1].size)
    shapes = [labels.shape for _, labels in pairs]
    usual = max(set(shapes), key=shapes.count)
    if shapes.count(usual) > 2:
        same = [pair for pair in pairs if pair[1].shape == usual]
        return np.stack([i for i, _ in same]), np.stack([each for _, each in same])
    return cut(*max(pairs, key=lambda pair: pair[1].size))


def cut(
    image: NDArray[Any], labels: NDArray[np.integer[Any]]
) -> tuple[NDArray[Any], NDArray[np.integer[Any]]]:
    """Cut an image along its longer side into parts as long as the shorter one, or smaller."""
    axis = int(np.argmax(labels.shape))
    length = labels.shape[axis]
    parts = max(4, round(length / labels.shape[1 - axis]))
    parts = max(1, min(parts, length // _LEAST_SIDE))
    side = length // parts
    cuts = [
        tuple(np.take(each, range(n * side, (n + 1) * side), axis=axis) for each in (image, labels))
        for n in range(parts)
    ]
    return np.stack([i for i, _ in cuts]), np.stack([each for _, each in cuts])


def objects_in(plane: NDArray[np.integer[Any]]) -> list[int]:
    """List the objects of a frame that are large enough."""
    ids, counts = np.unique(plane, return_counts=True)
    return [int(i) for i, n in zip(ids, counts, strict=True) if i and n >= _LEAST_AREA]


def adapt_to(folder: Path, options: argparse.Namespace, scratch: Path) -> AdaptedSet:
    """Adapt the model to a set, and measure it."""
    image, labels = read_stack(folder)
    rng = np.random.default_rng(options.seed)
    model = load_model(options.model, device=options.device)
    stack = FrameStack(image, 0)
    session = TrackingSession(model, stack)
    counts = np.array([len(objects_in(plane)) for plane in labels])
    full = np.flatnonzero(counts >= min(options.masks // options.frames, counts.max()))
    taught = [
        int(full[i])
        for i in np.linspace(0, len(full) - 1, options.frames + 2)[1:-1].round().astype(int)
    ]
    taught = sorted(set(taught))
    given = 0
    for place, frame in enumerate(taught):
        share = (options.masks - given) // (len(taught) - place)
        for number in rng.permutation(objects_in(labels[frame]))[:share].tolist():
            session.add_mask(number, frame, labels[frame] == number)
            session.accept(number, frame)
            given += 1
    others = [f for f in range(len(labels)) if min(abs(f - t) for t in taught) > 1]
    others = others or [f for f in range(len(labels)) if f not in taught]
    measured = measured_frames(stack, labels, others, options.objects, rng)
    before = measure_masks(model.network, measured, session.template)
    path = scratch / f"{folder.name}.safetensors"
    result = fine_tune_on(session, options.minutes, path, seed=options.seed)
    after = before
    if result.taken:
        adapted = load_model(path, device=options.device)
        after = measure_masks(adapted.network, measured, session.template)
    return AdaptedSet(
        folder.name,
        given,
        result.steps,
        result.seconds,
        result.taken,
        *(iou.score for iou in (result.before, result.after)),
        *figures(before, after),
    )


def figures(before: HeldOutIou, after: HeldOutIou) -> tuple[float, float, float, float]:
    """Return click and box, each before and after."""
    return before.click, after.click, before.box, after.box


def measured_frames(
    stack: FrameStack,
    labels: NDArray[np.integer[Any]],
    frames: Sequence[int],
    most: int,
    rng: np.random.Generator,
) -> list[MeasuredFrame]:
    """Choose objects of other frames, at random."""
    every = [(frame, number) for frame in frames for number in objects_in(labels[frame])]
    chosen = [every[i] for i in rng.permutation(len(every))[:most]]
    found = []
    for frame in sorted({frame for frame, _ in chosen}):
        ids = tuple(sorted(number for where, number in chosen if where == frame))
        picture = np.rint(stack.read(frame) * 255).astype(np.uint8)
        found.append(MeasuredFrame(picture, labels[frame].astype(np.int32), ids))
    return found


def row(result: AdaptedSet) -> list[str]:
    """Return one line of the table."""
    pairs = (
        (result.held_out_before, result.held_out_after),
        (result.click_before, result.click_after),
        (result.box_before, result.box_after),
    )
    return [
        result.name,
        str(result.masks),
        str(result.steps),
        f"{result.seconds:.0f}",
        "yes" if result.taken else "no",
        *(f"{before:.3f} > {after:.3f}" for before, after in pairs),
    ]


def main() -> None:
    """Adapt to every folder, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--masks", type=int, default=12)
    parser.add_argument("--frames", type=int, default=2)
    parser.add_argument("--objects", type=int, default=40, help="measured in other frames")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    options = read_options(parser)
    results: list[AdaptedSet] = []
    with tempfile.TemporaryDirectory() as scratch:
        for folder in options.folders:
            results.append(adapt_to(folder, options, Path(scratch)))
            sys.stdout.write("\n".join(table([row(results[-1])])) + "\n")
            sys.stdout.flush()
    titles = ["set", "masks", "steps", "s", "taken", "held out", "click", "box"]
    sys.stdout.write("\n".join(["", *table([titles, *map(row, results)])]) + "\n")
    write_figures(options, results)


if __name__ == "__main__":
    main()
