"""The command ``napari-sam2 batch``, which segments all stacks of a folder."""

from __future__ import annotations

import json as json_text
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_sam2.cli.common import JsonOption
from napari_sam2.cli.stack_options import with_stack_options
from napari_sam2.errors import BatchError
from napari_sam2.segmentation.session_runner import (
    INTERRUPTED_EXIT_CODE,
    Interrupt,
    soft_interrupt,
)
from napari_sam2.segmentation.stack_job import SegmentOptions

if TYPE_CHECKING:
    from napari_sam2.batch.executors import Executor
    from napari_sam2.batch.plan import BatchPlan
    from napari_sam2.batch.status import StackStatus

_STOPPING = "Stopping after these frames; --resume goes on. Ctrl-C again drops everything."
_NOT_REPEATED = frozenset(
    {"sbatch", "part", "resume", "overwrite", "dry_run", "json", "workers", "slurm_directive"}
)
"""Options that the commands of an array script do not have, or have of their own."""

_PATHS = frozenset({"folder", "output", "prompts", "sessions"})


_ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="A name that `models` lists, or the path of a checkpoint file; by default that "
        "of the session, or else the bundled one.",
        show_default=False,
    ),
]


@with_stack_options(_ModelOption)
def batch(
    *,
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of the stacks.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT", help="Folder of the results.")
    ],
    pattern: Annotated[
        str,
        typer.Option(help="Which files and folders are stacks, such as '*.tif' or '**/*.zarr'."),
    ] = "*.tif",
    prompts: Annotated[
        Path | None,
        typer.Option(
            "--prompts",
            "-p",
            metavar="FILE",
            help="Prompts for all stacks: a table with a column `stack`, one without it, whose "
            "rows are meant for every stack, or a session file.",
            show_default=False,
        ),
    ] = None,
    sessions: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder with the session of each stack: cells.sam2.json of cells.tif.",
            show_default=False,
        ),
    ] = None,
    options: SegmentOptions,
    device: Annotated[
        str,
        typer.Option("--device", "-d", help="auto, cpu, cuda, or several, such as cuda:0,cuda:1."),
    ] = "auto",
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Processes that work at once, or jobs of SLURM; one per device by default.",
            show_default=False,
        ),
    ] = None,
    cluster: Annotated[
        str,
        typer.Option(
            metavar="CLUSTER",
            help="Let Dask do it: local, slurm, an address such as tcp://host:8786, or the JSON "
            "file of a scheduler. Needs napari-sam2[dask].",
        ),
    ] = "",
    slurm_directive: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="What follows #SBATCH, such as '--gres=gpu:1'; may repeat.",
        ),
    ] = None,
    sbatch: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Only write an array script for sbatch, which needs no Dask.",
            show_default=False,
        ),
    ] = None,
    part: Annotated[
        str, typer.Option(metavar="i/N", help="Do every N-th stack only, from the i-th on.")
    ] = "",
    resume: Annotated[
        bool, typer.Option("--resume", help="Do what is not done yet, and what failed.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Do all stacks again.")] = False,
    retries: Annotated[
        int, typer.Option(min=0, help="How often a stack that failed is tried again.")
    ] = 1,
    suffix: Annotated[
        str, typer.Option("--format", help="Of the labels: .tif, .ome.tif, .zarr or .nii.gz.")
    ] = ".tif",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Segment all stacks of a folder: labels as OUT/NAME.tif, and what became of each stack.

    OUT/NAME.status.json says of each stack whether it is done, stopped or failed, and why. A stack
    that fails is tried again at the end, and the others go on; the exit code is 1 if any failed.

    Ctrl-C stops the running stacks within a frame and writes none of them half: --resume goes on
    where they were, and does what failed. Stacks that are done are done again only if the stack,
    its prompts, the model or an option has changed. Several processes with --resume, on machines
    that share the folder, do each stack once.
    """
    from napari_sam2.batch.engine import BatchEngine
    from napari_sam2.batch.executor_choice import choose_executor
    from napari_sam2.batch.plan import BatchInputs, Part, plan_batch
    from napari_sam2.batch.run import prepare

    if resume and overwrite:
        raise BatchError(
            "Both --resume and --overwrite are given.",
            remedy="--resume keeps what is done, --overwrite does it again.",
        )
    if cluster and (part or sbatch is not None):
        raise BatchError(
            "--cluster is given with --part or --sbatch.",
            remedy="Let Dask hand the stacks out, or the array script, not both.",
        )
    plan = plan_batch(BatchInputs(folder, output, pattern, prompts, sessions, suffix, options))
    _check_model(options.model)
    directives = tuple(slurm_directive or ())
    if sbatch is not None:
        script = _script(context, plan, workers, directives, resume, overwrite)
        _write_script(sbatch, script, show=dry_run)
        return
    if part:
        plan = plan.part(Part.read(part))
    if dry_run:
        _show_plan(plan, json)
        return
    if not plan.tasks:  # more parts than stacks
        typer.echo(f"There is no stack in part {part}.", err=True)
        return
    engine = BatchEngine(device, workers, cluster, directives, retries)
    run = secrets.token_hex(6)
    # Before the folder is made: what does not fit together, or is not reached, leaves no trace.
    with closing(choose_executor(engine, run, len(plan.tasks))) as executor:
        plan = prepare(plan, resume=resume, overwrite=overwrite, part=bool(part))
        _do(plan, executor, run, retries, json)


def _do(plan: BatchPlan, executor: Executor, run: str, retries: int, json: bool) -> None:
    """Segment all stacks, and print the results.

    Raises
    ------
    BatchError
        The engine has failed.
    typer.Exit
        A stack has failed, or Ctrl-C was pressed.
    """
    from napari_sam2.batch.report import describe_result, result_values
    from napari_sam2.batch.run import run_batch

    with (
        soft_interrupt(message=_STOPPING) as interrupt,
        _terminated(interrupt),
        closing(_Terminal(len(plan.tasks), interrupt)) as watch,
    ):
        result = run_batch(plan, executor, watch, run, retries=retries)
    if json:
        typer.echo(json_text.dumps(result_values(result), indent=2))
    else:
        typer.echo(describe_result(result))
    if result.error is not None:
        raise result.error
    if result.stopped:
        raise typer.Exit(INTERRUPTED_EXIT_CODE)
    if result.failed:
        raise typer.Exit(1)


@contextmanager
def _terminated(interrupt: Interrupt) -> Iterator[None]:
    """Handle SIGTERM, which SLURM sends before a job's time is over, as Ctrl-C."""
    try:
        before = signal.signal(signal.SIGTERM, interrupt.handle)
    except ValueError:  # not on the main thread, where signals are not handled
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Terminal:
    """Shows the progress of all stacks in a terminal, and a line for each that has ended."""

    def __init__(self, stacks: int, interrupt: Interrupt) -> None:
        from tqdm import tqdm

        from napari_sam2.batch.progress import BatchProgress

        self._progress = BatchProgress(stacks)
        self._interrupt = interrupt
        self._bar = tqdm(
            total=stacks,
            unit="stack",
            disable=None,
            bar_format="{percentage:3.0f}%|{bar}| {desc}{postfix}",
        )

    def progress(self, name: str, done: int, planned: int | None) -> None:
        """Move the bar."""
        self._progress.update(name, done, planned)
        self._show()

    def skipped(self, status: StackStatus) -> None:
        """Count a stack that was done before."""
        self._progress.end(status.name)
        self._show()

    def ended(self, status: StackStatus) -> None:
        """Write a line."""
        from napari_sam2.batch.report import describe_end

        self._progress.end(status.name)
        self._bar.write(describe_end(status), file=sys.stderr)
        self._show()

    def stopped(self) -> bool:
        """Return whether Ctrl-C was pressed."""
        return self._interrupt.happened

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()

    def _show(self) -> None:
        self._bar.n = min(self._progress.stacks_done, self._bar.total)
        done = int(self._progress.stacks_done)
        self._bar.set_description_str(f"{done} of {self._bar.total} stacks", refresh=False)
        self._bar.set_postfix_str(str(self._progress), refresh=False)
        self._bar.update(0)


def _check_model(model: str | None) -> None:
    """Raise an error before the work if the model does not exist.

    Raises
    ------
    BatchError
        It is not downloaded.
    CheckpointError
        There is no model of this name.
    """
    from napari_sam2.checkpoints import BUNDLED, find_model_file, get_model_info

    if model is None or model == BUNDLED or Path(model).exists():
        return
    if find_model_file(model) is None:
        info = get_model_info(model)
        raise BatchError(
            f"The model {info.name} is not downloaded.",
            safe="Nothing has been computed yet.",
            remedy=f"Get it with napari-sam2 models download {info.name}.",
        )


def _show_plan(plan: BatchPlan, json: bool) -> None:
    from napari_sam2.batch.report import describe_plan, plan_values

    if json:
        typer.echo(json_text.dumps({"stacks": plan_values(plan)}, indent=2))
    else:
        typer.echo(describe_plan(plan))


def _script(
    context: typer.Context,
    plan: BatchPlan,
    workers: int | None,
    directives: tuple[str, ...],
    resume: bool,
    overwrite: bool,
) -> str:
    """Return an array script of this very command, in parts."""
    from napari_sam2.batch.array_script import MOST_PARTS, array_script
    from napari_sam2.batch.output_paths import check_own_results
    from napari_sam2.batch.run import check_new

    check_own_results(plan.tasks)
    if not resume and not overwrite:
        check_new(plan)
    parts = min(workers or len(plan.tasks), len(plan.tasks), MOST_PARTS)
    return array_script(
        [sys.executable, "-m", "napari_sam2.cli", "batch", *_repeated(context)],
        parts,
        plan.folder,
        directives=directives,
        overwrite=overwrite,
    )


def _write_script(path: Path, script: str, *, show: bool) -> None:
    from napari_sam2._atomic import write_text

    if show:
        typer.echo(script, nl=False)
        return
    try:
        write_text(path, script)
    except OSError as error:
        raise BatchError(
            f"{path} cannot be written: {error.strerror or error}.", remedy="Give another path."
        ) from error
    typer.echo(f"Submit it with: sbatch {path}")


def _repeated(context: typer.Context) -> list[str]:
    """Return the arguments of this command that an array script repeats, with absolute paths."""
    words: list[str] = []
    for parameter in context.command.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        if source is None or source.name != "COMMANDLINE" or name in _NOT_REPEATED:
            continue
        value = context.params[name]
        if value is True:
            words.append(parameter.opts[0])
            continue
        # A model is a name or a file.
        is_path = name in _PATHS or (name == "model" and Path(value).exists())
        for each in value if isinstance(value, (list, tuple)) else (value,):
            text = str(Path(each).absolute()) if is_path else str(each)
            is_argument = parameter.param_type_name == "argument"
            words.append(text if is_argument else f"{parameter.opts[0]}={text}")
    return words
