"""How near the approximate levels of speed come to exact mode, and to the truth.

    python benchmarks/levels_of_speed.py data/validation --json levels.json
    python benchmarks/levels_of_speed.py data/validation/cord_t2 --level fastest --threads 1
    python benchmarks/levels_of_speed.py data/validation --level exact --half

With --half the levels are computed in bfloat16, as on GPUs, and compared to exact mode in float32.

Every labelled stack (NAME_image.tif beside NAME_labels.tif) is segmented exactly and at each level,
from the same prompts: one click in the middle frame of every object, or its box in the first frame
that shows it whole. IoU is that of an object in a frame, averaged over the frames where either of
two masks is there, then over the objects.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from figures import CLOCKS, read_options, write_figures
from numpy.typing import NDArray

from napari_sam2 import TrackingSession, TrackingSettings, load_model
from napari_sam2.benchmarking import table
from napari_sam2.evaluation import EvaluationOptions, PromptFrame, PromptKind
from napari_sam2.evaluation.methods import give_prompt
from napari_sam2.evaluation.pairs import find_pairs, read_pair
from napari_sam2.evaluation.simulated_user import ObjectPrompt, choose_prompts
from napari_sam2.stack import FrameStack
from napari_sam2.tracking import Model, Speed


@dataclass(frozen=True)
class LevelResult:
    """One level on one stack; seconds are per frame of propagation."""

    stack: str
    objects: int
    level: Speed
    precision: str
    approximations: tuple[str, ...]
    iou_to_exact: float
    iou_to_truth: float
    seconds: float


def segment(
    model: Model,
    stack: FrameStack,
    prompts: tuple[ObjectPrompt, ...],
    level: Speed,
    clock: Callable[[], float],
) -> tuple[TrackingSession, float]:
    """Follow all objects both ways; return the session, and seconds per frame."""
    session = TrackingSession(model, stack, settings=TrackingSettings(speed=level))
    for prompt in prompts:
        give_prompt(session, prompt)
    start = clock()
    visited = sum(1 for _ in session.propagate())
    return session, (clock() - start) / visited


def mean_iou(labels: NDArray[Any], others: NDArray[Any], ids: list[int]) -> float:
    """Average over objects the mean IoU over the frames where one of both has the object."""
    scores = []
    for object_id in ids:
        a, b = (each.reshape(len(each), -1) == object_id for each in (labels, others))
        union = (a | b).sum(axis=1)
        there = union > 0
        if there.any():
            scores.append(float(((a & b).sum(axis=1)[there] / union[there]).mean()))
    return fmean(scores)


def measure(
    folder: Path, models: Sequence[Model], options: argparse.Namespace
) -> list[LevelResult]:
    """Compare the levels on every stack of a folder."""
    asked = EvaluationOptions(
        prompt=PromptKind.BOX if options.box else PromptKind.POINT,
        frame=PromptFrame.WHOLE if options.box else PromptFrame.MIDDLE,
        max_objects=options.max_objects,
    )
    clock = CLOCKS[options.clock]
    results = []
    for pair in find_pairs(folder, limit=options.limit):
        stack, truth = read_pair(pair)
        if stack.n_frames == 1:
            continue
        prompts = choose_prompts(truth, asked)
        ids = [prompt.object_id for prompt in prompts]
        exact: NDArray[Any] | None = None
        runs = ((models[0], Speed.EXACT), *((models[-1], level) for level in options.level))
        for model, level in dict.fromkeys(runs):
            session, seconds = segment(model, stack, prompts, level, clock)
            labels = np.asarray(session.labels)
            exact = labels if exact is None else exact
            results.append(
                LevelResult(
                    f"{pair.group}/{pair.name}",
                    len(ids),
                    level,
                    "bfloat16" if model.half else "float32",
                    session.approximations,
                    mean_iou(labels, exact, ids),
                    mean_iou(labels, truth, ids),
                    seconds,
                )
            )
            sys.stdout.write("\n".join(table([row(results[-1])])) + "\n")
            sys.stdout.flush()
    return results


def row(result: LevelResult) -> list[str]:
    """Return one line of the table."""
    return [
        result.stack,
        str(result.objects),
        str(result.level),
        result.precision,
        f"{result.iou_to_exact:.3f}",
        f"{result.iou_to_truth:.3f}",
        f"{result.seconds:.3f}",
    ]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--image-size", type=int, help="side of the model input of exact mode")
    parser.add_argument(
        "--level", type=Speed, nargs="+", default=[Speed.BALANCED, Speed.FASTEST], choices=Speed
    )
    parser.add_argument("--half", action="store_true", help="compute the levels in bfloat16")
    parser.add_argument("--box", action="store_true", help="boxes in the first whole frame")
    parser.add_argument("--max-objects", type=int, help="of each stack, evenly spread")
    parser.add_argument("--limit", type=int, help="stacks of each folder, evenly spread")
    options = read_options(parser)
    precisions = ["float32", "bfloat16"] if options.half else ["float32"]
    models = [
        load_model(options.model, device="cpu", image_size=options.image_size, precision=each)
        for each in precisions
    ]
    results = measure(options.folder, models, options)
    titles = ["stack", "objects", "level", "precision", "IoU to exact", "IoU to truth", "s/frame"]
    sys.stdout.write("\n".join(["", *table([titles, *map(row, results)])]) + "\n")
    write_figures(options, results)


if __name__ == "__main__":
    main()
