"""What it costs to compute on a server, and what it survives; all on the loopback.

    python benchmarks/remote.py
    python benchmarks/remote.py --cuts 100 --kills 5 --frames 2000 --model bundled

Servers are real uvicorn processes on small random networks, unless a model is named, so that the
way to them is what is measured. The lines are:

- bytes that a frame and a mask take on the way
- clicks and propagation on the loopback and through a proxy of 10 Mbit/s and 100 ms, beside those
  in this process
- a connection that is cut at random bytes: cuts, and whether any bit of the labels differs
- a server that is killed in the middle of a propagation: kills, frames lost, IoU with an
  undisturbed run
- resident memory of the server every few hundred frames of a long stack
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

from session_servers import (  # noqa: E402
    TOKEN,
    CuttingProxy,
    Proxy,
    ServerProcess,
    SlowProxy,
    loaded_models,
    tiny_models,
)

from napari_sam2 import Model, TrackingSession, connect, load_model  # noqa: E402
from napari_sam2.remote.limits import ServerLimits  # noqa: E402

PARTS = ("traffic", "latency", "cuts", "memory", "kills")


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class LongStack:
    """Smooth noise, made frame by frame, of any length."""

    def __init__(self, frames: int, side: int) -> None:
        self.shape, self.dtype = (frames, side, side), np.dtype(np.uint16)
        noise = np.random.default_rng(1).normal(size=(side, side))
        self._base = gaussian_filter(noise, 3)

    def __getitem__(self, index: tuple) -> np.ndarray:
        frame, *inside = index
        grain = np.random.default_rng(frame).normal(scale=0.01, size=self._base.shape)
        values = 2000 + 8000 * (np.roll(self._base, frame % 7, axis=1) + grain)
        return values.clip(0, 65535).astype(np.uint16)[tuple(inside)]


def resident_mib(pid: int) -> float:
    """Return the memory of a process that is in use now."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


def work(session: TrackingSession, objects: int) -> None:
    """Prompt and propagate."""
    rows, columns = session.frame_shape
    for number in range(1, objects + 1):
        y, x = rows * number // (objects + 1), columns * number // (objects + 1)
        session.add_points(number, 0, [(y, x)])
    for _ in session.propagate("forward"):
        pass


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Return the IoU of all labels."""
    both = ((one == other) & (one > 0)).sum()
    return float(both / max(1, ((one > 0) | (other > 0)).sum()))


def traffic(server: ServerProcess, frames: int, side: int, objects: int) -> None:
    """Say how many bytes travel."""
    stack = LongStack(frames, side)
    with Proxy(server.port) as way:
        session = connect(way.url, TOKEN).session(stack)
        started = way.up
        work(session, objects)
        up = (way.up - started) / frames
        down, before = way.down / frames / objects, way.up
        for _ in session.propagate("forward", recompute=True):
            pass
        again = (way.up - before) / frames
    plain = stack[0, ...].nbytes
    say(
        f"bytes: {up:.0f} sent for a frame the first time ({plain} as pixels), {again:.0f} the "
        f"second time; {down:.0f} received for a mask"
    )


def latency(server: ServerProcess, side: int, name: str | None, device: str) -> None:
    """Say how long clicks and frames take on several ways."""
    stack = np.stack([LongStack(12, side)[frame, ...] for frame in range(12)])

    def measured(session: TrackingSession) -> tuple[float, float, float]:
        began = time.perf_counter()
        session.add_points(1, 0, [(side / 2, side / 2)])
        first, times = time.perf_counter() - began, []
        for step in range(5):
            began = time.perf_counter()
            session.add_points(1, 0, [(side / 3 + step, side / 3)], [False])
            times.append(time.perf_counter() - began)
        began = time.perf_counter()
        done = len(list(session.propagate("forward")))
        return first, float(np.median(times)), (time.perf_counter() - began) / done

    model = tiny_models()["tiny"] if name is None else load_model(name, device)
    measured(TrackingSession(model, stack))
    lines = {"in this process": measured(TrackingSession(model, stack))}
    for title, way in (
        ("loopback", Proxy(server.port)),
        ("10 Mbit/s, 100 ms", SlowProxy(server.port, 10e6, 0.1)),
    ):
        with way:
            connection = connect(way.url, TOKEN)
            lines[title] = measured(connection.session(stack + np.uint16(len(lines))))
    for title, (first, click, frame) in lines.items():
        say(
            f"{title}: first click {1e3 * first:.0f} ms, further clicks {1e3 * click:.0f} ms, "
            f"{1e3 * frame:.0f} ms a frame"
        )


def cuts(server: ServerProcess, count: int, frames: int) -> None:
    """Say what a connection does that is cut again and again."""
    stack = LongStack(frames, 64)
    undisturbed = connect(server.url, TOKEN).session(stack)
    work(undisturbed, 2)
    tried = lost = runs = 0
    while tried < count:
        with CuttingProxy(server.port, cuts=count - tried, most=6000, seed=runs) as way:
            session = connect(way.url, TOKEN).session(stack)
            work(session, 2)
            tried, runs = tried + way.cut, runs + 1
            lost += not np.array_equal(session.labels, undisturbed.labels)
    say(f"cuts: {tried} in {runs} propagations of {frames} frames, {lost} with another bit")


def kills(server: ServerProcess, count: int, frames: int) -> None:
    """Say what is left when the server is killed and started again."""
    stack = LongStack(frames, 64)
    undisturbed = connect(server.url, TOKEN).session(stack)
    work(undisturbed, 2)
    session = connect(server.url, TOKEN, patience_s=600).session(stack)
    session.add_points(1, 0, [(21, 21)])
    session.add_points(2, 0, [(42, 42)])
    at = {frames * (number + 1) // (count + 1) for number in range(count)}
    done, kept = [], True
    for result in session.propagate("forward"):
        done.append(result.frame)
        if result.frame in at:
            before = session.labels.copy()
            server.kill()
            server.start()
            server.wait()
            kept = kept and np.array_equal(before, session.labels)
    say(
        f"kills: {count}, {frames - len(done)} of {frames} frames lost, labels before them "
        f"{'kept' if kept else 'CHANGED'}, IoU with an undisturbed run "
        f"{iou(session.labels, undisturbed.labels):.4f}"
    )


def memory(models: Callable[[], dict[str, Model]], frames: int, side: int) -> None:
    """Say how the memory of a server grows with the frames, whose caches are soon full."""
    limits = ServerLimits(frame_cache_bytes=2**20, state_cache_bytes=2**22)
    server = ServerProcess(models, limits)
    server.start()
    server.wait()
    try:
        follow_memory(server, frames, side)
    finally:
        server.kill()


def follow_memory(server: ServerProcess, frames: int, side: int) -> None:
    """Propagate, and say how much memory the server has every few hundred frames."""
    stack = LongStack(frames, side)
    session = connect(server.url, TOKEN).session(stack, contrast=(0, 4000))
    session.add_points(1, 0, [(side / 2, side / 2)])
    found = []
    for number, _ in enumerate(session.propagate("forward")):
        if number % max(1, frames // 8) == 0:
            found.append(resident_mib(server.pid))
    say(f"memory of the server over {frames} frames, MiB: {', '.join(f'{m:.0f}' for m in found)}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=None, help="a small random network by default")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--objects", type=int, default=3)
    parser.add_argument("--cuts", type=int, default=100)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    given = parser.parse_args()
    real = given.model and partial(loaded_models, given.model, given.device)
    server = ServerProcess(real or tiny_models)
    server.start()
    server.wait()
    try:
        if "traffic" in given.parts:
            traffic(server, 12, given.side, given.objects)
        if "latency" in given.parts:
            latency(server, given.side, given.model, given.device)
        if "cuts" in given.parts:
            cuts(server, given.cuts, 20)
        if "memory" in given.parts:
            memory(real or tiny_models, given.frames, 64)
        if "kills" in given.parts:
            kills(server, given.kills, 24)
    finally:
        server.kill()


if __name__ == "__main__":
    main()
