"""Values of a session as JSON and blocks of bytes, and back, checked.

Reading never trusts: what does not fit raises `MessageError`, and masks are decompressed into no
more memory than their frame has. Any thread may use it.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.detection import DetectionSettings
from napari_sam2.errors import (
    DetectionError,
    DeviceError,
    FrameError,
    LabelsError,
    PromptError,
    RemoteError,
    Sam2Error,
    SessionError,
    StackError,
)
from napari_sam2.labels import PackedMask
from napari_sam2.labels.array_storage import Labels
from napari_sam2.labels.masks import box_of
from napari_sam2.prompts import FramePrompt
from napari_sam2.remote.frame_data import compressed, decompressed, dtype_named
from napari_sam2.remote.limits import MOST_SIDE
from napari_sam2.remote.messages import (
    HASH_BYTES,
    Fields,
    Message,
    MessageBuilder,
    MessageError,
    items,
    number,
    whole,
)
from napari_sam2.tracking.images.object_window import Place, Window, WindowedObject
from napari_sam2.tracking.settings import TrackingSettings

_MOST_CLICKS = 10_000
_SMALL = 1024  # pixels that a window may be larger than a small frame
_LABEL_DTYPES = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
_ERRORS: Mapping[str, type[Sam2Error]] = {
    cls.__name__: cls
    for cls in (
        DetectionError,
        DeviceError,
        LabelsError,
        PromptError,
        RemoteError,
        SessionError,
        StackError,
    )
}
_MOST_REASON = 2000

Shape = tuple[int, int]


def item_key(data: bytes) -> bytes:
    """Return the hash by which an item is known."""
    return hashlib.blake2b(data, digest_size=HASH_BYTES).digest()


def block_at(blocks: Sequence[bytes], at: object) -> bytes:
    """Return a block by its number."""
    return blocks[whole(at, 0, len(blocks) - 1, "block")]


def window_values(window: Window) -> list[Any]:
    """Return a window as JSON values."""
    return [window.top, window.left, window.height, window.width, window.mirrored]


def read_window(value: object, shape: Shape) -> Window:
    """Read a window; it is not much larger than its frame, nor far beside it."""
    values = items(value, 5, "window")
    if len(values) != 5 or not isinstance(values[4], bool):
        raise MessageError("A window has five values.")
    most = 2 * max(shape) + _SMALL
    top, left = (whole(each, -most, most, "window") for each in values[:2])
    height, width = (whole(each, 1, most, "window") for each in values[2:4])
    return Window(top, left, height, width, values[4])


def sighting_values(sighting: WindowedObject | None) -> list[Any] | None:
    """Return where an object was seen as JSON values."""
    if sighting is None:
        return None
    place = sighting.place
    return [*place.centre, place.extent, window_values(sighting.window)]


def read_sighting(value: object, shape: Shape) -> WindowedObject | None:
    """Read where an object was seen."""
    if value is None:
        return None
    values = items(value, 4, "sighting")
    if len(values) != 4:
        raise MessageError("A sighting has four values.")
    y, x, extent = (number(each, "sighting") for each in values[:3])
    most = 2 * max(shape) + _SMALL
    if not 0 < extent <= most or max(abs(y), abs(x)) > most:
        raise MessageError("An object is far outside its frame, or has no extent.")
    return WindowedObject(Place((y, x), extent), read_window(values[3], shape))


def mask_values(mask: PackedMask, builder: MessageBuilder) -> list[int]:
    """Return a mask as JSON values, its bits as a block."""
    block = builder.add(mask.bits) if mask.any() else -1
    return [*mask.rows, *mask.columns, block]


def read_mask(value: object, blocks: Sequence[bytes], shape: Shape) -> PackedMask:
    """Read a mask of a frame; its bits are known to be there and of the right length."""
    values = items(value, 5, "mask")
    if len(values) != 5:
        raise MessageError("A mask has five values.")
    y0, y1 = (whole(each, 0, shape[0], "mask") for each in values[:2])
    x0, x1 = (whole(each, 0, shape[1], "mask") for each in values[2:4])
    if y0 >= y1 or x0 >= x1:
        return PackedMask(shape, (0, 0), (0, 0), b"")
    bits = block_at(blocks, values[4])
    size = -(-(y1 - y0) * (x1 - x0) // 8)
    unpacker = zlib.decompressobj()
    try:
        found = unpacker.decompress(bits, size + 1)
    except zlib.error as error:
        raise MessageError("The bits of a mask are damaged.") from error
    if len(found) != size or not unpacker.eof:
        raise MessageError("A mask has more or fewer bits than its box.")
    return PackedMask(shape, (y0, y1), (x0, x1), bits)


def plane_values(labels: Labels, builder: MessageBuilder) -> list[Any]:
    """Return the labels of a frame as JSON values; their pixels within their box as a block."""
    box = box_of(labels != 0)
    if box is None:
        return [labels.dtype.name, 0, 0, 0, 0, -1]
    rows, columns = box
    block = builder.add(compressed(labels[box]))
    return [labels.dtype.name, rows.start, rows.stop, columns.start, columns.stop, block]


def read_plane(value: object, blocks: Sequence[bytes], shape: Shape) -> Labels:
    """Read the labels of a frame."""
    values = items(value, 6, "labels")
    if len(values) != 6 or values[0] not in _LABEL_DTYPES:
        raise MessageError("Labels have six values, and an integer type.")
    dtype = dtype_named(values[0])
    y0, y1 = (whole(each, 0, shape[0], "labels") for each in values[1:3])
    x0, x1 = (whole(each, 0, shape[1], "labels") for each in values[3:5])
    labels = np.zeros(shape, dtype)
    if y0 < y1 and x0 < x1:
        part = decompressed(block_at(blocks, values[5]), (y1 - y0) * (x1 - x0), dtype)
        labels[y0:y1, x0:x1] = part.reshape(y1 - y0, x1 - x0)
    if dtype.kind == "i" and (labels < 0).any():
        raise MessageError("A label is negative.")
    return labels


def prompt_values(prompt: FramePrompt, builder: MessageBuilder) -> dict[str, Any]:
    """Return a prompt as JSON values."""
    mask = None if prompt.mask is None else mask_values(PackedMask.of(prompt.mask), builder)
    return {
        "points": [list(point) for point in prompt.points],
        "positive": list(prompt.positive),
        "box": None if prompt.box is None else list(prompt.box),
        "mask": mask,
        "rounds": list(prompt.rounds),
    }


def read_prompt(value: object, blocks: Sequence[bytes], shape: Shape) -> FramePrompt:
    """Read a prompt."""
    fields = Fields(value)
    points = [
        (number(y, "point"), number(x, "point"))
        for y, x in fields.items("points", _MOST_CLICKS, width=2)
    ]
    positive = fields.items("positive", _MOST_CLICKS)
    if not all(isinstance(each, bool) for each in positive):
        raise MessageError("A click is on the object, or it is not.")
    rounds = [whole(each, 0, _MOST_CLICKS, "round") for each in fields.items("rounds", 10_000)]
    box = None
    if fields.has("box"):
        sides = [number(each, "box") for each in fields.items("box", 4)]
        if len(sides) != 4:
            raise MessageError("A box has four sides.")
        box = (sides[0], sides[1], sides[2], sides[3])
    mask = None
    if fields.has("mask"):
        mask = read_mask(fields.raw("mask"), blocks, shape).unpack()
    try:
        return FramePrompt(tuple(points), tuple(positive), box, mask, tuple(rounds))
    except Sam2Error as error:
        raise MessageError(f"A prompt is impossible: {error.happened}") from error


def read_settings(fields: Fields) -> TrackingSettings:
    """Read the settings of a session."""
    try:
        return TrackingSettings(**fields.raw("settings"))
    except (TypeError, Sam2Error) as error:
        raise MessageError("The settings of a session are impossible.") from error


def read_detection(fields: Fields) -> DetectionSettings:
    """Read the settings of a search."""
    try:
        return DetectionSettings(**fields.raw("settings"))
    except (TypeError, Sam2Error) as error:
        raise MessageError("The settings of a search are impossible.") from error


def settings_values(settings: TrackingSettings | DetectionSettings) -> dict[str, Any]:
    """Return settings as JSON values."""
    return asdict(settings)


def logits_values(logits: NDArray[np.float32] | None, builder: MessageBuilder) -> int:
    """Add logits as a block; return its number, -1 where there are none."""
    return -1 if logits is None else builder.add(compressed(logits.astype("<f4", copy=False)))


def read_logits(
    value: object, blocks: Sequence[bytes], count: int, shape: Shape
) -> NDArray[np.float32] | None:
    """Read logits, (count, Y, X)."""
    if value == -1:
        return None
    flat = decompressed(block_at(blocks, value), count * shape[0] * shape[1], np.dtype("<f4"))
    return flat.reshape(count, *shape)


@dataclass(frozen=True, slots=True)
class PredictionValues:
    """What a client knows of a prediction that the server keeps.

    Attributes
    ----------
    handle : int
        The number by which the server knows it.
    iou, presence : float
    window : Window
    sighting : WindowedObject or None
    rank : int
        Which of the masks of an ambiguous prompt it is.
    """

    handle: int
    iou: float
    presence: float
    window: Window
    sighting: WindowedObject | None
    rank: int = 0

    def values(self) -> list[Any]:
        """Return it as JSON values."""
        window, sighting = window_values(self.window), sighting_values(self.sighting)
        return [self.handle, self.iou, self.presence, window, sighting, self.rank]

    @classmethod
    def of(cls, value: object, shape: Shape) -> PredictionValues:
        """Read it."""
        values = items(value, 6, "prediction")
        if len(values) != 6:
            raise MessageError("A prediction has six values.")
        return cls(
            whole(values[0], 0, 2**63 - 1, "handle"),
            number(values[1], "iou"),
            number(values[2], "presence"),
            read_window(values[3], shape),
            read_sighting(values[4], shape),
            whole(values[5], 0, 16, "rank"),
        )


@dataclass(frozen=True, slots=True, eq=False)
class DecidedValues:
    """A decided frame of an object as it is stated in a request.

    Attributes
    ----------
    frame : int
    pixels : PackedMask
    window : Window
    sighting : WindowedObject or None
    corrects : bool
    prompt : FramePrompt or None
    prediction : PredictionValues or None
        None where the mask is the user's own.
    found : bool
        A search made this mask.
    """

    frame: int
    pixels: PackedMask
    window: Window
    sighting: WindowedObject | None
    corrects: bool
    prompt: FramePrompt | None
    prediction: PredictionValues | None
    found: bool = False

    def encode(self) -> bytes:
        """Return it as an item."""
        builder = MessageBuilder()
        head = {
            "frame": self.frame,
            "pixels": mask_values(self.pixels, builder),
            "window": window_values(self.window),
            "sighting": sighting_values(self.sighting),
            "corrects": self.corrects,
            "found": self.found,
            "prompt": None if self.prompt is None else prompt_values(self.prompt, builder),
            "prediction": None if self.prediction is None else self.prediction.values(),
        }
        return builder.message(head).encode()

    @classmethod
    def decode(cls, data: bytes, shape: Shape, n_frames: int) -> DecidedValues:
        """Read an item."""
        message = Message.decode(data)
        fields, blocks = Fields(message.head), message.blocks
        prompt = read_prompt(fields.raw("prompt"), blocks, shape) if fields.has("prompt") else None
        prediction = None
        if fields.has("prediction"):
            prediction = PredictionValues.of(fields.raw("prediction"), shape)
        return cls(
            fields.whole("frame", 0, n_frames - 1),
            read_mask(fields.raw("pixels"), blocks, shape),
            read_window(fields.raw("window"), shape),
            read_sighting(fields.raw("sighting"), shape),
            fields.truth("corrects"),
            prompt,
            prediction,
            fields.truth("found"),
        )


def error_values(error: Sam2Error) -> dict[str, Any]:
    """Return an error as JSON values."""
    kind = next((c.__name__ for c in type(error).__mro__ if c.__name__ in _ERRORS), "RemoteError")
    frame = error.frame if isinstance(error, FrameError) else None
    texts = (error.happened, error.safe, error.remedy)
    happened, safe, remedy = (text[:_MOST_REASON] for text in texts)
    return {"kind": kind, "frame": frame, "happened": happened, "safe": safe, "remedy": remedy}


def read_error(value: object) -> Sam2Error:
    """Read an error."""
    fields = Fields(value)
    happened, safe, remedy = (
        fields.text(name, _MOST_REASON) for name in ("happened", "safe", "remedy")
    )
    if fields.has("frame"):
        frame = fields.whole("frame", 0, MOST_SIDE)
        return FrameError(happened, frame=frame, safe=safe, remedy=remedy)
    return _ERRORS.get(fields.text("kind"), RemoteError)(happened, safe=safe, remedy=remedy)
