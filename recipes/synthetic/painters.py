"""Painters: images of the same objects in each kind of microscope or scanner."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_sam2.samples.blurs import blur
from napari_sam2.samples.fields import Floats, smooth_field
from synthetic.interference import phase_contrast
from synthetic.scene import Drawing

F = np.float32
FAR_DEPTH = 4.0


def glow(owner: NDArray[np.uint16], light: Floats) -> Floats:
    """Each pixel's own object's brightness, 0 outside. ``light``: (T, ids + 1)."""
    return np.stack([light[t][owner[t]] for t in range(len(owner))])


def _background(rng: np.random.Generator, drawing: Drawing, strength: float) -> Floats:
    frames, height, width = drawing.owner.shape
    field = smooth_field(rng, (height, width), rng.uniform(0.12, 0.6) * width, 1)
    return np.repeat(np.maximum(field * F(strength) + F(strength), 0), frames, axis=0)


def fluorescence(rng: np.random.Generator, drawing: Drawing, light: Floats) -> Floats:
    """Bright objects on dark, domed to flat, textured, with haze from out-of-focus light."""
    power = float(np.exp(rng.uniform(-0.9, 1.6)))
    depth = np.minimum(drawing.depth, 1)
    if power < 0.8:
        body = F(1) - np.sqrt(np.maximum(depth, 0))
    elif power < 2:
        body = F(1) - depth
    else:
        body = F(1) - depth * depth * depth
    if rng.random() < 0.8:
        body *= F(0.55)
        body += F(0.45)
    body *= F(1) + F(rng.uniform(0, 0.45)) * drawing.texture
    image = np.maximum(body, F(0.05)) * glow(drawing.owner, light)
    if rng.random() < 0.7:
        haze = blur(image, rng.uniform(0.03, 0.12) * image.shape[-1])
        image += haze * F(rng.uniform(0.05, 0.5))
    return image + _background(rng, drawing, float(np.exp(rng.uniform(-5, -1.8))))


def brightfield(rng: np.random.Generator, drawing: Drawing, light: Floats) -> Floats:
    """Stained sections: dark textured nuclei on a bright, blotchy ground."""
    frames, height, width = drawing.owner.shape
    ground = smooth_field(rng, (height, width), rng.uniform(6, 30))
    ground = F(rng.uniform(0.03, 0.16)) * np.repeat(ground, frames, axis=0)
    fibres = rng.uniform(0, 0.1)
    if fibres > 0.04:
        ground += F(fibres) * np.abs(smooth_field(rng, (height, width), rng.uniform(8, 20)))
    rim = F(rng.uniform(-0.25, 0.35)) * np.clip(drawing.depth, 0, 1) ** 4
    stain = F(rng.uniform(0.35, 0.7)) * (F(1) + rim)
    stain = stain * (F(1) + F(rng.uniform(0.05, 0.3)) * drawing.texture)
    return F(1) - ground - stain * glow(drawing.owner, light)


def bacteria(rng: np.random.Generator, drawing: Drawing, light: Floats) -> Floats:
    """Small cells by a dye or by their phase."""
    if rng.random() < 0.5:
        return fluorescence(rng, drawing, light)
    phase = _dome(drawing, light) * F(rng.uniform(0.3, 1.1))
    halo = float(np.clip(0.015 * light.shape[-1] + rng.uniform(1.5, 6), 1.5, 7))
    return phase_contrast(phase, halo, float(rng.uniform(0.4, 0.9)), 0.3)


def _dome(drawing: Drawing, light: Floats) -> Floats:
    """Thickness of round bodies, 1 in the middle of a typical one."""
    dome = np.sqrt(np.clip(F(1) - drawing.depth, 0, 1)) * glow(drawing.owner, light)
    return np.asarray(dome * (F(1) + F(0.1) * drawing.texture))


def yeast(rng: np.random.Generator, drawing: Drawing, light: Floats) -> Floats:
    """Round cells in brightfield: rings, as focus lies above or below their middles."""
    if rng.random() < 0.4:
        return ring(rng, drawing, light)
    dome = _dome(drawing, light)
    edge = float(np.exp(rng.uniform(np.log(0.9), np.log(3.2))))
    # out of focus, intensity follows the curvature of the phase
    curvature = blur(dome, edge) - blur(dome, rng.uniform(1.6, 3.0) * edge)
    sign = F(rng.choice([-1, 1]) * rng.uniform(0.8, 2.0))
    body = F(rng.uniform(-0.15, 0.15)) * (drawing.owner > 0)
    frames, height, width = drawing.owner.shape
    grit = np.repeat(smooth_field(rng, (height, width), rng.uniform(2, 5)), frames, axis=0)
    return F(0.5) + sign * curvature + body + F(rng.uniform(0, 0.01)) * grit


def ring(rng: np.random.Generator, drawing: Drawing, light: Floats) -> Floats:
    """Shells: walls of vessels and tubes, yeast in brightfield, membranes of lone cells."""
    root = np.sqrt(np.clip(drawing.depth, 0, FAR_DEPTH))
    place, width = rng.uniform(0.75, 0.97), rng.uniform(0.06, 0.2)
    wall = np.exp(-(((root - F(place)) / F(width)) ** 2))
    own = glow(drawing.owner, light)
    lumen = rng.choice([-0.5, 0.0, 0.3, 0.6]) * (root < place)
    image: Floats = wall + lumen.astype(F) * (F(1) + F(0.3) * drawing.texture)
    image *= np.where(drawing.owner > 0, own, F(0.8))
    if rng.random() < 0.5:
        outer = np.exp(-(((root - F(place + 2.2 * width)) / F(width)) ** 2))
        image -= F(rng.uniform(0.3, 0.9)) * outer
    return image + _background(rng, drawing, 0.08)


def vessels(rng: np.random.Generator, drawing: Drawing, light: Floats) -> Floats:
    """Paint vessels by their walls or by their content: stain, contrast agent, air."""
    if rng.random() < 0.5:
        return ring(rng, drawing, light)
    frames, height, width = drawing.owner.shape
    ground = smooth_field(rng, (height, width), rng.uniform(0.03, 0.3) * width, frames)
    ground = F(0.5) + F(rng.uniform(0.02, 0.1)) * ground
    filling = F(rng.choice([-1, 1]) * rng.uniform(0.2, 0.5)) * glow(drawing.owner, light)
    filling *= F(1) + F(rng.uniform(0, 0.3)) * drawing.texture
    wall = np.exp(-np.square((np.sqrt(np.clip(drawing.depth, 0, 4)) - F(1.1)) * F(8)))
    ground += filling + F(rng.choice([-0.2, 0.0, 0.0, 0.2])) * wall
    return ground


def _membrane(drawing: Drawing, reach: float) -> Floats:
    """Distance to the border between neighbours, in half axes."""
    gap: Floats = np.sqrt(drawing.second) - np.sqrt(np.maximum(drawing.depth, 0))
    return gap / F(reach)


def membranes(rng: np.random.Generator, drawing: Drawing, light: Floats) -> Floats:
    """Membrane stain in tissue: bright borders of uneven strength, dim cell bodies."""
    gap = _membrane(drawing, rng.uniform(0.05, 0.14))
    wall = np.exp(-(gap**2))
    frames, height, width = drawing.owner.shape
    uneven = smooth_field(rng, (height, width), rng.uniform(8, 40), frames)
    wall *= np.clip(F(1) + F(rng.uniform(0.05, 0.35)) * uneven, F(0.15), None)
    inner = F(rng.uniform(0.0, 0.3)) * glow(drawing.owner, light)
    image: Floats = wall + inner * (F(1) + F(0.3) * drawing.texture)
    return image


def organs(rng: np.random.Generator, drawing: Drawing, light: Floats) -> Floats:
    """CT or MR: smooth bodies of nearly constant grey, some darker than their surroundings."""
    frames, height, width = drawing.owner.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(F)
    half = rng.uniform(0.75, 1.3, 2)
    trunk = (y / F(half[0])) ** 2 + (x / F(half[1])) ** 2
    trunk = trunk + F(0.1) * smooth_field(rng, (height, width), 0.4 * width)[0]
    level = F(rng.uniform(0.2, 0.6))
    base = np.where(trunk < 1, level, F(0))
    base = base + np.where(np.abs(trunk - F(0.92)) < F(0.06), F(rng.uniform(-0.15, 0.4)), F(0))
    soft = smooth_field(rng, (height, width), rng.uniform(0.06, 0.2) * width, frames)
    ground = base * (F(1) + F(rng.uniform(0.02, 0.25)) * soft)
    # tissues keep their grey through the stack and never equal that of the trunk
    tone = np.log(np.maximum(light[:1], F(1e-3)))
    tone -= tone[0, 1:].mean()
    tone += np.where(tone < 0, F(-0.2), F(0.2))
    values = level * np.exp(np.clip(tone, F(-1.4), F(1.1))) * np.ones_like(light)
    own = glow(drawing.owner, values)
    own *= F(1) + F(rng.uniform(0.0, 0.08)) * drawing.texture
    return np.where(drawing.owner > 0, own, ground)


def tissues(rng: np.random.Generator, drawing: Drawing, light: Floats) -> Floats:
    """CT or MR of given greys: even tissues, textured, a little brighter or darker inside."""
    own = glow(drawing.owner, light)
    dome = F(rng.normal(0, 0.12)) * (F(0.5) - np.clip(drawing.depth, 0, 1))
    own *= F(1) + F(rng.uniform(0.01, 0.15)) * drawing.texture + dome
    return own


def textured(rng: np.random.Generator, drawing: Drawing, light: Floats) -> Floats:
    """Paint objects that differ from the background mostly by their texture."""
    frames, height, width = drawing.owner.shape
    ground = np.repeat(smooth_field(rng, (height, width), rng.uniform(3, 14)), frames, axis=0)
    inside = F(0.5 + rng.choice([-1, 1]) * rng.uniform(0.06, 0.2))
    body = inside * glow(drawing.owner, light) + F(rng.uniform(0.08, 0.25)) * drawing.texture
    return np.where(drawing.owner > 0, body, F(0.5) + F(rng.uniform(0.02, 0.12)) * ground)
