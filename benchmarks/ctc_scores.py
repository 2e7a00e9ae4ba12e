"""Scores of the engine on the sample stacks, by the packages that score the challenge.

`tox run -e interop` runs it after the tests: traccuracy and py-ctcmetrics are there only.

Every object is clicked once, at the deepest point of its true mask in its first frame, and
tracked forward. Divisions are those that are proposed, all of them accepted. The result is
written as a folder of the Cell Tracking Challenge, and scored against the true labels.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import tifffile
from ctc_metrics import evaluate_sequence
from scipy import ndimage
from traccuracy import TrackingGraph, run_metrics
from traccuracy.loaders import load_ctc_data
from traccuracy.matchers import CTCMatcher, IOUMatcher
from traccuracy.metrics import CTCMetrics, DivisionMetrics

from napari_sam2 import TrackingSession, load_model
from napari_sam2.evaluation.linking import score_tracks
from napari_sam2.lineage import Division, divisions_of, read_ctc, write_ctc
from napari_sam2.samples import SampleStack, dividing_cells, nuclei_stack


def tracked(stack: SampleStack) -> tuple[np.ndarray, tuple[Division, ...]]:
    """Return what the engine makes of one click per object."""
    session = TrackingSession(load_model("bundled", "cpu"), stack.image)
    for number in np.unique(stack.labels[stack.labels > 0]).tolist():
        frame = int(np.flatnonzero((stack.labels == number).any(axis=(1, 2)))[0])
        depth = ndimage.distance_transform_edt(np.pad(stack.labels[frame] == number, 1))[1:-1, 1:-1]
        y, x = np.unravel_index(depth.argmax(), depth.shape)
        session.add_points(number, frame, [(float(y), float(x))])
    for _ in session.propagate("forward"):
        pass
    proposed = session.propose_divisions()
    for each in proposed:
        session.accept_division(each)
    if proposed:
        for _ in session.propagate("forward", recompute=True):
            pass
    return np.asarray(session.labels), session.divisions


def true_divisions(stack: SampleStack) -> tuple[Division, ...]:
    """Return the divisions of a sample."""
    children: dict[int, list[int]] = {}
    for child, parent in stack.parents:
        children.setdefault(parent, []).append(child)
    return tuple(
        Division(
            parent,
            tuple(born),
            int(np.flatnonzero(np.isin(stack.labels, born).any(axis=(1, 2)))[0]),
        )
        for parent, born in children.items()
    )


def write_truth(folder: Path, labels: np.ndarray, divisions: tuple[Division, ...]) -> None:
    """Write labels as the ground truth of a sequence: folders TRA and SEG."""
    result = folder.with_name("truth_RES")
    write_ctc(result, labels, divisions)
    for name, file in (("TRA", "man_track"), ("SEG", "man_seg")):
        (folder / name).mkdir(parents=True)
        for mask in sorted(result.glob("mask*.tif")):
            pixels = tifffile.imread(mask)
            tifffile.imwrite(folder / name / mask.name.replace("mask", file), pixels)
    (folder / "TRA" / "man_track.txt").write_bytes((result / "res_track.txt").read_bytes())


def graphs(result: Path, truth: Path) -> tuple[TrackingGraph, TrackingGraph]:
    """Return the graphs of the truth and of a result."""
    return (
        load_ctc_data(str(truth / "TRA"), str(truth / "TRA" / "man_track.txt")),
        load_ctc_data(str(result), str(result / "res_track.txt")),
    )


def scores(result: Path, truth: Path) -> str:
    """Return the scores of both packages, and ours, as a line of text."""
    names = ["Valid", "DET", "SEG", "TRA", "LNK"]
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # they tell of every frame
        challenge = evaluate_sequence(str(result), str(truth), names)
        (graph,), _ = run_metrics(*graphs(result, truth), CTCMatcher(), [CTCMetrics()])
        # Divisions are compared only where an object has one partner at most.
        one_to_one = IOUMatcher(iou_threshold=0.5, one_to_one=True)
        metrics = [DivisionMetrics(max_frame_buffer=2)]
        (divided,), _ = run_metrics(*graphs(result, truth), one_to_one, metrics)
    found = divided["results"]["Frame Buffer 2"]
    parts = [f"{name} {challenge[name]:.4f}" for name in names]
    parts += [f"traccuracy {name} {graph['results'][name]:.4f}" for name in ("DET", "TRA")]
    parts += [f"{name} {found[name]:.2f}" for name in ("Division Precision", "Division Recall")]
    real, made = read_ctc(truth / "TRA"), read_ctc(result)
    ours = score_tracks(
        np.stack([real.labels[frame] for frame in range(len(real.labels))]),
        np.stack([made.labels[frame] for frame in range(len(made.labels))]),
        divisions_of(real.tracks),
        divisions_of(made.tracks),
    )
    parts += [f"evaluate SEG {ours.seg:.4f}", f"links {ours.link_accuracy:.4f}"]
    return ", ".join(parts)


def main() -> None:
    """Score both samples, each against itself and as the engine tracks it."""
    # At its default size the stack of nuclei takes more than an hour on one core.
    for stack in (dividing_cells(), nuclei_stack(shape=(24, 256, 256))):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            truth = folder / "01_GT"
            write_truth(truth, stack.labels, true_divisions(stack))
            itself, result = scores(folder / "truth_RES", truth), folder / "01_RES"
            write_ctc(result, *tracked(stack))
            sys.stdout.write(f"{stack.name}\n  itself: {itself}\n")
            sys.stdout.write(f"  one click per object: {scores(result, truth)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
