"""The reader of session files; its errors name the value that is wrong, as ``prompts[3].box``."""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_sam2._limits import (
    MOST_FRAME_PIXELS,
    MOST_MASK_PIXELS,
    MOST_POINTS,
    MOST_WHOLE_NUMBER,
    load_json,
)
from napari_sam2.errors import PromptError
from napari_sam2.prompts.book import PromptBook
from napari_sam2.prompts.checks import check_shape
from napari_sam2.prompts.frame_prompt import FramePrompt, Point
from napari_sam2.prompts.run_length_masks import decode_run_lengths
from napari_sam2.prompts.session_file import (
    FORMAT,
    MOST_DIGITS,
    VERSION,
    JsonScalar,
    MaskStore,
    SessionFile,
)
from napari_sam2.prompts.translate import moved_book
from napari_sam2.types import Division, ObjectFrame, Region

_NAMED = 5  # positions in an error

Kind = TypeVar("Kind", int, float, bool, str)

_NAMES = {
    int: "a whole number",
    bool: "true or false",
    str: "text",
    list: "a list [...]",
    dict: "an object {...}",
}


@dataclass(frozen=True, slots=True)
class JsonNode:
    """One value of a JSON file and its path, such as ``prompts[3].box``."""

    value: object
    place: str

    def whole_number(self) -> int:
        """Return the value as an int of 64 bits."""
        value = self._of(int)
        if abs(value) > MOST_WHOLE_NUMBER:
            raise self.error("is a number that is too large.", "Correct it in the file.")
        return value

    def number(self) -> float:
        """Return the value as a float."""
        return float(self.value) if type(self.value) is float else float(self.whole_number())

    def truth(self) -> bool:
        """Return the value as a bool."""
        return self._of(bool)

    def text(self) -> str:
        """Return the value as a str."""
        return self._of(str)

    def items(self) -> list[JsonNode]:
        """Return the values of a list."""
        if type(self.value) is not list:
            raise self._not_a(list)
        return [JsonNode(value, f"{self.place}[{at}]") for at, value in enumerate(self.value)]

    def fields(self) -> dict[str, JsonNode]:
        """Return the values of an object by name."""
        if type(self.value) is not dict:
            raise self._not_a(dict)
        prefix = f"{self.place}." if self.place else ""
        return {name: JsonNode(value, prefix + name) for name, value in self.value.items()}

    def error(self, complaint: str, remedy: str) -> PromptError:
        """Return the error that names this place."""
        place = self.place if len(self.place) <= 80 else self.place[:77] + "..."
        return PromptError(f"{place or 'The file'} {complaint}", remedy=remedy)

    def _of(self, kind: type[Kind]) -> Kind:
        # type() rather than isinstance(): in Python, true is also the whole number 1.
        if type(self.value) is not kind:
            raise self._not_a(kind)
        return self.value

    def _not_a(self, kind: type) -> PromptError:
        found = reprlib.repr(self.value)  # short, however much there is
        found = found if len(found) <= 40 else found[:37] + "..."
        return self.error(f"must be {_NAMES[kind]}, not {found}.", "Correct it in the file.")


_PROMPT_FIELDS = {
    *("object", "frame", "points", "positive", "box", "mask", "rounds"),
    *("result", "handed_over"),
}


def session_from_json(
    text: str,
    shape: Sequence[int] | None = None,
    *,
    image: Sequence[int] | None = None,
    at: Mapping[int, int] | None = None,
) -> SessionFile:
    """Return the session that the text of a session file describes.

    Parameters
    ----------
    text : str
    shape : (T, Y, X), optional
        The stack on which the session is to be used; by default the one it was made for.
        Prompts must lie inside it; masks must have its frame size. The prompts of a part of an
        image are put in their place in frames that hold the part and more.
    image : sequence of int, optional
        Shape (..., Y, X) of the image that the session is for: one of larger frames
        is refused.
    at : mapping of int to int, optional
        Which session is meant where the file holds those of several stacks: see `session_at`.

    Raises
    ------
    PromptError
        Not a session file, a later version, or a value that is wrong: the error names its place.
    """
    return session_at(sessions_from_json(text, shape, image=image), at)


def sessions_from_json(
    text: str, shape: Sequence[int] | None = None, *, image: Sequence[int] | None = None
) -> tuple[SessionFile, ...]:
    """Return the sessions of all stacks that a session file holds, at least one.

    Parameters
    ----------
    text, shape, image
        As in `session_from_json`.

    Raises
    ------
    PromptError
        As in `session_from_json`; or two sessions are of one stack.
    """
    root = JsonNode(_parsed(text), "")
    blocks = root.fields() if isinstance(root.value, dict) else {}
    _check_version(root, blocks)
    if "stacks" not in blocks:
        parts = [blocks]
    else:
        parts = [node.fields() for node in blocks["stacks"].items()]
        if not parts:
            raise blocks["stacks"].error("holds no session.", "Choose another session file.")
    _check_mask_sizes(parts, shape, image)
    sessions: list[SessionFile] = []
    for part in parts:
        session = _session_of(part, shape)
        if any(session.at == other.at for other in sessions):
            raise PromptError(
                f"The position {_position(session.at)} is given twice.",
                remedy="Leave one of the two sessions out.",
            )
        sessions.append(session)
    return tuple(sessions)


def session_at(sessions: Sequence[SessionFile], at: Mapping[int, int] | None = None) -> SessionFile:
    """Return the session of the stack at some positions; the only one there is without them.

    Parameters
    ----------
    sessions : sequence of SessionFile
    at : mapping of int to int, optional
        Positions on the axes that are held: axis to index.

    Raises
    ------
    PromptError
        There are several, and none is of that stack, or none was asked for.
    """
    if len(sessions) == 1:
        return sessions[0]
    for session in sessions:
        if at is not None and dict(session.at) == dict(at):
            return session
    positions = "; ".join(_position(session.at) for session in sessions[:_NAMED])
    more = "" if len(sessions) <= _NAMED else f" and {len(sessions) - _NAMED} more"
    asked = f", and none at {_position(at)}" if at else ""
    raise PromptError(
        f"The file holds the sessions of {len(sessions)} stacks, at {positions}{more}{asked}.",
        remedy="Say which of them is meant, with --at or at={axis: index}.",
    )


def _session_of(
    blocks: dict[str, JsonNode],
    shape: Sequence[int] | None,
) -> SessionFile:
    """Return the session of one stack."""
    made_for = _shape_of(blocks)
    prompts = _block(blocks, "prompts").items()
    region = _read_region(blocks.get("region"))
    wanted = made_for if shape is None else check_shape(shape)
    inside = region is not None and made_for[1:] != wanted[1:]
    book = PromptBook(made_for if inside else wanted)
    results: dict[ObjectFrame, list[int]] = {}
    handed_over: set[ObjectFrame] = set()
    for node in prompts:
        fields, place = _read_prompt(node, book, made_for)
        # What came of prompts in frames of another size is nothing that could come of them here.
        if "result" in fields and wanted[1:] == made_for[1:]:
            results[place] = _run_lengths(fields["result"])
        if "handed_over" in fields and fields["handed_over"].truth():
            handed_over.add(place)
    if region is not None and inside:
        book = _out_of(region, book, wanted)
    accepted, accepted_masks = _read_accepted(blocks.get("accepted"), made_for)
    return SessionFile(
        book=book,
        accepted=accepted,
        accepted_masks=accepted_masks,
        settings=_read_settings(blocks.get("settings")),
        contrast=_read_contrast(blocks.get("contrast")),
        axis=blocks["axis"].whole_number() if "axis" in blocks else None,
        at=_read_at(blocks.get("at")),
        # Prompts for another stack are not where the region was.
        region=region if wanted == made_for else None,
        names=_read_names(blocks.get("names")),
        results=MaskStore.of_lengths(results.items(), made_for[1:]),
        handed_over=frozenset(handed_over),
        found=frozenset(n.whole_number() for n in blocks["found"].items())
        if "found" in blocks
        else frozenset(),
        # Other objects divide on another stack.
        divisions=_read_divisions(blocks.get("divisions")) if wanted == made_for else (),
        spans=_read_spans(blocks.get("spans")) if wanted == made_for else {},
    )


def _out_of(region: Region, book: PromptBook, shape: tuple[int, int, int]) -> PromptBook:
    """Return the prompts of a part of the frames as they are in the whole frames.

    Raises
    ------
    PromptError
        The frames do not hold that part.
    """
    if region.shape != book.shape[1:] or region.y1 > shape[1] or region.x1 > shape[2]:
        raise PromptError(
            f"The session is of the part {region.y0}:{region.y1}, {region.x0}:{region.x1} of its "
            f"image, and frames of {shape[1]} x {shape[2]} pixels do not hold that.",
            remedy="Use it with the image that it was made for, or with that part alone.",
        )
    return moved_book(book, (-region.y0, -region.x0), shape)


def _parsed(text: str) -> object:
    try:
        content: object = load_json(text, parse_constant=_refuse_constant)
        return content
    except json.JSONDecodeError as error:
        raise PromptError(
            f"The file is not valid JSON: {error.msg} in line {error.lineno}, "
            f"column {error.colno}.",
            remedy="The file may be cut off; use a backup or write the session again.",
        ) from error
    except ValueError as error:
        raise PromptError(
            f"The file is JSON that no session file contains: {error}.",
            remedy="Choose a session file that napari-sam2 wrote.",
        ) from error


def _refuse_constant(name: str) -> NoReturn:
    raise PromptError(
        f"The file contains {name}, which is no number.", remedy="Give every number as finite."
    )


def _check_version(root: JsonNode, blocks: dict[str, JsonNode]) -> None:
    if "format" not in blocks or blocks["format"].value != FORMAT:
        raise root.error(
            f'does not say "format": "{FORMAT}".',
            "Choose a session file that napari-sam2 wrote, or a CSV of prompts.",
        )
    version = _block(blocks, "version").whole_number()
    if version > VERSION:
        raise PromptError(
            f"The session file has version {version}; this napari-sam2 reads up to {VERSION}.",
            safe="The file has not been changed.",
            remedy="Update it: python -m pip install --upgrade napari-sam2.",
        )
    if version < 1:
        raise blocks["version"].error("must be 1 or more.", "Correct it in the file.")


def _block(blocks: dict[str, JsonNode], name: str) -> JsonNode:
    if name not in blocks:
        raise PromptError(f'"{name}" is missing.', remedy="Add it to the file.")
    return blocks[name]


def _read_prompt(
    node: JsonNode, book: PromptBook, made_for: tuple[int, int, int]
) -> tuple[dict[str, JsonNode], ObjectFrame]:
    """Add a prompt to the book; return its fields and its object and frame."""
    fields = node.fields()
    unknown = sorted(set(fields) - _PROMPT_FIELDS)
    if unknown:
        raise node.error(
            f"has the unknown field {unknown[0]!r}.", f"Known are {sorted(_PROMPT_FIELDS)}."
        )
    object_id = _block(fields, "object").whole_number()
    frame = _block(fields, "frame").whole_number()
    try:
        if book.get(object_id, frame) is not None:
            raise PromptError(
                f"Object {object_id} in frame {frame} is given twice.",
                remedy="Join the entries, or give the second object its own number.",
            )
        book.put(object_id, frame, _frame_prompt(fields, made_for))
    except PromptError as error:
        raise PromptError(
            f"{node.place}: {error.happened}", safe=error.safe, remedy=error.remedy
        ) from error
    return fields, ObjectFrame(object_id, frame)


def _frame_prompt(fields: dict[str, JsonNode], made_for: tuple[int, int, int]) -> FramePrompt:
    positive = fields["positive"].items() if "positive" in fields else []
    rounds = fields["rounds"].items() if "rounds" in fields else []
    box = [corner.number() for corner in fields["box"].items()] if "box" in fields else None
    return FramePrompt(
        points=_read_points(fields["points"]) if "points" in fields else (),
        positive=tuple(value.truth() for value in positive),
        box=box,  # type: ignore[arg-type]
        mask=_read_mask(fields["mask"], made_for[1:]) if "mask" in fields else None,
        rounds=tuple(count.whole_number() for count in rounds),
    )


def _read_points(node: JsonNode) -> tuple[Point, ...]:
    value = node.value
    if type(value) is list and len(value) > MOST_POINTS:
        raise node.error(
            f"holds {len(value)} points, more than {MOST_POINTS}.", "Give the object's mask."
        )
    return tuple(tuple(number.number() for number in each.items()) for each in node.items())  # type: ignore[misc]


def _run_lengths(node: JsonNode) -> list[int]:
    value = node.value
    if type(value) is list and all(type(length) is int for length in value):
        return value  # a node for each would take most of the time
    return [length.whole_number() for length in node.items()]


def _read_mask(node: JsonNode, shape: tuple[int, int]) -> NDArray[np.bool_]:
    lengths = _run_lengths(node)
    if not any(lengths[1::2]):
        raise node.error("is empty.", "Leave the prompt out.")
    try:
        mask = decode_run_lengths(lengths, shape)
    except MemoryError as error:
        raise node.error(
            f"does not fit into memory at {shape[0]} x {shape[1]} pixels.",
            "Use a machine with more memory, or a part of the image.",
        ) from error
    for owner in (mask.base, mask):
        if isinstance(owner, np.ndarray):
            owner.setflags(write=False)  # so that the prompt keeps it without a copy
    return mask


def _shape_of(blocks: dict[str, JsonNode]) -> tuple[int, int, int]:
    return check_shape(tuple(n.whole_number() for n in _block(blocks, "shape").items()))


def _check_mask_sizes(
    parts: Sequence[dict[str, JsonNode]],
    shape: Sequence[int] | None,
    image: Sequence[int] | None,
) -> None:
    """Refuse more pixels of mask prompts than sessions can hold, before one is unpacked."""
    known = shape if image is None else image
    largest = max(0 if known is None else math.prod(known[-2:]), MOST_FRAME_PIXELS)
    total = 0
    for blocks in parts:
        made_for = _shape_of(blocks)
        _check_frame_size(made_for, image)
        _, height, width = made_for
        prompts = _block(blocks, "prompts").items()
        count = sum(type(node.value) is dict and "mask" in node.value for node in prompts)
        total += count * height * width
        if count and (height * width > largest or total > MOST_MASK_PIXELS):
            raise PromptError(
                f"The session would take {count} mask(s) of {height} x {width} pixels, more than "
                "can be.",
                remedy="Correct the shape in the file, or use it with the image it was made for.",
            )


def _check_frame_size(made_for: tuple[int, int, int], image: Sequence[int] | None) -> None:
    if image is not None and (made_for[1] > image[-2] or made_for[2] > image[-1]):
        raise PromptError(
            f"The session was made for frames of {made_for[1]} x {made_for[2]} pixels, the image "
            f"has {image[-2]} x {image[-1]}.",
            remedy="Use it with the image that it was made for.",
        )


def _read_accepted(
    node: JsonNode | None, made_for: tuple[int, int, int]
) -> tuple[tuple[ObjectFrame, ...], MaskStore]:
    entries: list[tuple[ObjectFrame, dict[str, JsonNode]]] = []
    for entry in [] if node is None else node.items():
        fields = entry.fields()
        frame = _block(fields, "frame").whole_number()
        pair = ObjectFrame(_block(fields, "object").whole_number(), frame)
        entries.append((pair, fields))
    lengths = ((pair, _run_lengths(fields["mask"])) for pair, fields in entries if "mask" in fields)
    masks = MaskStore.of_lengths(lengths, made_for[1:])
    return tuple(pair for pair, _ in entries), masks


def _read_settings(node: JsonNode | None) -> dict[str, JsonScalar]:
    fields = {} if node is None else node.fields()
    settings: dict[str, JsonScalar] = {}
    for name, field in fields.items():
        if isinstance(field.value, (list, dict)):
            raise field.error("must be a single value.", "Use text, a number, true, false or null.")
        settings[name] = field.value  # type: ignore[assignment]
    return settings


def _read_contrast(node: JsonNode | None) -> tuple[tuple[float, float], ...]:
    pairs = []
    for entry in [] if node is None else node.items():
        limits = [limit.number() for limit in entry.items()]
        if len(limits) != 2:
            raise entry.error("must be [low, high].", "Correct it in the file.")
        pairs.append((limits[0], limits[1]))
    return tuple(pairs)


def _read_region(node: JsonNode | None) -> Region | None:
    if node is None:
        return None
    corners = [corner.whole_number() for corner in node.items()]
    if len(corners) != 4:
        raise node.error("must be [y0, x0, y1, x1].", "Correct it in the file.")
    return Region(*corners)


def _read_divisions(node: JsonNode | None) -> tuple[Division, ...]:
    divisions = []
    for entry in [] if node is None else node.items():
        fields = entry.fields()
        children = tuple(child.whole_number() for child in _block(fields, "children").items())
        parent, frame = (_block(fields, name).whole_number() for name in ("parent", "frame"))
        divisions.append(Division(parent, children, frame))
    return tuple(divisions)


def _read_spans(node: JsonNode | None) -> dict[int, tuple[int, int]]:
    spans = {}
    for object_id, field in _numbered(node, "an object").items():
        limits = [limit.whole_number() for limit in field.items()]
        if len(limits) != 2:
            raise field.error("must be [begin, end].", "Correct it in the file.")
        spans[object_id] = limits[0], limits[1]
    return spans


def _read_at(node: JsonNode | None) -> dict[int, int]:
    return {axis: field.whole_number() for axis, field in _numbered(node, "an axis").items()}


def _read_names(node: JsonNode | None) -> dict[int, str]:
    return {number: field.text() for number, field in _numbered(node, "an object").items()}


def _numbered(node: JsonNode | None, of: str) -> dict[int, JsonNode]:
    fields = {} if node is None else node.fields()
    for name, field in fields.items():
        if not (name.isdecimal() and len(name) < MOST_DIGITS):
            raise field.error(f"must be named by the number of {of}.", "Correct it in the file.")
    return {int(name): field for name, field in fields.items()}


def _position(at: Mapping[int, int]) -> str:
    return ", ".join(f"axis {axis} = {index}" for axis, index in sorted(at.items())) or "no axis"
