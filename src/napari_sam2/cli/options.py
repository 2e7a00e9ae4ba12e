"""Options that several subcommands share."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_sam2.types import Speed

ModelOption = Annotated[
    str,
    typer.Option(
        "--model", "-m", help="A name that `models` lists, or the path of a checkpoint file."
    ),
]
DeviceOption = Annotated[
    str, typer.Option("--device", "-d", help="auto, cpu, cuda, cuda:1, mps and the like.")
]
SpeedOption = Annotated[
    Speed | None,
    typer.Option(
        help="exact computes what the model was trained to; balanced and fastest approximate it "
        "with less, and the result says how. By default exact."
    ),
]
ImageSizeOption = Annotated[
    int | None,
    typer.Option(
        "--image-size",
        help="Side of the square model input in pixels; by default the model's own. "
        "Larger sees smaller objects and takes longer.",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print machine-readable JSON on standard output.")
]
