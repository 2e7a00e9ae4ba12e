"""Checks that a batch writes over nothing but its own results. Any thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam2.batch.status import read_status
from napari_sam2.errors import BatchError
from napari_sam2.segmentation.kept_run import KeptRun
from napari_sam2.segmentation.output_paths import real_path

if TYPE_CHECKING:
    from napari_sam2.batch.stack_task import StackTask


def check_inputs_stay(tasks: Sequence[StackTask], inputs: Iterable[Path]) -> None:
    """Check that no output of a stack is, contains or lies in an input of any stack.

    Parameters
    ----------
    tasks : sequence of StackTask
    inputs : iterable of Path
        Files that are read beside the stacks and their own prompts.

    Raises
    ------
    BatchError
        It is, or two stacks have one output.
    """
    read = {real_path(each) for each in _inputs(tasks, inputs)}
    around = {folder for each in read for folder in each.parents}
    writer: dict[Path, str] = {}
    for task in tasks:
        for path in (*task.written, task.kept):
            real = real_path(path)
            if real in around or not read.isdisjoint((real, *real.parents)):
                raise BatchError(
                    f"The results of the stack {task.name} would be written to {path}, which "
                    "this batch reads.",
                    safe="Nothing was written.",
                    remedy="Give another folder with -o.",
                )
            if writer.setdefault(real, task.name) != task.name:
                raise BatchError(
                    f"The stacks {writer[real]} and {task.name} would both write {path}.",
                    safe="Nothing was written.",
                    remedy="Choose the stacks with --pattern so that only one of them does.",
                )


def _inputs(tasks: Iterable[StackTask], others: Iterable[Path]) -> Iterator[Path]:
    yield from others
    for task in tasks:
        yield task.stack
        if task.prompts is not None and task.rows is None:
            yield task.prompts
            if task.prompts.suffix.lower() == ".json":  # its labels, as the window keeps them
                yield KeptRun.of(task.labels, task.prompts, through=False).folder


def check_own_results(tasks: Iterable[StackTask]) -> None:
    """Check that files at the paths of results were written by a batch.

    Raises
    ------
    BatchError
        No status file says so.
    """
    for task in tasks:
        # Before the status is read: another process may write both at this moment.
        there = [path for path in (*task.written, task.kept) if path.exists()]
        if not there:
            continue
        status = read_status(task.status)
        if status is None:
            raise _foreign(task, there[0])
        ours = {*status.outputs, *status.written}
        for path in there:
            # Files that are there only while a stack is worked on were not always listed.
            brief = path in (task.kept, task.prompts)
            if not brief and path.relative_to(task.folder).as_posix() not in ours:
                raise _foreign(task, path)


def _foreign(task: StackTask, path: Path) -> BatchError:
    return BatchError(
        f"{path} is there already, and no status file says that a batch has written it: the "
        f"results of the stack {task.name} would replace it.",
        safe="Nothing was touched.",
        remedy="Give another folder with -o, or move that file away.",
    )
