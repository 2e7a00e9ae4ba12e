"""Peak memory of a propagation over short and long stacks of the same frame size.

    python benchmarks/memory.py --frames 50 500 --size 512 --objects 2
    python benchmarks/memory.py --model sam2.1-tiny --image-size 256 --size 256 --reference
    python benchmarks/memory.py --model sam2.1-tiny --size 1024 --objects 1 --visited 8 --reference

Official models get random weights. With --reference the PyPI package `sam2` is measured too. Each
length runs in a process of its own, so that one peak does not hide the other. What the process
takes once Python, torch and numpy are loaded is in every peak, and reported apart, as are the
labels, which grow with the stack; everything else should stay the same. With --visited only so
many frames of the stack are computed: a lower bound, of the reference's peak above all.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path

import torch

from napari_sam2 import TrackingSession, load_model
from napari_sam2.benchmarking import DriftingDiscs
from napari_sam2.tracking import Model

MIB = 2**20


def follow_ours(
    stack: DriftingDiscs, name: str, image_size: int | None, visited: int | None
) -> float:
    """Click in the middle, propagate both ways and return the size of the labels in MiB."""
    if name == "bundled":
        model = load_model(name, device="cpu", image_size=image_size)
    else:
        from reference import our_network

        model = Model(our_network(name), name, torch.device("cpu"), image_size or 1024)
    session = TrackingSession(model, stack)
    middle = stack.shape[0] // 2
    for index in range(stack.objects):
        session.add_points(index + 1, middle, [stack.centre(index, middle)])
    written = sum(1 for _ in islice(session.propagate(), visited))
    # Pages of labels that were never written take no memory.
    return float(session.labels[0].nbytes * written / MIB)


def follow_reference(
    stack: DriftingDiscs, name: str, image_size: int | None, visited: int | None
) -> float:
    """Click in the first frame and propagate; labels are left to the user."""
    from reference import JpegFrames, ReferencePredictor, ReferenceSession

    predictor = ReferencePredictor(name, image_size or 1024)
    with tempfile.TemporaryDirectory() as folder:
        session = ReferenceSession(predictor, JpegFrames(Path(folder), stack))
        for index in range(stack.objects):
            session.click(index + 1, 0, stack.centre(index, 0))
        for _ in islice(session.propagate(0), visited):
            pass
    return 0.0


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Propagate in this process and return its figures in MiB."""
    stack = DriftingDiscs(options.frames[0], options.size, options.objects)
    follow = follow_reference if options.reference else follow_ours
    if options.reference:
        import sam2.build_sam  # noqa: F401
    loaded = peak_so_far()
    labels = follow(stack, options.model, options.image_size, options.visited)
    return {"peak": peak_so_far(), "loaded": loaded, "labels": labels}


def peak_so_far() -> float:
    """Return the most that this process has held at a time, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 if sys.platform == "linux" else MIB)


def compare_lengths(engine: str, arguments: list[str], lengths: list[int]) -> None:
    """Run every length in a process of its own and print the differences."""
    first = None
    for frames in lengths:
        command = [sys.executable, __file__, "--child", *arguments, "--frames", str(frames)]
        child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        figures = json.loads(child.stdout.splitlines()[-1])
        first = first or figures
        grown = figures["peak"] - first["peak"]
        beyond = grown - (figures["labels"] - first["labels"])
        slope = beyond / max(1, frames - lengths[0])
        own = figures["peak"] - figures["loaded"]
        sys.stdout.write(
            f"{engine:>9} {frames:6d} frames: peak {figures['peak']:7.1f} MiB, {own:7.1f} of them "
            f"since all was loaded, labels {figures['labels']:6.1f}; grown beyond the labels "
            f"{beyond:+6.1f} MiB, {slope:+.3f} a frame\n"
        )
        sys.stdout.flush()


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
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        sys.stdout.write("\n" + json.dumps(measure(options)))
        return
    arguments = ["--model", options.model, "--size", str(options.size)]
    arguments += ["--objects", str(options.objects)]
    if options.image_size:
        arguments += ["--image-size", str(options.image_size)]
    if options.visited:
        arguments += ["--visited", str(options.visited)]
    compare_lengths("ours", arguments, options.frames)
    if options.reference:
        compare_lengths("reference", [*arguments, "--reference"], options.frames)


if __name__ == "__main__":
    main()
