"""Objects found without a prompt: seconds and memory of one frame.

    python benchmarks/finding.py --threads 2
    python benchmarks/finding.py --clock cpu --threads 1 --size 512 --nuclei 100
    python benchmarks/finding.py --threads 2 --profile

Frames are slices of the sample stack of nuclei, reduced and put together so that they hold about
as many nuclei as are asked for: 100 in 512 pixels and 1,000 in 2048 by default. Each size runs in a
process of its own, so that one peak of memory does not hide the other; the model is loaded, and has
seen a small frame, before the clock starts. CPU seconds are those of all threads together: on a
busy machine they tell more than the clock. `hits` are true objects that one found object covers
with an IoU above a half.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import subprocess
import sys
from dataclasses import asdict, dataclass

import numpy as np
from figures import CLOCKS, read_options, write_figures
from memory import peak_so_far
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2 import TrackingSession, load_model
from napari_sam2.evaluation.automatic import frame_score
from napari_sam2.samples import nuclei_stack

SLICES, SLICE = 8, 4
SIDE = 512  # of the slices that a frame is put together of
DENSE, REDUCED = 105, 1.45  # so many nuclei lie in a slice that is reduced so many times


@dataclass(frozen=True)
class Figures:
    """One frame.

    Attributes
    ----------
    size : int
        Its side in pixels.
    there, found, hits : int
        Objects.
    seconds : float
        By the chosen clock.
    peak, before : float
        MiB that the process held at most, and before the search.
    """

    size: int
    there: int
    found: int
    hits: int
    seconds: float
    peak: float
    before: float


def nuclei_frame(size: int, nuclei: int) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Make a frame (size, size) with about so many nuclei, and its labels."""
    across = max(1, size // SIDE)
    side = size // across
    reduced = REDUCED * (nuclei / across**2 / DENSE) ** 0.5 * SIDE / side
    drawn = round(side * reduced)
    image = np.zeros((size, size), np.uint16)
    labels = np.zeros((size, size), np.uint16)
    for number, (row, column) in enumerate(np.ndindex(across, across)):
        sample = nuclei_stack(number + 1, (SLICES, drawn, drawn))
        here = np.s_[row * side : (row + 1) * side, column * side : (column + 1) * side]
        grey = ndimage.zoom(sample.image[SLICE].astype(np.float32), side / drawn, order=1)
        truth = ndimage.zoom(sample.labels[SLICE], side / drawn, order=0)
        image[here] = grey.astype(np.uint16)
        labels[here] = np.where(truth, truth + labels.max(), 0)
    return image, labels


def measure(options: argparse.Namespace) -> Figures:
    """Search one frame in this process."""
    clock = CLOCKS[options.clock]
    size = options.size[0]
    image, truth = nuclei_frame(size, options.nuclei[0])
    model = load_model(options.model, device="cpu")
    TrackingSession(model, image[:96, :96]).find_objects(0)
    session = TrackingSession(model, image)
    before = peak_so_far()
    profile = cProfile.Profile()
    if options.profile:
        profile.enable()
    begun = clock()
    found = session.find_objects(0)
    seconds = clock() - begun
    profile.disable()
    if options.profile:
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(25)
    score = frame_score("nuclei", session.labels[0], truth)
    hits = round(score.recall * score.objects)
    return Figures(size, score.objects, len(found), hits, seconds, peak_so_far(), before)


def main() -> None:
    """Measure every size and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--size", type=int, nargs="+", default=[512, 2048])
    parser.add_argument("--nuclei", type=int, nargs="+", default=[100, 1000], help="in each size")
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = read_options(parser)
    if options.child:
        sys.stdout.write("\n" + json.dumps(asdict(measure(options))))
        return
    results = []
    for size, nuclei in zip(options.size, options.nuclei, strict=True):
        command = [sys.executable, __file__, "--child", "--size", str(size)]
        command += ["--nuclei", str(nuclei)]
        command += ["--model", options.model, "--clock", options.clock]
        command += ["--threads", str(options.threads)] if options.threads else []
        command += ["--profile"] if options.profile else []
        child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        each = Figures(**json.loads(child.stdout.splitlines()[-1]))
        results.append(each)
        sys.stdout.write(
            f"{each.size:5d} px: {each.there:5d} there, {each.found:5d} found, "
            f"{each.hits:5d} hits, {each.seconds:7.1f} s {options.clock}, "
            f"peak {each.peak:7.1f} MiB ({each.before:.1f} before the search)\n"
        )
        sys.stdout.flush()
    write_figures(options, results)


if __name__ == "__main__":
    main()
