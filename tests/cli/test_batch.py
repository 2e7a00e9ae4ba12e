"""The command that segments all stacks of a folder."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import forked
import numpy as np
import pytest
import tifffile
from command_jobs import command, counted_command

from napari_sam2 import TrackingSession
from napari_sam2.batch.status import StackState, read_status
from napari_sam2.cli import main


def batch(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main(["batch", *map(str, arguments)])
    return int(exit_info.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three stacks of two frames of 64 x 64 pixels, and clicks beside the folder."""
    y, x = np.mgrid[:64, :64]
    folder = tmp_path / "stacks"
    folder.mkdir()
    for number, name in enumerate("abc"):
        image = np.full((2, 64, 64), 40.0)
        image[:, np.hypot(y - 20, x - 20 - number) < 9] = 180
        image += np.random.default_rng(number).normal(0, 6, image.shape)
        pixels = np.clip(image, 0, 255).astype(np.uint8)
        tifffile.imwrite(folder / f"{name}.tif", pixels, metadata={"axes": "TYX"})
    (tmp_path / "clicks.csv").write_text("frame,object,kind,y,x\n0,1,point,20,21\n", "utf-8")
    return folder


@pytest.fixture
def given(folder: Path, tmp_path: Path) -> tuple[object, ...]:
    """The arguments of a batch of these stacks, into the folder `out`."""
    clicks, out = tmp_path / "clicks.csv", tmp_path / "out"
    return (folder, "--prompts", clicks, "-o", out, "--device", "cpu")


def test_a_folder_becomes_labels_and_a_table(given, tmp_path, capsys):
    assert batch(*given, "--measure") == 0
    shown = capsys.readouterr()
    assert "3 done of 3 stacks" in shown.out
    assert "a: done, 1 objects in 2 frames" in shown.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        f"{name}{suffix}" for name in "abc" for suffix in (".tif", ".csv", ".status.json")
    )
    assert batch(*given, "--measure") == 1
    assert "3 of 3 stacks done" in capsys.readouterr().err
    assert batch(*given, "--measure", "--resume", "--json") == 0
    values = json.loads(capsys.readouterr().out)
    assert values["counts"]["done"] == 3
    assert [each["name"] for each in values["stacks"]] == ["a", "b", "c"]


def test_a_failure_is_in_the_exit_code_and_with_its_reason(given, folder, capsys):
    (folder / "b.tif").write_bytes(b"II*\0 damaged")
    assert batch(*given, "--json", "--retries", "0") == 1
    values = json.loads(capsys.readouterr().out)
    assert [each["state"] for each in values["stacks"]] == ["done", "failed", "done"]
    assert values["stacks"][1]["error"]["kind"] == "StackError"


def test_a_dry_run_writes_nothing(given, tmp_path, capsys):
    assert batch(*given, "--dry-run") == 0
    assert "to do" in capsys.readouterr().out
    assert batch(*given, "--dry-run", "--json") == 0
    (first, *_) = json.loads(capsys.readouterr().out)["stacks"]
    assert first["labels"] == str(tmp_path / "out" / "a.tif")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--resume", "--overwrite"), "Both --resume"),
        (("--cluster", "local", "--part", "1/2"), "--cluster is given"),
        (("--model", "sam2.1-tiny"), "not downloaded"),
        (("--model", "sam9"), "sam9"),
        (("--device", "cpu", "--slurm-directive", "--gres=gpu:1"), "--slurm-directive"),
        (("--part", "3/2"), "no part"),
    ],
)
def test_what_cannot_be_meant_is_said_before_the_work(given, tmp_path, capsys, arguments, message):
    assert batch(*given, *arguments) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_within_a_frame_and_resume_goes_on(
    given, tmp_path, monkeypatch, capsys, number
):
    visit, visits = TrackingSession._visit_next, []

    def interrupted(session, schedule):
        visits.append(schedule)
        if len(visits) == 1:
            signal.raise_signal(number)
        return visit(session, schedule)

    monkeypatch.setattr(TrackingSession, "_visit_next", interrupted)
    assert batch(*given) == 130
    assert "2 waiting, 1 stopped of 3 stacks" in capsys.readouterr().out
    status = read_status(tmp_path / "out" / "a.status.json")
    assert (status.state, status.frames) == (StackState.STOPPED, 1)
    assert not (tmp_path / "out" / "a.tif").exists()
    monkeypatch.undo()
    assert batch(*given, "--resume") == 0


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_the_commands_of_an_array_script_do_all_stacks(given, tmp_path, capsys):
    script = tmp_path / "job.sh"
    options = ("--workers", "2", "--slurm-directive", "--gres=gpu:1", "--speed", "fastest")
    assert batch(*given, *options, "--sbatch", script) == 0
    assert f"sbatch {script}" in capsys.readouterr().out
    text = script.read_text(encoding="utf-8")
    assert "#SBATCH --array=1-2" in text
    assert "#SBATCH --gres=gpu:1" in text
    assert not (tmp_path / "out").exists()
    paths = os.pathsep.join(path for path in sys.path if path)
    run_in = {"cwd": tmp_path.parent, "env": os.environ | {"PYTHONPATH": paths}}

    def task(number: str, *shell: str) -> subprocess.Popen[bytes]:
        given = run_in | {"env": run_in["env"] | {"SLURM_ARRAY_TASK_ID": number}}
        return subprocess.Popen(["bash", *shell], stdout=subprocess.PIPE, **given)

    # The second task is what the shell would start, in a process that has torch already.
    first = task("1", str(script))
    shown, _ = task("2", "-c", f"exec() {{ printf '%s\\0' \"$@\"; }}; . '{script}'").communicate()
    python, *arguments = shown.decode().split("\0")[:-1]
    assert [python, *arguments[:2]] == [sys.executable, "-m", "napari_sam2.cli"]
    second = forked.start(command, arguments[2:])
    second.join()
    first.communicate()
    assert (first.returncode, second.exitcode) == (0, 0)
    assert batch(*given, "--speed", "fastest", "--resume", "--json") == 0
    stacks = json.loads(capsys.readouterr().out)["stacks"]
    assert [each["state"] for each in stacks] == ["done"] * 3
    pids = [each["pid"] for each in stacks]
    assert pids[0] == pids[2] != pids[1]


def test_an_array_script_is_shown_by_a_dry_run(given, tmp_path, capsys):
    assert batch(*given, "--sbatch", tmp_path / "job.sh", "--dry-run") == 0
    assert "#SBATCH --array=1-3" in capsys.readouterr().out
    assert not (tmp_path / "job.sh").exists()


def test_two_batches_on_one_folder_do_each_stack_once(given, tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    racing = [
        forked.start(counted_command, ["batch", *map(str, given), "--resume"], logs)
        for _ in range(2)
    ]
    for process in racing:
        process.join()
    assert [process.exitcode for process in racing] == [0, 0]
    tries = {path.stem: path.read_text().split() for path in logs.iterdir()}
    assert {name: len(each) for name, each in tries.items()} == {"a": 1, "b": 1, "c": 1}
    for name in "abc":
        assert read_status(tmp_path / "out" / f"{name}.status.json").state is StackState.DONE
