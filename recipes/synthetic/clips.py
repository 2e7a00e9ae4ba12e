"""Random labelled clips for training: many kinds of objects and images, made in milliseconds."""

from __future__ import annotations

import numpy as np

from napari_sam2.errors import StackError
from napari_sam2.samples.stack import SampleStack
from synthetic.kinds import KINDS, Kind

SMALLEST_FRAME = 32


def random_clip(
    rng: np.random.Generator, frames: int = 8, size: int = 256, kind: str | None = None
) -> SampleStack:
    """Make one clip of a random kind, motion, contrast and noise.

    Parameters
    ----------
    rng : numpy.random.Generator
        The only source of randomness: the same state gives the same clip.
    frames : int
        Number of frames, at least 1.
    size : int
        Side of the square frames in pixels, at least 32.
    kind : str, optional
        Name of a kind of `KINDS`; drawn by weight when not given.

    Returns
    -------
    SampleStack
        uint8 image and labels, at least one object in the first frame. Axes are ``"TYX"``, or
        ``"ZYX"`` where the frames are slices of one volume.

    Raises
    ------
    StackError
        If the size is too small or the kind is not known.
    """
    if frames < 1 or size < SMALLEST_FRAME:
        raise StackError(
            f"A clip of {frames} frames of {size} pixels cannot be made.",
            remedy=f"Ask for at least 1 frame of {SMALLEST_FRAME} pixels.",
        )
    chosen = _choose(rng, kind)
    while True:
        clip = chosen.film(rng, frames, size).finished(chosen.name)
        if clip.labels[0].any():
            return clip


def _choose(rng: np.random.Generator, name: str | None) -> Kind:
    if name is None:
        weights = np.array([kind.weight for kind in KINDS])
        return KINDS[int(rng.choice(len(KINDS), p=weights / weights.sum()))]
    for kind in KINDS:
        if kind.name == name:
            return kind
    names = ", ".join(kind.name for kind in KINDS)
    raise StackError(f"There is no kind {name!r} of clips.", remedy=f"Choose from {names}.")
