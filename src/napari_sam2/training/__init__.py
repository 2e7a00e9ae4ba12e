"""Training SAM 2 networks on users' labels: whole data sets, or the masks of one session.

A run takes the caller's thread; adapting takes a child process.
"""

from __future__ import annotations

import napari_sam2._memory  # noqa: F401 - says what is needed before torch is loaded
from napari_sam2.training.adapt.fine_tune_on import (
    fine_tune_on,
    prepare_adaptation,
    run_adaptation,
)
from napari_sam2.training.adapt.task import (
    Adaptation,
    AdaptationCancelledError,
    AdaptationProgress,
    AdaptationTask,
    Stage,
)
from napari_sam2.training.data.batches import ClipBatch, ClipBatches
from napari_sam2.training.data.clips import ClipSampler, ClipSettings, TrainingClip
from napari_sam2.training.data.sources import LabelledStack, make_stack, read_sources
from napari_sam2.training.data.splitting import (
    DataSplit,
    HeldOutIou,
    Measure,
    check_enough,
    labelled_instances,
    split_stacks,
)
from napari_sam2.training.fine_tune import (
    Ending,
    FineTuneResult,
    Validated,
    fine_tune,
    validations,
)
from napari_sam2.training.fine_tune_recipe import FineTuneSettings, ResolvedSettings
from napari_sam2.training.losses.decoding import CropWindow
from napari_sam2.training.losses.image import StepLosses
from napari_sam2.training.losses.primitives import LossWeights
from napari_sam2.training.parts import Parts
from napari_sam2.training.run.export import export_run
from napari_sam2.training.run.identity import RunIdentity, claim_folder
from napari_sam2.training.run.journal import read_records
from napari_sam2.training.run.loop import train
from napari_sam2.training.run.recipe import Recipe, TrainingPhase
from napari_sam2.training.run.state import TrainingState

__all__ = [
    "Adaptation",
    "AdaptationCancelledError",
    "AdaptationProgress",
    "AdaptationTask",
    "ClipBatch",
    "ClipBatches",
    "ClipSampler",
    "ClipSettings",
    "CropWindow",
    "DataSplit",
    "Ending",
    "FineTuneResult",
    "FineTuneSettings",
    "HeldOutIou",
    "LabelledStack",
    "LossWeights",
    "Measure",
    "Parts",
    "Recipe",
    "ResolvedSettings",
    "RunIdentity",
    "Stage",
    "StepLosses",
    "TrainingClip",
    "TrainingPhase",
    "TrainingState",
    "Validated",
    "check_enough",
    "claim_folder",
    "export_run",
    "fine_tune",
    "fine_tune_on",
    "labelled_instances",
    "make_stack",
    "prepare_adaptation",
    "read_records",
    "read_sources",
    "run_adaptation",
    "split_stacks",
    "train",
    "validations",
]
