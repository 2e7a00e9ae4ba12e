"""The entry point of the command: its subcommands, and the messages of errors.

Subcommands import torch and napari when they run, so that asking for help loads neither.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from napari_sam2 import __version__
from napari_sam2.cli.batch import batch
from napari_sam2.cli.benchmark import benchmark
from napari_sam2.cli.demo import demo
from napari_sam2.cli.evaluate import evaluate
from napari_sam2.cli.measure import measure
from napari_sam2.cli.models import app as models_app
from napari_sam2.cli.movie import movie
from napari_sam2.cli.segment import segment
from napari_sam2.cli.serve import serve
from napari_sam2.cli.train.command import train
from napari_sam2.errors import Sam2Error

app = typer.Typer(
    name="napari-sam2",
    help="Click an object once, get it as labels across slices and frames.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo", short_help="Segment sample stacks, offline.")(demo)
app.command("segment", short_help="Prompts and a stack to labels.")(segment)
app.command("batch", short_help="All stacks of a folder to labels.")(batch)
app.command("measure", short_help="A table of labels.")(measure)
app.command("movie", short_help="A movie of a stack and its labels.")(movie)
app.command("evaluate", short_help="Measure a model on labelled stacks.")(evaluate)
app.command("benchmark", short_help="Measure the speed on this machine.")(benchmark)
app.command("train", short_help="Fine-tune a model on your labels.")(train)
app.command("serve", short_help="Let other computers compute on this one.")(serve)
app.add_typer(models_app, name="models")

_DEBUG = "--debug"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and leave the process.

    Parameters
    ----------
    arguments : sequence of str, optional
        Instead of those of the process.

    Raises
    ------
    SystemExit
        Always: 0 done, 1 an error that was named on stderr, 2 wrong usage, 130 stopped.
    Sam2Error
        Instead of the clean message, if ``--debug`` is among the arguments.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    kept = [argument for argument in given if argument != _DEBUG]
    try:
        app(args=kept, prog_name="napari-sam2")
    except Sam2Error as error:
        if len(kept) < len(given):
            raise
        typer.echo(f"napari-sam2: error: {error}", err=True)
        raise SystemExit(1) from error


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"napari-sam2 {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_show_version, is_eager=True
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option(_DEBUG, help="Show the traceback of an error; may stand anywhere.")
    ] = False,
) -> None:
    """Click an object once, get it as labels across slices and frames."""
