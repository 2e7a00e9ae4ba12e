"""A fine-tuning run: trains, validates, keeps the best weights, stops when none is better."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path

from napari_sam2.checkpoints import save_network
from napari_sam2.network import Sam2
from napari_sam2.training.data.sources import LabelledStack
from napari_sam2.training.data.splitting import HeldOutIou, Measure, check_enough
from napari_sam2.training.fine_tune_recipe import TRUNK_RATE, FineTuneSettings
from napari_sam2.training.losses.image import StepLosses
from napari_sam2.training.parts import Parts, choose_parts
from napari_sam2.training.run.identity import alone_in
from napari_sam2.training.run.journal import Record, append_record, read_records, rewind
from napari_sam2.training.run.loop import JOURNAL_FILE, STATE_FILE, train
from napari_sam2.training.run.recipe import Recipe
from napari_sam2.training.run.state import TrainingState, saved_step

MODEL_FILE = "model.safetensors"
_PREFIX = "held_out_"


class Ending(StrEnum):
    """The reason why a run, or this part of it, ended."""

    STEPS = "steps"
    PATIENCE = "patience"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Validated:
    """IoU of one validation."""

    step: int
    iou: HeldOutIou


@dataclass(frozen=True, slots=True)
class FineTuneResult:
    """The result of a run.

    Attributes
    ----------
    steps : int
        Steps done in all.
    before, best : Validated
        The model that it started from, and the best one, which may be the same.
    ending : Ending
    model : Path
        File of the best weights.
    """

    steps: int
    before: Validated
    best: Validated
    ending: Ending
    model: Path


def fine_tune(
    network: Sam2,
    stacks: Sequence[LabelledStack],
    settings: FineTuneSettings,
    folder: Path,
    measure: Measure,
    *,
    metadata: Mapping[str, str] | None = None,
    bfloat16: bool = False,
    minutes: float = math.inf,
    stepped: Callable[[int, StepLosses], None] | None = None,
    validated: Callable[[Validated, Validated], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> FineTuneResult:
    """Fine-tune a network on labelled stacks, going on from the state in the folder if any.

    Parameters
    ----------
    network : Sam2
        With trained weights; changed in place.
    stacks : sequence of LabelledStack
        Training data.
    settings : FineTuneSettings
    folder : Path
        Of this run alone; holds its state, its log and `MODEL_FILE`, which is replaced whenever
        a validation is better than all before.
    measure : callable
        See `Measure`.
    metadata : mapping of str to str, optional
        Metadata of the model file.
    bfloat16 : bool
        Compute the forward pass in bfloat16.
    minutes : float
        Wall-clock budget of this call.
    stepped, cancelled
        As in `train`.
    validated : callable, optional
        Called with the newest validation and the best one.

    Returns
    -------
    FineTuneResult

    Raises
    ------
    TrainingError
        The settings are impossible, there is too little data, or the run cannot be written.
    CheckpointError
        The model file cannot be written.
    """
    resolved = settings.resolve(network.config)
    check_enough(stacks)
    recipe = resolved.recipe(stacks, bfloat16=bfloat16)
    network = with_image_size(network, resolved.image_size)
    folder.mkdir(parents=True, exist_ok=True)
    with alone_in(folder):
        return _tuned(
            network,
            tuple(stacks),
            settings,
            resolved.parts,
            recipe,
            folder,
            measure,
            metadata=metadata or {},
            minutes=minutes,
            stepped=stepped,
            validated=validated,
            cancelled=cancelled,
        )


def _tuned(
    network: Sam2,
    stacks: tuple[LabelledStack, ...],
    settings: FineTuneSettings,
    parts: Parts,
    recipe: Recipe,
    folder: Path,
    measure: Measure,
    *,
    metadata: Mapping[str, str],
    minutes: float,
    stepped: Callable[[int, StepLosses], None] | None,
    validated: Callable[[Validated, Validated], None] | None,
    cancelled: Callable[[], bool],
) -> FineTuneResult:
    journal = folder / JOURNAL_FILE
    # What the log tells of steps after the state may have been killed before its model was written.
    rewind(journal, saved_step(folder / STATE_FILE))
    best = _BestModel(folder, settings.patience, metadata, validated)
    if not best.has_model():
        iou = _rounded(measure(network.eval()))
        best.update(network, 0, iou)
        rewind(journal, -1)
        append_record(journal, {"step": 0, **to_record(iou)})
    if best.is_finished():
        return best.result(best.history[-1].step, Ending.PATIENCE)

    def validate(average: Sam2) -> dict[str, float]:
        return to_record(_rounded(measure(average)))

    def on_validation(state: TrainingState, record: Mapping[str, float]) -> bool:
        return best.update(state.average, state.step, from_record(record))

    choose_parts(network, parts)
    state = train(
        network,
        stacks,
        recipe,
        folder,
        minutes=minutes,
        validate_every=settings.validate_every,
        validation=validate,
        on_validation=on_validation,
        stepped=stepped,
        cancelled=cancelled,
        trunk_rate=TRUNK_RATE,
    )
    if best.is_finished():
        return best.result(state.step, Ending.PATIENCE)
    return best.result(state.step, Ending.STEPS if state.step >= recipe.steps else Ending.STOPPED)


def with_image_size(network: Sam2, image_size: int) -> Sam2:
    """Return the network with another side of the model input as its own."""
    if image_size == network.config.image_size:
        return network
    other = Sam2(replace(network.config, image_size=image_size))
    other.load_state_dict(network.state_dict())
    return other.to(next(network.parameters()).device).eval()


def to_record(iou: HeldOutIou) -> dict[str, float]:
    """Name figures as the log does."""
    return {_PREFIX + key: value for key, value in asdict(iou).items() if value is not None}


def from_record(record: Mapping[str, float | int | str]) -> HeldOutIou:
    """Read figures from a record of the log."""
    keys = [key for key in record if key.startswith(_PREFIX)]
    return HeldOutIou(**{key.removeprefix(_PREFIX): float(record[key]) for key in keys})


def validations(records: Sequence[Record]) -> list[Validated]:
    """Pick the validations out of a log."""
    return [
        Validated(int(record["step"]), from_record(record))
        for record in records
        if _PREFIX + "click" in record
    ]


class _BestModel:
    """Keeps the best weights on disk, and reports when validations stop improving."""

    def __init__(
        self,
        folder: Path,
        patience: int,
        metadata: Mapping[str, str],
        validated: Callable[[Validated, Validated], None] | None,
    ) -> None:
        self.path = folder / MODEL_FILE
        self.history = validations(read_records(folder / JOURNAL_FILE))
        self.patience = patience
        self._metadata = metadata
        self._validated = validated

    def has_model(self) -> bool:
        """Return whether the best model of the log exists; a killed run may not have written it."""
        return bool(self.history) and self.path.is_file()

    @property
    def best(self) -> Validated:
        return max(self.history, key=lambda one: (one.iou.score, -one.step))

    def is_finished(self) -> bool:
        since = len(self.history) - 1 - self.history.index(self.best)
        return since >= self.patience

    def update(self, network: Sam2, step: int, iou: HeldOutIou) -> bool:
        newest = Validated(step, iou)
        self.history = [one for one in self.history if one.step < step] + [newest]
        if self.best is newest:
            figures = {"steps": str(step), "held_out_iou": f"{iou.score:.4f}"}
            save_network(network, self.path, {**self._metadata, **figures})
        if self._validated is not None:
            self._validated(newest, self.best)
        return self.is_finished()

    def result(self, steps: int, ending: Ending) -> FineTuneResult:
        return FineTuneResult(steps, self.history[0], self.best, ending, self.path)


def _rounded(iou: HeldOutIou) -> HeldOutIou:
    """Round as the log does, so that a resumed run compares the same figures."""
    values = {key: round(value, 6) for key, value in asdict(iou).items() if value is not None}
    return HeldOutIou(**values)
