"""Options that commands share, and the lock of their output."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer

from napari_sam2._atomic import write_text
from napari_sam2._locks import hold
from napari_sam2.errors import Sam2Error
from napari_sam2.segmentation.output_paths import real_path
from napari_sam2.types import Speed, StackKind

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
KindOption = Annotated[
    StackKind | None,
    typer.Option(
        help="What the frames are: slices of a z-stack, where an object ends where the next one "
        "begins, or times. By default the name of the axis in the file, Z or T.",
        show_default=False,
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


def alone_with_output(command: Callable[..., None]) -> Callable[..., None]:
    """Run a command with the option ``output`` only while no other writes the same output.

    The lock file lies in the cache folder, so that nothing is left beside the output.
    """

    @functools.wraps(command)
    def alone(*, output: Path, **options: object) -> None:
        from napari_sam2.checkpoints import cache_folder

        folder = cache_folder() / "locks"
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(os.fsencode(real_path(output))).hexdigest()
        busy = Sam2Error(
            f"Another run is making {output}.",
            safe="Nothing was touched.",
            remedy="Wait until it has ended, or give another path with -o.",
        )
        with hold(folder / f"{digest[:32]}.lock", busy):
            command(output=output, **options)

    return alone


@contextmanager
def frame_bar(title: str, frames: int) -> Iterator[Callable[[int, int], None]]:
    """Show progress on stderr if it is a terminal; yield a function of the frames done and all."""
    from tqdm import tqdm

    with tqdm(total=frames, desc=title, unit="frame", disable=None) as bar:

        def show(done: int, _all: int) -> None:
            bar.update(done - bar.n)

        yield show


def write_report(path: Path, text: str, error: type[Sam2Error]) -> None:
    """Write the text of a report that has been shown already.

    Raises
    ------
    Sam2Error
        Of the given type, if it cannot be written.
    """
    try:
        write_text(path, text + "\n")
    except OSError as reason:
        raise error(
            f"{path} cannot be written: {reason.strerror or reason}.",
            safe="The figures are those above.",
            remedy="With --json they can be sent to a file.",
        ) from reason
