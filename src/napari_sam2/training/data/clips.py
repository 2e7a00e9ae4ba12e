"""Training clips: a few frames with labels and simulated first prompts from many sources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import TrainingError
from napari_sam2.training.data.augmentation import random_look
from napari_sam2.training.data.courses import Course, CourseBook
from napari_sam2.training.data.first_prompts import FirstPrompts, choose_objects, first_prompts
from napari_sam2.training.data.regions import random_regions
from napari_sam2.training.data.sources import LabelledStack, sampling_weights
from napari_sam2.training.data.warps import Warp, drifted, random_bend, random_matrix

RandomClip = Callable[
    [np.random.Generator, int, int], tuple[NDArray[np.float32], NDArray[np.int32]]
]
"""Makes synthetic frames: (rng, n_frames, size) -> image (T, S, S) in 0..1 and labels (T, S, S)."""

_TRIES = 20
_SEARCHED = (5.0, 500.0)  # longer sides, in pixels of the clip, of objects that are searched
_SPREAD = (0.04, 0.4)  # how far windows lie off their object in a clip, of its extent: it moves
_FINEST = 1 / 6  # source pixels per pixel of a clip: enlarging more shows nothing more
_REGION_SIDE = 192  # pixels that an image is divided into regions in
_REGION_STEP = (0.4, 4.0)  # source pixels per pixel there


class _Frames(NamedTuple):
    """Frames of one clip before their intensities are changed, with their labels.

    `main` is the object that the clip is about, 0 for none; `source` the labels that the first
    frame was cut from, with `share`, source pixels per pixel of the clip.
    """

    image: NDArray[np.float32]
    labels: NDArray[np.int32]
    moves: NDArray[np.float32]
    main: int = 0
    complete: bool = True
    clickable: bool = True
    source: NDArray[np.int32] | None = None
    share: float = 1.0

    def areas(self, prompts: FirstPrompts) -> NDArray[np.float32]:
        """Return the objects' areas in pixels of the clip, including the part beyond the frame."""
        areas = prompts.areas.copy()
        if self.source is None:
            return areas
        first = self.labels[0]
        rim = np.concatenate((first[0], first[-1], first[:, 0], first[:, -1]))
        for row in np.flatnonzero(np.isin(prompts.object_ids, rim)):
            whole = np.count_nonzero(self.source == prompts.object_ids[row]) / self.share
            areas[row] = max(areas[row], whole)
        return areas


@dataclass(frozen=True, slots=True)
class ClipSettings:
    """Size, length, objects and augmentation of clips.

    Attributes
    ----------
    size : int
        Side of the square frames in pixels.
    n_frames : int
        Frames per clip; 1 for stills.
    n_objects : int
        At most this many objects are prompted per clip.
    diameter : tuple of float
        Longer side, in pixels, of the object that a clip is about: drawn between these, most
        often in the middle of the logarithms.
    min_area : int
        Smallest object in the first frame, pixels.
    synthetic : float
        Share of clips from the synthetic generator, if there is one.
    moving : float
        Share of clips from stacks among clips of several frames; the others are warped stills.
    ends : float
        Share of clips from stacks that go on past an end of their object's life.
    away : float
        Share of warped stills that look elsewhere for some frames: there the object is absent.
    look : float
        Strength of the intensity changes.
    emphasis : tuple of (str, float)
        Groups of stacks that are drawn so many times as often as they would be.
    regions : float
        Share of clips whose objects are regions of an image, whatever is labelled there.
    partial : tuple of str
        Groups of stacks of which not every object is labelled.
    searches : float
        Share of clips that show their object at any scale, from a few pixels to several windows:
        so a first look at a click sees it, and so the predicted IoU learns to choose a scale.
    """

    size: int = 256
    n_frames: int = 1
    n_objects: int = 16
    diameter: tuple[float, float] = (14.0, 110.0)
    min_area: int = 40
    synthetic: float = 0.1
    moving: float = 0.4
    ends: float = 0.5
    away: float = 0.15
    look: float = 1.0
    emphasis: tuple[tuple[str, float], ...] = ()
    regions: float = 0.0
    partial: tuple[str, ...] = ()
    searches: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class TrainingClip:
    """Frames, labels and the prompts of the first frame.

    Attributes
    ----------
    image : ndarray of float32, shape (T, S, S)
        Grey values in 0..1.
    labels : ndarray of int32, shape (T, S, S)
        Ids kept through the clip; 0 is background.
    prompts : FirstPrompts
        For frame 0.
    moves : ndarray of float32, shape (T, 3)
        (y, x, zoom): the pixel p from the middle of frame t's window was at zoom p + (y, x) from
        the middle of the window before, had nothing moved.
    complete : bool
        Whether every object is labelled.
    clickable : bool
        Whether one click says which object is meant. Regions of an image lie in larger ones and
        hold smaller ones: to learn one of them from a click would teach that any scale is as likely
        as that of the objects that people label.
    """

    image: NDArray[np.float32]
    labels: NDArray[np.int32]
    prompts: FirstPrompts
    moves: NDArray[np.float32]
    complete: bool = True
    clickable: bool = True


class ClipSampler:
    """Draws training clips from labelled stacks and, if given, a synthetic generator.

    Parameters
    ----------
    stacks : sequence of LabelledStack
        Stills and stacks, sampled by group (`sampling_weights`).
    settings : ClipSettings
        Size, length and augmentation of clips.
    synthetic : callable, optional
        The generator of synthetic clips.
    """

    def __init__(
        self,
        stacks: Sequence[LabelledStack],
        settings: ClipSettings,
        synthetic: RandomClip | None = None,
    ) -> None:
        self.stacks = tuple(stacks)
        self.settings = settings
        self.synthetic = synthetic
        factors = dict(settings.emphasis)
        self._weights = sampling_weights(self.stacks) * np.array(
            [factors.get(stack.group, 1.0) for stack in self.stacks]
        )
        self._movies = np.array([bool(stack.video_axes) for stack in self.stacks])
        self._books: dict[int, CourseBook] = {}

    def draw(self, rng: np.random.Generator) -> TrainingClip:
        """Draw one clip in which at least one object can be prompted.

        Raises
        ------
        TrainingError
            No object is large enough in many tries.
        """
        settings = self.settings
        for _ in range(_TRIES):
            frames = self._frames(rng)
            first = frames.labels[0]
            ids = choose_objects(
                first, rng, most=settings.n_objects, min_area=settings.min_area, first=frames.main
            )
            if ids.size:
                break
        else:
            raise TrainingError(
                f"No object of {settings.min_area} pixels in {_TRIES} clips.",
                remedy="Label more objects, or allow smaller ones.",
            )
        look = random_look(rng, settings.look)
        image = np.stack([look.apply(frame, rng) for frame in frames.image])
        prompts = first_prompts(first, ids, rng)
        prompts = replace(prompts, areas=frames.areas(prompts))
        return TrainingClip(
            image, frames.labels, prompts, frames.moves, frames.complete, frames.clickable
        )

    def _frames(self, rng: np.random.Generator) -> _Frames:
        settings = self.settings
        kind = rng.random()
        synthetic = 0.0 if self.synthetic is None else settings.synthetic
        if self.synthetic is not None and kind < synthetic:
            made = self.synthetic(rng, settings.n_frames, settings.size)
            return _Frames(*made, _resting(settings.n_frames))
        if synthetic <= kind < synthetic + settings.regions:
            return self._regions(rng)
        use_movie = settings.n_frames > 1 and self._movies.any() and rng.random() < settings.moving
        weights = self._weights * self._movies if use_movie else self._weights
        index = int(rng.choice(len(self.stacks), p=weights / weights.sum()))
        stack, book = self.stacks[index], self._book(index)
        axis = int(rng.choice(stack.video_axes)) if stack.video_axes else 0
        image, labels = stack.along(axis)
        if use_movie:
            course = book.draw(rng, axis, settings.n_frames, settings.ends)
            warps = self._following(course, labels.shape[1:], rng)
            moves = _moves(warps)
        else:
            course = book.draw(rng, axis, 1, 0.0)
            warps = self._drifting(course, labels.shape[1:], rng)
            moves = _resting(len(warps))
        frames = np.broadcast_to(course.frames, len(warps))
        return _Frames(
            np.stack([w.sample_image(image[t]) for w, t in zip(warps, frames, strict=True)]),
            np.stack([w.sample_labels(labels[t]) for w, t in zip(warps, frames, strict=True)]),
            moves,
            course.object_id,
            complete=stack.group not in settings.partial,
            source=labels[frames[0]],
            share=warps[0].step ** 2,
        )

    def _regions(self, rng: np.random.Generator) -> _Frames:
        """Return a clip of one region of a piece of an image that is divided into regions."""
        index = int(rng.choice(len(self.stacks), p=self._weights / self._weights.sum()))
        stack = self.stacks[index]
        axis = int(rng.choice(stack.video_axes)) if stack.video_axes else 0
        image, _ = stack.along(axis)
        frame = image[rng.integers(len(image))]
        low, high = np.log(_REGION_STEP)
        step = min(float(np.exp(rng.uniform(low, high))), max(frame.shape) / _REGION_SIDE)
        centre = tuple(float(each) for each in rng.uniform(0, 1, 2) * frame.shape)
        piece = Warp((0.0, 0.0), np.eye(2) * step, _REGION_SIDE)
        piece = _placed(piece, np.array(centre), frame.shape, rng, 0.0)
        pixels = piece.sample_image(frame)
        labels = random_regions(pixels, rng)
        if not labels.any():
            labels = np.ones_like(labels)
        mosaic = LabelledStack(
            name=stack.name,
            group=stack.group,
            image=np.rint(255.0 * pixels).astype(np.uint8)[None],
            labels=labels[None],
            video_axes=(),
            diameter=0.0,
            n_objects=int(labels.max()),
        )
        course = CourseBook(mosaic).draw(rng, 0, 1, 0.0)
        warps = self._drifting(course, labels.shape, rng)
        return _Frames(
            np.stack([warp.sample_image(mosaic.image[0]) for warp in warps]),
            np.stack([warp.sample_labels(labels) for warp in warps]),
            _resting(len(warps)),
            course.object_id,
            complete=False,
            clickable=False,
            source=labels,
            share=warps[0].step ** 2,
        )

    def _book(self, index: int) -> CourseBook:
        if index not in self._books:
            self._books[index] = CourseBook(self.stacks[index])
        return self._books[index]

    def _following(
        self, course: Course, shape: tuple[int, ...], rng: np.random.Generator
    ) -> list[Warp]:
        """Return one window per frame, where the object was in the frame before."""
        first = self._warp(course, shape, rng)
        warps, spread = [first], rng.uniform(*_SPREAD) * course.extent
        for centre in course.centres[:-1]:
            zoom = np.exp(rng.normal(0.0, 0.03))
            moved = replace(first, matrix=first.matrix * zoom)
            warps.append(_placed(moved, centre, shape, rng, spread))
        return warps

    def _drifting(
        self, course: Course, shape: tuple[int, ...], rng: np.random.Generator
    ) -> list[Warp]:
        """Return windows of a still that drift, turn, zoom and bend; some look away for a while."""
        first = self._warp(course, shape, rng)
        warps = [first]
        strength, spread = float(rng.uniform(0.2, 1.4)), rng.uniform(*_SPREAD) * course.extent
        n_frames = self.settings.n_frames
        away = range(0)
        if n_frames > 2 and rng.random() < self.settings.away:
            leaves = int(rng.integers(2, n_frames))
            away = range(leaves, min(n_frames, leaves + int(rng.integers(1, n_frames))))
        drift = first
        while len(warps) < n_frames:
            drift = drifted(drift, rng, strength)
            centre = course.centres[0]
            if len(warps) in away:
                centre = rng.uniform(0, 1, 2) * shape
            warps.append(_placed(drift, centre, shape, rng, spread))
        return warps

    def _warp(self, course: Course, shape: tuple[int, ...], rng: np.random.Generator) -> Warp:
        """Zoom so that the object gets a drawn size, and place the window over it."""
        settings = self.settings
        if rng.random() < settings.searches:
            wanted = float(np.exp(rng.uniform(*np.log(_SEARCHED))))
        else:
            low, high = np.log(settings.diameter)
            wanted = float(np.exp(rng.triangular(low, 0.5 * (low + high), high)))
        step = min(course.extent / wanted, 1.05 * max(shape) / settings.size)
        step = max(step, _FINEST)
        bend = random_bend(rng, settings.size, 0.012) if rng.random() < 0.3 else None
        warp = Warp((0.0, 0.0), random_matrix(rng, step), settings.size, bend)
        wide = rng.random() < 0.3
        spread = 0.2 * settings.size * step if wide else 0.2 * course.extent
        return _placed(warp, course.centres[0], shape, rng, spread)


def _placed(
    warp: Warp,
    centre: NDArray[np.float64],
    shape: tuple[int, ...],
    rng: np.random.Generator,
    spread: float,
) -> Warp:
    """Return the window over `centre`, off by `spread` pixels, inside the source if it fits."""
    margin = 0.5 * warp.size * warp.step
    y, x = (
        float(np.clip(c, margin, n - 1 - margin)) if n - 1 > 2 * margin else (n - 1) / 2
        for c, n in zip(centre + rng.normal(0.0, spread, 2), shape, strict=True)
    )
    return replace(warp, centre=(y, x))


def _resting(n_frames: int) -> NDArray[np.float32]:
    """Return the moves of a window that stays where it is."""
    return np.tile(np.array([0.0, 0.0, 1.0], np.float32), (n_frames, 1))


def _moves(warps: Sequence[Warp]) -> NDArray[np.float32]:
    """Return how each window lies over the one before, in pixels of the clip."""
    moves = _resting(len(warps))
    for row, (before, warp) in enumerate(pairwise(warps), start=1):
        shift = np.linalg.solve(before.matrix, np.subtract(warp.centre, before.centre))
        moves[row] = (*shift, warp.step / before.step)
    return moves
