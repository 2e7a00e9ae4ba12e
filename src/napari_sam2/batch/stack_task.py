"""`StackTask`: one stack of a batch, its prompts and its outputs. Any thread."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from napari_sam2 import __version__
from napari_sam2._atomic import write_text
from napari_sam2.batch.status import STATUS_SUFFIX
from napari_sam2.errors import PromptError
from napari_sam2.segmentation.kept_run import KeptRun
from napari_sam2.segmentation.result_files import ResultFiles
from napari_sam2.segmentation.stack_job import SegmentFiles, SegmentOptions


@dataclass(frozen=True, slots=True)
class StackTask:
    """One stack that is to be segmented, never split between processes.

    Attributes
    ----------
    name : str
        Its path in the folder without its suffix, with "/".
    stack : Path
    prompts : Path or None
        None if objects are only looked for.
    rows : str or None
        The prompts of this stack in a table of many; they are written to `prompts`. Empty: the
        table has none.
    folder : Path
        Of the results.
    suffix : str
        Of the labels.
    options : SegmentOptions
    claimed : bool
        Whether other processes may work in the same folder.
    known : str
        The attempt that had failed when this one was planned: it is tried again, whereas what
        another process has tried meanwhile is not.
    """

    name: str
    stack: Path
    prompts: Path | None
    rows: str | None
    folder: Path
    suffix: str
    options: SegmentOptions
    claimed: bool = True
    known: str = ""

    @property
    def labels(self) -> Path:
        """The file of the labels."""
        return self.folder / f"{self.name}{self.suffix}"

    @property
    def status(self) -> Path:
        """The status file."""
        return self.folder / f"{self.name}{STATUS_SUFFIX}"

    @property
    def files(self) -> SegmentFiles:
        """What is read and written."""
        return SegmentFiles(self.stack, self.prompts, self.labels)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Everything that is written for good, by its path from the folder of results."""
        beside = ResultFiles.beside(self.labels, self.options.tracks, self.options.measure)
        tracks = [path for _, path in beside.tracks]
        table = [] if beside.table is None else [beside.table]
        paths = [self.labels, *tracks, *table]
        return tuple(path.relative_to(self.folder).as_posix() for path in paths)

    @property
    def written(self) -> tuple[Path, ...]:
        """All files and folders that stay: the outputs, and the rows of a table of many stacks."""
        rows = (self.prompts,) if self.rows and self.prompts is not None else ()
        return (*(self.folder / each for each in self.outputs), *rows)

    @property
    def kept(self) -> Path:
        """The folder of results until the stack is done."""
        return KeptRun.of(self.labels, None, bool(self.options.through)).folder

    def key(self) -> str:
        """Return a digest of all that the result depends on, but the device.

        That is size and time of the stack's files, the content of its prompts, model, settings
        and version.

        Raises
        ------
        OSError
            A file is not there.
        """
        digest = hashlib.sha256()
        model = self.options.model
        for part in (
            __version__,
            self.stack.name,
            self.suffix,
            json.dumps(asdict(self.options), sort_keys=True),
            "" if model is None or not Path(model).is_file() else _stat(Path(model)),
            self.rows or "",
            *_stats(self.stack),
        ):
            digest.update(part.encode("utf-8", "surrogateescape") + b"\0")
        if self.prompts is not None and self.rows is None:
            if self.prompts.is_dir():
                digest.update("\0".join(_stats(self.prompts)).encode("utf-8", "surrogateescape"))
            elif self.prompts.exists():  # if not, the error of who reads it says so
                digest.update(self.prompts.read_bytes())
        return digest.hexdigest()

    def trouble(self) -> PromptError | None:
        """Return why the stack has no prompts, if it should have some."""
        if self.rows is not None:
            if self.rows:
                return None
            return PromptError(
                f"The table of prompts has no row for the stack {self.name}.",
                remedy="Add rows with its file name in the column stack, or choose the other "
                "stacks with --pattern.",
            )
        if self.prompts is None or self.prompts.exists():
            return None
        return PromptError(
            f"There are no prompts for the stack {self.name}: no file {self.prompts}.",
            remedy="Click its objects in the window, or choose the other stacks with --pattern.",
        )

    def write_rows(self) -> None:
        """Write the prompts of this stack to their own table, if they are in a table of many.

        Raises
        ------
        OSError
            It cannot be written.
        """
        if self.rows and self.prompts is not None:
            self.prompts.parent.mkdir(parents=True, exist_ok=True)
            write_text(self.prompts, self.rows)


def _stats(path: Path) -> Iterator[str]:
    """Yield name, size and time of a file, or of all files in a folder."""
    if not path.is_dir():
        yield _stat(path)
        return
    for place, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            file = Path(place, name)
            yield f"{file.relative_to(path).as_posix()} {_stat(file)}"


def _stat(path: Path) -> str:
    state = path.stat()
    return f"{state.st_size} {state.st_mtime_ns}"
