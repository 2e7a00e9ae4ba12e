"""Summaries of a training run before and after it, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_sam2.cli.train.run import PreparedRun
    from napari_sam2.training import FineTuneResult, LabelledStack, Validated


@dataclass(frozen=True, slots=True)
class DataSummary:
    """Number of stacks or images, and of objects, counted once per frame."""

    stacks: int
    objects: int


@dataclass(frozen=True, slots=True)
class IouSummary:
    """Mean IoU on held-out data; `tracked` is None without stacks."""

    step: int
    click: float
    box: float
    tracked: float | None
    score: float


@dataclass(frozen=True, slots=True)
class TrainSummary:
    """The result of ``train``, as ``--json`` prints it."""

    data: str
    train: DataSummary
    held_out: DataSummary
    base: str
    device: str
    parts: str
    image_size: int
    crop: int
    batch: int
    frames: int
    rate: float
    seed: int
    steps: int
    ending: str
    before: IouSummary
    best: IouSummary
    improved: bool
    seconds: float
    model: str
    curves: str | None


def announce(run: PreparedRun) -> str:
    """Return one sentence about the run that starts."""
    chosen = run.settings
    train, held_out = _data(run.split.train), _data(run.split.held_out)
    begin = "Going on with" if run.resumed else "Fine-tuning"
    return (
        f"{begin} {run.loaded.name} ({chosen.parts} parts) on {run.model.device}: "
        f"{train.objects} objects in {train.stacks} stacks or images, measured on "
        f"{held_out.objects} in {held_out.stacks}; {chosen.batch} windows of {chosen.crop} px "
        f"of {chosen.image_size} px per step."
    )


def summarise(run: PreparedRun, result: FineTuneResult, seconds: float) -> TrainSummary:
    """Return the summary of a run and its result."""
    chosen, curves = run.settings, run.options.curves
    return TrainSummary(
        data=str(run.options.folder),
        train=_data(run.split.train),
        held_out=_data(run.split.held_out),
        base=run.loaded.name,
        device=str(run.model.device),
        parts=chosen.parts.value,
        image_size=chosen.image_size,
        crop=chosen.crop,
        batch=chosen.batch,
        frames=chosen.frames,
        rate=chosen.rate,
        seed=chosen.seed,
        steps=result.steps,
        ending=result.ending.value,
        before=_iou(result.before),
        best=_iou(result.best),
        improved=result.best.iou.score > result.before.iou.score,
        seconds=seconds,
        model=str(result.model),
        curves=None if curves is None else str(curves),
    )


def to_json(summary: TrainSummary) -> str:
    """Return a summary as JSON text."""
    return json.dumps(asdict(summary), indent=2)


def describe(summary: TrainSummary) -> str:
    """Return a summary as text."""
    before, best = summary.before, summary.best
    figures = [("one click", before.click, best.click), ("box", before.box, best.box)]
    if before.tracked is not None and best.tracked is not None:
        figures.append(("tracked from one click", before.tracked, best.tracked))
    endings = {
        "steps": "all steps are done",
        "patience": "nothing got better any more",
        "stopped": "stopped; the same command goes on",
    }
    lines = [f"{summary.steps} steps in all; {endings[summary.ending]}."]
    lines += [f"  IoU {name}: {old:.3f} before, {new:.3f} now" for name, old, new in figures]
    if summary.improved:
        lines.append(f"model:  {summary.model} (from step {best.step})")
    else:
        lines.append(f"No step was better than {summary.base} itself, which is in {summary.model}.")
    if summary.curves is not None:
        lines.append(f"curves: {summary.curves}")
    return "\n".join(lines)


def _data(stacks: Sequence[LabelledStack]) -> DataSummary:
    from napari_sam2.training import labelled_instances

    return DataSummary(len(stacks), labelled_instances(stacks))


def _iou(validated: Validated) -> IouSummary:
    iou = validated.iou
    return IouSummary(validated.step, iou.click, iou.box, iou.tracked, round(iou.score, 6))
