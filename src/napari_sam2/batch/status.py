"""`StackStatus`: the result of a stack, and the status file beside its labels.

Any thread; every file is written in one step.
"""

from __future__ import annotations

import json
import traceback
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from napari_sam2._atomic import write_text
from napari_sam2._limits import read_note
from napari_sam2.errors import BatchError

STATUS_SUFFIX = ".status.json"

_FORMAT = "napari-sam2 status"
_VERSION = 1


class StackState(StrEnum):
    """What has become of a stack.

    WAITING: nothing yet. RUNNING: a process is at work, or was killed. STOPPED: somebody stopped
    it between two frames. ELSEWHERE: another batch is at work on it.
    """

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class StackFailure:
    """Why a stack failed.

    Attributes
    ----------
    kind : str
        Name of the type of the error.
    message : str
    traceback : str
        Empty where no Python was left to give one.
    """

    kind: str
    message: str
    traceback: str = ""

    @classmethod
    def of(cls, error: BaseException) -> StackFailure:
        """Describe an error that is being handled."""
        message = str(error) or type(error).__name__
        return cls(type(error).__name__, message, "".join(traceback.format_exception(error)))


@dataclass(frozen=True, slots=True)
class StackStatus:
    """What has become of a stack.

    Attributes
    ----------
    name : str
        Of the stack: its path in the folder, without its suffix.
    state : StackState
    key : str
        Digest of all that the result depends on; see `StackTask.key`.
    attempt : str
        Of which attempt this is said: a random id.
    attempts : int
        How often it was tried with this key.
    started, ended : str
        ISO 8601 in UTC; empty: not yet.
    seconds : float
        From start to end.
    frames, frame_results : int
        Frames with a result, and results, of which a frame has two if it is passed twice.
    objects, skipped : int
        Number of objects, and of frames that could not be read.
    host : str
    pid : int
    device, model : str
    notes : tuple of str
        What was seen of the image and of the prompts.
    outputs : tuple of str
        Files and folders that were written, by their path from the folder of results.
    written : tuple of str
        Those that a batch may replace, by the same paths: what earlier ones have written too, and
        what the running one has begun to.
    error : StackFailure or None
    """

    name: str
    state: StackState = StackState.WAITING
    key: str = ""
    attempt: str = ""
    attempts: int = 0
    started: str = ""
    ended: str = ""
    seconds: float = 0.0
    frames: int = 0
    frame_results: int = 0
    objects: int = 0
    skipped: int = 0
    host: str = ""
    pid: int = 0
    device: str = ""
    model: str = ""
    notes: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    error: StackFailure | None = None

    def fits(self, key: str, folder: Path) -> bool:
        """Return whether the stack is done, with this key, and its outputs are still there."""
        done = self.state is StackState.DONE and self.key == key
        return done and all((folder / each).exists() for each in self.outputs)


def read_status(path: Path) -> StackStatus | None:
    """Return the content of a status file; None if it is missing or damaged."""
    try:
        content = read_note(path)
        return _of_json(content)
    except (OSError, ValueError, TypeError, KeyError):
        return None  # as if the stack had never been tried: it is done again


def write_status(path: Path, status: StackStatus) -> None:
    """Write a status file.

    Raises
    ------
    BatchError
        It cannot be written; the file that stood there is whole.
    """
    content = {"format": _FORMAT, "version": _VERSION, **asdict(status)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(content, indent=2) + "\n")
    except OSError as error:
        raise BatchError(
            f"{path} cannot be written: {error.strerror or error}.",
            safe="What was computed is kept as far as it could be written.",
            remedy="Make room, or see that the folder may be written to; --resume goes on.",
        ) from error


def now() -> str:
    """Return the time, as status files say it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _of_json(content: Any) -> StackStatus:
    """Return a status.

    Raises
    ------
    ValueError, TypeError, KeyError
        The content is no status, or one of a later version.
    """
    if content["format"] != _FORMAT or content["version"] != _VERSION:
        raise ValueError("no status of this version")
    values: dict[str, Any] = {}
    for each in fields(StackStatus):
        if each.name == "written" and each.name not in content:
            continue  # an earlier version did not say it
        value, default = content[each.name], each.default
        if each.name == "error":
            values["error"] = None if value is None else StackFailure(**_texts(value))
        elif each.name == "state":
            values["state"] = StackState(value)
        elif isinstance(default, tuple):
            values[each.name] = tuple(_text(one) for one in value)
        elif isinstance(default, float):
            values[each.name] = float(value)
        elif isinstance(default, int):
            values[each.name] = int(value)
        else:
            values[each.name] = _text(value)
    return StackStatus(**values)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _texts(values: Any) -> dict[str, str]:
    return {_text(name): _text(value) for name, value in dict(values).items()}
