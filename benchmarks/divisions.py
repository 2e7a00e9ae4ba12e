"""Precision and recall of proposed divisions, on stacks whose true divisions are known.

python benchmarks/divisions.py                     # the sample "Dividing cells", several seeds
python benchmarks/divisions.py NAME_image.tif NAME_labels.tif     # daughters have ids of their own

Every object begins with its true mask. In one setting both daughters have ids of their own, in
the other the larger one goes on with the parent's id, as tracking mostly leaves it. A proposal is
right if its parent and the known daughters are, and its frame is at most two off.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from napari_sam2 import TrackingSession, load_model
from napari_sam2.lineage import Division
from napari_sam2.samples import dividing_cells
from napari_sam2.stack import open_stack

SEEDS = (0, 1, 2)
APART = 2


def true_divisions(parents: Iterable[tuple[int, int]], labels: np.ndarray) -> list[Division]:
    """Return the divisions of pairs (child, parent) that are in the image.

    A parent that left the image before it divided cannot be found.
    """
    children: dict[int, list[int]] = {}
    for child, parent in parents:
        children.setdefault(parent, []).append(child)
    found = [
        Division(parent, tuple(born), min(_first(labels, each) for each in born))
        for parent, born in sorted(children.items())
    ]
    return [each for each in found if (labels[each.frame - 1] == each.parent).any()]


def going_on(labels: np.ndarray, divisions: list[Division]) -> tuple[np.ndarray, dict[int, int]]:
    """Give the larger daughter the parent's id; return the labels and its former id by parent."""
    labels, taken = labels.copy(), {}
    for each in divisions:
        if len(each.children) > 1:
            areas = {child: (labels[each.frame] == child).sum() for child in each.children}
            taken[each.parent] = max(areas, key=lambda child: areas[child])
    for parent, child in sorted(taken.items(), reverse=True):
        labels[labels == child] = parent
    return labels, taken


def proposals(model, image: np.ndarray, labels: np.ndarray) -> list[Division]:
    """Propose divisions in a session whose objects are where the labels are."""
    session = TrackingSession(model, image, labels=labels.copy())
    for number in np.unique(labels[labels > 0]).tolist():
        session.accept(number, _first(labels, number))
    return [each.division for each in session.propose_divisions()]


def _first(labels: np.ndarray, number: int) -> int:
    return int(np.flatnonzero((labels == number).any(axis=(1, 2)))[0])


def report(name: str, model, image: np.ndarray, labels: np.ndarray, true: list[Division]) -> None:
    """Print the figures of both settings."""
    merged, taken = going_on(labels, true)
    settings = {"daughters with ids of their own": (labels, {}), "one goes on": (merged, taken)}
    for setting, (given, gone) in settings.items():
        found = proposals(model, image, given)
        names = {child: parent for parent, child in gone.items()}
        wanted = {
            (names.get(each.parent, each.parent), frozenset(each.children) - set(names)): each.frame
            for each in true
        }
        known = set(np.unique(given).tolist())
        right = 0
        for each in found:
            key = each.parent, frozenset(each.children) & known
            right += key in wanted and abs(wanted[key] - each.frame) <= APART
        sys.stdout.write(
            f"{name}, {setting}: {len(true)} divisions, {len(found)} proposed, {right} right: "
            f"precision {right / max(1, len(found)):.2f}, recall {right / max(1, len(true)):.2f}\n"
        )
        sys.stdout.flush()


def main() -> None:
    """Measure the sample, or a pair of files."""
    model = load_model("bundled", "cpu")
    if len(sys.argv) > 2:
        image, labels = (np.asarray(open_stack(path).data) for path in sys.argv[1:3])
        pairs = [tuple(map(int, each.split(":"))) for each in sys.argv[3:]]
        report(Path(sys.argv[1]).stem, model, image, labels, true_divisions(pairs, labels))
        return
    for seed in SEEDS:
        sample = dividing_cells(seed)
        true = true_divisions(sample.parents, sample.labels)
        report(f"Dividing cells {seed}", model, sample.image, sample.labels, true)


if __name__ == "__main__":
    main()
