"""Objects of labelled stacks, each followed by itself from one box or click.

    python benchmarks/single_objects.py DATA/train/arabidopsis_nuclei_1135 --kind z-stack
    python benchmarks/single_objects.py nuclei:1 nuclei:2 --objects 20
    python benchmarks/single_objects.py IMAGE.tif LABELS.tif --prompt click

A set is a folder of labelled pairs, of which the longest stack is taken, two files, or
`nuclei:SEED` or `cells:SEED`, the samples. `evaluate` prompts all objects of a stack at once, so
that they take pixels from each other; here nothing keeps an object from going on into the next
one. `stack` is the IoU of all pixels of an object, `life` the mean IoU of the frames that it is
in. An object is prompted in the middle of its frames.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from figures import read_options, write_figures
from numpy.typing import NDArray

from napari_sam2 import TrackingSession, load_model
from napari_sam2.evaluation.metrics import iou
from napari_sam2.evaluation.pairs import LabelledPair, find_pairs, read_pair
from napari_sam2.evaluation.simulated_user import interior_point
from napari_sam2.samples import dividing_cells, nuclei_stack
from napari_sam2.stack import FrameStack, StackKind
from napari_sam2.tracking import Model

LEAST_AREA = 20
LEAST_FRAMES = 3
SAMPLES = {"nuclei": nuclei_stack, "cells": dividing_cells}
Truth = NDArray[np.integer]


@dataclass(frozen=True)
class Followed:
    """One object of a set, followed through its stack."""

    name: str
    kind: str
    object_id: int
    frame: int
    stack: float
    life: float


def read_sets(names: Sequence[str], kind: StackKind) -> Iterator[tuple[str, FrameStack, Truth]]:
    """Open the sets one after the other."""
    left = list(names)
    while left:
        name = left.pop(0)
        sample, _, seed = name.partition(":")
        if sample in SAMPLES and seed:
            made = SAMPLES[sample](int(seed))
            yield name, FrameStack(made.image, kind=kind), np.asarray(made.labels)
        elif Path(name).is_dir():
            opened = [read_pair(each, kind) for each in find_pairs(Path(name))]
            yield Path(name).name, *max(opened, key=lambda each: each[0].n_frames)
        else:
            image = Path(name)
            pair = LabelledPair(image.stem, image.parent.name, image, Path(left.pop(0)))
            yield image.stem, *read_pair(pair, kind)


def chosen(truth: Truth, count: int, seed: int) -> Iterator[tuple[int, int]]:
    """Choose objects at random, and the frame in the middle of each one's life."""
    numbers = np.unique(truth[truth > 0])
    np.random.default_rng(seed).shuffle(numbers)
    for number in numbers.tolist():
        shown = np.flatnonzero((truth == number).sum(axis=(1, 2)) >= LEAST_AREA)
        if len(shown) >= LEAST_FRAMES and count > 0:
            count -= 1
            yield number, int(shown[len(shown) // 2])


def follow(
    model: Model, stack: FrameStack, truth: Truth, number: int, frame: int, prompt: str
) -> tuple[float, float]:
    """Prompt one object and follow it; return its IoU in the stack and in its frames."""
    true = truth == number
    session = TrackingSession(model, stack)
    if prompt == "click":
        session.add_points(1, frame, [interior_point(true[frame])])
    else:
        rows, columns = np.nonzero(true[frame])
        box = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
        session.add_box(1, frame, [float(each) for each in box])
    for _ in session.propagate():
        pass
    found = np.asarray(session.labels) == 1
    session.close()
    frames = np.flatnonzero(true.any(axis=(1, 2)))
    return iou(found, true), fmean(iou(found[each], true[each]) for each in frames)


def main() -> None:
    """Print a line for each set, and the means over the sets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--kind", type=StackKind, choices=list(StackKind), default="z-stack")
    parser.add_argument("--prompt", choices=("box", "click"), default="box")
    parser.add_argument("--objects", type=int, default=10, help="of each set, at most")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of objects")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--device", default="cpu")
    options = read_options(parser)
    model = load_model(options.model, options.device)
    results: list[Followed] = []
    means: list[tuple[float, float]] = []
    for name, stack, truth in read_sets(options.sets, options.kind):
        ours = []
        for number, frame in chosen(truth, options.objects, options.seed):
            scores = follow(model, stack, truth, number, frame, options.prompt)
            ours.append(Followed(name, str(options.kind), number, frame, *scores))
        results += ours
        means.append((fmean(each.stack for each in ours), fmean(each.life for each in ours)))
        sys.stdout.write(f"{name:<28}{len(ours):>4}{means[-1][0]:>8.3f}{means[-1][1]:>8.3f}\n")
        sys.stdout.flush()
    overall = [fmean(column) for column in zip(*means, strict=True)]
    sys.stdout.write(f"{'mean':<28}{len(results):>4}{overall[0]:>8.3f}{overall[1]:>8.3f}\n")
    write_figures(options, results)


if __name__ == "__main__":
    main()
