"""Many objects in long stacks: what is done around the network, in CPU seconds.

    python benchmarks/many_objects.py --threads 1
    python benchmarks/many_objects.py --threads 1 --objects 50 --accepted-every 10

Discs are drawn in the first frame and carried forward. The network sees a reduced input by default,
since what is measured is the rest: windows, memories, masks, labels. With `--accepted-every` discs
lie in the labels beyond the frames that are computed, and are accepted there first.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from dataclasses import dataclass

import numpy as np
import torch
from figures import read_options, write_figures
from numpy.typing import NDArray

from napari_sam2 import TrackingSession, load_model
from napari_sam2.benchmarking import DriftingDiscs
from napari_sam2.benchmarking.meter import StageMeter

WARM_UP = 5  # frames: memories fill up, and drawn ones are made


@dataclass(frozen=True)
class Figures:
    """Milliseconds of CPU time: of an accepted mask, and of a frame in and around the network."""

    accept: float
    network: float
    around: float


class FirstFrames:
    """The first frames of a stack, drawn beforehand; array-like (T, Y, X) of its full length."""

    dtype, ndim = np.dtype(np.uint8), 3

    def __init__(self, stack: DriftingDiscs, count: int) -> None:
        self.shape = stack.shape
        self._drawn = [stack.frame(frame) for frame in range(count)]

    def __getitem__(self, item: int | tuple[int, ...]) -> NDArray[np.uint8]:
        frame, *window = item if isinstance(item, tuple) else (item,)
        return self._drawn[min(int(frame), len(self._drawn) - 1)][tuple(window)]


def labels_of(stack: DriftingDiscs) -> NDArray[np.uint16]:
    """Draw the labels of all discs in the first frame, (Y, X)."""
    size = stack.shape[1]
    yy, xx = np.ogrid[:size, :size]
    plane = np.zeros((size, size), np.uint16)
    for index in range(stack.objects):
        y, x = stack.centre(index, 0)
        plane[(yy - y) ** 2 + (xx - x) ** 2 < stack.radius**2] = index + 1
    return plane


def measured(options: argparse.Namespace) -> Figures:
    """Accept, propagate, and return what it took."""
    discs = DriftingDiscs(options.frames, options.size, options.objects)
    computed = WARM_UP + options.visited + 1
    model = load_model("bundled", device="cpu", image_size=options.image_size)
    session = TrackingSession(model, FirstFrames(discs, computed), contrast=(0, 255))
    plane, numbers = labels_of(discs), range(1, options.objects + 1)
    for number in numbers:
        session.add_mask(number, 0, plane == number)
    step = options.accepted_every
    accepted = range(computed, options.frames, step) if step else ()
    for frame in accepted:
        session.labels[frame] = plane
    begun = time.process_time()
    for frame, number in itertools.product(accepted, numbers):
        session.accept(number, frame)
    spent = time.process_time() - begun
    meter = StageMeter(torch.device("cpu"), clock=time.process_time)
    marks = []
    with meter.metered(model.network):
        for _ in itertools.islice(session.propagate("forward"), computed):
            inside = sum(total.seconds for total in meter.totals.values())
            marks.append((inside, time.process_time()))
    network, whole = 1000 * (np.array(marks[-1]) - marks[WARM_UP]) / options.visited
    count = len(accepted) * options.objects
    return Figures(1000 * spent / max(1, count), float(network), float(whole - network))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=100)
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--size", type=int, default=256, help="side of a frame in pixels")
    parser.add_argument("--visited", type=int, default=15, help="frames that are timed")
    parser.add_argument("--image-size", type=int, default=64, help="side of the model input")
    parser.add_argument("--accepted-every", type=int, default=0, help="frames; 0: none is accepted")
    options = read_options(parser)
    found = measured(options)
    sys.stdout.write(
        f"{options.objects} objects, {options.frames} frames of {options.size} x {options.size}: "
        f"a frame takes {found.network:.0f} ms in the network and {found.around:.0f} ms around it"
    )
    accepted = f"; a mask is accepted in {found.accept:.2f} ms" if options.accepted_every else ""
    sys.stdout.write(f"{accepted}\n")
    write_figures(options, [found])


if __name__ == "__main__":
    main()
