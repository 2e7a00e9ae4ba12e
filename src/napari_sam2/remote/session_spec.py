"""`StackSpec`: what a request says of its session besides prompts and frames.

Values for any thread.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from napari_sam2.errors import StackError
from napari_sam2.remote.frame_data import FrameHead, dtype_named
from napari_sam2.remote.limits import ServerLimits
from napari_sam2.remote.messages import Fields, MessageError, number
from napari_sam2.remote.values import read_settings, settings_values
from napari_sam2.stack import StackKind, check_kind
from napari_sam2.tracking.settings import TrackingSettings

_ID = re.compile(r"[0-9a-f]{32}")
_MOST_FRAMES = 1_000_000
_MOST_CACHED_FRAMES, _MOST_TOGETHER = 16, 16
_MOST_OBJECTS_TOGETHER = 256
_PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model of the server, and how it is to compute.

    Attributes
    ----------
    name : str
    image_size : int or None
        None: the model's own.
    precision : str
    """

    name: str
    image_size: int | None = None
    precision: str = "auto"

    def values(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"name": self.name, "image_size": self.image_size, "precision": self.precision}

    @classmethod
    def of(cls, fields: Fields) -> ModelSpec:
        """Read it from JSON values."""
        precision = fields.text("precision", 20)
        if precision not in _PRECISIONS:
            raise MessageError("A model computes in auto, float32 or bfloat16.")
        size = fields.whole("image_size", 32, 2048) if fields.has("image_size") else None
        return cls(fields.text("name", 200), size, precision)


@dataclass(frozen=True, slots=True)
class StackSpec:
    """A session's model, settings and stack.

    Attributes
    ----------
    session : str
        Random name that the client gave it.
    model : ModelSpec
    weights : str
        Digest of the weights that the client takes it to have.
    n_frames : int
    frame : FrameHead
        Shape and dtype of a frame as it travels.
    contrast : tuple of (float, float)
        Of each channel.
    settings : TrackingSettings
        As the client has them; see `served_settings`.
    keep_logits : bool
    kind : StackKind
        What the frames are.
    """

    session: str
    model: ModelSpec
    weights: str
    n_frames: int
    frame: FrameHead
    contrast: tuple[tuple[float, float], ...]
    settings: TrackingSettings
    keep_logits: bool = False
    kind: StackKind = StackKind.UNKNOWN

    @property
    def served_settings(self) -> TrackingSettings:
        """The settings as a server computes with them: frames are in memory, and few are kept."""
        cached = min(self.settings.cached_frames, _MOST_CACHED_FRAMES)
        return replace(self.settings, cached_frames=cached, read_ahead=0, read_attempts=1)

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Rows and columns of a frame."""
        return self.frame.shape[0], self.frame.shape[1]

    def values(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "session": self.session,
            "model": self.model.values(),
            "weights": self.weights,
            "n_frames": self.n_frames,
            "frame": self.frame.values(),
            "contrast": [list(pair) for pair in self.contrast],
            "settings": settings_values(self.settings),
            "keep_logits": self.keep_logits,
            "kind": self.kind.value,
        }

    @classmethod
    def of(cls, fields: Fields, limits: ServerLimits) -> StackSpec:
        """Read it from JSON values, within the limits of a server."""
        name = fields.text("session", 32)
        if not _ID.fullmatch(name):
            raise MessageError("A session is named by 32 hexadecimal digits.")
        frame = FrameHead.of(fields.fields("frame"), limits.frame_pixels)
        contrast = [
            (number(low, "contrast"), number(high, "contrast"))
            for low, high in fields.items("contrast", 3, width=2)
        ]
        if len(contrast) != frame.shape[2] or any(low >= high for low, high in contrast):
            raise MessageError("There is a contrast for each channel, from low to high.")
        dtype_named(frame.dtype)
        return cls(
            name,
            ModelSpec.of(fields.fields("model")),
            fields.text("weights", 64),
            fields.whole("n_frames", 1, _MOST_FRAMES),
            frame,
            tuple(contrast),
            _checked(read_settings(fields)),
            fields.truth("keep_logits"),
            _kind(fields.text("kind", 20)),
        )


def _kind(name: str) -> StackKind:
    try:
        return check_kind(name)
    except StackError as error:
        raise MessageError(error.happened) from error


def _checked(settings: TrackingSettings) -> TrackingSettings:
    """Return the settings of a session if they do not ask for more memory than one session gets.

    Raises
    ------
    MessageError
        They do.
    """
    together = settings.encode_ahead
    if settings.object_chunk > _MOST_OBJECTS_TOGETHER or (together or 0) > _MOST_TOGETHER:
        raise MessageError("The settings ask for too many objects or frames at once.")
    return settings
