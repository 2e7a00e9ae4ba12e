"""Training clips: a few frames, their labels and simulated first prompts, cut from many sources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import TrainingError
from napari_sam2.training.augmentation import random_look
from napari_sam2.training.courses import Course, CourseBook
from napari_sam2.training.prompts import FirstPrompts, choose_objects, first_prompts
from napari_sam2.training.sources import LabelledStack, sampling_weights
from napari_sam2.training.warps import Warp, drifted, random_bend, random_matrix

RandomClip = Callable[
    [np.random.Generator, int, int], tuple[NDArray[np.float32], NDArray[np.int32]]
]
"""Makes synthetic frames: (rng, n_frames, size) -> image (T, S, S) in 0..1 and labels (T, S, S)."""

_Frames = tuple[NDArray[np.float32], NDArray[np.int32], int]
_TRIES = 20


@dataclass(frozen=True, slots=True)
class ClipSettings:
    """What clips look like.

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
    """

    image: NDArray[np.float32]
    labels: NDArray[np.int32]
    prompts: FirstPrompts


class ClipSampler:
    """Draws training clips from labelled stacks and, if given, a synthetic generator.

    Parameters
    ----------
    stacks : sequence of LabelledStack
        Stills and stacks, sampled by group (`sampling_weights`).
    settings : ClipSettings
        What clips look like.
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
            image, labels, main = self._frames(rng)
            ids = choose_objects(
                labels[0], rng, most=settings.n_objects, min_area=settings.min_area, first=main
            )
            if ids.size:
                break
        else:
            raise TrainingError(
                f"No object of {settings.min_area} pixels in {_TRIES} clips.",
                remedy="Label more objects, or allow smaller ones.",
            )
        look = random_look(rng, settings.look)
        image = np.stack([look.apply(frame, rng) for frame in image])
        return TrainingClip(image, labels, first_prompts(labels[0], ids, rng))

    def _frames(self, rng: np.random.Generator) -> _Frames:
        """Draw frames, labels and the object that the clip is about (0: none in particular)."""
        settings = self.settings
        if self.synthetic is not None and rng.random() < settings.synthetic:
            return (*self.synthetic(rng, settings.n_frames, settings.size), 0)
        use_movie = settings.n_frames > 1 and self._movies.any() and rng.random() < settings.moving
        weights = self._weights * self._movies if use_movie else self._weights
        index = int(rng.choice(len(self.stacks), p=weights / weights.sum()))
        stack, book = self.stacks[index], self._book(index)
        axis = int(rng.choice(stack.video_axes)) if stack.video_axes else 0
        if use_movie:
            course = book.draw(rng, axis, settings.n_frames, settings.ends)
            warps = self._following(course, stack.along(axis)[1].shape[1:], rng)
        else:
            course = book.draw(rng, axis, 1, 0.0)
            warps = self._drifting(course, stack.along(axis)[1].shape[1:], rng)
        image, labels = stack.along(axis)
        frames = np.broadcast_to(course.frames, len(warps))
        return (
            np.stack([w.sample_image(image[t]) for w, t in zip(warps, frames, strict=True)]),
            np.stack([w.sample_labels(labels[t]) for w, t in zip(warps, frames, strict=True)]),
            course.object_id,
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
        warps = [first]
        for centre in course.centres[:-1]:
            zoom = np.exp(rng.normal(0.0, 0.03))
            moved = replace(first, matrix=first.matrix * zoom)
            warps.append(_placed(moved, centre, shape, rng, 0.12 * course.extent))
        return warps

    def _drifting(
        self, course: Course, shape: tuple[int, ...], rng: np.random.Generator
    ) -> list[Warp]:
        """Return windows of a still that drift, turn, zoom and bend; some look away for a while."""
        first = self._warp(course, shape, rng)
        warps = [first]
        strength = float(rng.uniform(0.2, 1.4))
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
            warps.append(_placed(drift, centre, shape, rng, 0.12 * course.extent))
        return warps

    def _warp(self, course: Course, shape: tuple[int, ...], rng: np.random.Generator) -> Warp:
        """Zoom so that the object gets a drawn size, and place the window over it."""
        settings = self.settings
        low, high = np.log(settings.diameter)
        wanted = float(np.exp(rng.triangular(low, 0.5 * (low + high), high)))
        step = min(course.extent / wanted, 1.05 * max(shape) / settings.size)
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
