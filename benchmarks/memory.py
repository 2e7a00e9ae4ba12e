"""Peak memory of a propagation over short and long stacks of the same frame size.

    python benchmarks/memory.py --frames 50 500 --size 1024 --objects 1
    python benchmarks/memory.py --model sam2.1-tiny --image-size 256 --size 256 --reference
    python benchmarks/memory.py --model sam2.1-tiny --size 1024 --objects 1 --visited 24 --reference

Official models load random weights from a file, as the PyPI package `sam2` does, which is measured
too with --reference. Each length runs in a process of its own, so that one peak does not hide the
other. What the process takes once Python, torch and numpy are loaded is in every peak, and reported
apart. So are the labels, of which only the pages that objects were written to are in memory; the
reference keeps none. Everything else should stay the same whatever the length. With --visited only
so many frames of the stack are computed: of the reference's peak a lower bound, and of ours as soon
as the features of eight frames are kept all but the labels of the others. Masks of random weights
fill the frame, and so do their labels: what those of objects take the bundled model shows.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_sam2 import TrackingSession, load_model
from napari_sam2.benchmarking import DriftingDiscs

MIB = 2**20


@dataclass(frozen=True)
class Figures:
    """Memory of one process, in MiB.

    Attributes
    ----------
    peak, loaded : float
        The most it held at a time, and that before a model was loaded.
    labels : float
        Pages of the labels that something was written to.
    labels_whole : float
        All labels, written to or not.
    """

    peak: float
    loaded: float
    labels: float = 0.0
    labels_whole: float = 0.0

    @property
    def engine(self) -> float:
        """What is neither labels nor Python with its libraries."""
        return self.peak - self.loaded - self.labels


def follow_ours(options: argparse.Namespace, stack: DriftingDiscs) -> NDArray[np.uint16]:
    """Click in the middle, propagate both ways, and return the labels."""
    source = options.checkpoint or options.model
    model = load_model(source, device="cpu", image_size=options.image_size)
    session = TrackingSession(model, stack)
    middle = stack.shape[0] // 2
    for index in range(stack.objects):
        session.add_points(index + 1, middle, [stack.centre(index, middle)])
    for _ in islice(session.propagate(), options.visited):
        pass
    labels: NDArray[np.uint16] = session.labels
    return labels


def follow_reference(options: argparse.Namespace, stack: DriftingDiscs) -> None:
    """Click in the first frame and propagate; labels are left to the user."""
    from reference import JpegFrames, ReferencePredictor, ReferenceSession

    size = options.image_size or 1024
    predictor = ReferencePredictor(options.model, size, checkpoint=options.checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        session = ReferenceSession(predictor, JpegFrames(Path(folder), stack))
        for index in range(stack.objects):
            session.click(index + 1, 0, stack.centre(index, 0))
        for _ in islice(session.propagate(0), options.visited):
            pass


def measure(options: argparse.Namespace) -> Figures:
    """Propagate in this process."""
    stack = DriftingDiscs(options.frames[0], options.size, options.objects)
    if options.reference:
        import sam2.build_sam  # noqa: F401

        loaded = peak_so_far()
        follow_reference(options, stack)
        return Figures(peak_so_far(), loaded)
    loaded = peak_so_far()
    labels = follow_ours(options, stack)
    return Figures(peak_so_far(), loaded, written(labels), labels.nbytes / MIB)


def written(labels: NDArray[np.uint16]) -> float:
    """Return how much memory the pages take that hold a label, in MiB."""
    values = resource.getpagesize() // labels.itemsize
    flat = labels.reshape(-1)
    whole = len(flat) // values * values
    pages = np.count_nonzero(flat[:whole].reshape(-1, values).any(axis=1)) + flat[whole:].any()
    return float(pages * resource.getpagesize() / MIB)


def peak_so_far() -> float:
    """Return the most that this process has held at a time, in MiB."""
    if sys.platform == "linux":  # where the other one begins with the peak of the parent
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MIB


def compare_lengths(engine: str, arguments: list[str], lengths: list[int]) -> None:
    """Run every length in a process of its own and print the differences."""
    first = None
    for frames in lengths:
        command = [sys.executable, __file__, "--child", *arguments, "--frames", str(frames)]
        child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        figures = Figures(**json.loads(child.stdout.splitlines()[-1]))
        first = first or figures
        slope = (figures.engine - first.engine) / max(1, frames - lengths[0])
        sys.stdout.write(
            f"{engine:>9} {frames:6d} frames: peak {figures.peak:7.1f} MiB = "
            f"{figures.loaded:6.1f} loaded + {figures.engine:7.1f} + {figures.labels:6.1f} labels "
            f"(of {figures.labels_whole:6.1f}); beyond the labels {slope:+.3f} a frame\n"
        )
        sys.stdout.flush()


def write_random(name: str, folder: Path) -> Path:
    """Write random weights as an official checkpoint holds its own."""
    from reference import our_network

    path = folder / f"{name}.pt"
    torch.save({"model": our_network(name).state_dict()}, path)
    return path


def main() -> None:
    """Measure every length and print the differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--frames", type=int, nargs="+", default=[50, 500])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--objects", type=int, default=2)
    parser.add_argument("--reference", action="store_true", help="also measure the reference")
    parser.add_argument("--visited", type=int, help="frames to compute at most; all by default")
    parser.add_argument("--checkpoint", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        sys.stdout.write("\n" + json.dumps(asdict(measure(options))))
        return
    arguments = ["--model", options.model, "--size", str(options.size)]
    arguments += ["--objects", str(options.objects)]
    if options.image_size:
        arguments += ["--image-size", str(options.image_size)]
    if options.visited:
        arguments += ["--visited", str(options.visited)]
    with tempfile.TemporaryDirectory() as folder:
        if options.model != "bundled":
            checkpoint = write_random(options.model, Path(folder))
            arguments += ["--checkpoint", str(checkpoint)]
        compare_lengths("ours", arguments, options.frames)
        if options.reference:
            compare_lengths("reference", [*arguments, "--reference"], options.frames)


if __name__ == "__main__":
    main()
