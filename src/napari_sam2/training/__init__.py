"""Training SAM 2 networks on labelled stacks: the bundled model, and users' own."""

from __future__ import annotations

from napari_sam2.training.adapt import (
    fine_tune_on,
    prepare_adaptation,
    run_adaptation,
)
from napari_sam2.training.adaptation import (
    Adaptation,
    AdaptationCancelledError,
    AdaptationProgress,
    AdaptationTask,
    Stage,
)
from napari_sam2.training.batches import ClipBatch, ClipBatches
from napari_sam2.training.clips import ClipSampler, ClipSettings, TrainingClip
from napari_sam2.training.decoding import Window
from napari_sam2.training.export import export_run
from napari_sam2.training.fine_tune import (
    Ending,
    FineTuneResult,
    Validated,
    fine_tune,
    validations,
)
from napari_sam2.training.fine_tuning import FineTuneSettings, ResolvedSettings
from napari_sam2.training.held_out import HeldOutIou, Measure
from napari_sam2.training.image_losses import StepLosses
from napari_sam2.training.initialisation import LocalityPrior, initialise_locality
from napari_sam2.training.journal import read_records
from napari_sam2.training.loop import train
from napari_sam2.training.losses import LossWeights
from napari_sam2.training.parts import Parts
from napari_sam2.training.recipe import Phase, Recipe
from napari_sam2.training.run_identity import RunIdentity, claim_folder
from napari_sam2.training.sources import LabelledStack, make_stack, read_sources
from napari_sam2.training.splitting import Split, check_enough, labelled_instances, split_stacks
from napari_sam2.training.state import TrainingState
from napari_sam2.training.validation import mean_iou, one_prompt_ious

__all__ = [
    "Adaptation",
    "AdaptationCancelledError",
    "AdaptationProgress",
    "AdaptationTask",
    "ClipBatch",
    "ClipBatches",
    "ClipSampler",
    "ClipSettings",
    "Ending",
    "FineTuneResult",
    "FineTuneSettings",
    "HeldOutIou",
    "LabelledStack",
    "LocalityPrior",
    "LossWeights",
    "Measure",
    "Parts",
    "Phase",
    "Recipe",
    "ResolvedSettings",
    "RunIdentity",
    "Split",
    "Stage",
    "StepLosses",
    "TrainingClip",
    "TrainingState",
    "Validated",
    "Window",
    "check_enough",
    "claim_folder",
    "export_run",
    "fine_tune",
    "fine_tune_on",
    "initialise_locality",
    "labelled_instances",
    "make_stack",
    "mean_iou",
    "one_prompt_ious",
    "prepare_adaptation",
    "read_records",
    "read_sources",
    "run_adaptation",
    "split_stacks",
    "train",
    "validations",
]
