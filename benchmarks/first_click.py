"""The first click in a very large frame: seconds of wall and processor time, and where they go.

    python benchmarks/first_click.py
    python benchmarks/first_click.py --side 20000 --profile 15

The frame is read once, is in the contrast of its dtype, and no feature of it is known: that is what
the first click of a session meets. The second click is in the same frame, on another object.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import sys
import time

import numpy as np
import torch

from napari_sam2 import TrackingSession, load_model

_CELL = 40


def frame_of(side: int) -> np.ndarray:
    """Return a frame (1, side, side) of uint8 with bright squares, a hundred pixels apart."""
    tile = np.random.default_rng(0).integers(0, 60, (100, 100), np.uint8)
    tile[30 : 30 + _CELL, 30 : 30 + _CELL] += 120
    repeats = -(-side // 100)
    return np.ascontiguousarray(np.tile(tile, (repeats, repeats))[None, :side, :side])


def main() -> None:
    """Click and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--profile", type=int, default=0, help="lines of a profile to print")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    model, frames = load_model(device="cpu"), frame_of(given.side)
    small = TrackingSession(model, frames[:, :500, :500], contrast=(0, 255))
    small.add_points(1, 0, [(50, 50)])  # torch sets itself up
    begun, used = time.perf_counter(), time.process_time()
    session = TrackingSession(model, frames, contrast=(0, 255))
    say("opening the session", begun, used)
    middle = 100 * (given.side // 200) + 50
    for number, place in ((1, middle), (2, middle - 300)):
        profile = cProfile.Profile()
        begun, used = time.perf_counter(), time.process_time()
        if given.profile:
            profile.enable()
        found = session.add_points(number, 0, [(place, place)])
        profile.disable()
        say(f"click {number} ({int(found.masks.sum())} pixels)", begun, used)
        if given.profile:
            pstats.Stats(profile, stream=sys.stdout).sort_stats("tottime").print_stats(
                given.profile
            )


def say(what: str, begun: float, used: float) -> None:
    """Print the seconds since some moment."""
    wall, processor = time.perf_counter() - begun, time.process_time() - used
    sys.stdout.write(f"{what}: {wall:.2f} s wall, {processor:.2f} s processor\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
