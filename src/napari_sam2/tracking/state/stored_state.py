"""Conversion of a session's state to pieces of a `ResultStore` and back, bit for bit.

Pieces are JSON and safetensors; reading them runs no code. An object that has not changed since
the last commit keeps its piece.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import is_
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from napari_sam2._limits import load_json
from napari_sam2.errors import Sam2Error
from napari_sam2.labels import PackedMask
from napari_sam2.labels.store.journal import DamagedPieceError, Piece, PiecePlace
from napari_sam2.labels.store.result_store import ResultStore
from napari_sam2.prompts import FramePrompt
from napari_sam2.tracking.decoding.brightness import LightHistory
from napari_sam2.tracking.decoding.prediction import Conditioning, ObjectPrediction, SeenMask
from napari_sam2.tracking.images.object_window import Place, Window, WindowedObject
from napari_sam2.tracking.memory.memory_bank import FrameMemory
from napari_sam2.tracking.memory.object_track import ObjectTrack
from napari_sam2.tracking.model import Model
from napari_sam2.types import ObjectFrame

_Tensors = dict[str, Tensor]

_Known = dict[tuple[Any, ...], tuple[Sequence[object], Piece]]
"""By what a piece is of: the objects that it was made of, and the piece."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredTrack:
    """One object as it was kept.

    Attributes
    ----------
    object_id : int
    done, written : ndarray of bool, shape (T,)
    span : (int, int)
        As of `ObjectTrack`.
    absent_run : int
    conditioning : tuple of (int, Conditioning or None)
        Decided frames in their order; None where the decision is damaged.
    memories : mapping of int to tuple of FrameMemory
        Recent frames by step; a step is left out if a memory of it is damaged.
    """

    object_id: int
    done: NDArray[np.bool_]
    written: NDArray[np.bool_]
    span: tuple[int, int]
    absent_run: int
    conditioning: tuple[tuple[int, Conditioning | None], ...]
    memories: Mapping[int, tuple[FrameMemory, ...]]


class StateWriter:
    """Turns prompts and tracks into pieces and JSON values; remembers what is written already."""

    def __init__(self) -> None:
        self._known: _Known = {}

    def pieces(
        self,
        prompts: Iterable[tuple[int, int, FramePrompt]],
        tracks: Iterable[ObjectTrack],
    ) -> tuple[list[Piece], Callable[[], dict[str, Any]]]:
        """Return all pieces that the state refers to, and a function that gives the state."""
        before, self._known = self._known, {}
        book = {ObjectFrame(number, frame): prompt for number, frame, prompt in prompts}
        prompted = [
            (pair, self._piece(before, ("prompt", *pair), (prompt,), partial(_prompt, prompt)))
            for pair, prompt in book.items()
        ]
        objects = [self._object(before, track, book) for track in tracks]

        def state() -> dict[str, Any]:
            return {
                "prompts": [[*pair, piece.as_list()] for pair, piece in prompted],
                "objects": [each() for each in objects],
            }

        return [piece for _, piece in self._known.values()], state

    def _object(
        self,
        before: _Known,
        track: ObjectTrack,
        book: Mapping[ObjectFrame, FramePrompt],
    ) -> Callable[[], dict[str, Any]]:
        number = track.object_id
        decided = []
        for frame, each in track.conditioning.items():
            own = book.get(ObjectFrame(number, frame))
            made = partial(_conditioning, each, own)
            piece = self._piece(before, ("decided", number, frame), (each, own), made)
            decided.append((frame, piece))
        trails: dict[str, tuple[Piece, list[Piece | None]]] = {}
        for step, memories in track.remembered().items():
            if not memories:
                continue
            key = number, step
            trail = self._piece(before, ("trail", *key), memories, partial(_trail, memories))
            tokens = [
                None
                if each.tokens is None
                else self._piece(
                    before,
                    ("tokens", *key, each.frame),
                    (each.tokens,),
                    partial(_packed, {}, {"tokens": each.tokens}),
                )
                for each in memories
            ]
            trails[str(step)] = trail, tokens
        done, written, absent = _bits(track.done), _bits(track.written), track.absent_run
        span = list(track.span)

        def state() -> dict[str, Any]:
            return {
                "object": number,
                "done": done,
                "written": written,
                "span": span,
                "absent_run": absent,
                "decided": [[frame, piece.as_list()] for frame, piece in decided],
                "memories": {
                    step: [
                        trail.as_list(),
                        [None if piece is None else piece.as_list() for piece in tokens],
                    ]
                    for step, (trail, tokens) in trails.items()
                },
            }

        return state

    def _piece(
        self,
        before: _Known,
        key: tuple[Any, ...],
        made_of: Sequence[object],
        encode: Callable[[], bytes],
    ) -> Piece:
        known = before.get(key)
        if known is None or not _same(known[0], made_of):
            known = made_of, Piece(encode())
        self._known[key] = known
        return known[1]


class StateReader:
    """Reads prompts and tracks from the state of a store.

    Parameters
    ----------
    store : ResultStore
        With a state.
    model : Model
    shape : (T, Y, X)
        Of the stack.

    Attributes
    ----------
    lost : list of ObjectFrame
        Prompts that are damaged; filled by `prompts`.
    """

    def __init__(self, store: ResultStore, model: Model, shape: tuple[int, int, int]) -> None:
        self._store = store
        self._state = store.state or {}
        self._model = model
        self._shape = shape
        self.lost: list[ObjectFrame] = []

    def prompts(self) -> dict[ObjectFrame, FramePrompt]:
        """Return the prompts that are whole."""
        found = {}
        for number, frame, place in self._state["prompts"]:
            pair = ObjectFrame(int(number), int(frame))
            try:
                found[pair] = _read_prompt(*self._read(place))
            except _DAMAGE:
                self.lost.append(pair)
        return found

    def tracks(
        self, prompts: Mapping[ObjectFrame, FramePrompt], *, computed: bool
    ) -> list[StoredTrack]:
        """Return the objects; without what the network computed, unless `computed`."""
        return [self._track(each, prompts, computed) for each in self._state["objects"]]

    def _track(
        self, entry: Mapping[str, Any], prompts: Mapping[ObjectFrame, FramePrompt], computed: bool
    ) -> StoredTrack:
        number = int(entry["object"])
        decided: list[tuple[int, Conditioning | None]] = []
        for frame, place in entry["decided"]:
            own = prompts.get(ObjectFrame(number, int(frame)))
            try:
                found = self._conditioning(*self._read(place), own) if computed else None
            except _DAMAGE:
                found = None
            decided.append((int(frame), found))
        memories = {}
        for step, (trail, tokens) in dict(entry["memories"]).items() if computed else ():
            try:
                memories[int(step)] = self._memories(trail, tokens)
            except _DAMAGE:
                continue
        begin, end = entry.get("span", (0, self._shape[0]))
        return StoredTrack(
            number,
            _from_bits(entry["done"], self._shape[0]),
            _from_bits(entry["written"], self._shape[0]),
            (int(begin), int(end)),
            int(entry["absent_run"]),
            tuple(decided),
            memories,
        )

    def _read(self, place: object) -> tuple[dict[str, Any], _Tensors]:
        return _unpacked(self._store.read(Piece(place=PiecePlace.of(place))))

    def _conditioning(
        self, meta: Mapping[str, Any], tensors: _Tensors, prompt: FramePrompt | None
    ) -> Conditioning:
        if meta["prompt"] is None:
            prompt = None
        elif meta["prompt"] != "own":
            prompt = _read_prompt(meta["prompt"], tensors)
        prediction = None
        if meta["prediction"] is not None:
            iou, presence, window, sighting = meta["prediction"]
            side = self._model.image_size // self._model.config.mask_stride
            prediction = ObjectPrediction(
                self._tensor(tensors["logits"], (side, side)),
                iou,
                presence,
                self._tensor(tensors["pointer"], (self._model.config.width,)),
                _window(window),
                _sighting(sighting),
            )
        pixels = _mask(meta["pixels"], tensors["bits"])
        if pixels.shape != self._shape[1:]:
            raise DamagedPieceError(f"A mask is {pixels.shape}, not {self._shape[1:]}.")
        pixels.unpack()
        return Conditioning(
            int(meta["frame"]),
            pixels,
            _window(meta["window"]),
            _sighting(meta["sighting"]),
            bool(meta["corrects"]),
            prediction,
            prompt,
            bool(meta.get("found", False)),
            bool(meta.get("chosen", False)),
        )

    def _memories(self, trail: object, tokens: Sequence[object]) -> tuple[FrameMemory, ...]:
        meta, tensors = self._read(trail)
        config, pointers = self._model.config, tensors["pointers"]
        cells = (self._model.image_size // 16) ** 2
        found = []
        for (frame, sighting, window), place, pointer in zip(
            meta["frames"], tokens, pointers, strict=True
        ):
            spatial = None
            if place is not None:
                kept = self._read(place)[1]["tokens"]
                spatial = self._tensor(kept, (cells, config.memory_width))
            mask = None
            if window is not None:
                side = self._model.image_size // config.mask_stride
                mask = SeenMask(self._tensor(tensors["mask"], (side, side)), _window(window))
            own = self._tensor(pointer.clone(), (config.width,))
            found.append(FrameMemory(int(frame), spatial, own, _sighting(sighting), mask))
        if "light" in tensors:
            history = LightHistory.unpacked(self._tensor(tensors["light"], (7,)))
            found[-1] = replace(found[-1], history=history)
        return tuple(found)

    def _tensor(self, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
        if tuple(tensor.shape) != shape:
            raise DamagedPieceError(f"A tensor is {tuple(tensor.shape)}, not {shape}.")
        return tensor.to(self._model.device)


_DAMAGE = (
    DamagedPieceError,
    Sam2Error,
    KeyError,
    TypeError,
    ValueError,
    IndexError,
    zlib.error,
    SafetensorError,
)


def _packed(meta: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> bytes:
    head = json.dumps(meta, separators=(",", ":")).encode()
    body = save_tensors({name: t.detach().cpu().contiguous() for name, t in tensors.items()})
    return len(head).to_bytes(4, "little") + head + body


def _unpacked(data: bytes) -> tuple[dict[str, Any], _Tensors]:
    length = int.from_bytes(data[:4], "little")
    meta = load_json(data[4 : 4 + length].decode())
    if not isinstance(meta, dict):
        raise DamagedPieceError("A piece has no description.")
    return meta, load_tensors(data[4 + length :])


def _prompt(prompt: FramePrompt) -> bytes:
    return _packed(*_prompt_parts(prompt))


def _prompt_parts(prompt: FramePrompt) -> tuple[dict[str, Any], _Tensors]:
    meta: dict[str, Any] = {
        "points": prompt.points,
        "positive": prompt.positive,
        "box": prompt.box,
        "rounds": prompt.rounds,
        "mask": None,
    }
    if prompt.mask is None:
        return meta, {}
    packed = PackedMask.of(prompt.mask)
    meta["mask"] = [packed.shape, packed.rows, packed.columns]
    return meta, {"mask": _bytes(packed.bits)}


def _read_prompt(meta: Mapping[str, Any], tensors: _Tensors) -> FramePrompt:
    mask = None
    if meta["mask"] is not None:
        mask = _mask(meta["mask"], tensors["mask"]).unpack()
    return FramePrompt(
        points=tuple(tuple(point) for point in meta["points"]),
        positive=tuple(meta["positive"]),
        box=None if meta["box"] is None else tuple(meta["box"]),
        mask=mask,
        rounds=tuple(meta["rounds"]),
    )


def _mask(values: Sequence[Sequence[Any]], bits: Tensor) -> PackedMask:
    (height, width), (y0, y1), (x0, x1) = values
    return PackedMask(
        (int(height), int(width)),
        (int(y0), int(y1)),
        (int(x0), int(x1)),
        bits.numpy().tobytes(),
    )


def _conditioning(decided: Conditioning, own: FramePrompt | None) -> bytes:
    pixels, prediction = decided.pixels, decided.prediction
    window, sighting = _window_values(decided.window), _sighting_values(decided.sighting)
    meta: dict[str, Any] = {
        "frame": decided.frame,
        "pixels": [pixels.shape, pixels.rows, pixels.columns],
        "window": window,
        "sighting": sighting,
        "corrects": decided.corrects,
        "found": decided.found,
        "chosen": decided.chosen,
        "prediction": None,
        "prompt": None if decided.prompt is None else "own",
    }
    tensors = {"bits": _bytes(pixels.bits)}
    if prediction is not None:
        same = prediction.window is decided.window and prediction.sighting is decided.sighting
        meta["prediction"] = [
            prediction.iou,
            prediction.presence,
            window if same else _window_values(prediction.window),
            sighting if same else _sighting_values(prediction.sighting),
        ]
        tensors |= {"logits": prediction.logits, "pointer": prediction.pointer}
    prompt = decided.prompt
    if prompt is not None and prompt is not own and prompt != own:
        meta["prompt"], more = _prompt_parts(prompt)
        tensors |= more
    return _packed(meta, tensors)


def _trail(memories: Sequence[FrameMemory]) -> bytes:
    mask = next((memory.mask for memory in memories if memory.mask is not None), None)
    tensors = {"pointers": torch.stack([memory.pointer for memory in memories])}
    if mask is not None:
        tensors["mask"] = mask.logits
    if memories[-1].history is not None:
        tensors["light"] = memories[-1].history.packed()
    frames = [
        [
            memory.frame,
            _sighting_values(memory.sighting),
            None if memory.mask is None else _window_values(memory.mask.window),
        ]
        for memory in memories
    ]
    return _packed({"frames": frames}, tensors)


def _same(one: Sequence[object], other: Sequence[object]) -> bool:
    return len(one) == len(other) and all(map(is_, one, other))


def _bytes(data: bytes) -> Tensor:
    return torch.from_numpy(np.frombuffer(data, np.uint8).copy())


def _window_values(window: Window) -> list[int | bool]:
    return [window.top, window.left, window.height, window.width, window.mirrored]


def _window(values: Sequence[Any]) -> Window:
    top, left, height, width, mirrored = values
    if int(height) < 1 or int(width) < 1:
        raise DamagedPieceError("A window has no pixel.")
    return Window(int(top), int(left), int(height), int(width), bool(mirrored))


def _sighting_values(sighting: WindowedObject | None) -> list[Any] | None:
    if sighting is None:
        return None
    return [sighting.place.centre, sighting.place.extent, _window_values(sighting.window)]


def _sighting(values: Sequence[Any] | None) -> WindowedObject | None:
    if values is None:
        return None
    (y, x), extent, window = values
    return WindowedObject(Place((float(y), float(x)), float(extent)), _window(window))


def _bits(flags: NDArray[np.bool_]) -> str:
    return base64.b64encode(zlib.compress(np.packbits(flags).tobytes(), 1)).decode()


def _from_bits(text: str, count: int) -> NDArray[np.bool_]:
    size = -(-count // 8)
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), size + 1)
    except (zlib.error, binascii.Error) as error:
        raise ValueError("Flags of frames are damaged.") from error
    if len(data) != size:
        raise ValueError("Flags of frames have another size.")
    return np.unpackbits(np.frombuffer(data, np.uint8), count=count).astype(bool)
