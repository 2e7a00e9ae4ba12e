"""Time batches of small stacks: one and two workers, plain processes and Dask; races and kills.

Usage: python benchmarks/batch.py [--stacks 40] [--frames 8] [--side 96] [--races 30] [--kills 10]

Each batch is the command in a process of its own, so that the start of Python, torch and Dask
counts as it does for a user. Each process has one thread of torch: give it a machine with two free
cores. The figures are wall times and their ratios, from one run; processor time says what is spent
where other work runs beside it. Only for systems with `resource`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

CLICKS = "frame,object,kind,y,x\n1,1,point,20,21\n1,2,point,60,61\n"


@dataclass(frozen=True)
class Timed:
    """One batch: wall and processor time of all its processes, and its frame results."""

    name: str
    seconds: float
    cpu_seconds: float
    frames: int


def make_stacks(folder: Path, count: int, frames: int, side: int) -> Path:
    """Write stacks of two bright disks that drift apart."""
    y, x = np.mgrid[:side, :side]
    folder.mkdir()
    for number in range(count):
        image = np.full((frames, side, side), 40.0)
        for frame, plane in enumerate(image):
            plane[np.hypot(y - 20, x - 20 - frame % 9) < 9] = 180
            plane[np.hypot(y - 60, x - 62 + frame % 9) < 8] = 180
        image += np.random.default_rng(number).normal(0, 6, image.shape)
        pixels = np.clip(image, 0, 255).astype(np.uint8)
        tifffile.imwrite(folder / f"s{number:03d}.tif", pixels, metadata={"axes": "TYX"})
    return folder


def command(folder: Path, output: Path, *options: str) -> list[str]:
    """Return the command of a batch."""
    given = ["-p", str(folder.parent / "clicks.csv"), "-o", str(output), "--device", "cpu"]
    batch = [sys.executable, "-m", "napari_sam2.cli", "batch", str(folder)]
    return [*batch, *given, "--json", *options]


def start(words: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a batch, with one thread of torch in each process."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )


def values_of(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Wait for a batch, and return what it prints."""
    text, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"a batch ended with {process.returncode}")
    found: dict[str, Any] = json.loads(text)
    return found


def timed(name: str, folder: Path, output: Path, *options: str) -> Timed:
    """Time a batch; its results must all be done."""
    begun, cpu = time.perf_counter(), cpu_of_children()
    values = values_of(start(command(folder, output, *options)))
    seconds, cpu = time.perf_counter() - begun, cpu_of_children() - cpu
    stacks = values["stacks"]
    if any(each["state"] != "done" for each in stacks):
        raise RuntimeError(f"{name}: not all stacks are done")
    frames = sum(each["frame_results"] for each in stacks)
    return Timed(name, seconds, cpu, frames)


def cpu_of_children() -> float:
    """Return the processor seconds of all processes that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def labels(folder: Path) -> dict[str, bytes]:
    """Return all labels files."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.tif"))}


def race(folder: Path, output: Path) -> tuple[int, int]:
    """Let two batches race on one folder; return attempts and stacks."""
    racing = [start(command(folder, output, "--resume")) for _ in range(2)]
    ends = [values_of(process) for process in racing]
    attempts = {
        each["attempt"] for end in ends for each in end["stacks"] if each["state"] == "done"
    }
    return len(attempts), len(list(output.glob("*.status.json")))


def kill_batches(folder: Path, output: Path, times: int, whole_s: float, seed: int) -> int:
    """Kill a batch with two processes and all that belongs to it, and go on; return the kills."""
    chance, kills = random.Random(seed), 0
    while True:
        process = subprocess.Popen(
            command(folder, output, "--workers", "2", "--resume"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        try:
            process.wait(chance.uniform(0.2, 1.0) * whole_s if kills < times else None)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            continue
        if process.returncode:
            raise RuntimeError(f"a batch ended with {process.returncode}")
        return kills


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stacks", type=int, default=40)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--races", type=int, default=30, help="stacks that two batches race for")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="napari-sam2-batch-"))
    (place / "clicks.csv").write_text(CLICKS, encoding="utf-8")
    folder = make_stacks(place / "stacks", given.stacks, given.frames, given.side)
    runs = {}
    for name, *options in (
        ("one process",),
        ("two processes", "--workers", "2"),
        ("Dask, one worker", "--cluster", "local"),
        ("Dask, two workers", "--cluster", "local", "--workers", "2"),
    ):
        output = place / name.replace(" ", "_")
        runs[name] = timed(name, folder, output, *options)
        one = runs["one process"]
        sys.stdout.write(
            f"{name}: {runs[name].seconds:.1f} s, {runs[name].frames / runs[name].seconds:.1f} "
            f"frames/s, {one.seconds / runs[name].seconds:.2f} times as fast as one process, "
            f"{runs[name].cpu_seconds:.1f} s of processors\n"
        )
        sys.stdout.flush()
        if labels(output) != labels(place / "one_process"):
            raise RuntimeError(f"{name} gives other labels")
    for count in ("one", "two"):
        plain = runs[f"{count} process{'es' * (count == 'two')}"]
        dask = runs[f"Dask, {count} worker{'s' * (count == 'two')}"]
        over = dask.seconds - plain.seconds
        sys.stdout.write(
            f"overhead of Dask with {count}: {over:.1f} s, {over / given.stacks * 1e3:.0f} ms a "
            f"stack; {dask.cpu_seconds - plain.cpu_seconds:.1f} s of processors\n"
        )
    if given.races:
        few = make_stacks(place / "racing", given.races, given.frames, given.side)
        attempts, stacks = race(few, place / "raced")
        sys.stdout.write(f"two batches racing for {stacks} stacks: {attempts} attempts\n")
    if given.kills:
        output = place / "killed"
        kills = kill_batches(folder, output, given.kills, runs["two processes"].seconds, given.seed)
        whole, found = labels(place / "one_process"), labels(output)
        lost = sum(found.get(name) != content for name, content in whole.items())
        sys.stdout.write(f"{kills} kills of a batch: {lost} of {len(whole)} stacks differ\n")
    shutil.rmtree(place)


if __name__ == "__main__":
    main()
