"""`fine_tune_on`: fine-tunes a model on the masks of a session, in a child process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Set
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2._child import run_in_child
from napari_sam2.checkpoints import (
    ADAPTED_SUFFIX,
    cache_folder,
    free_adapted_path,
    save_network,
)
from napari_sam2.errors import CheckpointError, TrainingError
from napari_sam2.network import HieraConfig, Sam2, Sam2Config
from napari_sam2.training.adapt.mask_split import split_masks
from napari_sam2.training.adapt.process import adapt
from napari_sam2.training.adapt.task import (
    Adaptation,
    AdaptationCancelledError,
    AdaptationProgress,
    AdaptationTask,
    MeasuredFrame,
    SessionTemplateLike,
    TrainingFrame,
)
from napari_sam2.training.data.session_masks import (
    MaskedFrame,
    MaskedSession,
    known_labels,
    read_session_masks,
    spread,
)
from napari_sam2.training.parts import Parts
from napari_sam2.types import ObjectFrame

_STEPS = 300
_RIM = 0.25
_MEASURED_FRAMES, _MEASURED_MASKS = 6, 12
_WIDEST = 8.0  # windows that are so many times as wide as their object show enough around it
_FOLDER = "adapted"


class AdaptableModel(Protocol):
    """The model of a session; `napari_sam2.Model` is one."""

    @property
    def network(self) -> Sam2:
        """With its weights."""

    @property
    def name(self) -> str:
        """Name of the model."""

    @property
    def path(self) -> Path | None:
        """The file of the weights; None if they have none."""

    @property
    def elsewhere(self) -> object | None:
        """Where the network runs instead of here; None: here."""


class AdaptableSession(MaskedSession, Protocol):
    """A session that a model can be adapted to; `napari_sam2.TrackingSession` is one."""

    @property
    def model(self) -> AdaptableModel:
        """Model of the session."""

    @property
    def template(self) -> SessionTemplateLike:
        """Template of sessions that compute alike."""


def fine_tune_on(
    session: AdaptableSession,
    minutes: float = 2.0,
    path: str | os.PathLike[str] | None = None,
    *,
    seed: int = 0,
    progress: Callable[[AdaptationProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Adaptation:
    """Fine-tune the model of a session on the masks that were accepted and prompted in it.

    About a fifth of the masks, at least two, are held out. One click and one box on each of them
    are measured before and after, in the session's own way of seeing, and the adapted model is
    kept only if it is better there. The training is done in a process of its own, of low
    priority and with at most two CPU threads; the session and its model do not change.

    Training uses single frames. Labelled pixels are those of masks, a rim of background around each
    mask, and background clicks. The loss ignores all other pixels, which may belong to objects
    without a mask. In models with a Hiera trunk, such as the official ones, only the mask decoder
    is trained; in others all parts, the trunk at a tenth of the rate.

    Parameters
    ----------
    session : TrackingSession
        With at least four masks that are not empty.
    minutes : float
        Time limit, measuring included.
    path : str or path, optional
        The model file to write; it must not be there yet. By default a new file in the folder
        ``adapted`` of the model cache.
    seed : int
        Seed of all random numbers.
    progress : callable, optional
        Called with an `AdaptationProgress` many times.
    cancelled : callable, optional
        Called many times a second; True stops at once.

    Returns
    -------
    Adaptation
        Figures before and after, whether the adapted model was taken, and its file, which
        `load_model` takes.

    Raises
    ------
    TrainingError
        There are too few masks, or the training process ended.
    AdaptationCancelledError
        It was cancelled.
    CheckpointError
        The model file cannot be written; no part of it is left.
    """
    task = prepare_adaptation(session, minutes, path, seed=seed)
    return run_adaptation(task, progress, cancelled)


def prepare_adaptation(
    session: AdaptableSession,
    minutes: float = 2.0,
    path: str | os.PathLike[str] | None = None,
    *,
    seed: int = 0,
) -> AdaptationTask:
    """Read all that `fine_tune_on` needs from a session, which is free for other work then.

    Parameters and errors are those of `fine_tune_on`.
    """
    if not 0.0 < minutes < float("inf"):
        raise TrainingError(
            f"A model cannot be adapted in {minutes:g} minutes.", remedy="Give some, such as 2."
        )
    if session.model.elsewhere is not None:
        raise TrainingError(
            f"The model {session.model.name} is on a server and cannot be adapted from here.",
            safe="The session is as it was.",
            remedy="Save the session and adapt on the server's machine, or choose a model of this "
            "computer.",
        )
    target = _default_path(session.model.name) if path is None else Path(path).absolute()
    if target.exists():
        raise CheckpointError(
            f"There is a file {target} already.",
            safe="It was not touched.",
            remedy="Give the adapted model another name.",
        )
    found = read_session_masks(session)
    split = split_masks(found.pairs, found.decided, seed)
    config = session.model.network.config
    template = session.template
    whole = not template.follows
    train = tuple(
        _training_frame(frame, split.train, None if whole else template.image_size)
        for frame in found.frames
        if _ids(frame, split.train)
    )
    held_out = tuple(_measured_frames(found.frames, split.held_out))
    weights, temporary = _weights_of(session.model)
    return AdaptationTask(
        weights=weights,
        temporary=temporary,
        target=target,
        template=template,
        parts=parts_to_adapt(config),
        train=train,
        held_out=held_out,
        trained_masks=len(split.train),
        minutes=float(minutes),
        steps=_STEPS,
        seed=seed,
        title=target.name.removesuffix(ADAPTED_SUFFIX),
        base=session.model.name,
        skipped=found.skipped,
    )


def run_adaptation(
    task: AdaptationTask,
    progress: Callable[[AdaptationProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Adaptation:
    """Run an adaptation in a child process and wait for its result; any thread may call it.

    Parameters and errors are those of `fine_tune_on`.
    """
    fresh = task.target.with_name(task.target.name + ".new")
    try:
        _make_folder(task.target.parent)
        try:
            result = run_in_child(
                adapt, task, progress or (lambda _progress: None), cancelled or (lambda: False)
            )
        finally:
            fresh.unlink(missing_ok=True)  # of a process that was ended while it wrote
    finally:
        if task.temporary:
            task.weights.unlink(missing_ok=True)
    if result is None:
        raise AdaptationCancelledError(
            "The adaptation was cancelled.", safe="The model is as it was."
        )
    return result


def parts_to_adapt(config: Sam2Config) -> Parts:
    """Return the parts of a model to train: only the decoder of large models."""
    return Parts.DECODER if isinstance(config.trunk, HieraConfig) else Parts.ALL


def _default_path(name: str) -> Path:
    return free_adapted_path(cache_folder() / _FOLDER, name.removesuffix(".adapted"))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(
            f"The folder {folder} cannot be made: {error.strerror or error}.",
            safe="The model is as it was.",
            remedy="Give a path in a folder that may be written to.",
        ) from error


def _weights_of(model: AdaptableModel) -> tuple[Path, bool]:
    """Return a file with the weights of a model, and whether it was written just for this."""
    if model.path is not None and model.path.is_file():
        return model.path, False
    handle, name = tempfile.mkstemp(prefix="napari-sam2-", suffix=".safetensors")
    os.close(handle)
    save_network(model.network, Path(name))
    return Path(name), True


def _ids(frame: MaskedFrame, pairs: Set[ObjectFrame]) -> tuple[int, ...]:
    return tuple(number for number in frame.object_ids if ObjectFrame(number, frame.frame) in pairs)


def _training_frame(
    frame: MaskedFrame, train: Set[ObjectFrame], input_side: int | None
) -> TrainingFrame:
    """Crop a frame to the reach of windows around its masks, unless windows are whole frames."""
    trained = np.isin(frame.masks, _ids(frame, train))
    others = (frame.masks != 0) & ~trained  # held out, or too much like those
    masks = _numbered(np.where(trained, frame.masks, 0))
    labels = known_labels(masks, _RIM, frame.background, hidden=others)
    grey = frame.image.mean(axis=-1).round().astype(np.uint8)
    part = (slice(None), slice(None)) if input_side is None else _part(masks, input_side)
    return TrainingFrame(grey[part].copy(), labels[part].copy())


def _part(masks: NDArray[np.int32], input_side: int) -> tuple[slice, slice]:
    """Return rows and columns that windows of the model input can show of numbered masks."""
    boxes = ndimage.find_objects(masks)
    longest = max(side.stop - side.start for box in boxes for side in box)
    margin = int(max(1.5 * input_side, _WIDEST * longest))  # windows are turned as well
    rows, columns = (
        slice(
            max(0, min(box[axis].start for box in boxes) - margin),
            max(box[axis].stop for box in boxes) + margin,
        )
        for axis in (0, 1)
    )
    return rows, columns


def _numbered(masks: NDArray[np.int32]) -> NDArray[np.int32]:
    """Renumber objects from 1 on, as ids may be huge."""
    ids = np.unique(masks)
    ids = ids[ids > 0]
    numbers = np.searchsorted(ids, masks, side="right").astype(np.int32)
    return np.where(masks > 0, numbers, np.int32(0))


def _measured_frames(
    frames: tuple[MaskedFrame, ...], held_out: Set[ObjectFrame]
) -> Iterator[MeasuredFrame]:
    """Choose frames and masks to measure on: as many as take a moment, evenly spread."""
    able = [frame for frame in frames if _ids(frame, held_out)]
    chosen = spread(able, _MEASURED_FRAMES)
    for place, frame in enumerate(chosen):
        count = (_MEASURED_MASKS + place) // len(chosen)
        ids = tuple(spread(list(_ids(frame, held_out)), count))
        yield MeasuredFrame(frame.image, np.where(np.isin(frame.masks, ids), frame.masks, 0), ids)
