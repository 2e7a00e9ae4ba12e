"""`TrackingSettings`: the values of tracking that users may change."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self, TypeVar

from napari_sam2.errors import SessionError
from napari_sam2.types import Speed, Unreadable, View

_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingSettings:
    """Options of a session; the defaults suit cells, nuclei and organs.

    Attributes
    ----------
    view : View
        Whether the model sees whole frames or a window around each object.
    speed : Speed
        The level of speed; `TrackingSession.approximations` names its effects with a model.
    overlap : bool
        Let masks of different objects share pixels in the results. The labels volume never
        shares pixels: there the highest logit always wins.
    max_hole : int
        Holes of up to so many pixels are filled; 0 fills none.
    min_island : int
        Islands of up to so many pixels are dropped, never the largest part; 0 drops none.
    clicked_part : bool
        Keep only the connected parts of a mask that hold a click of its frame; other parts are
        mostly similar neighbours. Logits and memories stay as predicted.
    obey_clicks : bool
        Masks contain every object click and no background click: logits around a click that the
        network ignores are changed. If False, masks may ignore clicks, as the reference's do.
    exclusive : bool
        Where two objects track the same thing, the one whose conditioning frames are farther
        away becomes absent. Has no effect if overlaps are allowed.
    absent_limit : int or None
        Stop tracking an object after so many frames in a row without it. None never stops: the
        object is found again when it returns.
    max_conditioning : int or None
        Conditioning frames that a frame attends to at most, the nearest; None attends to all,
        as the reference does.
    cached_frames : int
        Frames whose features are kept for the next click or pass: 16 MiB each at 1024 pixels.
    object_chunk : int
        Objects that go through the network together at most; on a CPU only as many as its caches
        hold, down to one at 1024 pixels.
    unreadable : Unreadable
        Whether a propagation skips a frame that cannot be read or holds no finite pixel, or
        stops there.
    read_ahead : int
        Frames that are read in the background while the network works on those before them, where
        reading waits for storage or the network on a GPU; 0 reads each when it is needed.
    encode_ahead : int or None
        Number of whole frames that are encoded together, the current one included, up to
        `cached_frames`. None: 4 on GPUs, which encode several frames faster than one by one; 1 on
        CPUs, which gain nothing.
    read_attempts : int
        Attempts to read a frame whose storage fails, with growing pauses.
    """

    view: View = View.AUTO
    speed: Speed = Speed.EXACT
    overlap: bool = False
    max_hole: int = 64
    min_island: int = 16
    clicked_part: bool = True
    obey_clicks: bool = True
    exclusive: bool = True
    absent_limit: int | None = None
    max_conditioning: int | None = 8
    cached_frames: int = 8
    object_chunk: int = 16
    unreadable: Unreadable = Unreadable.SKIP
    read_ahead: int = 1
    encode_ahead: int | None = None
    read_attempts: int = 2

    @classmethod
    def like_reference(cls) -> Self:
        """Return the settings under which an official model computes as the reference package.

        Masks overlap and stay as predicted, clicks may be ignored, and all
        conditioning frames are attended to. A forward pass from the first prompted frame is then
        that of the reference's video predictor, but for rounding.
        """
        return cls(
            overlap=True,
            max_hole=0,
            min_island=0,
            clicked_part=False,
            obey_clicks=False,
            max_conditioning=None,
        )

    def __post_init__(self) -> None:
        object.__setattr__(self, "view", _choice("view", self.view, View))
        object.__setattr__(self, "unreadable", _choice("unreadable", self.unreadable, Unreadable))
        object.__setattr__(self, "speed", _choice("speed", self.speed, Speed))
        for name in ("overlap", "clicked_part", "obey_clicks", "exclusive"):
            _require_truth(name, getattr(self, name))
        _require("max_hole", self.max_hole, 0)
        _require("min_island", self.min_island, 0)
        _require("cached_frames", self.cached_frames, 1)
        _require("object_chunk", self.object_chunk, 1)
        _require("read_ahead", self.read_ahead, 0)
        _require("read_attempts", self.read_attempts, 1)
        if self.encode_ahead is not None:
            _require("encode_ahead", self.encode_ahead, 1)
        if self.absent_limit is not None:
            _require("absent_limit", self.absent_limit, 1)
        if self.max_conditioning is not None:
            _require("max_conditioning", self.max_conditioning, 2)


def _choice(name: str, value: str, choices: type[_Choice]) -> _Choice:
    try:
        return choices(value)
    except ValueError:
        raise SessionError(
            f"The setting {name} is {value!r}.", remedy=f"Choose one of: {', '.join(choices)}."
        ) from None


def _require_truth(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise SessionError(f"The setting {name} is {value!r}.", remedy="Give True or False.")


def _require(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SessionError(
            f"The setting {name} is {value!r}.",
            remedy=f"Give a whole number of at least {least}.",
        )
