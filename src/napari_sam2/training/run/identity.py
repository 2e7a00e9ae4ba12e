"""The identity of a run: its data, model and settings, so that only the same run is resumed."""

from __future__ import annotations

import hashlib
import json
import reprlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from napari_sam2._atomic import write_text
from napari_sam2._limits import read_note
from napari_sam2._locks import hold
from napari_sam2.errors import TrainingError
from napari_sam2.training.data.sources import LabelledStack
from napari_sam2.training.fine_tune_recipe import ResolvedSettings

RUN_FILE = "run.json"
LOCK_FILE = "run.lock"


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """The data, model and settings that must be equal for a run to be resumed.

    Steps, minutes, patience and the device may change.

    Attributes
    ----------
    model, weights : str
        Name of the model that it starts from, and the hash of its file.
    data : str
        Hash of images and labels that are trained on, and of those held out.
    parts, image_size, crop, batch, frames, rate, seed
        Fields of `ResolvedSettings`.
    """

    model: str
    weights: str
    data: str
    parts: str
    image_size: int
    crop: int
    batch: int
    frames: int
    rate: float
    seed: int

    @classmethod
    def of(
        cls,
        model: str,
        weights: Path,
        stacks: Sequence[LabelledStack],
        settings: ResolvedSettings,
    ) -> RunIdentity:
        """Describe a run that is about to start."""
        with weights.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        known = {field.name for field in fields(cls)}
        chosen = {key: value for key, value in asdict(settings).items() if key in known}
        return cls(model, digest, _hash_of(stacks), **{**chosen, "parts": str(settings.parts)})


def claim_folder(folder: Path, identity: RunIdentity) -> bool:
    """Claim a folder for a run, or check that it is the run's.

    Returns
    -------
    bool
        Whether the run had been started there before.

    Raises
    ------
    TrainingError
        The folder holds another run or other files, or cannot be written.
    """
    path = folder / RUN_FILE
    try:
        _refuse_other_files(folder, path)
        folder.mkdir(parents=True, exist_ok=True)
        with alone_in(folder):
            return _claim(folder, path, identity)
    except OSError as error:
        raise TrainingError(
            f"The folder {folder} cannot be used: {error.strerror or error}.",
            remedy="Give a folder that may be written, with space, with -o.",
        ) from error


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold the lock of a run's folder; the system releases it if the process is killed.

    Raises
    ------
    TrainingError
        Another process, or another thread, trains there.
    """
    busy = TrainingError(
        f"Another run trains in {folder} right now.",
        safe="It was not touched.",
        remedy="Wait until it has ended, or give another folder with -o.",
    )
    with hold(folder / LOCK_FILE, busy):
        yield


def _claim(folder: Path, path: Path, identity: RunIdentity) -> bool:
    if path.exists():
        _compare(folder, path, identity)
        return True
    _refuse_other_files(folder, path)
    write_text(path, json.dumps(asdict(identity), indent=2) + "\n")
    return False


def _refuse_other_files(folder: Path, path: Path) -> None:
    if path.exists() or not folder.exists():
        return
    if any(each.name != LOCK_FILE for each in folder.iterdir()):
        raise TrainingError(
            f"The folder {folder} holds files, but no training run.",
            safe="Nothing in it was touched.",
            remedy="Give a new or empty folder with -o.",
        )


def _compare(folder: Path, path: Path, identity: RunIdentity) -> None:
    try:
        stored = read_note(path)
        if not isinstance(stored, dict):
            raise ValueError(f"it holds a {type(stored).__name__}")
    except ValueError as error:
        raise TrainingError(
            f"{path} is damaged: {error}.", remedy="Give another folder with -o."
        ) from error
    wanted = asdict(identity)
    differing = [key for key, value in wanted.items() if stored.get(key) != value]
    if differing:
        shown = ", ".join(_shown(key, stored.get(key), wanted[key]) for key in differing)
        raise TrainingError(
            f"The run in {folder} was started otherwise: {shown}.",
            safe="It was not touched.",
            remedy="Give another folder with -o, or the data and options of that run to go on. "
            "To train its model further, start a new run with --model and its model file.",
        )


def _shown(key: str, before: object, now: object) -> str:
    if key in ("weights", "data"):
        return "other data" if key == "data" else "other weights"
    shown = before[:60] if isinstance(before, str) else reprlib.repr(before)
    return f"{key} {shown}, not {now}"


def _hash_of(stacks: Sequence[LabelledStack]) -> str:
    digest = hashlib.sha256()
    for stack in stacks:
        digest.update(f"{stack.name} {stack.image.shape}".encode())
        for frame, labels in zip(stack.image, stack.labels, strict=True):
            digest.update(frame.tobytes())
            digest.update(labels.tobytes())
    return digest.hexdigest()
