"""`BatchPlan`: which stacks there are, their prompts and outputs. Any thread."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from napari_sam2.batch.output_paths import check_inputs_stay
from napari_sam2.batch.prompt_table import split_table
from napari_sam2.batch.stack_task import StackTask
from napari_sam2.errors import BatchError, PromptError
from napari_sam2.labels import FORMATS
from napari_sam2.labels.store.result_store import STORE_SUFFIX
from napari_sam2.prompts import SESSION_SUFFIX
from napari_sam2.segmentation.stack_job import SegmentOptions
from napari_sam2.stack import stem_of

CLAIMS = ".claims"
"""Name of the folder of claims in that of the results."""

_TABLES = (".csv", ".tsv")


@dataclass(frozen=True, slots=True)
class Part:
    """One of several parts of the stacks, each of which another process does.

    Attributes
    ----------
    number : int
        From 1.
    of : int
    """

    number: int
    of: int

    @classmethod
    def read(cls, text: str) -> Part:
        """Read i/N.

        Raises
        ------
        BatchError
            It is written otherwise.
        """
        number, _, of = text.partition("/")
        try:
            part = cls(int(number), int(of))
        except ValueError:
            part = cls(0, 0)
        if not 1 <= part.number <= part.of:
            raise BatchError(
                f"{text!r} is no part of the stacks.", remedy="Write i/N, such as 2/8, from 1/8."
            )
        return part

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """All stacks of a folder, in the order in which they are begun.

    Attributes
    ----------
    folder : Path
        Of the results.
    tasks : tuple of StackTask
    """

    folder: Path
    tasks: tuple[StackTask, ...]

    def part(self, part: Part) -> BatchPlan:
        """Return every N-th stack; other processes do the others, so that nothing is claimed."""
        chosen = self.tasks[part.number - 1 :: part.of]
        return replace(self, tasks=tuple(replace(task, claimed=False) for task in chosen))


@dataclass(frozen=True, slots=True)
class BatchInputs:
    """What a batch is made of.

    Attributes
    ----------
    folder : Path
        Of the stacks.
    output : Path
        Folder of the results.
    pattern : str
        Which of its files and folders are stacks, as of `Path.glob`.
    prompts : Path or None
        Prompts for all stacks: a table, with a column ``stack`` or without, a session file, labels.
    sessions : Path or None
        Folder with a session file of each stack, or with its table of prompts.
    suffix : str
        Of the labels.
    options : SegmentOptions
    """

    folder: Path
    output: Path
    pattern: str = "*.tif"
    prompts: Path | None = None
    sessions: Path | None = None
    suffix: str = ".tif"
    options: SegmentOptions = field(default_factory=SegmentOptions)


def plan_batch(inputs: BatchInputs) -> BatchPlan:
    """Find the stacks of a folder and their prompts; nothing is written.

    Prompts of single stacks that are missing are no error here: those stacks fail when they are
    begun, and the others do not.

    Raises
    ------
    BatchError
        There is no such folder or no stack in it, results would be written among the stacks or
        over what is read, two stacks have one name, or nothing says which objects are meant.
    PromptError
        The table of prompts cannot be read, or names stacks that are not there.
    """
    folder, output = inputs.folder.absolute(), inputs.output.absolute()
    if not folder.is_dir():
        raise BatchError(f"There is no folder {folder}.", remedy="Check the path.")
    if os.path.realpath(folder) == os.path.realpath(output):
        raise BatchError(
            f"The results cannot be written to {output}, where the stacks are.",
            safe="Nothing was written.",
            remedy="Give another folder with -o; it may lie in that of the stacks.",
        )
    _check_suffix(inputs.suffix)
    inputs.options.check()
    _check_prompts(inputs)
    stacks = list(_stacks(folder, output, inputs.pattern))
    if not stacks:
        raise BatchError(
            f"No file in {folder} fits {inputs.pattern!r}.",
            remedy="Choose the stacks with --pattern, such as '*.ome.tif' or '**/*.zarr'.",
        )
    names = _names(folder, stacks)
    tables = None
    if inputs.prompts is not None and inputs.prompts.suffix.lower() in _TABLES:
        tables = split_table(inputs.prompts)
    rows = None if tables is None else _rows(tables, folder, names)
    tasks = tuple(
        StackTask(
            name,
            stack,
            _prompts_of(name, inputs, rows is not None),
            None if rows is None else rows[name],
            output,
            inputs.suffix,
            inputs.options,
        )
        for name, stack in names.items()
    )
    check_inputs_stay(tasks, () if inputs.prompts is None else (inputs.prompts,))
    return BatchPlan(output, tasks)


def _check_suffix(suffix: str) -> None:
    known = [each for one in FORMATS for each in one.suffixes]
    if suffix not in known:
        raise BatchError(
            f"Labels cannot be written as {suffix}.", remedy=f"Choose one of {', '.join(known)}."
        )


def _check_prompts(inputs: BatchInputs) -> None:
    if inputs.prompts is not None and inputs.sessions is not None:
        raise BatchError(
            "Both --prompts and --sessions are given.",
            remedy="--prompts is one file for all stacks, --sessions a folder with one for each.",
        )
    if inputs.prompts is None and inputs.sessions is None and not inputs.options.auto:
        raise BatchError(
            "Nothing says which objects are meant.",
            remedy="Give --prompts FILE or --sessions DIR, or --auto to find objects without.",
        )
    if inputs.prompts is not None and not inputs.prompts.exists():
        raise BatchError(f"There is no file {inputs.prompts}.", remedy="Check the path.")
    if inputs.sessions is not None and not inputs.sessions.is_dir():
        raise BatchError(f"There is no folder {inputs.sessions}.", remedy="Check the path.")


def _stacks(folder: Path, output: Path, pattern: str) -> Iterator[Path]:
    """Yield the stacks: not the results, nothing that is hidden or ours, and nothing in a zarr."""
    within = folder in output.parents  # stacks may themselves lie in the folder of the results
    try:
        found = sorted(folder.glob(pattern))
    except (ValueError, NotImplementedError) as error:
        raise BatchError(
            f"{pattern!r} is no pattern of names in a folder: {error}.",
            remedy="Write such as '*.tif' or '**/*.zarr'.",
        ) from error
    for path in found:
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") for part in parts)
        inside = any(part.lower().endswith(".zarr") for part in parts[:-1])
        ours = any(part.endswith(STORE_SUFFIX) for part in parts)
        result = within and (path == output or output in path.parents)
        if not (hidden or inside or ours or result):
            yield path


def _names(folder: Path, stacks: Sequence[Path]) -> dict[str, Path]:
    """Return the stacks by their names.

    Raises
    ------
    BatchError
        Two have one name.
    """
    names: dict[str, Path] = {}
    for stack in stacks:
        relative = stack.relative_to(folder)
        name = relative.with_name(stem_of(relative.name)).as_posix()
        same = next((other for other in names if other.casefold() == name.casefold()), None)
        if same is not None:
            raise BatchError(
                f"{names[same].name} and {stack.name} would both give {name}.",
                safe="Nothing was written.",
                remedy="Choose the stacks with --pattern so that each name is there once.",
            )
        names[name] = stack
    return names


def _rows(tables: Mapping[str, str], folder: Path, names: Mapping[str, Path]) -> Mapping[str, str]:
    """Return the rows of each stack: "" for none.

    Raises
    ------
    PromptError
        Rows are for a stack that is not there.
    """
    stacks: dict[str, str] = {}
    for name, stack in names.items():
        relative = stack.relative_to(folder).as_posix()
        # The name alone will do where there is only one of it.
        short = {_last(relative), _last(name)} if _once(name, names) else set()
        stacks |= dict.fromkeys({name, relative, *short}, name)
    unknown = [each for each in tables if each not in stacks]
    if unknown:
        raise PromptError(
            f"The table of prompts names the stack {unknown[0]}, which is not in {folder}.",
            remedy="Correct the column stack, or the pattern.",
        )
    rows = dict.fromkeys(names, "")
    for each, table in tables.items():
        earlier = rows[stacks[each]]
        rows[stacks[each]] = earlier + table.partition("\n")[2] if earlier else table
    return rows


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _once(name: str, names: Mapping[str, Path]) -> bool:
    return sum(_last(each) == _last(name) for each in names) == 1


def _prompts_of(name: str, inputs: BatchInputs, rows: bool) -> Path | None:
    if rows:
        return inputs.output.absolute() / f"{name}.prompts.csv"
    if inputs.sessions is None:
        return None if inputs.prompts is None else inputs.prompts.absolute()
    place = inputs.sessions.absolute() / name
    # As the window names them, beside the image; or a table that another program has made.
    endings = (SESSION_SUFFIX, ".json", ".csv", ".tsv")
    tries = [place.with_name(place.name + ending) for ending in endings]
    held = re.compile(re.escape(place.name) + r"(\.\d+=\d+)+\.sam2\.json")
    if place.parent.is_dir():  # sessions of an image with further sliders have these in their names
        found = [each for each in place.parent.iterdir() if held.fullmatch(each.name)]
        tries += found if len(found) == 1 else []
    return next((each for each in tries if each.is_file()), tries[0])
