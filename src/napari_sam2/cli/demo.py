"""The command ``napari-sam2 demo``, which segments synthetic stacks offline."""

from __future__ import annotations

import json as json_text
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_sam2.cli.common import DeviceOption, JsonOption, ModelOption
from napari_sam2.segmentation.session_runner import INTERRUPTED_EXIT_CODE

if TYPE_CHECKING:
    from napari_sam2.cli.sample_run import SampleRun


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the results; made if need be.")
    ] = Path("napari-sam2-demo"),
    model: ModelOption = "bundled",
    device: DeviceOption = "auto",
    image_size: Annotated[
        int | None,
        typer.Option(
            "--image-size", help="Side of the model input in pixels; by default the model's own."
        ),
    ] = None,
    viewer: Annotated[
        bool, typer.Option(help="Open the results in napari, where there is a screen.")
    ] = True,
    json: JsonOption = False,
) -> None:
    """Segment two synthetic stacks from one click per object; needs no network.

    It writes images, clicks, labels and pictures, and prints the IoU of the labels with the truth.
    """
    from napari_sam2.cli.sample_run import prepare_folder, run_sample, sample_stacks
    from napari_sam2.tracking import load_model

    prepare_folder(output)
    loaded = load_model(model, device=device, image_size=image_size)
    runs: list[SampleRun] = []
    for sample in sample_stacks():
        run = run_sample(sample, loaded, output)
        runs.append(run)
        if not json:
            typer.echo(_describe(run))
        if not run.complete:
            break
    if json:
        typer.echo(json_text.dumps([asdict(run) for run in runs], indent=2))
    if any(not run.complete for run in runs):
        raise typer.Exit(INTERRUPTED_EXIT_CODE)
    if viewer:
        _show(output, runs, quiet=json)


def _describe(run: SampleRun) -> str:
    stopped = "" if run.complete else " (stopped early)"
    return "\n".join(
        [
            f"{run.name}: {run.objects} objects, one {run.prompt} each, {run.frames} frames in "
            f"{run.seconds:.1f} s{stopped}",
            f"  mean IoU with the truth: {run.mean_iou:.2f}; "
            f"{run.objects_above_half} of {run.objects} objects above 0.5",
            f"  image:   {run.image}",
            f"  clicks:  {run.clicks}",
            f"  labels:  {run.labels}",
            f"  picture: {run.picture}",
        ]
    )


def _show(folder: Path, runs: list[SampleRun], *, quiet: bool) -> None:
    from napari_sam2.cli.viewer import has_screen, open_viewer, write_viewer_script

    script = write_viewer_script(folder, [(run.name, run.image, run.labels) for run in runs])
    if not has_screen():
        message = f"No screen here. On one with a screen: napari {script}"
    elif open_viewer(script, folder / "napari.log"):
        message = "napari opens with the results in a window of its own."
    else:
        message = f"napari did not open: see {folder / 'napari.log'}"
    if not quiet:
        typer.echo(message)
