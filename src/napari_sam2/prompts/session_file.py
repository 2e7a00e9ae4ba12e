"""`SessionFile`: the content of a session file with its masks, and how it is written.

The file is versioned JSON: one prompt per line, masks as run lengths. `session_reader` reads it.
Any thread may use it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field
from functools import partial
from itertools import groupby
from operator import attrgetter
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2._atomic import writing
from napari_sam2.errors import PromptError
from napari_sam2.prompts.book import PromptBook
from napari_sam2.prompts.checks import check_finite, check_frame, check_object_id
from napari_sam2.prompts.frame_prompt import FramePrompt
from napari_sam2.prompts.run_length_masks import (
    checked_run_lengths,
    decode_run_lengths,
    encode_run_lengths,
    run_lengths_of_labels,
    run_lengths_within,
)
from napari_sam2.types import Division, ObjectFrame, Region, StackKind

SESSION_SUFFIX = ".sam2.json"
"""What the names of session files end in."""

FORMAT = "napari-sam2 session"
VERSION = 4

_CHANNELS = "channels"
_KIND = "kind"
MOST_DIGITS = 20
"""Numbers of more digits in texts of a session file are none that it writes, and slow to read."""

JsonScalar = str | int | float | bool | None


MaskPart = tuple[tuple[int, int], NDArray[np.bool_]]
"""Row and column of the first pixel of a part of a mask, and the part, bool (h, w)."""


class MaskStore(Mapping[ObjectFrame, NDArray[np.bool_]]):
    """A read-only store of masks, each unpacked when it is read.

    Parameters
    ----------
    masks : iterable of (ObjectFrame, mask)
        Bool arrays (Y, X); each is let go of before the next one is asked for.
    """

    def __init__(self, masks: Iterable[tuple[ObjectFrame, NDArray[np.bool_]]] = ()) -> None:
        self._runs: dict[ObjectFrame, NDArray[np.int64]] = {}
        self._shapes: dict[ObjectFrame, tuple[int, ...]] = {}
        for pair, mask in masks:
            pixels = np.asarray(mask, dtype=np.bool_)
            runs = np.array(encode_run_lengths(pixels), dtype=np.int64)
            self._put(pair, runs, pixels.shape)

    @classmethod
    def of_lengths(
        cls, masks: Iterable[tuple[ObjectFrame, Sequence[int]]], shape: tuple[int, ...]
    ) -> MaskStore:
        """Store masks of `shape` by their run lengths, without unpacking them.

        Raises
        ------
        PromptError
            As `decode_run_lengths`.
        """
        store = cls()
        for pair, lengths in masks:
            store._put(pair, checked_run_lengths(lengths, shape), shape)
        return store

    @classmethod
    def of_labels(
        cls, pairs: Iterable[ObjectFrame], labels_of: Callable[[int], NDArray[np.integer[Any]]]
    ) -> MaskStore:
        """Store the masks that objects have in the labels of frames.

        Parameters
        ----------
        pairs : iterable of ObjectFrame
            Sorted by frame: the labels of each frame are looked through once, for all objects.
        labels_of : callable
            Gives the labels (Y, X) of a frame.
        """
        store = cls()
        for frame, members in groupby(pairs, attrgetter("frame")):
            ids, labels = [pair.object_id for pair in members], labels_of(frame)
            runs = run_lengths_of_labels(labels, ids)
            for object_id in ids:
                store._put(ObjectFrame(object_id, frame), runs[object_id], labels.shape)
        return store

    @classmethod
    def of_parts(
        cls, masks: Iterable[tuple[ObjectFrame, MaskPart]], shape: tuple[int, int]
    ) -> MaskStore:
        """Store masks of `shape`, of which only the parts that are not empty are looked at."""
        store = cls()
        for pair, (corner, part) in masks:
            store._put(pair, run_lengths_within(part, corner, shape), shape)
        return store

    def _put(self, pair: ObjectFrame, runs: NDArray[np.int64], shape: tuple[int, ...]) -> None:
        self._runs[pair], self._shapes[pair] = runs, shape

    def lengths(self, pair: ObjectFrame) -> list[int]:
        """Return the run lengths of a mask; see `encode_run_lengths`."""
        lengths: list[int] = self._runs[pair].tolist()
        return lengths

    def shape(self, pair: ObjectFrame) -> tuple[int, ...]:
        """Return the shape of a mask."""
        return self._shapes[pair]

    def __getitem__(self, pair: ObjectFrame) -> NDArray[np.bool_]:
        mask = decode_run_lengths(self.lengths(pair), self._shapes[pair])
        mask.setflags(write=False)
        return mask

    def __contains__(self, pair: object) -> bool:
        return pair in self._runs

    def __iter__(self) -> Iterator[ObjectFrame]:
        return iter(self._runs)

    def __len__(self) -> int:
        return len(self._runs)


@dataclass(frozen=True, slots=True, eq=False)
class SessionFile:
    """A session as it is stored on disk, with everything that is needed to replay it on a stack.

    Attributes
    ----------
    book : PromptBook
        The prompts, with the shape of the stack they were made for.
    accepted : tuple of ObjectFrame
        What the user accepted: conditioning frames that are never overwritten; frame by frame.
    accepted_masks : MaskStore
        The pixels of accepted frames (all False: accepted as absent); each also in `accepted`.
    results : MaskStore
        What came of prompts that correct a tracked frame (all False: the object was corrected
        away), and would not come of them alone; each belongs to a prompt.
    handed_over : frozenset of ObjectFrame
        Mask prompts that come from the former volume instead of the user.
    divisions : tuple of Division
        Objects that divide; the session that replays the file checks them against each other.
    spans : mapping of int to (int, int)
        First frame and end (excluded) of objects that are part of a split one.
    settings : mapping of str to str, int, float, bool or None
        Settings and other facts of the session, such as the model's name.
    contrast : tuple of (low, high)
        Intensity range per channel, or one for all; empty if it was not chosen.
    axis : int, optional
        The video axis of the image.
    at : mapping of int to int
        Positions on the other leading axes of the image: axis to index.
    region : Region, optional
        The part of the image that its frames are: prompts and masks count from its corner.
    names : mapping of int to str
        Names of the objects.
    found : frozenset of int
        Tentative objects: found by a search and not reviewed yet.
    """

    book: PromptBook
    accepted: tuple[ObjectFrame, ...] = ()
    accepted_masks: MaskStore = field(default_factory=MaskStore)
    settings: Mapping[str, JsonScalar] = field(default_factory=dict)
    contrast: tuple[tuple[float, float], ...] = ()
    axis: int | None = None
    at: Mapping[int, int] = field(default_factory=dict)
    region: Region | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    results: MaskStore = field(default_factory=MaskStore)
    handed_over: frozenset[ObjectFrame] = frozenset()
    found: frozenset[int] = frozenset()
    divisions: tuple[Division, ...] = ()
    spans: Mapping[int, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        pairs = {self._checked_pair(*pair) for pair in self.accepted}
        accepted = tuple(sorted(pairs, key=ObjectFrame.by_frame))
        if self.region is not None and self.region.shape != self.book.shape[1:]:
            raise PromptError(
                f"The region is {self.region.shape} pixels, the frame {self.book.shape[1:]}.",
                remedy="Correct one of them in the file.",
            )
        contrast = tuple((float(low), float(high)) for low, high in self.contrast)
        for low, high in contrast:
            check_finite(low, "contrast limit")
            check_finite(high, "contrast limit")
        check_settings(self.settings)
        object.__setattr__(self, "accepted", accepted)
        self._check_masks(self.accepted_masks, frozenset(accepted), "accepted")
        prompted = frozenset(ObjectFrame(number, frame) for number, frame, _ in self.book)
        self._check_masks(self.results, prompted, "prompted")
        object.__setattr__(self, "handed_over", frozenset(self.handed_over) & prompted)
        object.__setattr__(self, "found", frozenset(self.found) & set(self.book.object_ids()))
        object.__setattr__(self, "divisions", tuple(map(self._checked_division, self.divisions)))
        spans = {check_object_id(n): self._checked_span(n, *s) for n, s in self.spans.items()}
        object.__setattr__(self, "spans", MappingProxyType(spans))
        object.__setattr__(self, "settings", MappingProxyType(dict(self.settings)))
        object.__setattr__(self, "contrast", contrast)
        object.__setattr__(self, "at", MappingProxyType(dict(self.at)))
        names = {check_object_id(number): str(name) for number, name in self.names.items()}
        object.__setattr__(self, "names", MappingProxyType(names))

    @classmethod
    def of_masks(
        cls,
        book: PromptBook,
        accepted: Iterable[ObjectFrame],
        labels_of: Callable[[int], NDArray[np.integer[Any]]],
        results: Iterable[tuple[ObjectFrame, MaskPart]],
        *,
        handed_over: frozenset[ObjectFrame],
        settings: Mapping[str, JsonScalar],
        contrast: tuple[tuple[float, float], ...],
        axis: int | None,
        at: Mapping[int, int],
        region: Region | None,
        names: Mapping[int, str] | None = None,
        found: Iterable[int] = (),
        divisions: Iterable[Division] = (),
        spans: Mapping[int, tuple[int, int]] | None = None,
    ) -> SessionFile:
        """Return the session file of prompts, with accepted masks as they are in labels.

        What it takes grows with the frames that have accepted masks, and with the objects of these
        frames, but not with the product of objects and pixels.

        Parameters
        ----------
        book : PromptBook
        accepted : iterable of ObjectFrame
        labels_of : callable
            Gives the labels (Y, X) of a frame.
        results : iterable of (ObjectFrame, MaskPart)
        handed_over, settings, contrast, axis, at, region, names, found, divisions, spans
            As the attributes.
        """
        pairs = sorted(accepted, key=ObjectFrame.by_frame)
        masks = MaskStore.of_labels(pairs, labels_of)
        frame_shape = book.shape[1], book.shape[2]
        return cls(
            book,
            accepted=tuple(pairs),
            accepted_masks=masks,
            settings=settings,
            contrast=contrast,
            axis=axis,
            at=at,
            region=region,
            names=names or {},
            results=MaskStore.of_parts(results, frame_shape),
            handed_over=handed_over,
            found=frozenset(found),
            divisions=tuple(divisions),
            spans=spans or {},
        )

    @property
    def channels(self) -> tuple[int, ...] | None:
        """The channels of the composed image, if they were chosen; see `of_channels`."""
        text = self.settings.get(_CHANNELS)
        numbers = str(text).split(",") if text is not None else []
        short = [number.strip() for number in numbers if len(number) < MOST_DIGITS]
        return tuple(int(number) for number in short if number.isdecimal()) or None

    @property
    def kind(self) -> StackKind:
        """What the frames are, if the settings contain it; see `of_kind`."""
        return kind_of(self.settings)

    def _checked_pair(self, object_id: int, frame: int) -> ObjectFrame:
        frame = check_frame(frame, self.book.shape[0])
        return ObjectFrame(check_object_id(object_id), frame)

    def _checked_division(self, division: Division) -> Division:
        children = tuple(check_object_id(child) for child in division.children)
        frame = check_frame(division.frame, self.book.shape[0])
        return Division(check_object_id(division.parent), children, frame)

    def _checked_span(self, object_id: int, begin: int, end: int) -> tuple[int, int]:
        if not 0 <= begin < end <= self.book.shape[0]:
            raise PromptError(
                f"Object {object_id} cannot be in frames {begin} to {end} (end excluded) of "
                f"{self.book.shape[0]}.",
                remedy="Correct the span in the file.",
            )
        return begin, end

    def elsewhere(self) -> PromptBook:
        """Return the prompts that mean something on another stack.

        Background clicks alone only correct what was tracked on this one.
        """
        book = self.book.copy()
        for object_id, frame, prompt in self.book:
            says_where = any(prompt.positive) or prompt.box is not None or prompt.mask is not None
            if ObjectFrame(object_id, frame) in self.results and not says_where:
                book.remove(object_id, frame)
        return book

    def _check_masks(self, masks: MaskStore, places: frozenset[ObjectFrame], kind: str) -> None:
        for pair in masks:
            object_id, frame = pair
            if pair not in places:
                raise PromptError(
                    f"Frame {frame} has a mask of object {object_id} but is not {kind}.",
                    remedy="Leave the mask out.",
                )
            shape = masks.shape(pair)
            if shape != self.book.shape[1:]:
                raise PromptError(
                    f"The mask of object {object_id} in frame {frame}, which is {kind}, is "
                    f"{shape} pixels, the frame {self.book.shape[1:]}.",
                    remedy="Use the session with an image of the size it was made for.",
                )


def of_channels(channels: tuple[int, ...]) -> dict[str, str]:
    """Return the setting that chooses channels for the composed image."""
    return {_CHANNELS: ",".join(map(str, channels))}


def of_kind(kind: StackKind) -> dict[str, str]:
    """Return the setting of the kind of frames; empty if it is unknown."""
    return {} if kind is StackKind.UNKNOWN else {_KIND: kind.value}


def kind_of(settings: Mapping[str, object]) -> StackKind:
    """Return the kind of frames in settings; UNKNOWN for one of a later version."""
    name = settings.get(_KIND)
    return next((each for each in StackKind if each == name), StackKind.UNKNOWN)


def check_settings(settings: Mapping[str, object]) -> None:
    """Raise `PromptError` unless all settings are something that JSON keeps exactly."""
    for name, value in settings.items():
        plain = value is None or isinstance(value, (str, int, float))
        if not plain or (isinstance(value, float) and not math.isfinite(value)):
            raise PromptError(
                f"The setting {name!r} = {value!r} cannot be kept in a session file.",
                remedy="Use text, finite numbers, True, False or None.",
            )


def write_session(session: SessionFile, path: str | PathLike[str]) -> None:
    """Write a session file, atomically: a failure leaves the former file whole."""
    write_sessions([session], path)


def write_sessions(sessions: Sequence[SessionFile], path: str | PathLike[str]) -> None:
    """Write the sessions of one or more stacks of an image to one file, atomically."""
    with (
        writing(Path(path), "The prompts", PromptError) as temporary,
        temporary.open("x", encoding="utf-8", newline="\n") as file,
    ):
        file.write(sessions_to_json(sessions))


_OF_ONE_STACK = 3  # version of a file that holds one session


def prompts_to_json(book: PromptBook) -> str:
    """Return the prompts as the text of a session file."""
    return session_to_json(SessionFile(book))


def session_to_json(session: SessionFile) -> str:
    """Return the text of a session file; blocks that are empty are left out."""
    return sessions_to_json([session])


def sessions_to_json(sessions: Sequence[SessionFile]) -> str:
    """Return the text of a session file that holds the sessions of one or more stacks.

    That of one stack is of the version that holds no more, which earlier releases read.
    """
    if len(sessions) == 1:
        head = {"format": _text(FORMAT), "version": _text(_OF_ONE_STACK)}
        return f"{_joined({**head, **_blocks(sessions[0])})}\n"
    head = {"format": _text(FORMAT), "version": _text(VERSION)}
    stacks = "[\n" + ",\n".join(_joined(_blocks(session)) for session in sessions) + "\n ]"
    return f"{_joined({**head, 'stacks': stacks})}\n"


def _blocks(session: SessionFile) -> dict[str, str]:
    """Return the blocks of one stack by name."""
    blocks = {"shape": _text(session.book.shape)}
    if session.axis is not None:
        blocks["axis"] = _text(session.axis)
    if session.at:
        blocks["at"] = _text({str(axis): where for axis, where in session.at.items()})
    if session.region is not None:
        blocks["region"] = _text(astuple(session.region))
    if session.contrast:
        blocks["contrast"] = _text(session.contrast)
    if session.settings:
        blocks["settings"] = _text(dict(session.settings))
    if session.names:
        blocks["names"] = _text({str(number): name for number, name in session.names.items()})
    if session.found:
        blocks["found"] = _text(sorted(session.found))
    blocks["prompts"] = _lines([_prompt_text(*entry, session) for entry in session.book])
    if session.accepted:
        blocks["accepted"] = _lines([_accepted_text(pair, session) for pair in session.accepted])
    if session.divisions:
        blocks["divisions"] = _lines([_text(asdict(each)) for each in session.divisions])
    if session.spans:
        blocks["spans"] = _text({str(number): span for number, span in session.spans.items()})
    return blocks


def _joined(blocks: dict[str, str]) -> str:
    body = ",\n".join([f" {_text(name)}: {text}" for name, text in blocks.items()])
    return f"{{\n{body}\n}}"


_text = partial(json.dumps, allow_nan=False)


def _lines(entries: list[str]) -> str:
    body = ",\n".join(["  " + entry for entry in entries])
    return f"[\n{body}\n ]" if body else "[]"


def _prompt_text(object_id: int, frame: int, prompt: FramePrompt, session: SessionFile) -> str:
    entry: dict[str, object] = {"object": object_id, "frame": frame}
    if prompt.points:
        entry |= {"points": prompt.points, "positive": prompt.positive}
    if len(prompt.rounds) > 1:
        entry["rounds"] = prompt.rounds
    if prompt.box is not None:
        entry["box"] = prompt.box
    if prompt.mask is not None:
        entry["mask"] = encode_run_lengths(prompt.mask)
    pair = ObjectFrame(object_id, frame)
    if pair in session.results:
        entry["result"] = session.results.lengths(pair)
    if pair in session.handed_over:
        entry["handed_over"] = True
    return _text(entry)


def _accepted_text(pair: ObjectFrame, session: SessionFile) -> str:
    entry: dict[str, object] = {"frame": pair.frame, "object": pair.object_id}
    if pair in session.accepted_masks:
        entry["mask"] = session.accepted_masks.lengths(pair)
    return _text(entry)
