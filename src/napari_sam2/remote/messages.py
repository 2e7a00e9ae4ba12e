"""`Message`: what client and server send each other: JSON and blocks of bytes, never code.

A message is ``NS2`` and a version byte, the length of the JSON as 4 bytes, the JSON object, and
the blocks one after the other; the JSON gives their lengths. Any thread may use this module.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from napari_sam2._limits import load_json

PROTOCOL_VERSION = 1
"""Version of the messages; client and server must have the same."""

PROTOCOL_HEADER = "X-Napari-Sam2-Protocol"
"""Header of every request and answer that gives the version."""

CLIENT_HEADER = "X-Napari-Sam2-Client"
"""Header of every request that tells the clients of a server apart."""

MEDIA_TYPE = "application/vnd.napari-sam2"

MOST_HEAD_BYTES = 2**26
"""Bytes of the JSON of one message."""

MOST_BLOCKS = 2**20
"""Blocks of one message."""

HASH_BYTES = 16
"""Bytes of a content hash, of frames and of items."""

_MAGIC = b"NS2" + bytes([PROTOCOL_VERSION])
_FIXED = len(_MAGIC) + 4


class MessageError(ValueError):
    """A message is damaged, or holds something else than it should."""


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """JSON values, and blocks of bytes that they refer to by number.

    Attributes
    ----------
    head : mapping
    blocks : sequence of bytes
    """

    head: Mapping[str, Any]
    blocks: Sequence[bytes] = ()

    def encode(self) -> bytes:
        """Return the message as bytes."""
        sizes = [len(block) for block in self.blocks]
        text = json.dumps({**self.head, "blocks": sizes}, separators=(",", ":"), allow_nan=False)
        head = text.encode()
        return b"".join((_MAGIC, len(head).to_bytes(4, "little"), head, *self.blocks))

    @classmethod
    def decode(cls, data: bytes) -> Message:
        """Read a message.

        Raises
        ------
        MessageError
            It is none, or of another version.
        """
        if data[: len(_MAGIC)] != _MAGIC or len(data) < _FIXED:
            raise MessageError("It is no message of this version.")
        length = int.from_bytes(data[len(_MAGIC) : _FIXED], "little")
        if length > min(MOST_HEAD_BYTES, len(data) - _FIXED):
            raise MessageError("It is cut off, or its JSON is too long.")
        try:
            head = load_json(data[_FIXED : _FIXED + length].decode(), parse_constant=_refuse)
        except ValueError as error:
            raise MessageError("Its JSON is damaged.") from error
        if not isinstance(head, dict):
            raise MessageError("Its JSON is no object.")
        sizes = head.pop("blocks", None)
        if not isinstance(sizes, list) or len(sizes) > MOST_BLOCKS:
            raise MessageError("It does not say which blocks it has.")
        if not all(type(size) is int and size >= 0 for size in sizes):
            raise MessageError("A block has no length.")
        if sum(sizes) != len(data) - _FIXED - length:
            raise MessageError("Its blocks have another length than it says.")
        blocks, at = [], _FIXED + length
        for size in sizes:
            blocks.append(bytes(data[at : at + size]))
            at += size
        return cls(head, tuple(blocks))


def _refuse(name: str) -> float:
    raise MessageError(f"{name} is no number.")


@dataclass(slots=True, eq=False)
class MessageBuilder:
    """Collects the blocks of a message that is being written."""

    blocks: list[bytes] = field(default_factory=list)

    def add(self, block: bytes) -> int:
        """Add a block; return its number."""
        self.blocks.append(block)
        return len(self.blocks) - 1

    def message(self, head: Mapping[str, Any]) -> Message:
        """Return the message."""
        return Message(head, tuple(self.blocks))


def framed(message: Message) -> bytes:
    """Return a message as one of a stream: its length as 4 bytes, then itself."""
    data = message.encode()
    return len(data).to_bytes(4, "little") + data


def unframed(chunks: Iterable[bytes], most_bytes: int) -> Iterator[Message]:
    """Yield the messages of a stream that comes in chunks.

    Raises
    ------
    MessageError
        A message is damaged or larger than `most_bytes`.
    EOFError
        The stream ends within a message.
    """
    waiting = bytearray()
    for chunk in chunks:
        waiting += chunk
        while len(waiting) >= 4:
            size = int.from_bytes(waiting[:4], "little")
            if size > most_bytes:
                raise MessageError(f"A message has {size} bytes, more than {most_bytes}.")
            if len(waiting) < 4 + size:
                break
            yield Message.decode(bytes(waiting[4 : 4 + size]))
            del waiting[: 4 + size]
    if waiting:
        raise EOFError("The stream ends within a message.")


class Fields:
    """Reads checked values from the JSON of a message; whatever does not fit is an error.

    Parameters
    ----------
    values : object
        A JSON object.
    """

    def __init__(self, values: object) -> None:
        if not isinstance(values, Mapping):
            raise MessageError("An object was expected.")
        self._values = values

    def has(self, name: str) -> bool:
        """Return whether the value exists and is not null."""
        return self._values.get(name) is not None

    def raw(self, name: str) -> Any:
        """Return a value as it is."""
        if name not in self._values:
            raise MessageError(f"There is no {name}.")
        return self._values[name]

    def whole(self, name: str, least: int, most: int) -> int:
        """Return a whole number within bounds."""
        return whole(self.raw(name), least, most, name)

    def number(self, name: str) -> float:
        """Return a finite number."""
        return number(self.raw(name), name)

    def truth(self, name: str) -> bool:
        """Return true or false."""
        value = self.raw(name)
        if not isinstance(value, bool):
            raise MessageError(f"{name} is neither true nor false.")
        return value

    def text(self, name: str, most: int = 1000) -> str:
        """Return text."""
        value = self.raw(name)
        if not isinstance(value, str) or len(value) > most:
            raise MessageError(f"{name} is no text of at most {most} characters.")
        return value

    def fields(self, name: str) -> Fields:
        """Return an object."""
        return Fields(self.raw(name))

    def items(self, name: str, most: int, width: int | None = None) -> list[Any]:
        """Return a list; of lists of `width` values each, if given. It may be left out: empty."""
        found = items(self._values.get(name, []), most, name)
        if width is not None:
            for each in found:
                if not isinstance(each, list) or len(each) != width:
                    raise MessageError(f"{name} does not consist of lists of {width}.")
        return found


def items(value: object, most: int, name: str = "value") -> list[Any]:
    """Return a checked list."""
    if not isinstance(value, list) or len(value) > most:
        raise MessageError(f"{name} is no list of at most {most} values.")
    return value


def whole(value: object, least: int, most: int, name: str = "value") -> int:
    """Return a checked whole number."""
    if type(value) is not int or not least <= value <= most:
        raise MessageError(f"{name} is no whole number from {least} to {most}.")
    return value


def number(value: object, name: str = "value") -> float:
    """Return a checked finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MessageError(f"{name} is no number.")
    try:
        found = float(value)
    except OverflowError as error:
        raise MessageError(f"{name} is no number.") from error
    if not math.isfinite(found):
        raise MessageError(f"{name} is no number.")
    return found


def hash_bytes(value: object, name: str = "hash") -> bytes:
    """Return a checked hash, which JSON holds as hexadecimal digits."""
    if not isinstance(value, str) or len(value) != 2 * HASH_BYTES:
        raise MessageError(f"A {name} is {2 * HASH_BYTES} hexadecimal digits.")
    try:
        return bytes.fromhex(value)
    except ValueError as error:
        raise MessageError(f"A {name} is {2 * HASH_BYTES} hexadecimal digits.") from error
