"""Training clips: a few frames, their labels and simulated first prompts, cut from many sources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import TrainingError
from napari_sam2.training.augmentation import random_look
from napari_sam2.training.prompts import FirstPrompts, choose_objects, first_prompts
from napari_sam2.training.sources import LabelledStack, sampling_weights
from napari_sam2.training.warps import Warp, drifted, random_bend, random_matrix

RandomClip = Callable[
    [np.random.Generator, int, int], tuple[NDArray[np.float32], NDArray[np.int32]]
]
"""Makes synthetic frames: (rng, n_frames, size) -> image (T, S, S) in 0..1 and labels (T, S, S)."""

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
        Typical diameter of a source's objects in the clip, in pixels: drawn between these,
        evenly in the logarithm.
    min_area : int
        Smallest object in the first frame, pixels.
    synthetic : float
        Share of clips from the synthetic generator, if there is one.
    moving : float
        Share of clips from stacks among clips of several frames; the others are warped stills.
    look : float
        Strength of the intensity changes.
    """

    size: int = 256
    n_frames: int = 1
    n_objects: int = 16
    diameter: tuple[float, float] = (14.0, 110.0)
    min_area: int = 40
    synthetic: float = 0.1
    moving: float = 0.4
    look: float = 1.0


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
        self._weights = sampling_weights(self.stacks)
        self._movies = np.array([bool(stack.video_axes) for stack in self.stacks])

    def draw(self, rng: np.random.Generator) -> TrainingClip:
        """Draw one clip in which at least one object can be prompted.

        Raises
        ------
        TrainingError
            No object is large enough in many tries.
        """
        settings = self.settings
        for _ in range(_TRIES):
            image, labels = self._frames(rng)
            ids = choose_objects(
                labels[0], rng, most=settings.n_objects, min_area=settings.min_area
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

    def _frames(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        settings = self.settings
        if self.synthetic is not None and rng.random() < settings.synthetic:
            return self.synthetic(rng, settings.n_frames, settings.size)
        use_movie = settings.n_frames > 1 and self._movies.any() and rng.random() < settings.moving
        weights = self._weights * self._movies if use_movie else self._weights
        stack = self.stacks[int(rng.choice(len(self.stacks), p=weights / weights.sum()))]
        return self._movie(stack, rng) if use_movie else self._warped_still(stack, rng)

    def _movie(
        self, stack: LabelledStack, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        image, labels = stack.along(int(rng.choice(stack.video_axes)))
        n_frames = self.settings.n_frames
        stride = int(rng.integers(1, 3)) if len(image) >= 2 * n_frames else 1
        span = min(len(image), stride * (n_frames - 1) + 1)
        start = int(rng.integers(len(image) - span + 1))
        frames = np.arange(n_frames) * stride
        # A stack shorter than the clip is played forth and back.
        frames = start + np.abs((frames + span - 1) % max(2 * span - 2, 1) - (span - 1))
        if rng.random() < 0.5:
            frames = frames[::-1]
        warp = self._warp(image[frames[0]].shape, labels[frames[0]], stack.diameter, rng)
        return (
            np.stack([warp.sample_image(image[t]) for t in frames]),
            np.stack([warp.sample_labels(labels[t]) for t in frames]),
        )

    def _warped_still(
        self, stack: LabelledStack, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        axis = int(rng.choice(stack.video_axes)) if stack.video_axes else 0
        images, labels = stack.along(axis)
        frame = int(rng.integers(len(images)))
        warp = self._warp(images[frame].shape, labels[frame], stack.diameter, rng)
        warps = [warp]
        strength = float(rng.uniform(0.2, 1.2))
        while len(warps) < self.settings.n_frames:
            warps.append(drifted(warps[-1], rng, strength))
        return (
            np.stack([w.sample_image(images[frame]) for w in warps]),
            np.stack([w.sample_labels(labels[frame]) for w in warps]),
        )

    def _warp(
        self,
        shape: tuple[int, ...],
        labels: NDArray[np.int32],
        diameter: float,
        rng: np.random.Generator,
    ) -> Warp:
        """Zoom so that objects get a drawn size, near an object, mostly inside the source."""
        size = self.settings.size
        low, high = np.log(self.settings.diameter)
        wanted = float(np.exp(rng.uniform(low, high)))
        step = min(max(diameter, 1.0) / wanted, 1.05 * min(shape) / size)
        matrix = random_matrix(rng, step)
        objects = np.flatnonzero(labels)
        anywhere = int(rng.integers(labels.size))
        centre = divmod(int(rng.choice(objects)) if objects.size else anywhere, shape[1])
        margin = 0.5 * size * step
        shifted = np.asarray(centre) + rng.uniform(-0.6, 0.6, 2) * margin
        inner = [
            float(np.clip(c, margin, n - 1 - margin)) if n - 1 > 2 * margin else (n - 1) / 2
            for c, n in zip(shifted, shape, strict=True)
        ]
        bend = random_bend(rng, size, 0.012) if rng.random() < 0.3 else None
        return Warp((inner[0], inner[1]), matrix, size, bend)
