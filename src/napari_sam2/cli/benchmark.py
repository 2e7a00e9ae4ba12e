"""The command ``napari-sam2 benchmark``, which measures the speed of a model on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_sam2.cli.common import (
    DeviceOption,
    ImageSizeOption,
    JsonOption,
    ModelOption,
    SpeedOption,
    write_report,
)
from napari_sam2.errors import SessionError
from napari_sam2.segmentation.output_paths import check_output
from napari_sam2.types import Speed


def benchmark(
    model: ModelOption = "bundled",
    device: DeviceOption = "auto",
    image_size: ImageSizeOption = None,
    speed: SpeedOption = None,
    frames: Annotated[int, typer.Option(min=2, help="Frames to follow the objects through.")] = 20,
    frame_size: Annotated[
        int, typer.Option(min=32, help="Side of a frame of the stack, in pixels.")
    ] = 512,
    objects: Annotated[
        list[int] | None,
        typer.Option(
            "--objects", "-n", min=1, help="Objects to follow together; may be given several times."
        ),
    ] = None,
    json: JsonOption = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the JSON into this file too.")
    ] = None,
) -> None:
    """Time the first mask, propagation, a correction, and the stages of a frame.

    The stack is computed: bright discs that drift over noise. Beside every stage stands how much
    of the rate of a large matrix product on this device it reaches.
    """
    from tqdm import tqdm

    from napari_sam2.benchmarking import Workload, format_report, measure_model, report_to_json
    from napari_sam2.tracking import load_model

    if output is not None:
        check_output(output, SessionError)
    loaded = load_model(model, device=device, image_size=image_size)
    counts = tuple(objects or (1, 3, 10))
    with tqdm(total=len(counts), unit="run", disable=None) as bar:

        def show(count: int) -> None:
            bar.set_description(f"{count} object{'s' * (count > 1)}")

        workload = Workload(frames, frame_size, speed or Speed.EXACT)
        report = measure_model(loaded, workload, counts, progress=show)
        bar.update(len(counts))
    text = report_to_json(report)
    typer.echo(text if json else format_report(report))
    if output is not None:
        write_report(output, text, SessionError)
