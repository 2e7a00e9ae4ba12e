"""The command ``napari-sam2 segment``, which makes labels of a stack and prompts."""

from __future__ import annotations

import json as json_text
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_sam2.cli.common import (
    DeviceOption,
    JsonOption,
    ModelOption,
    alone_with_output,
)
from napari_sam2.cli.serve import (
    SendOption,
    SentPixels,
    ServerOption,
    TokenFileOption,
    model_on_server,
)
from napari_sam2.cli.stack_options import with_stack_options
from napari_sam2.errors import LabelsError, RemoteError
from napari_sam2.segmentation.output_paths import check_outputs
from napari_sam2.segmentation.result_files import ResultFiles
from napari_sam2.segmentation.session_runner import INTERRUPTED_EXIT_CODE
from napari_sam2.segmentation.stack_job import SegmentFiles, SegmentOptions, segment_files
from napari_sam2.segmentation.summary import describe

if TYPE_CHECKING:
    from napari_sam2.tracking import Model


@alone_with_output
@with_stack_options(ModelOption, "bundled")
def segment(
    *,
    stack: Annotated[
        Path,
        typer.Argument(
            metavar="STACK",
            help="TIFF, zarr, npy, NIfTI or DICOM image, or a folder of TIFF, PNG or JPEG slices.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="OUT", help="Labels: .tif, .ome.tif, .zarr or .nii.gz."
        ),
    ],
    prompts: Annotated[
        Path | None,
        typer.Option(
            "--prompts",
            "-p",
            help="Session JSON; CSV with the columns frame,object,kind,y,x,y2,x2,positive; "
            "napari's own CSV of points or shapes; or labels, each of which is a mask prompt where "
            "it is drawn (.tif, .zarr, .npy, .nii.gz, Cellpose _seg.npy).",
            show_default=False,
        ),
    ] = None,
    options: SegmentOptions,
    device: DeviceOption = "auto",
    server: ServerOption = "",
    token_file: TokenFileOption = None,
    send: SendOption = SentPixels.STORED,
    overlay: Annotated[
        Path | None,
        typer.Option(metavar="PNG", help="Also draw a contact sheet of labels on the image."),
    ] = None,
    session: Annotated[
        Path | None, typer.Option(metavar="JSON", help="Also save the session.")
    ] = None,
    resume: Annotated[
        bool | None,
        typer.Option(
            "--resume/--anew",
            help="Go on with what a run with the same options had computed before it was stopped, "
            "or delete that and begin again.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Segment every frame of a stack from prompts or --auto, and write the labels.

    A session file replays as it was saved: its clicks round by round, accepted masks, contrast,
    channels, region and settings. On a stack of another size only its prompts and settings are
    taken. Tables count from the corner of the image, whatever the region.

    With --through T --axis Z, a stack of volumes over time is gone through: when a volume is done,
    each object is followed to the next one where most of it is, and its mask is a prompt there.
    Objects that were prompted or accepted in a later volume of a session stay as they are there.

    One line says which image, resolution, video axis, channels and positions are used, with the
    option that changes each; with --json on standard error. Labels have the axes of the image, in
    their order.

    Frames that cannot be read are named at the end, and their labels are empty.

    Ctrl-C writes the labels of the frames that are done; the exit code is then 130. While it runs,
    labels and scores are also kept in OUT.sam2.zarr, or beside the session file: --resume goes on
    from there, after Ctrl-C, a crash or a power cut.
    """
    if send is not SentPixels.STORED and not server:
        raise RemoteError(
            "Frames are sent to a server only.", remedy="Give --server, or no --send."
        )
    results = ResultFiles.beside(output, options.tracks, options.measure)
    files = SegmentFiles(stack, prompts, output, overlay, session)
    _check_outputs(files, results)

    def load(name: str, size: int | None) -> Model:
        from napari_sam2.tracking import load_model

        if server:
            return model_on_server(
                server, token_file, name, size, stack, options.series, options.level, send
            )
        return load_model(name, device=device, image_size=size)

    summary = segment_files(
        files, options, load, resume=resume, notify=partial(typer.echo, err=json)
    )
    typer.echo(json_text.dumps(asdict(summary), indent=2) if json else describe(summary))
    if not summary.complete:
        raise typer.Exit(INTERRUPTED_EXIT_CODE)


def _check_outputs(files: SegmentFiles, results: ResultFiles) -> None:
    """Raise an error before the work if an output cannot be written."""
    from napari_sam2.labels import check_labels_path
    from napari_sam2.segmentation.pictures import check_picture

    outputs = (files.output, files.overlay, files.session, results.table)
    check_outputs(outputs, LabelsError, inputs=files.inputs)
    check_labels_path(files.output)
    results.check()
    if files.overlay is not None:
        check_picture(files.overlay)
    if files.session is not None and files.session.suffix.lower() != ".json":
        raise LabelsError(
            f"A session is written as JSON, not as {files.session.name}.",
            remedy="Name it .sam2.json: by that --prompts knows it.",
        )
