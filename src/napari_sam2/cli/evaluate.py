"""``napari-sam2 evaluate``: how good a model is on labelled stacks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_sam2.cli.interrupts import INTERRUPTED_EXIT_CODE, soft_interrupt
from napari_sam2.cli.options import DeviceOption, ImageSizeOption, JsonOption, ModelOption
from napari_sam2.cli.outputs import check_output
from napari_sam2.errors import EvaluationError
from napari_sam2.evaluation.options import (
    EvaluationOptions,
    OverlapRule,
    PromptFrame,
    PromptKind,
)

if TYPE_CHECKING:
    from napari_sam2.evaluation import EvaluationReport


def evaluate(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Holds NAME_image.tif and NAME_labels.tif pairs, or folders that do.",
        ),
    ],
    model: ModelOption = "bundled",
    device: DeviceOption = "auto",
    image_size: ImageSizeOption = None,
    prompt: Annotated[
        PromptKind,
        typer.Option(help="One click on the most interior pixel, or the bounding box."),
    ] = PromptKind.POINT,
    frame: Annotated[
        PromptFrame, typer.Option(help="The frame of each object that gets its prompt.")
    ] = PromptFrame.MIDDLE,
    overlap: Annotated[
        OverlapRule,
        typer.Option(
            help="Score masks with overlaps, or resolved as labels hold them; auto: with overlaps "
            "in single images, where each object counts alone, resolved in stacks."
        ),
    ] = OverlapRule.AUTO,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="At most this many stacks of each folder, evenly spread."),
    ] = None,
    max_objects: Annotated[
        int | None,
        typer.Option(min=1, help="At most this many objects of each stack, evenly spread."),
    ] = None,
    per_object: Annotated[
        bool, typer.Option("--per-object", help="List every object in the table.")
    ] = False,
    json: JsonOption = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the JSON into this file too.")
    ] = None,
) -> None:
    """Prompt each object once, propagate both ways, compare with the labels.

    IoU is of an object's pixels over all frames; J and F are means over frames.
    """
    from napari_sam2.evaluation import format_report, report_to_json

    options = EvaluationOptions(prompt, frame, overlap, max_objects)
    if output is not None:
        check_output(output, EvaluationError)
    report = _evaluate_with_bar(folder, (model, device, image_size), options, limit)
    text = report_to_json(report)
    if output is not None:
        output.write_text(text + "\n", encoding="utf-8")
    typer.echo(text if json else format_report(report, per_object=per_object))
    if not report.complete:
        raise typer.Exit(INTERRUPTED_EXIT_CODE)


def _evaluate_with_bar(
    folder: Path,
    model: tuple[str, str, int | None],
    options: EvaluationOptions,
    limit: int | None,
) -> EvaluationReport:
    from tqdm import tqdm

    from napari_sam2.evaluation import evaluate_folder, find_pairs
    from napari_sam2.evaluation.protocol import EvaluationStep
    from napari_sam2.tracking import load_model

    find_pairs(folder, limit=limit)  # a wrong folder is told before a model is loaded
    loaded = load_model(model[0], device=model[1], image_size=model[2])
    with soft_interrupt() as interrupt, tqdm(unit="stack", disable=None) as bar:

        def show(step: EvaluationStep) -> None:
            bar.total = step.sequences
            bar.n = step.sequence
            frames = f" frame {step.step}/{step.steps}" if step.steps > 1 else ""
            bar.set_description(step.name + frames)

        report = evaluate_folder(
            folder, loaded, options, limit=limit, progress=show, cancelled=interrupt.asked
        )
        bar.update(len(report.sequences) - bar.n)
    return report
