"""napari's own CSV files of points and shapes, as prompts."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import PromptError
from napari_sam2.prompts.book import PromptBook
from napari_sam2.prompts.checks import check_coordinate, check_frame, check_object_id
from napari_sam2.prompts.csv_format import NO
from napari_sam2.prompts.frame_prompt import FramePrompt
from napari_sam2.types import ObjectFrame

_AXIS = re.compile(r"axis-(\d{1,2})")
_OBJECT_COLUMNS = ("object", "object_id", "label", "id")
_REMEDY = "Save the layer from napari again (File, Save Selected Layers), as CSV."


class TablePlaces(NamedTuple):
    """Which columns of a table are frame, row and column.

    Attributes
    ----------
    video : int or None
        Column of the frame; None for a single frame.
    rows, columns : int
        Columns of y and x.
    held : tuple of (int, int)
        Columns of further axes, and the only position there that counts.
    """

    video: int | None
    rows: int
    columns: int
    held: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class _Mark:
    """One line: a point, or a vertex of a shape."""

    line: int
    index: int
    shape: str
    vertex: tuple[float, ...]
    object_id: int | None
    positive: bool


def is_napari_table(text: str) -> bool:
    """Return whether a table has the header of napari's points or shapes."""
    header = _cells(text.lstrip("\ufeff\n\r").partition("\n")[0])
    return header[:1] == ["index"] and "axis-0" in header


def prompts_from_napari_csv(
    text: str, shape: Sequence[int], places: Mapping[int, TablePlaces] | None = None
) -> PromptBook:
    """Return the prompts of a points or shapes layer that napari saved.

    A column ``object``, ``object_id``, ``label`` or ``id`` numbers the objects; without one, every
    point or shape is an object of its own, from 1 in their order. A column ``positive`` marks
    points on the background (false). Rectangles are boxes; turned ones, ellipses and polygons are
    masks.

    Parameters
    ----------
    text : str
    shape : (T, Y, X)
    places : mapping of int to TablePlaces, optional
        By the number of axes in the table. By default three are frame, y and x; two are y and x
        of a single frame.

    Raises
    ------
    PromptError
        A line is damaged, marks nothing in the stack, or a shape is a line; the error names it.
    """
    book = PromptBook(shape)
    known = dict(places or {3: TablePlaces(0, 1, 2)})
    if book.shape[0] == 1:
        known.setdefault(2, TablePlaces(None, 0, 1))
    marks = _marks(text)
    count = len(marks[0].vertex)
    if count not in known:
        wanted = " or ".join(str(number) for number in sorted(known))
        raise PromptError(
            f"The table has {count} axes, and this stack needs {wanted}.",
            remedy="Save the layer that belongs to this image.",
        )
    if marks[0].shape:
        _add_shapes(book, marks, known[count])
    else:
        _add_points(book, marks, known[count])
    return book


def _add_points(book: PromptBook, marks: list[_Mark], places: TablePlaces) -> None:
    points: dict[ObjectFrame, list[tuple[tuple[float, float], bool]]] = {}
    for number, mark in enumerate(marks, start=1):
        frame, y, x = _placed(book, mark, places)
        try:
            check_coordinate(y, book.shape[1], "y")
            check_coordinate(x, book.shape[2], "x")
        except PromptError as error:
            raise _wrong(mark, error.happened, error.remedy) from error
        key = ObjectFrame(mark.object_id or number, frame)
        points.setdefault(key, []).append(((y, x), mark.positive))
    for (object_id, frame), found in points.items():
        book.put(
            object_id,
            frame,
            FramePrompt(tuple(each for each, _ in found), tuple(sign for _, sign in found)),
        )


def _add_shapes(book: PromptBook, marks: list[_Mark], places: TablePlaces) -> None:
    shapes: dict[int, list[_Mark]] = {}
    for mark in marks:
        shapes.setdefault(mark.index, []).append(mark)
    for number, vertices in enumerate(shapes.values(), start=1):
        first = vertices[0]
        placed = [_placed(book, mark, places) for mark in vertices]
        if len({frame for frame, _, _ in placed}) > 1:
            raise _wrong(
                first, f"shape {first.index} lies in several frames.", "Draw it in one frame."
            )
        frame = placed[0][0]
        object_id = first.object_id or number
        if book.get(object_id, frame) is not None:
            raise _wrong(
                first,
                f"object {object_id} already has a shape in frame {frame}.",
                "Give every shape of a frame an object of its own.",
            )
        corners = np.array([(y, x) for _, y, x in placed])
        try:
            book.put(object_id, frame, _prompt(first, corners, book.shape[1:]))
        except PromptError as error:
            if error.happened.startswith("Line "):
                raise
            raise _wrong(first, error.happened, error.remedy) from error


def _prompt(mark: _Mark, corners: NDArray[np.float64], frame: tuple[int, int]) -> FramePrompt:
    if mark.shape == "rectangle" and _is_upright(corners):
        (y0, x0), (y1, x1) = corners.min(0).tolist(), corners.max(0).tolist()
        return FramePrompt(box=(y0, x0, y1, x1))
    if mark.shape == "ellipse" and len(corners) == 4:
        return FramePrompt(mask=_ellipse(corners, frame))
    if mark.shape in ("rectangle", "polygon") and len(corners) >= 3:
        from skimage.draw import polygon2mask

        return FramePrompt(mask=polygon2mask(frame, corners))
    raise _wrong(
        mark,
        f"shape {mark.index}, a {mark.shape}, encloses nothing.",
        "Use rectangles, ellipses and polygons, or points.",
    )


def _is_upright(corners: NDArray[np.float64]) -> bool:
    """Return whether the sides of a rectangle are along the rows and columns."""
    sides = np.abs(np.roll(corners, -1, axis=0) - corners)
    return len(corners) == 4 and bool((sides.min(axis=1) < 1e-3).all())


def _ellipse(corners: NDArray[np.float64], frame: tuple[int, int]) -> NDArray[np.bool_]:
    """Draw the ellipse whose bounding rectangle, possibly turned, has these corners."""
    centre = corners.mean(0)
    half_axes = np.stack([corners[1] - corners[0], corners[3] - corners[0]], axis=1) / 2
    if abs(np.linalg.det(half_axes)) < 1e-9:
        return np.zeros(frame, bool)
    pixels = np.moveaxis(np.indices(frame), 0, -1) - centre
    within: NDArray[np.bool_] = ((pixels @ np.linalg.inv(half_axes).T) ** 2).sum(-1) <= 1.0
    return within


def _placed(book: PromptBook, mark: _Mark, places: TablePlaces) -> tuple[int, float, float]:
    """Return frame, y and x of a line."""
    for column, position in places.held:
        if round(mark.vertex[column]) != position:
            raise _wrong(
                mark,
                f"axis-{column} is {mark.vertex[column]:g}, and the image is held at {position}.",
                "Hold the image there (--at), or leave the line out.",
            )
    frame = 0 if places.video is None else round(mark.vertex[places.video])
    try:
        check_frame(frame, book.shape[0])
    except PromptError as error:
        raise _wrong(mark, error.happened, error.remedy) from error
    return frame, mark.vertex[places.rows], mark.vertex[places.columns]


def _marks(text: str) -> list[_Mark]:
    reader = csv.reader(io.StringIO(text.lstrip("\ufeff")), strict=True)
    marks: list[_Mark] = []
    try:
        header = [cell.strip().lower() for cell in next(reader)]
        axes = [i for i, name in enumerate(header) if _AXIS.fullmatch(name)]
        if [header[i] for i in axes] != [f"axis-{number}" for number in range(len(axes))]:
            raise PromptError("Line 1: the axes are not in their order.", remedy=_REMEDY)
        named = next((name for name in _OBJECT_COLUMNS if name in header), None)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            row = dict(zip(header, cells, strict=False))
            line = reader.line_num
            if len(cells) != len(header):
                raise PromptError(
                    f"Line {line} has {len(cells)} columns, the header {len(header)}.",
                    remedy=_REMEDY,
                )
            vertex = tuple(_number(line, header[i], cells[i]) for i in axes)
            object_id = None if named is None else _object_id(line, named, row[named])
            positive = row.get("positive", "").strip().lower() not in NO
            index = int(_number(line, "index", row["index"]))
            shape = row.get("shape-type", "").strip().lower()
            marks.append(_Mark(line, index, shape, vertex, object_id, positive))
    except csv.Error as error:
        raise PromptError(
            f"Line {reader.line_num} cannot be read as CSV: {error}.", remedy=_REMEDY
        ) from error
    if not marks:
        raise PromptError("The table holds no points or shapes.", remedy=_REMEDY)
    return marks


def _number(line: int, column: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise PromptError(
            f'Line {line}, column "{column}": {text[:40]!r} is no number.', remedy=_REMEDY
        )
    return number


def _object_id(line: int, column: str, text: str) -> int:
    number = _number(line, column, text)
    if not number.is_integer():
        raise PromptError(
            f'Line {line}, column "{column}": {number:g} is no whole number.',
            remedy="Number the objects from 1.",
        )
    try:
        return check_object_id(int(number))
    except PromptError as error:
        raise PromptError(
            f'Line {line}, column "{column}": {error.happened}', remedy=error.remedy
        ) from error


def _wrong(mark: _Mark, complaint: str, remedy: str) -> PromptError:
    return PromptError(f"Line {mark.line}: {complaint}", remedy=remedy)


def _cells(line: str) -> list[str]:
    return [cell.strip().strip('"').lower() for cell in line.split(",")]
