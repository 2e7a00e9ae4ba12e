"""The command ``napari-sam2 evaluate``, which measures a model on labelled stacks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_sam2.cli.common import (
    DeviceOption,
    ImageSizeOption,
    JsonOption,
    KindOption,
    ModelOption,
    write_report,
)
from napari_sam2.errors import EvaluationError
from napari_sam2.evaluation.options import (
    STANDARD_PROTOCOLS,
    EvaluationOptions,
    OverlapRule,
    PromptFrame,
    PromptKind,
    PromptProtocol,
)
from napari_sam2.segmentation.output_paths import check_outputs
from napari_sam2.segmentation.session_runner import INTERRUPTED_EXIT_CODE, soft_interrupt

if TYPE_CHECKING:
    from napari_sam2.evaluation import EvaluationReport
    from napari_sam2.evaluation.protocol import EvaluationStep


_WITHOUT_AUTO = frozenset(
    {"prompt", "frame", "overlap", "clicks", "rounds", "max_objects", "per_object", "curve"}
)
"""Parameters that say how objects are prompted, or how that is reported."""


def evaluate(
    context: typer.Context,
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
        PromptKind | None,
        typer.Option(
            help="Measure this first prompt only: one click on the most interior pixel, or the "
            "bounding box. Without this, --clicks and --rounds: one click, a box and three clicks, "
            "side by side.",
            show_default=False,
        ),
    ] = None,
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
    clicks: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Corrective clicks per object in its prompted frame, before it is propagated.",
            show_default=False,
        ),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Rounds of corrections, such as 8: one click per object in its most wrong frame, "
            "then all objects are propagated again.",
            show_default=False,
        ),
    ] = None,
    baseline: Annotated[
        bool,
        typer.Option(
            "--baseline",
            help="Beside the model, segment from the same clicks with threshold and watershed, "
            "tracked by overlap.",
        ),
    ] = False,
    auto: Annotated[
        bool,
        typer.Option(
            "--auto",
            help="Measure objects that are found without prompts, in the middle frame of each "
            "stack; with --baseline beside threshold and watershed.",
        ),
    ] = False,
    every: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --auto: search every so many frames, follow what is found, and report the "
            "share of objects that keep one id and the F1 of the masks of all frames.",
            show_default=False,
        ),
    ] = None,
    kind: KindOption = None,
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
    curve: Annotated[
        Path | None,
        typer.Option(
            "--curve",
            help="Draw the IoU over the clicks of each set into this PNG; needs matplotlib, "
            "from napari-sam2[plots].",
        ),
    ] = None,
) -> None:
    """Prompt each object, propagate both ways, correct in rounds, compare with the labels.

    "One frame" is the IoU in the prompted frame before anything is propagated, each object alone;
    "stack" is that of all pixels of an object through its stack. IoU and Dice are of an object's
    pixels over all frames; J and F are means over frames. mSA and SA50 match whole objects. Clicks
    to an IoU count the first prompt; objects that never reach it count as one more than there
    were, and the share that reaches it is given.
    """
    from napari_sam2.evaluation import format_report, report_to_json

    if auto:
        from napari_sam2.cli.evaluate_auto import evaluate_auto

        _refuse_with_auto(context)
        _check_outputs(output, None)
        evaluate_auto(
            folder,
            (model, device, image_size),
            every=every,
            baseline=baseline,
            kind=kind,
            limit=limit,
            json=json,
            output=output,
        )
        return
    if every is not None:
        raise EvaluationError("--every belongs to --auto.", remedy="Add --auto.")
    options = EvaluationOptions(
        prompt or PromptKind.POINT,
        frame,
        overlap,
        max_objects,
        rounds or 0,
        baseline,
        clicks or 0,
        kind,
    )
    asked = any(each is not None for each in (prompt, clicks, rounds))
    protocols = (PromptProtocol.of(options),) if asked else STANDARD_PROTOCOLS
    _check_outputs(output, curve)
    report = _evaluate_with_bar(folder, (model, device, image_size), options, protocols, limit)
    text = report_to_json(report)
    typer.echo(text if json else format_report(report, per_object=per_object))
    if output is not None:
        write_report(output, text, EvaluationError)
    if curve is not None:
        from napari_sam2.cli.plots.evaluate_curves import write_curves

        write_curves(curve, report)
    if not report.complete:
        raise typer.Exit(INTERRUPTED_EXIT_CODE)


def _refuse_with_auto(context: typer.Context) -> None:
    """Raise an error if options were given that say nothing about a search.

    Raises
    ------
    EvaluationError
        It names all of them.
    """
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in _WITHOUT_AUTO
        and (source := context.get_parameter_source(parameter.name)) is not None
        and source.name != "DEFAULT"
    ]
    if given:
        raise EvaluationError(
            f"{', '.join(given)} cannot be given with --auto: objects are found, not prompted.",
            safe="Nothing was computed.",
            remedy="Leave that out, or leave --auto out.",
        )


def _check_outputs(output: Path | None, curve: Path | None) -> None:
    """Raise before the work if a file cannot be written or a curve cannot be drawn."""
    check_outputs((output, curve), EvaluationError)
    if curve is not None:
        from napari_sam2.cli.plots.charts import check_plots
        from napari_sam2.segmentation.pictures import check_picture

        check_picture(curve)
        check_plots(EvaluationError)


def _evaluate_with_bar(
    folder: Path,
    model: tuple[str, str, int | None],
    options: EvaluationOptions,
    protocols: tuple[PromptProtocol, ...],
    limit: int | None,
) -> EvaluationReport:
    from tqdm import tqdm

    from napari_sam2.evaluation import evaluate_folder, find_pairs
    from napari_sam2.tracking import load_model

    find_pairs(folder, limit=limit)  # a wrong folder is an error before a model is loaded
    loaded = load_model(model[0], device=model[1], image_size=model[2])
    with soft_interrupt() as interrupt, tqdm(unit="stack", disable=None) as bar:

        def show(step: EvaluationStep) -> None:
            bar.total = step.sequences
            bar.n = step.sequence
            bar.set_description(_describe(step))

        report = evaluate_folder(
            folder,
            loaded,
            options,
            protocols=protocols,
            limit=limit,
            progress=show,
            cancelled=interrupt.requested,
        )
        bar.update(len(report.sequences) - bar.n)
    return report


def _describe(step: EvaluationStep) -> str:
    within = step.within
    parts = [step.name, step.method, *filter(None, [step.protocol])]
    if within.rounds:
        parts.append(f"round {within.round}/{within.rounds}")
    if within.steps > 1:
        parts.append(f"{within.step}/{within.steps}")
    return " ".join(parts)
