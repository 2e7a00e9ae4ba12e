"""An array script for SLURM: each of its tasks does one part of the stacks, without any engine."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from napari_sam2.errors import BatchError

MOST_PARTS = 1000
"""Tasks of an array: SLURM takes 1001 unless it is set up otherwise."""


def array_script(
    command: Sequence[str],
    parts: int,
    folder: Path,
    *,
    directives: Sequence[str] = (),
    overwrite: bool = False,
) -> str:
    """Return the text of a script for ``sbatch``.

    A task that SLURM starts again, after a node has failed or another job has displaced it, goes
    on where it was.

    Parameters
    ----------
    command : sequence of str
        The command and its arguments, with absolute paths and without those about parts.
    parts : int
        Tasks of the array.
    folder : Path
        Of the results; the output of each task is written there.
    directives : sequence of str
        Further lines for ``#SBATCH``, such as ``--gres=gpu:1``.
    overwrite : bool
        Whether stacks that are done are done again.

    Raises
    ------
    BatchError
        A directive has several lines.
    """
    for each in directives:
        if len(each.splitlines()) != 1:
            raise BatchError(
                f"{each!r} is no line for #SBATCH.", remedy="Write such as --gres=gpu:1."
            )
    logs = str(folder / "slurm-%A_%a.log").replace("\\", "/")
    lines = [
        "#!/bin/bash",
        "#SBATCH --job-name=napari-sam2",
        f"#SBATCH --array=1-{parts}",
        f"#SBATCH --output={_quoted(logs)}",
        *(f"#SBATCH {each}" for each in directives),
        "",
        "set -euo pipefail",
        "# Load modules or activate an environment here if the command needs it.",
        f"mkdir -p {shlex.quote(str(folder))}",
    ]
    again = "--resume"
    if overwrite:
        lines += [
            "again=--overwrite",
            'if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]; then again=--resume; fi',
        ]
        again = '"$again"'
    part = f'--part="$SLURM_ARRAY_TASK_ID/{parts}"'
    # exec: the signals that end a job early reach the command, which then stops between frames.
    lines += [f"exec {shlex.join(command)} {part} {again}", ""]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return f'"{text}"' if " " in text else text
