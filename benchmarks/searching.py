"""Time-lapses segmented without a prompt: taken for what they are, and as of an unknown kind.

    python benchmarks/searching.py
    python benchmarks/searching.py --seeds 0 1 --every 3 --start middle

Stacks are the sample "Dividing cells" of some seeds. Objects are looked for in one frame and in
every Nth one from there, and followed in between; in a time-lapse each search also looks again
where objects were followed to. `one id` is the share of true objects with an id of their own
through their life, `F1` that of the masks of all frames. Of the divisions that were found those
are `right` whose mother and daughters lie on true ones, at most two frames off.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from figures import CLOCKS, read_options, write_figures

from napari_sam2 import TrackingSession, load_model
from napari_sam2.evaluation.automatic import f1_through, share_kept
from napari_sam2.samples import SampleStack, dividing_cells
from napari_sam2.stack import StackKind
from napari_sam2.tracking.automatic import find_and_follow
from napari_sam2.types import Division

APART = 2
STARTS = {"first": 0.0, "middle": 0.5, "last": 1.0}


@dataclass(frozen=True)
class Figures:
    """One stack, searched once."""

    seed: int
    kind: str
    one_id: float
    f1: float
    true: int
    divisions: int
    right: int
    seconds: float


def beneath(session: TrackingSession, sample: SampleStack, object_id: int, frame: int) -> int:
    """Return the true object that most of an object lies on in a frame; 0 for none."""
    inside = np.asarray(session.labels[frame]) == object_id
    return int(np.bincount(sample.labels[frame][inside]).argmax()) if inside.any() else 0


def is_right(session: TrackingSession, sample: SampleStack, found: Division) -> bool:
    """Tell whether a division that was found is a true one."""
    mother = beneath(session, sample, found.parent, found.frame - 1)
    daughters = {beneath(session, sample, each, found.frame) for each in found.children}
    parents = dict(sample.parents)
    if len(daughters) != len(found.children) or {parents.get(i) for i in daughters} != {mother}:
        return False
    first = min(int(np.flatnonzero((sample.labels == i).any(axis=(1, 2)))[0]) for i in daughters)
    return abs(first - found.frame) <= APART


def true_divisions(sample: SampleStack) -> list[int]:
    """Return the mothers that divide in the image, into two daughters that are in it."""
    shown = {i: np.flatnonzero((sample.labels == i).any(axis=(1, 2))) for _, i in sample.parents}
    born = {i: np.flatnonzero((sample.labels == i).any(axis=(1, 2)))[0] for i, _ in sample.parents}
    mothers = []
    for mother, frames in shown.items():
        daughters = [born[i] for i, parent in sample.parents if parent == mother]
        near = [first for first in daughters if first <= frames[-1] + 1 + APART]
        if len(near) == 2:
            mothers.append(mother)
    return mothers


def measure(options: argparse.Namespace, seed: int, kind: StackKind) -> Figures:
    """Search one stack."""
    sample = dividing_cells(seed)
    session = TrackingSession(load_model(options.model, options.device), sample.image, kind=kind)
    frame = round(STARTS[options.start] * (session.n_frames - 1))
    clock = CLOCKS[options.clock]
    began = clock()
    for _ in find_and_follow(session, frame, every=options.every):
        pass
    seconds = clock() - began
    found = session.divisions
    return Figures(
        seed,
        str(kind),
        share_kept(session.labels, sample.labels),
        f1_through(session.labels, sample.labels),
        len(true_divisions(sample)),
        len(found),
        sum(is_right(session, sample, each) for each in found),
        seconds,
    )


def say(line: str) -> None:
    """Show a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Search every stack twice, and print a line for each and the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--start", choices=STARTS, default="first")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--device", default="cpu")
    options = read_options(parser)
    results: list[Figures] = []
    say(f"{'kind':<12}{'seed':>5}{'one id':>8}{'F1':>7}{'divisions':>11}{'seconds':>9}")
    for seed in options.seeds:
        for kind in (StackKind.UNKNOWN, StackKind.TIME_LAPSE):
            each = measure(options, seed, kind)
            results.append(each)
            divisions = f"{each.right}/{each.divisions} of {each.true}"
            say(
                f"{each.kind:<12}{seed:>5}{each.one_id:>8.2f}{each.f1:>7.3f}{divisions:>11}"
                f"{each.seconds:>9.0f}"
            )
    for kind in (StackKind.UNKNOWN, StackKind.TIME_LAPSE):
        ours = [each for each in results if each.kind == kind]
        one_id, f1 = fmean(each.one_id for each in ours), fmean(each.f1 for each in ours)
        say(f"{kind:<12}{'mean':>5}{one_id:>8.2f}{f1:>7.3f}")
    write_figures(options, results)


if __name__ == "__main__":
    main()
