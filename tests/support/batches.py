"""Batches in this process: their stacks, what they report, and how they are run."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import forked
import numpy as np
import tifffile

from napari_sam2.batch import processes
from napari_sam2.batch.executors import Executor, InProcess
from napari_sam2.batch.plan import BatchInputs, plan_batch
from napari_sam2.batch.run import BatchResult, prepare, run_batch
from napari_sam2.batch.stack_worker import StackWorker
from napari_sam2.batch.status import StackStatus, read_status

CLICKS = "frame,object,kind,y,x\n1,1,point,20,21\n1,2,point,44,45\n"


def write_stack(path: Path, frames: int = 3, seed: int = 0) -> Path:
    """Write bright disks that drift apart, in frames of 64 x 64 pixels."""
    y, x = np.mgrid[:64, :64]
    image = np.full((frames, 64, 64), 40.0)
    for frame, plane in enumerate(image):
        plane[np.hypot(y - 20, x - 20 - frame % 8) < 9] = 180
        plane[np.hypot(y - 44, x - 46 + frame % 8) < 8] = 180
    image += np.random.default_rng(seed).normal(0, 6, image.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, np.clip(image, 0, 255).astype(np.uint8), metadata={"axes": "TYX"})
    return path


@dataclass
class Recorder:
    """Keeps what a batch reports, and stops it when `stop` says so."""

    stop: Callable[[Recorder], bool] = lambda recorder: False
    seen: Callable[[str, int], None] = lambda name, done: None
    results: list[tuple[str, int]] = field(default_factory=list)
    done: list[StackStatus] = field(default_factory=list)
    before: list[str] = field(default_factory=list)

    def progress(self, name: str, done: int, planned: int | None) -> None:
        assert planned is None or done <= planned
        self.results.append((name, done))
        self.seen(name, done)

    def skipped(self, status: StackStatus) -> None:
        self.before.append(status.name)

    def ended(self, status: StackStatus) -> None:
        self.done.append(status)

    def stopped(self) -> bool:
        return self.stop(self)


def do_batch(
    inputs: BatchInputs,
    recorder: Recorder | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    retries: int = 0,
    run: str = "run",
    executor: Executor | None = None,
) -> BatchResult:
    """Prepare and do a batch, in this process unless there is another executor."""
    plan = prepare(plan_batch(inputs), resume=resume, overwrite=overwrite, part=False)
    chosen = executor or InProcess(StackWorker("cpu", run))
    return run_batch(plan, chosen, recorder or Recorder(), run, retries=retries)


def labels_of(folder: Path) -> dict[str, bytes]:
    """Return the labels files of a folder of results."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.tif"))}


@dataclass(frozen=True)
class Unbroken:
    """Stacks of so many frames, and the labels of a batch that nothing has ended early."""

    names: tuple[str, ...]
    frames: int
    labels: dict[str, bytes]


def unbroken_batch(folder: Path) -> Unbroken:
    """Do three stacks of seven frames in this process."""
    names, frames = ("a", "b", "c"), 7
    for number, name in enumerate(names):
        write_stack(folder / "stacks" / f"{name}.tif", frames, number)
    (folder / "clicks.csv").write_text(CLICKS, encoding="utf-8")
    inputs = BatchInputs(folder / "stacks", folder / "out", prompts=folder / "clicks.csv")
    assert not do_batch(inputs).failed
    return Unbroken(names, frames, labels_of(inputs.output))


def kill_once(
    inputs: BatchInputs, killed: list[int], victim: int | None = None
) -> Callable[[str, int], None]:
    """Kill the worker of the first stack that has frames on disk, or another process."""

    def kill(name: str, done: int) -> None:
        store = inputs.output / f"{name}.tif.sam2.zarr"
        if not killed and done >= 2 and any(store.rglob("commit-*")):
            killed.append(victim or read_status(inputs.output / f"{name}.status.json").pid)
            os.kill(killed[0], signal.SIGKILL)

    return kill


def do_in_two_processes(folder: Path, out: Path, clicks: Path) -> None:
    """Do a batch in two further processes; a job for a process of its own."""
    forked.context()  # their own server: that of the tests may not be asked from here
    processes._METHOD = forked.METHOD
    with closing(processes.Processes(("cpu", "cpu"), "run")) as executor:
        do_batch(BatchInputs(folder, out, prompts=clicks), executor=executor)
