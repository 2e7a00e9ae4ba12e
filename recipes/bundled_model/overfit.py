"""Train a fresh network on one region of an image, without augmentation, and judge it there.

    python -m bundled_model.overfit DATA/train/bacteria_dapi --steps 1000

A structure that cannot come close to the cells that it is shown again and again is the wrong one.
The region is that of 256 x 512 pixels whose number of cells is nearest to what is asked for.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bundled_model.compare import Candidate, Probe, judge, probe_around, train_candidate
from napari_sam2.training import TrainingClip, read_sources
from napari_sam2.training.data.first_prompts import first_prompts

_SHAPE = (256, 512)
_STEP = 64  # between regions that are looked at
_LEAST_AREA = 40


def cells_of(labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the ids of the objects of a region that are large enough and not cut by its rim."""
    ids, areas = np.unique(labels, return_counts=True)
    rim = np.concatenate((labels[0], labels[-1], labels[:, 0], labels[:, -1]))
    whole = (ids > 0) & (areas >= _LEAST_AREA) & ~np.isin(ids, rim)
    return ids[whole].astype(np.int64)


def choose_region(labels: NDArray[np.int32], cells: int) -> tuple[slice, slice]:
    """Return the region of a frame that holds about so many whole cells."""
    height, width = _SHAPE
    regions = [
        np.s_[y : y + height, x : x + width]
        for y in range(0, labels.shape[0] - height + 1, _STEP)
        for x in range(0, labels.shape[1] - width + 1, _STEP)
    ]
    return min(regions, key=lambda region: abs(len(cells_of(labels[region])) - cells))


class RegionClips:
    """Draws the cells of one region, each in its window as it is; only the click is random."""

    def __init__(self, probes: Sequence[Probe]) -> None:
        self._probes = tuple(probes)

    def draw(self, rng: np.random.Generator) -> TrainingClip:
        """Draw one cell."""
        probe = self._probes[rng.integers(len(self._probes))]
        labels = probe.mask.astype(np.int32)
        prompts = first_prompts(labels, np.array([1]), rng)
        return TrainingClip(
            probe.image[None].astype(np.float32),
            labels[None],
            prompts,
            np.zeros((1, 3), np.float32),
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Train on a region and write the IoU of a click and of a box on its cells."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="set of labelled stacks; the first is taken")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--cells", type=int, default=185)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    stack = read_sources([options.folder])[0]
    region = choose_region(stack.labels[0], options.cells)
    image, labels = stack.image[0][region], stack.labels[0][region]
    ids = cells_of(labels)
    probes = [probe_around(image, labels == each) for each in ids]
    trained = train_candidate(Candidate(), RegionClips(probes), options.steps)
    click, box = judge(trained, probes)
    area = np.mean([np.count_nonzero(labels == each) for each in ids])
    sys.stdout.write(
        f"{stack.name}: {len(ids)} cells of {area:.0f} pixels, {options.steps} steps: "
        f"IoU {click:.3f} by a click, {box:.3f} by a box\n"
    )


if __name__ == "__main__":
    main()
