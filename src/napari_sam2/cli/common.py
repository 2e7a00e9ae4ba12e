"""Options and output checks that commands share."""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from napari_sam2._atomic import write_text
from napari_sam2._locks import hold
from napari_sam2.errors import Sam2Error
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


def check_outputs(
    paths: Iterable[Path | None], error: type[Sam2Error], *, inputs: Sequence[Path] = ()
) -> None:
    """Check the output paths of a command before its work; None is an output that is not wanted.

    Raises
    ------
    Sam2Error
        Of the given type, if two are the same file, or one cannot be meant; see `check_output`.
    """
    seen: set[Path] = set()
    for path in paths:
        if path is None:
            continue
        check_output(path, error, inputs=inputs)
        if _real(path) in seen:
            raise error(f"{path} is given for two outputs.", remedy="Give each a path of its own.")
        seen.add(_real(path))


def check_output(path: Path, error: type[Sam2Error], *, inputs: Iterable[Path] = ()) -> None:
    """Check the path of an output before the work.

    Parameters
    ----------
    path : Path
        Path of the output.
    error : type of Sam2Error
        Type of the error to raise.
    inputs : iterable of Path
        Files that must not be overwritten.

    Raises
    ------
    Sam2Error
        Of the given type, if the path is an input or a folder, or its own folder is missing or
        takes no files, or the name is one that the file system does not take.
    """
    if any(_real(path) == _real(given) for given in inputs):
        raise error(
            f"{path} is an input of this run.",
            safe="It was not touched.",
            remedy="Give another path for the output.",
        )
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as reason:  # a name that is too long, say
        raise error(
            f"{path} cannot be written: {reason.strerror or reason}.",
            remedy="Give another path for the output.",
        ) from reason
    if path.is_dir() and not _is_kept_in_folders(path):
        raise error(
            f"{path} is a folder.",
            safe="It was not touched.",
            remedy="Give another path for the output.",
        )
    folder = path.absolute().parent
    if not folder.is_dir():
        raise error(
            f"There is no folder {folder}.",
            remedy="Make it first, or give another path for the output.",
        )
    try:
        # Asking the system for permissions says nothing about shares, full disks and Windows.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as reason:
        raise error(
            f"The folder {folder} cannot be written to: {reason.strerror or reason}.",
            remedy="Give another path for the output.",
        ) from reason


def alone_with_output(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command with the option ``output`` run only while no other makes the same output.

    The lock file lies in the cache folder, so that nothing is left beside the output.
    """

    @functools.wraps(command)
    def alone(*, output: Path, **options: object) -> None:
        from napari_sam2.checkpoints import cache_folder

        folder = cache_folder() / "locks"
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(os.fsencode(_real(output))).hexdigest()
        busy = Sam2Error(
            f"Another run is making {output}.",
            safe="Nothing was touched.",
            remedy="Wait until it has ended, or give another path with -o.",
        )
        with hold(folder / f"{digest[:32]}.lock", busy):
            command(output=output, **options)

    return alone


def _real(path: Path) -> Path:
    """Resolve links; links in a circle stay as they are."""
    return Path(os.path.realpath(path))


def _is_kept_in_folders(path: Path) -> bool:
    """Tell whether labels of this name are a folder of files."""
    from napari_sam2.labels import FORMATS

    suffixes = tuple(s for each in FORMATS if each.folder for s in each.suffixes)
    return path.name.lower().endswith(suffixes)


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
