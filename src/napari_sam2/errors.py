"""The errors that users see: each says what happened, what is safe and what to do.

Any thread may raise and catch them.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any


class Sam2Error(Exception):
    """Base of every error that napari-sam2 raises on purpose.

    Parameters
    ----------
    happened : str
        The failure in one sentence, with the values that matter.
    safe : str, optional
        The work of the user that is not lost.
    remedy : str, optional
        The next action of the user.
    """

    def __init__(self, happened: str, *, safe: str = "", remedy: str = "") -> None:
        self.happened = happened
        self.safe = safe
        self.remedy = remedy
        super().__init__(happened)

    def __str__(self) -> str:
        return " ".join(part for part in (self.happened, self.safe, self.remedy) if part)


class StackError(Sam2Error):
    """The image cannot be read as a stack of frames."""


class FrameError(StackError):
    """One frame of a stack cannot be read; other frames may be readable.

    Attributes
    ----------
    frame : int
        Index of the frame.
    """

    def __init__(self, happened: str, *, frame: int, safe: str = "", remedy: str = "") -> None:
        super().__init__(happened, safe=safe, remedy=remedy)
        self.frame = frame

    def __reduce__(self) -> tuple[Any, ...]:
        """Let errors of worker processes arrive: by default the frame would not be given."""
        again = partial(type(self), frame=self.frame, safe=self.safe, remedy=self.remedy)
        return again, (self.happened,)


class SeriesError(StackError):
    """A file holds several images, and one has to be chosen.

    Attributes
    ----------
    names : tuple of str
        Of all of them.
    """

    def __init__(
        self, happened: str, *, names: tuple[str, ...], safe: str = "", remedy: str = ""
    ) -> None:
        super().__init__(happened, safe=safe, remedy=remedy)
        self.names = names

    def __reduce__(self) -> tuple[Any, ...]:
        """Let errors of worker processes arrive: by default the names would not be given."""
        again = partial(type(self), names=self.names, safe=self.safe, remedy=self.remedy)
        return again, (self.happened,)


class PromptError(Sam2Error):
    """A prompt does not fit the stack, or prompts cannot be read."""


class LabelsError(Sam2Error):
    """Labels cannot be held, written or exported."""


class LineageError(Sam2Error):
    """Divisions or tracks are impossible, or cannot be read or written."""


class MeasurementError(Sam2Error):
    """Labels cannot be measured, or a table cannot be written."""


class CheckpointError(Sam2Error):
    """A model file is missing, damaged, foreign or unsafe."""


class DownloadError(CheckpointError):
    """A model file could not be fetched or verified."""


class DeviceError(Sam2Error):
    """The compute device is missing, vanished or ran out of memory."""


class SessionError(Sam2Error):
    """A tracking session cannot do an action, or its file cannot be read."""


class DetectionError(Sam2Error):
    """Objects cannot be looked for, or too many were found."""


class StoreError(SessionError):
    """The results of a session cannot be kept on disk, or kept ones cannot be read."""


class StoreInUseError(StoreError):
    """Another session keeps its results in the same place.

    Attributes
    ----------
    path : Path
        The folder.
    """

    def __init__(self, happened: str, *, path: Path, safe: str = "", remedy: str = "") -> None:
        super().__init__(happened, safe=safe, remedy=remedy)
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        """Let errors of worker processes arrive: by default the path would not be given."""
        again = partial(type(self), path=self.path, safe=self.safe, remedy=self.remedy)
        return again, (self.happened,)


class BatchError(Sam2Error):
    """Many stacks cannot be segmented together, or the engine that does it has failed."""


class RemoteError(Sam2Error):
    """A server does not answer, refuses, or answers what cannot be understood."""


class EvaluationError(Sam2Error):
    """Labelled data cannot be evaluated."""


class TrainingError(Sam2Error):
    """Training cannot start or go on."""
