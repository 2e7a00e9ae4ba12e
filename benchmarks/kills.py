"""Kill running propagations at random moments, go on, and compare with an unbroken run.

Each trial is a process of its own that ends by SIGKILL. Two kinds: ``session``, a script with
`TrackingSession(store=...)`, which also measures how much was lost; and ``command``,
``napari-sam2 segment`` and ``segment --resume``, of a stack and of volumes over time.

Usage: python benchmarks/kills.py [--times 200] [--seed 0]

Only for systems with fork: the model is loaded once, and each process begins with it.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile
import torch

from napari_sam2 import Model, TrackingSession, load_model
from napari_sam2.cli import main as command
from napari_sam2.samples import nuclei_stack

_EVENT = struct.Struct("<iid")  # object, frame, time


@dataclass
class Tally:
    """Kills of one kind of run."""

    runs: int = 0
    kills: int = 0
    different: int = 0
    lost_seconds: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        lost = f", at most {max(self.lost_seconds):.2f} s lost" if self.lost_seconds else ""
        return (
            f"{self.kills} kills in {self.runs} runs, {self.different} different at the end{lost}"
        )


def in_child(work: Callable[[], None]) -> int:
    """Do work in a process of its own; return its id."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        work()
        code = 0
    except SystemExit as error:
        code = int(error.code or 0)
    finally:
        os._exit(code)


def killed(child: int, after: float) -> bool:
    """Kill a process after some seconds; return False if it had come to its end by itself."""
    end = time.monotonic() + after
    while time.monotonic() < end:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def script(model: Model, stack: np.ndarray, store: Path, pipe: int, output: Path) -> None:
    """Propagate with a store, and report every frame."""
    session = TrackingSession(model, stack, store=store)
    for object_id, point in ((1, (30, 30)), (2, (60, 70))):
        if session.prompts.get(object_id, 2 * object_id) is None:
            session.add_points(object_id, 2 * object_id, [point])
    for result in session.propagate():
        for object_id in result.object_ids:
            os.write(pipe, _EVENT.pack(object_id, result.frame, time.monotonic()))
    np.save(output, session.labels)
    session.close()


def kept_frames(store: Path) -> set[tuple[int, int]]:
    """Return the objects of a store and the frames in which they are up to date."""
    from napari_sam2.labels.store.commits import read_commits
    from napari_sam2.tracking.state.stored_state import _from_bits

    commits = read_commits(store)
    if not commits:
        return set()
    n_frames, kept = commits[0]["shape"][0], set()
    for each in commits[0]["state"]["objects"]:
        done = np.flatnonzero(_from_bits(each["done"], n_frames)).tolist()
        decided = [frame for frame, _ in each["decided"]]
        kept |= {(each["object"], frame) for frame in (*done, *decided)}
    return kept


def kill_scripts(model: Model, stack: np.ndarray, folder: Path, times: int, chance: random.Random):
    """Kill scripts with a session until that many kills."""
    tally, truth, sink = Tally(), folder / "truth.npy", os.open(os.devnull, os.O_WRONLY)
    begun = time.monotonic()
    os.waitpid(in_child(lambda: script(model, stack, folder / "t.sam2.zarr", sink, truth)), 0)
    whole = time.monotonic() - begun
    while tally.kills < times:
        store, output = folder / f"{tally.runs}.sam2.zarr", folder / f"{tally.runs}.npy"
        while not output.exists():
            read, write = os.pipe()
            child = in_child(lambda: script(model, stack, store, write, output))  # noqa: B023
            os.close(write)
            died = killed(child, chance.uniform(0, whole))
            at = time.monotonic()
            events = list(_EVENT.iter_unpack(_all_of(read)))
            tally.kills += died
            if died:
                kept = kept_frames(store)
                gone = [when for *pair, when in events if tuple(pair) not in kept]
                tally.lost_seconds.append(at - min(gone) if gone else 0.0)
        tally.different += not np.array_equal(np.load(truth), np.load(output))
        tally.runs += 1
        progress(tally)
        shutil.rmtree(store, ignore_errors=True)
        output.unlink()
    return tally


def kill_commands(given: list[str], folder: Path, times: int, chance: random.Random) -> Tally:
    """Kill commands until that many kills."""
    tally, truth = Tally(), folder / "truth.tif"
    begun = time.monotonic()
    os.waitpid(in_child(lambda: command(["segment", *given, "-o", str(truth)])), 0)
    whole = time.monotonic() - begun
    while tally.kills < times:
        output = folder / f"{tally.runs}.tif"
        while True:
            arguments = ["segment", *given, "-o", str(output), "--resume"]
            child = in_child(lambda: command(arguments))  # noqa: B023
            if not killed(child, chance.uniform(0, whole)):
                break
            tally.kills += 1
        same = output.exists() and output.read_bytes() == truth.read_bytes()
        tally.different += not same
        tally.runs += 1
        progress(tally)
        output.unlink(missing_ok=True)
    return tally


def progress(tally: Tally) -> None:
    """Write what is done so far, which a stopped benchmark leaves behind."""
    sys.stderr.write(f"{tally}\n")
    sys.stderr.flush()


def _all_of(pipe: int) -> bytes:
    with os.fdopen(pipe, "rb") as file:
        data = file.read()
    return data[: len(data) // _EVENT.size * _EVENT.size]


def main() -> None:
    """Kill processes and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=200, help="kills of all kinds together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--frames", type=int, default=24)
    given = parser.parse_args()
    torch.set_num_threads(1)
    chance, model = random.Random(given.seed), load_model(device="cpu")
    sample = nuclei_stack(shape=(given.frames, 128, 128))
    image = sample.image
    folder = Path(tempfile.mkdtemp(prefix="napari-sam2-kills-"))
    prompts, stack, movie = folder / "p.csv", folder / "stack.tif", folder / "movie.tif"
    prompts.write_text("frame,object,kind,y,x\n2,1,point,30,30\n4,2,point,60,70\n", "utf-8")
    tifffile.imwrite(stack, image, metadata={"axes": "ZYX"})
    volumes = np.stack([image[:8], image[:8], image[:8]])
    tifffile.imwrite(movie, volumes, metadata={"axes": "TZYX"}, imagej=False, ome=False)
    share = max(1, given.times // 4)
    for name, tally in (
        ("session", lambda: kill_scripts(model, image, folder, given.times - 2 * share, chance)),
        ("command", lambda: kill_commands([str(stack), "-p", str(prompts)], folder, share, chance)),
        (
            "command, volumes",
            lambda: kill_commands(
                [str(movie), "-p", str(prompts), "--axis", "Z", "--through", "T"],
                folder,
                share,
                chance,
            ),
        ),
    ):
        sys.stdout.write(f"{name}: {tally()}\n")
        sys.stdout.flush()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
