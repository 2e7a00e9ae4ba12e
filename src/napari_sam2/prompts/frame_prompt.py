"""`FramePrompt`: all prompts of one object in one frame, as an immutable value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sam2._limits import MOST_POINTS
from napari_sam2.errors import PromptError
from napari_sam2.prompts.checks import as_floats, as_mask, as_whole_number, check_finite

Point = tuple[float, float]
Box = tuple[float, float, float, float]

_POINT_AXES = 2
_BOX_CORNERS = 4
_ROUNDING = 1e-6  # pixels


@dataclass(frozen=True, slots=True, eq=False)
class FramePrompt:
    """The prompts of one object in one frame.

    Coordinates are (y, x) in pixels of the frame, pixel centres at integers.

    Parameters
    ----------
    points : sequence of (y, x)
        Clicks, in the order in which they were made.
    positive : sequence of bool, optional
        One per point: True on the object, False on the background. All True if left out.
    box : (y0, x0, y1, x1), optional
        Two opposite corners in any order; stored with the smaller coordinates first.
    mask : array of bool, shape (Y, X), optional
        At the frame's full resolution; stored as a read-only copy, without one if it is read-only.
    rounds : sequence of int, optional
        How many of the points came in each round of clicking: a later round refines what the
        earlier ones gave. A first round of 0 is the box or mask alone. All in one if left out.

    Raises
    ------
    PromptError
        Nothing was given, a coordinate is not finite, the box has no area, the mask is empty.
    """

    points: tuple[Point, ...] = ()
    positive: tuple[bool, ...] = ()
    box: Box | None = None
    mask: NDArray[np.bool_] | None = None
    rounds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        points = _checked_points(self.points)
        if not points and self.box is None and self.mask is None:
            raise PromptError(
                "The prompt is empty.", remedy="Give at least one point, a box or a mask."
            )
        # A frozen dataclass stores its own normalised values only this way.
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "rounds", _checked_rounds(self.rounds, len(points)))
        object.__setattr__(self, "positive", _checked_labels(self.positive, len(points)))
        object.__setattr__(self, "box", None if self.box is None else _checked_box(self.box))
        object.__setattr__(self, "mask", None if self.mask is None else as_mask(self.mask))

    @property
    def n_given(self) -> int:
        """How many prompts these are: a round of points counts once, as do box and mask."""
        rounds = sum(count > 0 for count in self.rounds)
        return rounds + (self.box is not None) + (self.mask is not None)

    def with_clicks(self, points: Sequence[Point], positive: Sequence[bool] = ()) -> FramePrompt:
        """Return the prompt with one more round of clicks.

        Parameters
        ----------
        points : sequence of (y, x)
        positive : sequence of bool, optional
            One per point; all True if left out.

        Raises
        ------
        PromptError
            There is no point, or a value is wrong.
        """
        new = FramePrompt(points, positive)  # type: ignore[arg-type]
        return self.with_clicks_of(new, len(new.points))

    def with_clicks_of(self, other: FramePrompt, count: int) -> FramePrompt:
        """Return the prompt with the last `count` clicks of another prompt as a further round."""
        _check_count(len(self.points) + count)
        grown = object.__new__(FramePrompt)  # all its parts have been checked
        object.__setattr__(grown, "points", self.points + other.points[-count:])
        object.__setattr__(grown, "positive", self.positive + other.positive[-count:])
        object.__setattr__(grown, "box", self.box)
        object.__setattr__(grown, "mask", self.mask)
        object.__setattr__(grown, "rounds", (*self.rounds, count))
        return grown

    def clicks_since(self, before: FramePrompt, *, nearly: bool = False) -> int | None:
        """Return how many clicks were added to another prompt; None if more has changed.

        The rounds in which they came do not count.

        Parameters
        ----------
        before : FramePrompt
        nearly : bool
            Positions that differ by rounding alone are the same, see `is_nearly`.
        """
        count = len(before.points)
        if self.positive[:count] != before.positive or not _same_mask(self.mask, before.mask):
            return None
        begin = self.points[:count]
        same = begin == before.points and self.box == before.box
        if same or (nearly and _are_near(begin, self.box, before.points, before.box)):
            return len(self.points) - count
        return None

    def is_nearly(self, other: FramePrompt) -> bool:
        """Return whether both are the same but for rounding; the rounds of the clicks do not count.

        Positions that went through the coordinates of the world differ by less than 1e-6 pixels.
        """
        if self.positive != other.positive or not _same_mask(self.mask, other.mask):
            return False
        return _are_near(self.points, self.box, other.points, other.box)

    def refines(self, before: FramePrompt) -> bool:
        """Return whether this is another prompt with one more round of clicks."""
        return self.rounds[:-1] == before.rounds and bool(self.clicks_since(before))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FramePrompt):
            return NotImplemented
        ours = (self.points, self.positive, self.box, self.rounds)
        if ours != (other.points, other.positive, other.box, other.rounds):
            return False
        return _same_mask(self.mask, other.mask)

    def __hash__(self) -> int:
        pixels = None if self.mask is None else self.mask.tobytes()
        return hash((self.points, self.positive, self.box, self.rounds, pixels))


def _are_near(
    points: tuple[Point, ...], box: Box | None, other_points: tuple[Point, ...], other: Box | None
) -> bool:
    """Return whether points and boxes are the same but for rounding."""
    if (box is None) != (other is None) or len(points) != len(other_points):
        return False
    ours, theirs = [*np.ravel(points), *(box or ())], [*np.ravel(other_points), *(other or ())]
    return bool(np.allclose(ours, theirs, rtol=0, atol=_ROUNDING))


def _same_mask(one: NDArray[np.bool_] | None, other: NDArray[np.bool_] | None) -> bool:
    if one is other:
        return True  # most often, and pixels are many
    if one is None or other is None:
        return False
    return bool(np.array_equal(one, other))


def _checked_points(points: object) -> tuple[Point, ...]:
    if isinstance(points, tuple) and not points:
        return ()
    array = as_floats(points, "points")
    if array.size == 0:
        return ()
    if array.ndim != _POINT_AXES or array.shape[1] != _POINT_AXES:
        raise PromptError(
            f"Points must be a list of (y, x) pairs, not an array of shape {array.shape}.",
            remedy="Pass for example [(120.5, 64.0)]; the frame is given separately.",
        )
    _check_count(len(array))
    if not np.isfinite(array).all():
        for y, x in array.tolist():
            check_finite(y, "y")
            check_finite(x, "x")
    return tuple(map(tuple, array.tolist()))


def _check_count(n_points: int) -> None:
    if n_points > MOST_POINTS:
        raise PromptError(
            f"{n_points} points are given for one object in one frame, more than {MOST_POINTS}.",
            remedy="Give a few points, or the object's mask.",
        )


def _checked_rounds(rounds: object, n_points: int) -> tuple[int, ...]:
    counts = tuple([as_whole_number(count, "round") for count in rounds]) if rounds else ()  # type: ignore[attr-defined]
    if not counts:
        return (n_points,)
    if sum(counts) != n_points or counts[0] < 0 or min(counts[1:], default=1) < 1:
        raise PromptError(
            f"Rounds of {counts} points do not add up to the {n_points} point(s) given.",
            remedy="Give the number of points of each round of clicking, in order.",
        )
    return counts


def _checked_labels(positive: object, n_points: int) -> tuple[bool, ...]:
    labels = np.atleast_1d(np.asarray(positive))
    if labels.size == 0:
        return (True,) * n_points
    two_valued = labels.dtype.kind in "biuf" and np.isin(labels, (0, 1)).all()
    if labels.shape != (n_points,) or not two_valued:
        raise PromptError(
            f"`positive` must hold one True or False for each of the {n_points} point(s).",
            remedy="True marks the object, False the background.",
        )
    return tuple(map(bool, labels.tolist()))


def _checked_box(box: object) -> Box:
    array = as_floats(box, "box")
    if array.shape != (_BOX_CORNERS,):
        raise PromptError(
            f"A box is (y0, x0, y1, x1), not an array of shape {array.shape}.",
            remedy="Pass two opposite corners as four numbers.",
        )
    first_y, first_x, second_y, second_x = (check_finite(v, "box corner") for v in array.tolist())
    y0, y1 = sorted((first_y, second_y))
    x0, x1 = sorted((first_x, second_x))
    if y0 == y1 or x0 == x1:
        raise PromptError(
            f"The box (y0={y0:g}, x0={x0:g}, y1={y1:g}, x1={x1:g}) has no area.",
            remedy="Draw the box around the object, with a height and a width.",
        )
    return y0, x0, y1, x1
