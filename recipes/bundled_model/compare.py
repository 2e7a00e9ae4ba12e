"""Train candidates alike and compare them: ``python -m bundled_model.compare DATA --steps 350``.

Every candidate sees the same stills in the same order, one object in each: clicks and boxes,
and a correction in four steps of ten. Then it is judged in windows around objects of sets that
none has seen: a click on the most interior pixel and a box, at the right scale. A candidate is a
network and a mixture of sources, so that networks or sources can be compared:
``--networks decoder stem`` or ``--mixtures all no-regions no-synthetic``.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bundled_model.imagenet import start_from_imagenet
from bundled_model.initialisation import initialise_locality
from bundled_model.recipe import LEFT_OUT, PARTIAL, painted_clip, synthetic_clip
from bundled_model.shapes import random_shapes
from bundled_model.validation import interior_point
from napari_sam2.network import BUNDLED_CONFIG, MaskPrediction, Sam2
from napari_sam2.network.mask_decoder import draw_prompts
from napari_sam2.tracking.images.object_window import Window as FrameWindow
from napari_sam2.tracking.images.object_window import frame_to_input
from napari_sam2.training import (
    ClipBatch,
    ClipSampler,
    ClipSettings,
    CropWindow,
    LabelledStack,
    LossWeights,
    TrainingClip,
    read_sources,
)
from napari_sam2.training.data.batches import collate
from napari_sam2.training.data.clips import RandomClip
from napari_sam2.training.data.warps import Warp
from napari_sam2.training.losses.image import chosen_mask, corrective_clicks, four_mask_losses
from napari_sam2.training.losses.primitives import mask_iou
from napari_sam2.training.run.statistics import freeze_statistics

_CONFIG = replace(BUNDLED_CONFIG, relative_brightness=False)  # that is for tracked frames
_MAPS = _CONFIG.prompt_maps
_SIZE = BUNDLED_CONFIG.image_size
_BATCH = 16
_RATIO = 128 / 50  # side of a judged window over the extent of its object
_LEAST_AREA = 40
_CLICK = torch.ones(1, 1, dtype=torch.long)
_BOX = torch.tensor([[2, 3]])


class Candidate(nn.Module):
    """A network to compare: prompts as maps in its decoder alone."""

    def __init__(self, imagenet: bool = True) -> None:
        super().__init__()
        self.network = Sam2(_CONFIG)
        initialise_locality(self.network)
        if imagenet:
            start_from_imagenet(self.network)

    def forward(
        self, images: Tensor, points: Tensor, labels: Tensor, mask: Tensor | None = None
    ) -> MaskPrediction:
        """Decode one object in each of N windows."""
        features = self.network.encode_image(images)
        levels = (features.stride8, features.stride4, *features.finer)
        conditioned = self.network.without_memory(features.stride16)
        return self.network.decode(conditioned, levels, points, labels, mask)


class MapsAfterTheStem(Candidate):
    """Prompts as maps after the trunk's stem as well: image features know of them."""

    def __init__(self) -> None:
        super().__init__()
        self.prompts = nn.Sequential(nn.Conv2d(_MAPS, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 1))
        self._maps: Tensor | None = None
        self.network.image_encoder.trunk.stem.register_forward_hook(self._add)

    def forward(
        self, images: Tensor, points: Tensor, labels: Tensor, mask: Tensor | None = None
    ) -> MaskPrediction:
        """Decode one object in each of N windows."""
        self._maps = draw_prompts(points, labels, _SIZE, mask)
        return super().forward(images, points, labels, mask)

    def _add(self, _module: nn.Module, _inputs: object, out: Tensor) -> Tensor:
        return out + self.prompts(self._maps)


class TokensOnly(Candidate):
    """Prompts as tokens alone: the maps stay empty."""

    def forward(
        self, images: Tensor, points: Tensor, labels: Tensor, mask: Tensor | None = None
    ) -> MaskPrediction:
        """Decode one object in each of N windows, without the mask that is refined."""
        features = self.network.encode_image(images)
        conditioned = self.network.without_memory(features.stride16)
        encoder, decoder = self.network.sam_prompt_encoder, self.network.sam_mask_decoder
        height, width = conditioned.shape[2:]
        return decoder(
            conditioned,
            encoder.pe_layer.grid(height, width),
            encoder.encode_points(points, labels, _SIZE),
            (*features.finer, features.stride4, features.stride8),
            images.new_zeros(len(points), _MAPS, _SIZE, _SIZE),
        )


NETWORKS: Mapping[str, Callable[[], Candidate]] = {
    "decoder": Candidate,
    "stem": MapsAfterTheStem,
    "tokens": TokensOnly,
    "scratch": lambda: Candidate(imagenet=False),
}


@dataclass(frozen=True, slots=True)
class Mixture:
    """Shares of the stills that are no labelled images; the rest are."""

    regions: float = 0.2
    synthetic: float = 0.2
    clip: RandomClip = synthetic_clip


MIXTURES: Mapping[str, Mixture] = {
    "all": Mixture(),
    "labels": Mixture(regions=0.0, synthetic=0.0),
    "no-regions": Mixture(regions=0.0),
    "no-synthetic": Mixture(synthetic=0.0),
    "no-shapes": Mixture(clip=painted_clip),
    "no-scenes": Mixture(clip=random_shapes),
}

_LOSSES = LossWeights(focal=0.0, plain=1.0, dice=1.0, iou=0.3, object_score=0.1, others=0.1)


class Clips(Protocol):
    """Draws training clips: a `ClipSampler`, or one that shows a region only."""

    def draw(self, rng: np.random.Generator) -> TrainingClip:
        """Draw one clip."""


def train_candidate(candidate: Candidate, sampler: Clips, steps: int) -> Candidate:
    """Train a candidate and return the moving average of it."""
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    trunk = list(candidate.network.image_encoder.trunk.parameters())
    known = {id(parameter) for parameter in trunk}
    rest = [parameter for parameter in candidate.parameters() if id(parameter) not in known]
    optimiser = torch.optim.AdamW(
        [{"params": trunk, "most": 4e-4}, {"params": rest, "most": 1e-3}], weight_decay=0.01
    )
    average = copy.deepcopy(candidate)
    for step in range(steps):
        candidate.train()
        freeze_statistics(candidate)
        share = min(1.0, (step + 1) / 50) * (0.5 + 0.5 * math.cos(math.pi * step / steps)) + 0.01
        for group in optimiser.param_groups:
            group["lr"] = group["most"] * share
        batch = collate([sampler.draw(rng) for _ in range(_BATCH)], CropWindow.whole(_SIZE), step)
        loss = _loss(candidate, batch, rng, generator)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(candidate.parameters(), 1.0)
        optimiser.step()
        decay = min(0.99, (step + 1) / (step + 10))
        theirs = candidate.state_dict()
        for name, value in average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(theirs[name], 1 - decay)
    return average


def _loss(
    candidate: Candidate,
    batch: ClipBatch,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> Tensor:
    images, target = batch.network_input(), batch.masks(0).float()
    beyond = (batch.areas - target.sum(dim=(1, 2))).clamp(min=0)
    points, labels = batch.points[:, None], _CLICK.expand(len(target), -1)
    boxes, mask = rng.random() < 0.35, None
    if boxes:
        points, labels = batch.boxes.reshape(-1, 2, 2), _BOX.expand(len(target), -1)
    if rng.random() < 0.4:
        with torch.no_grad():
            found, _ = chosen_mask(candidate(images, points, labels), multimask=not boxes)
        click, kind = corrective_clicks(found > 0, target, 1, generator)
        points, labels = torch.cat((points, click), dim=1), torch.cat((labels, kind), dim=1)
        mask = found[:, None]
    return four_mask_losses(candidate(images, points, labels, mask), target, _LOSSES, beyond)


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """A window around one object, in grey 0..1, and the object's mask in it."""

    image: np.ndarray
    mask: np.ndarray


def draw_probes(folder: Path, count: int) -> list[Probe]:
    """Cut windows around random objects of a set; the same ones every time."""
    rng, stacks = np.random.default_rng(7), read_sources([folder])
    probes: list[Probe] = []
    while len(probes) < count:
        stack = stacks[rng.integers(len(stacks))]
        frame = rng.integers(len(stack.labels))
        ids, areas = np.unique(stack.labels[frame], return_counts=True)
        ids = ids[(ids > 0) & (areas >= _LEAST_AREA)]
        if not ids.size:
            continue
        probe = probe_around(stack.image[frame], stack.labels[frame] == rng.choice(ids))
        if probe.mask.any():
            probes.append(probe)
    return probes


def probe_around(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Probe:
    """Cut the window at the right scale around one object out of a frame."""
    ys, xs = np.nonzero(mask)
    extent = max(np.ptp(ys), np.ptp(xs)) + 1
    centre = ((ys.min() + ys.max()) / 2, (xs.min() + xs.max()) / 2)
    warp = Warp(centre, np.eye(2) * extent * _RATIO / _SIZE, _SIZE)
    return Probe(warp.sample_image(image), warp.sample_labels(mask.astype(np.int32)) > 0)


@torch.inference_mode()
def judge(candidate: Candidate, probes: Sequence[Probe]) -> tuple[float, float]:
    """Return the mean IoU of a click's single mask and of a box's."""
    candidate.eval()
    scores = []
    for probe in probes:
        whole = FrameWindow.whole((_SIZE, _SIZE))
        image = frame_to_input(probe.image[:, :, None], whole, _SIZE, torch.device("cpu"))
        target = torch.from_numpy(probe.mask).float()[None]
        ys, xs = np.nonzero(probe.mask)
        corners = [[xs.min(), ys.min()], [xs.max(), ys.max()]]
        click = torch.tensor([[interior_point(probe.mask)]], dtype=torch.float32)
        box = torch.tensor([corners], dtype=torch.float32)
        scores.append(
            [
                float(mask_iou(candidate(image, points, kind).masks[:, 0], target))
                for points, kind in ((click, _CLICK), (box, _BOX))
            ]
        )
    click_iou, box_iou = np.mean(scores, axis=0)
    return float(click_iou), float(box_iou)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and judge candidates; write a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with train and validation")
    parser.add_argument("--steps", type=int, default=350)
    parser.add_argument("--probes", type=int, default=24)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=["decoder"])
    parser.add_argument("--mixtures", nargs="+", choices=MIXTURES, default=["all"])
    parser.add_argument("--out", type=Path, default=Path("comparison.md"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    folders = [f for f in sorted((options.data / "train").iterdir()) if f.is_dir()]
    seen = [folder for folder in folders if folder.name not in LEFT_OUT]
    unseen = sorted((options.data / "validation").iterdir())
    unseen += [folder for folder in folders if folder.name in LEFT_OUT]
    stacks = read_sources(seen)
    probes = {folder.name: draw_probes(folder, options.probes) for folder in unseen}
    head = " | ".join(["network", "mixture", *probes, "mean"])
    rows = [f"| {head} |", "|---" * (len(probes) + 3) + "|"]
    for name, mixed in itertools.product(options.networks, options.mixtures):
        torch.manual_seed(0)
        sampler = mixed_clips(stacks, MIXTURES[mixed])
        trained = train_candidate(NETWORKS[name](), sampler, options.steps)
        scores = [judge(trained, each) for each in probes.values()]
        scores.append(tuple(np.mean(scores, axis=0)))
        cells = [f"{click:.3f} / {box:.3f}" for click, box in scores]
        rows.append(f"| {name} | {mixed} | " + " | ".join(cells) + " |")
        options.out.write_text("\n".join(rows) + "\n")


def mixed_clips(stacks: Sequence[LabelledStack], mixture: Mixture) -> ClipSampler:
    """Return a sampler of stills of a mixture of sources."""
    settings = ClipSettings(
        size=_SIZE,
        n_objects=1,
        diameter=(12.0, 150.0),
        min_area=20,
        synthetic=mixture.synthetic,
        regions=mixture.regions,
        partial=PARTIAL,
    )
    return ClipSampler(stacks, settings, mixture.clip)


if __name__ == "__main__":
    main()
