"""The command ``napari-sam2 train``, which fine-tunes a model on a user's labels."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from napari_sam2.cli.common import DeviceOption, ImageSizeOption, JsonOption, ModelOption
from napari_sam2.errors import TrainingError
from napari_sam2.segmentation.session_runner import INTERRUPTED_EXIT_CODE


class PartsChoice(StrEnum):
    """The parts of the network that are trained."""

    ALL = "all"
    DECODER = "decoder"


def train(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Holds NAME_image.tif and NAME_labels.tif pairs, images or stacks, or folders "
            "that do.",
        ),
    ],
    model: ModelOption = "bundled",
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="RUN",
            help="Folder of this run; one that holds the same run is gone on with.",
        ),
    ] = Path("napari-sam2-run"),
    parts: Annotated[
        PartsChoice,
        typer.Option(
            help="Train everything, or the mask decoder alone: quicker, and safer with few labels."
        ),
    ] = PartsChoice.ALL,
    steps: Annotated[
        int, typer.Option(min=1, help="Training steps; the learning rate falls over them.")
    ] = 600,
    minutes: Annotated[
        float | None,
        typer.Option(min=0.0, help="Stop after so long; the same command goes on later."),
    ] = None,
    validation: Annotated[
        float, typer.Option(help="Share of the data that is held out to measure.")
    ] = 0.2,
    validation_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Measure on these pairs, and train on all of the others."),
    ] = None,
    validate_every: Annotated[int, typer.Option(min=1, help="Steps between measurements.")] = 50,
    patience: Annotated[
        int,
        typer.Option(min=1, help="Stop after so many measurements without a better one."),
    ] = 5,
    rate: Annotated[
        float | None,
        typer.Option(
            help="Learning rate; by default 5e-4 for the bundled model, 1e-4 for all parts of "
            "others, 3e-4 for their decoder."
        ),
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Images per step; fewer need less memory.")
    ] = None,
    crop: Annotated[
        int | None,
        typer.Option(help="Side of the windows of the model input that are trained on, in pixels."),
    ] = None,
    frames: Annotated[
        int,
        typer.Option(min=1, help="Frames of the clips that teach tracking; 1: single images only."),
    ] = 3,
    image_size: ImageSizeOption = None,
    device: DeviceOption = "auto",
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    json: JsonOption = False,
) -> None:
    """Fine-tune a model on labelled images and stacks.

    The best model so far, by its IoU on held-out data, is always in RUN/model.safetensors: a path
    that --model takes everywhere. RUN/curves.png shows how it went, if
    matplotlib is there: napari-sam2[plots] brings it. Ctrl-C keeps all that is
    done, and the same command goes on from there.
    """
    from napari_sam2.cli.train.run import CURVES_FILE, TrainOptions, prepare, run_training
    from napari_sam2.cli.train.summary import announce, describe, summarise, to_json
    from napari_sam2.training import Ending, FineTuneSettings, Parts

    settings = FineTuneSettings(
        parts=Parts(parts.value),
        steps=steps,
        image_size=image_size,
        crop=crop,
        batch=batch,
        frames=frames,
        rate=rate,
        validate_every=validate_every,
        patience=patience,
        seed=seed,
    )
    curves = output / CURVES_FILE
    options = TrainOptions(
        folder,
        validation_dir,
        validation,
        model,
        device,
        output,
        minutes,
        settings,
        curves if _curves_can_be_drawn() else None,
    )
    run = prepare(options)
    if not json:
        typer.echo(announce(run))
    start = time.perf_counter()
    result, interrupted = run_training(run)
    seconds = time.perf_counter() - start
    summary = summarise(run, result, seconds)
    typer.echo(to_json(summary) if json else describe(summary))
    if interrupted and result.ending is Ending.STOPPED:
        raise typer.Exit(INTERRUPTED_EXIT_CODE)


def _curves_can_be_drawn() -> bool:
    """Return whether matplotlib is installed; if not, print how to install it."""
    from napari_sam2.cli.plots.charts import check_plots

    try:
        check_plots(TrainingError)
    except TrainingError as error:
        typer.echo(f"This run draws no curves. {error}", err=True)
        return False
    return True
