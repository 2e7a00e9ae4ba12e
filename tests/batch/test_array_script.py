"""The text of array scripts; `tests/cli/test_batch.py` runs one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from napari_sam2.batch.array_script import array_script
from napari_sam2.errors import BatchError

COMMAND = ["/env/bin/python", "-m", "napari_sam2.cli", "batch", "/data/my stacks", "--auto"]


def test_each_task_of_the_array_does_its_part():
    script = array_script(COMMAND, 40, Path("/data/out"), directives=["--gres=gpu:1"])
    assert script.splitlines() == [
        "#!/bin/bash",
        "#SBATCH --job-name=napari-sam2",
        "#SBATCH --array=1-40",
        "#SBATCH --output=/data/out/slurm-%A_%a.log",
        "#SBATCH --gres=gpu:1",
        "",
        "set -euo pipefail",
        "# Load modules or activate an environment here if the command needs it.",
        "mkdir -p /data/out",
        "exec /env/bin/python -m napari_sam2.cli batch '/data/my stacks' --auto "
        '--part="$SLURM_ARRAY_TASK_ID/40" --resume',
    ]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("restarts", "expected"), [(None, "--overwrite"), ("0", "--overwrite"), ("1", "--resume")]
)
def test_a_task_that_begins_again_overwrites_nothing_again(tmp_path, restarts, expected):
    folder = tmp_path / "it's out"
    script = array_script(["echo", "a b", "$HOME"], 3, folder, overwrite=True)
    environment = {"PATH": "/usr/bin:/bin", "SLURM_ARRAY_TASK_ID": "2"}
    if restarts is not None:
        environment["SLURM_RESTART_COUNT"] = restarts
    done = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"a b $HOME --part=2/3 {expected}"
    assert folder.is_dir()


def test_a_directive_is_one_line():
    with pytest.raises(BatchError, match="no line"):
        array_script(COMMAND, 1, Path("out"), directives=["--gres=gpu:1\nrm -r /"])
