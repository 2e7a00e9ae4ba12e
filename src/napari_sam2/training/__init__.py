"""Training SAM 2 networks on labelled stacks: the bundled model, and users' own."""

from __future__ import annotations

from napari_sam2.training.batches import ClipBatch, ClipBatches
from napari_sam2.training.clips import ClipSampler, ClipSettings, TrainingClip
from napari_sam2.training.decoding import Window
from napari_sam2.training.export import export_run
from napari_sam2.training.initialisation import LocalityPrior, initialise_locality
from napari_sam2.training.journal import read_records
from napari_sam2.training.loop import train
from napari_sam2.training.losses import LossWeights
from napari_sam2.training.recipe import Phase, Recipe
from napari_sam2.training.sources import LabelledStack, make_stack, read_sources
from napari_sam2.training.state import TrainingState
from napari_sam2.training.validation import mean_iou, one_prompt_ious

__all__ = [
    "ClipBatch",
    "ClipBatches",
    "ClipSampler",
    "ClipSettings",
    "LabelledStack",
    "LocalityPrior",
    "LossWeights",
    "Phase",
    "Recipe",
    "TrainingClip",
    "TrainingState",
    "Window",
    "export_run",
    "initialise_locality",
    "make_stack",
    "mean_iou",
    "one_prompt_ious",
    "read_records",
    "read_sources",
    "train",
]
