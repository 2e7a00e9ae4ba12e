"""A training run in a terminal: reads data and model, trains with a bar, draws curves.

Everything runs on the thread of the command; Ctrl-C ends the run after its step.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from napari_sam2.checkpoints import LoadedNetwork, load_network
from napari_sam2.cli.plots.train_curves import write_curves
from napari_sam2.errors import DeviceError, TrainingError
from napari_sam2.evaluation.held_out import HeldOutMeasure
from napari_sam2.segmentation.session_runner import soft_interrupt
from napari_sam2.tracking import Model, resolve_device
from napari_sam2.tracking.device import half_precision_pays, is_out_of_memory
from napari_sam2.training import (
    DataSplit,
    FineTuneResult,
    FineTuneSettings,
    ResolvedSettings,
    RunIdentity,
    StepLosses,
    Validated,
    check_enough,
    claim_folder,
    fine_tune,
    read_records,
    read_sources,
    split_stacks,
    validations,
)
from napari_sam2.training.run.loop import JOURNAL_FILE

CURVES_FILE = "curves.png"
_STOPPING = "Stopping after this step; all of it is kept. Ctrl-C again stops at once."
_SMOOTHING = 0.9


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """The options of a training run.

    Attributes
    ----------
    folder : Path
        Folder of the labelled pairs.
    validation_folder : Path, optional
        Folder of the held-out pairs.
    share : float
        Held-out share of the data if there is no such folder.
    model, device : str
    output : Path
        The run's folder.
    minutes : float, optional
        Time limit of this call.
    settings : FineTuneSettings
    curves : Path, optional
        PNG file of the run's curves; None draws none.
    """

    folder: Path
    validation_folder: Path | None
    share: float
    model: str
    device: str
    output: Path
    minutes: float | None
    settings: FineTuneSettings
    curves: Path | None


@dataclass(frozen=True, slots=True, eq=False)
class PreparedRun:
    """Data and model, read and checked, and whether the run had been started before."""

    options: TrainOptions
    split: DataSplit
    loaded: LoadedNetwork
    settings: ResolvedSettings
    model: Model
    resumed: bool


def prepare(options: TrainOptions) -> PreparedRun:
    """Read data and model, and make the folder the run's own.

    Raises
    ------
    Sam2Error
        Anything is missing or does not fit; nothing was written then.
    """
    device = resolve_device(options.device)
    split = _read_split(options)
    check_enough(split.train)
    loaded = load_network(options.model)
    resolved = options.settings.resolve(loaded.network.config)
    every = (*split.train, *split.held_out)
    identity = RunIdentity.of(loaded.name, loaded.path, every, resolved)
    resumed = claim_folder(options.output, identity)
    model = Model(
        loaded.network.to(device),
        loaded.name,
        device,
        resolved.image_size,
        half_precision_pays(device),
    )
    return PreparedRun(options, split, loaded, resolved, model, resumed)


def run_training(run: PreparedRun) -> tuple[FineTuneResult, bool]:
    """Train with a bar until the run ends or Ctrl-C is pressed; curves are drawn as they come.

    Returns
    -------
    FineTuneResult
    bool
        Whether Ctrl-C was pressed.

    Raises
    ------
    DeviceError
        The device has too little memory.
    Sam2Error
        The run cannot go on or cannot be written.
    """
    options, half = run.options, run.model.half
    measure = HeldOutMeasure(run.split.held_out, half=half)
    metadata = {
        **run.loaded.metadata,
        "base": run.loaded.name,
        "parts": options.settings.parts.value,
    }
    bar = tqdm(total=options.settings.steps, unit="step", disable=None)
    shown = _Display(bar, options)
    with soft_interrupt(message=_STOPPING) as interrupt, bar:
        try:
            result = fine_tune(
                run.model.network,
                run.split.train,
                options.settings,
                options.output,
                measure,
                metadata=metadata,
                bfloat16=half,
                minutes=math.inf if options.minutes is None else options.minutes,
                stepped=shown.stepped,
                validated=shown.validated,
                cancelled=interrupt.requested,
            )
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise _too_large(run) from error
            raise
    _draw_curves(options)
    return result, interrupt.happened


def _draw_curves(options: TrainOptions) -> None:
    """Draw the curves of a run from its log, if they are wanted."""
    if options.curves is None:
        return
    records = read_records(options.output / JOURNAL_FILE)
    losses = [(int(one["step"]), float(one["loss"])) for one in records if "loss" in one]
    write_curves(options.curves, losses, validations(records))


class _Display:
    """Shows a run's progress on its bar, and redraws the curves after each validation."""

    def __init__(self, bar: tqdm[object], options: TrainOptions) -> None:
        self._bar, self._options = bar, options
        self._loss = math.nan
        self._best = self._newest = ""
        self._since = time.monotonic()

    def stepped(self, step: int, losses: StepLosses) -> None:
        loss = float(losses.total.detach())
        known = math.isfinite(self._loss)
        self._loss = _SMOOTHING * self._loss + (1.0 - _SMOOTHING) * loss if known else loss
        if self._bar.n == 0 and step > 1:
            self._bar.initial = self._bar.n = step - 1
        self._bar.set_postfix_str(f"loss {self._loss:.3f}{self._newest}{self._best}", refresh=False)
        self._bar.update(step - self._bar.n)

    def validated(self, newest: Validated, best: Validated) -> None:
        self._newest = f", held-out IoU {newest.iou.score:.3f}"
        self._best = f" (best {best.iou.score:.3f})"
        if newest.step:
            _draw_curves(self._options)


def _read_split(options: TrainOptions) -> DataSplit:
    if not options.folder.is_dir():
        raise TrainingError(
            f"There is no folder {options.folder}.",
            remedy="Give a folder of NAME_image.tif and NAME_labels.tif pairs.",
        )
    stacks = read_sources([options.folder])
    if options.validation_folder is None:
        return split_stacks(stacks, options.share, options.settings.seed)
    held_out = read_sources([options.validation_folder])
    if Path(os.path.realpath(options.validation_folder)).is_relative_to(
        os.path.realpath(options.folder)
    ):
        raise TrainingError(
            f"The data to measure on, {options.validation_folder}, lies in the folder to train on.",
            remedy="Move it elsewhere, or leave it out: a share of the data is held out then.",
        )
    return DataSplit(stacks, held_out)


def _too_large(run: PreparedRun) -> DeviceError:
    return DeviceError(
        f"{run.model.device} has too little memory to train {run.loaded.name} like this.",
        safe=f"What was trained before is in {run.options.output}.",
        remedy="Give another run a smaller --batch, --crop or --image-size, --parts decoder, "
        "or --device cpu.",
    )
