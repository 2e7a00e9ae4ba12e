"""Small networks side by side: size, work, time, and what a short training makes of each.

    python benchmarks/architectures.py data/train --steps 200 --threads 1

Every candidate is trained from the same start, on the same batches, for the same number of steps;
the score is the mean IoU of first clicks on stills that were held out, every tenth of each set.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from bundled_model.first_recipe import FRAMES_RECIPE
from bundled_model.initialisation import initialise_locality
from napari_sam2.network import BUNDLED_CONFIG, ConvTrunkConfig, HieraConfig, Sam2, Sam2Config
from napari_sam2.training import (
    ClipBatches,
    LabelledStack,
    Recipe,
    TrainingPhase,
    read_sources,
    train,
)
from napari_sam2.training.losses.image import prompted_losses

SIZE = 256
CANDIDATES: dict[str, Sam2Config] = {
    "convolutions, 32 to 256 channels": BUNDLED_CONFIG,
    "convolutions, 48 to 384 channels": replace(
        BUNDLED_CONFIG, trunk=ConvTrunkConfig(channels=(48, 96, 192, 384), depths=(1, 2, 3, 1))
    ),
    "convolutions, 24 to 192 channels": replace(
        BUNDLED_CONFIG, trunk=ConvTrunkConfig(channels=(24, 48, 96, 192), depths=(1, 2, 4, 2))
    ),
    "Hiera, 48 to 384 channels": replace(
        BUNDLED_CONFIG,
        trunk=HieraConfig(
            embed_dim=48, stages=(1, 2, 4, 1), global_blocks=(4, 6), windows=(8, 4, 8, 4)
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One candidate's figures."""

    name: str
    parameters: float
    gigaflops: float
    milliseconds: float
    score: float
    seconds: float


def measure(
    name: str,
    config: Sam2Config,
    kept: Sequence[LabelledStack],
    held: Sequence[LabelledStack],
    steps: int,
    threads: int,
) -> Row:
    """Train a candidate briefly and measure it."""
    torch.manual_seed(0)
    network = Sam2(config)
    initialise_locality(network)
    first = replace(FRAMES_RECIPE.phases[0], steps=steps)
    recipe = Recipe((first,), ema_decay=0.98, threads=threads, bfloat16=False)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        state = train(network, tuple(kept), recipe, Path(folder), workers=1)
    seconds = time.perf_counter() - start
    trained = state.network.eval()
    image = torch.zeros(1, 3, SIZE, SIZE)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        trained.encode_image(image)
    return Row(
        name,
        sum(parameter.numel() for parameter in trained.parameters()) / 1e6,
        counter.get_total_flops() / 1e9,
        _encode_milliseconds(trained, image),
        _score(state.network, held, first),
        seconds,
    )


@torch.inference_mode()
def _encode_milliseconds(network: Sam2, image: torch.Tensor) -> float:
    times = []
    for _ in range(12):
        start = time.perf_counter()
        network.encode_image(image)
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))


@torch.inference_mode()
def _score(network: Sam2, held: Sequence[LabelledStack], phase: TrainingPhase) -> float:
    # Statistics of the batch, as while it was trained: so short a run has no others.
    network.train()
    clicks = replace(phase, steps=12, boxes=0.0, corrections=0.0)
    batches = ClipBatches(tuple(held), Recipe((clicks,), seed=7))
    generator = torch.Generator().manual_seed(0)
    ious = []
    for batch in batches:
        features = network.encode_image(batch.network_input())
        losses, _ = prompted_losses(network, features, batch, clicks, generator)
        ious.append(losses.prompted_iou)
    return float(np.mean(ious))


def main() -> None:
    """Measure all candidates and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    stacks = read_sources([options.data])
    held, kept = stacks[::10], [stack for n, stack in enumerate(stacks) if n % 10]
    sys.stdout.write(
        f"{'':34s} {'M param.':>8s} {'GFLOP':>6s} {'encode ms':>9s} {'IoU':>6s} {'train s':>8s}\n"
    )
    for name, config in CANDIDATES.items():
        row = measure(name, config, kept, held, options.steps, options.threads)
        sys.stdout.write(
            f"{row.name:34s} {row.parameters:8.2f} {row.gigaflops:6.2f} {row.milliseconds:9.1f} "
            f"{row.score:6.3f} {row.seconds:8.0f}\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
