"""Augmentation of intensities as microscopes, cameras and contrast settings change them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """Intensity changes of one clip; noise is drawn again for each frame.

    Attributes
    ----------
    invert : bool
        Bright objects become dark ones.
    gamma, gain, offset : float
        ``gain * image ** gamma + offset``.
    blur : float
        Standard deviation of a Gaussian blur in pixels, 0 for none.
    light : ndarray of float32, shape (n, n), optional
        Coarse field of relative illumination.
    read_noise, shot_noise : float
        Standard deviations of constant and of signal-dependent noise, in units of full scale.
    flicker : float
        Standard deviation of the gain between frames.
    """

    invert: bool
    gamma: float
    gain: float
    offset: float
    blur: float
    light: NDArray[np.float32] | None
    read_noise: float
    shot_noise: float
    flicker: float

    def apply(self, frame: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        """Change one frame (Y, X) in 0..1; the result is clipped to 0..1."""
        out = 1.0 - frame if self.invert else frame
        if self.light is not None:
            nodes = self.light.shape[0]
            out = out * ndimage.zoom(
                self.light, frame.shape[0] / nodes, order=1, grid_mode=True, mode="nearest"
            )
        if self.blur > 0:
            out = ndimage.gaussian_filter(out, self.blur, truncate=3.0)
        gain = self.gain * np.exp(rng.normal(0.0, self.flicker))
        out = gain * np.clip(out, 0.0, 1.0) ** self.gamma + self.offset
        if self.read_noise > 0 or self.shot_noise > 0:
            noise = rng.standard_normal(frame.shape, dtype=np.float32)
            spread = np.sqrt(self.read_noise**2 + self.shot_noise**2 * np.clip(out, 0.0, 1.0))
            out = out + noise * spread
        return np.asarray(np.clip(out, 0.0, 1.0), dtype=np.float32)


def random_look(rng: np.random.Generator, strength: float = 1.0) -> Look:
    """Draw a look; `strength` 0 leaves frames as they are, 1 is the usual spread."""
    noisy = rng.random() < 0.5 * min(strength, 1.0)
    blurred = rng.random() < 0.25 * strength
    uneven = rng.random() < 0.25 * strength
    gain = float(np.exp(rng.normal(0.0, 0.25 * strength)))
    return Look(
        invert=bool(rng.random() < 0.15 * strength),
        gamma=float(np.exp(rng.normal(0.0, 0.3 * strength))),
        gain=gain,
        offset=float(rng.normal(0.0, 0.06 * strength)),
        blur=float(rng.uniform(0.4, 1.8)) if blurred else 0.0,
        light=rng.uniform(0.5, 1.2, (4, 4)).astype(np.float32) if uneven else None,
        read_noise=float(rng.uniform(0.0, 0.05)) if noisy else 0.0,
        shot_noise=float(rng.uniform(0.0, 0.10)) if noisy else 0.0,
        flicker=0.04 * strength,
    )
