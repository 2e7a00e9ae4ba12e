"""Images of phase: phase contrast, differential interference contrast, and defocus."""

from __future__ import annotations

import numpy as np

from napari_sam2.samples.blurs import blur
from napari_sam2.samples.fields import Floats

F = np.float32


def phase_contrast(phase: Floats, halo: float, ring: float, lens: float) -> Floats:
    """Positive phase contrast (Zernike): thick objects dark, bright halos, shade-off inside.

    The phase ring passes a low-passed part of the wave, dimmed and advanced a quarter of a wave;
    it interferes with the diffracted rest. As the low pass covers more than the undiffracted
    light, a halo surrounds objects and wide ones fade inside; very thick ones turn bright.

    Parameters
    ----------
    phase : ndarray of float32, shape (T, Y, X)
        Phase of the light behind the objects, in radians.
    halo : float
        Reach of the halo, standard deviation in pixels.
    ring : float
        Amplitude that the ring transmits, 0 to 1.
    lens : float
        Light that cells thicker than a radian gather, per radian.

    Returns
    -------
    ndarray of float32, shape (T, Y, X)
        Intensity; 1 where there is nothing.

    References
    ----------
    Yin, Kanade, Chen, Medical Image Analysis 16 (2012) 1047: the phase contrast microscope's
    image formation, with the ring as a low pass.
    """
    real, imaginary = np.cos(phase), np.sin(phase)
    low_real = F(0.75) * blur(real, halo) + F(0.25) * blur(real, 3 * halo)
    low_imaginary = F(0.75) * blur(imaginary, halo) + F(0.25) * blur(imaginary, 3 * halo)
    real -= low_real
    real += F(ring) * low_imaginary
    imaginary -= low_imaginary
    imaginary -= F(ring) * low_real
    intensity: Floats = (real * real + imaginary * imaginary) * F(1 / ring**2)
    # balls are lenses besides
    intensity += F(lens) * np.maximum(phase - F(1), 0)
    return intensity


def differential_interference(phase: Floats, angle: float, bias: float) -> Floats:
    """Differential interference contrast: relief by the phase's slope across a shear of a pixel.

    Parameters
    ----------
    phase : ndarray of float32, shape (T, Y, X)
        Phase in radians.
    angle : float
        Direction of the shear in radians from x towards y.
    bias : float
        Phase between the two waves at rest, in radians.

    Returns
    -------
    ndarray of float32, shape (T, Y, X)
        Intensity; 1 where there is nothing.
    """
    slope = np.gradient(phase, axis=2) * F(np.cos(angle))
    slope += np.gradient(phase, axis=1) * F(np.sin(angle))
    intensity: Floats = np.square(np.sin((slope + F(bias)) * F(0.5)))
    return intensity * F(1 / np.sin(0.5 * bias) ** 2)
