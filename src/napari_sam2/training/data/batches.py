"""Batches of training clips; each is a function of its step, so that a resumed run repeats them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

from napari_sam2.network.image_encoder import normalise
from napari_sam2.training.data.clips import ClipSampler, RandomClip, TrainingClip
from napari_sam2.training.data.session_masks import UNKNOWN
from napari_sam2.training.data.sources import LabelledStack
from napari_sam2.training.losses.decoding import CropWindow
from napari_sam2.training.run.recipe import Recipe


@dataclass(frozen=True, slots=True, eq=False)
class ClipBatch:
    """B clips of T frames with N prompted objects in all.

    Attributes
    ----------
    step : int
        The optimiser step that it belongs to.
    images : float tensor, shape (B, T, S, S)
        Grey values in 0..1.
    labels : int64 tensor, shape (B, T, S, S)
        Ids kept through each clip; 0 is background, `UNKNOWN` is not known.
    clip_index, object_ids : int64 tensor, shape (N,)
        Clip and id of each object.
    points : float tensor, shape (N, 2)
        A click (x, y) in frame 0.
    boxes : float tensor, shape (N, 4)
        x0, y0, x1, y1 in frame 0.
    areas : float tensor, shape (N,)
        Pixels of each object in frame 0, those outside of the window included.
    moves : float tensor, shape (B, T, 3)
        How each frame's window lies over that of the frame before; see `TrainingClip`.
    complete : bool tensor, shape (B,)
        Whether every object of the clip is labelled.
    clickable : bool tensor, shape (B,)
        Whether one click says which object of the clip is meant; see `TrainingClip`.
    window : CropWindow
        Window of the frame that the clips show.
    """

    step: int
    images: torch.Tensor
    labels: torch.Tensor
    clip_index: torch.Tensor
    object_ids: torch.Tensor
    points: torch.Tensor
    boxes: torch.Tensor
    areas: torch.Tensor
    moves: torch.Tensor
    complete: torch.Tensor
    clickable: torch.Tensor
    window: CropWindow

    def to(self, device: torch.device) -> ClipBatch:
        """Return the batch with its tensors on a device."""
        return replace(
            self,
            images=self.images.to(device),
            labels=self.labels.to(device),
            clip_index=self.clip_index.to(device),
            object_ids=self.object_ids.to(device),
            points=self.points.to(device),
            boxes=self.boxes.to(device),
            areas=self.areas.to(device),
            moves=self.moves.to(device),
            complete=self.complete.to(device),
            clickable=self.clickable.to(device),
        )

    def of_clickable(self) -> ClipBatch:
        """Return the batch with the objects alone that one click can mean; all frames stay."""
        kept = self.clickable[self.clip_index]
        return replace(
            self,
            clip_index=self.clip_index[kept],
            object_ids=self.object_ids[kept],
            points=self.points[kept],
            boxes=self.boxes[kept],
            areas=self.areas[kept],
        )

    def network_input(self) -> torch.Tensor:
        """Return all frames as (B T, 3, S, S), normalised as for the official models."""
        images = normalise(self.images.flatten(0, 1)[:, None])
        return images.contiguous(memory_format=torch.channels_last)

    def masks(self, frame: int) -> torch.Tensor:
        """Return the objects' masks in one frame, bool (N, S, S)."""
        labels = self.labels[:, frame][self.clip_index]
        return labels == self.object_ids[:, None, None]

    def known(self, frame: int) -> torch.Tensor:
        """Return the pixels of each object in one frame whose label is known, bool (N, S, S)."""
        return (self.labels[:, frame] != UNKNOWN)[self.clip_index]


def collate(clips: list[TrainingClip], window: CropWindow, step: int) -> ClipBatch:
    """Batch clips of the same size."""
    counts = [len(clip.prompts.object_ids) for clip in clips]
    ids = np.concatenate([clip.prompts.object_ids for clip in clips])
    return ClipBatch(
        step=step,
        images=torch.from_numpy(np.stack([clip.image for clip in clips])),
        labels=torch.from_numpy(np.stack([clip.labels for clip in clips]).astype(np.int64)),
        clip_index=torch.from_numpy(np.repeat(np.arange(len(clips)), counts)),
        object_ids=torch.from_numpy(ids.astype(np.int64)),
        points=torch.from_numpy(np.concatenate([clip.prompts.points for clip in clips])),
        boxes=torch.from_numpy(np.concatenate([clip.prompts.boxes for clip in clips])),
        areas=torch.from_numpy(np.concatenate([clip.prompts.areas for clip in clips])),
        moves=torch.from_numpy(np.stack([clip.moves for clip in clips])),
        complete=torch.tensor([clip.complete for clip in clips]),
        clickable=torch.tensor([clip.clickable for clip in clips]),
        window=window,
    )


class ClipBatches(IterableDataset[ClipBatch]):
    """The batches of a recipe from some step on.

    Parameters
    ----------
    stacks : tuple of LabelledStack
        The labelled data.
    recipe : Recipe
        Decides clips and batch sizes.
    first_step : int
        First step.
    synthetic : callable, optional
        Generator of synthetic clips.
    """

    def __init__(
        self,
        stacks: tuple[LabelledStack, ...],
        recipe: Recipe,
        first_step: int = 0,
        synthetic: RandomClip | None = None,
    ) -> None:
        self.recipe = recipe
        self.first_step = first_step
        self._samplers = {
            phase.clips: ClipSampler(stacks, phase.clips, synthetic)
            for main in recipe.phases
            for phase in (main, main.also)
            if phase is not None
        }

    def __iter__(self) -> Iterator[ClipBatch]:
        """Yield one batch per step."""
        for step in range(self.first_step, self.recipe.steps):
            yield self.batch(step)

    def batch(self, step: int) -> ClipBatch:
        """Return the batch of a step."""
        phase, _ = self.recipe.at(step)
        rng = np.random.default_rng((self.recipe.seed, step))
        sampler = self._samplers[phase.clips]
        window = CropWindow.draw(rng, phase.clips.size, phase.frame_size)
        return collate([sampler.draw(rng) for _ in range(phase.batch)], window, step)

    def loader(self, workers: int) -> Iterator[ClipBatch]:
        """Iterate in `workers` background processes (0 or 1), a few batches ahead."""
        if workers == 0:
            return iter(self)
        return iter(DataLoader(self, batch_size=None, num_workers=1, prefetch_factor=3))
