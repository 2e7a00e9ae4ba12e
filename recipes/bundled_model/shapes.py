"""Random shapes with random textures and exact labels, more varied than real images.

A network that was trained on every contrast, texture and arrangement generalises to real images
(SynthSeg, arXiv 2107.09559; AnyStar, arXiv 2307.07044). Shapes are blobs, cells in contact, rods,
rings and threads; every label and the background draw brightness, texture, shading and rim
independently. In clips all shapes move and bend; objects end, return and divide.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

Labels = NDArray[np.int32]
Field = NDArray[np.float32]

_MARGIN = 1.5  # side of the canvas over that of the clip: room to move


def random_shapes(rng: np.random.Generator, n_frames: int, size: int) -> tuple[Field, Labels]:
    """Make one clip.

    Parameters
    ----------
    rng : numpy.random.Generator
    n_frames : int
    size : int
        Side of the frames in pixels.

    Returns
    -------
    image : ndarray of float32, shape (n_frames, size, size)
        Grey values in 0..1.
    labels : ndarray of int32, shape (n_frames, size, size)
    """
    side = int(size * _MARGIN)
    labels = np.zeros((side, side), np.int32)
    while not labels.any():
        labels = ARRANGEMENTS[rng.integers(len(ARRANGEMENTS))](rng, side)
    if rng.random() < 0.25:
        labels = _with_cores(labels, rng)
    divided, division = _divided(labels, n_frames, rng)
    paint = Paint(side, int(divided.max()), rng)
    frames, ids = [], []
    course = WindowCourse(side, size, rng)
    lives = _lives(int(labels.max()), n_frames, rng)
    for frame in range(n_frames):
        now = divided if division is not None and frame >= division else labels
        now = _only_living(now, lives, frame)
        maps = course.step()
        ids.append(cv2.remap(now.astype(np.float32), *maps, cv2.INTER_NEAREST).astype(np.int32))
        frames.append(
            cv2.remap(paint.image(now), *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        )
    image = camera(np.stack(frames), rng)
    return image, np.stack(ids)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))


def _smooth(rng: np.random.Generator, side: int, scale: float) -> Field:
    """Return noise of a correlation length, with mean 0 and deviation 1."""
    nodes = max(2, math.ceil(side / scale) + 1)
    coarse = rng.standard_normal((nodes, nodes)).astype(np.float32)
    field = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    return (field - field.mean()) / (field.std() + 1e-6)


def _level_blobs(rng: np.random.Generator, side: int) -> Labels:
    """Parts of smooth noise above a level: irregular blobs, some in contact."""
    field = _smooth(rng, side, log_uniform(rng, 8, 60))
    if rng.random() < 0.5:
        field = field + 0.4 * _smooth(rng, side, log_uniform(rng, 4, 16))
    parts, _ = ndimage.label(field > np.quantile(field, rng.uniform(0.35, 0.85)))
    return parts.astype(np.int32)


def _mosaic(rng: np.random.Generator, side: int) -> Labels:
    """Cells that fill the plane, or keep gaps: a Voronoi mosaic, stretched and bent."""
    spacing = log_uniform(rng, 10, 70)
    jitter = rng.uniform(0.1, 0.5)
    line = np.arange(-1, side / spacing + 2) * spacing
    seeds = np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    seeds[:, 1] += np.where(np.round(seeds[:, 0] / spacing) % 2 > 0, spacing / 2, 0)
    seeds += rng.normal(0, jitter * spacing, seeds.shape)
    yy, xx = np.mgrid[:side, :side].astype(np.float32)
    bend = log_uniform(rng, 0.02, 0.25) * spacing
    yy = yy + bend * _smooth(rng, side, max(4.0, spacing / 2))
    xx = xx + bend * _smooth(rng, side, max(4.0, spacing / 2))
    stretch = log_uniform(rng, 0.45, 2.2)
    canvas = np.stack((yy * stretch, xx), -1).reshape(-1, 2)
    distance, owner = cKDTree(seeds * (stretch, 1.0)).query(canvas, k=2)
    labels = (owner[:, 0] + 1).reshape(side, side).astype(np.int32)
    gap = rng.choice((0.0, 0.0, log_uniform(rng, 0.5, 5.0)))
    rim = (distance[:, 1] - distance[:, 0]).reshape(side, side)
    labels[rim < 2 * gap] = 0
    if rng.random() < 0.4:
        gone = rng.random(len(seeds) + 1) < rng.uniform(0.1, 0.7)
        labels[gone[labels]] = 0
    return labels


def _stamped(rng: np.random.Generator, side: int) -> Labels:
    """Shapes put down one by one: rods, ellipses, stars, rings, many in contact."""
    labels = np.zeros((side, side), np.int32)
    kind = rng.choice(("rod", "rod", "ellipse", "star", "star", "mixed", "ring", "thread"))
    extent = log_uniform(rng, 10, 90)
    spread = rng.uniform(0.0, 0.5)
    heading, order = rng.uniform(0, math.pi), rng.uniform(0.05, 2.0)
    overlap = rng.choice((0.0, 0.05, 0.3))
    aspect = log_uniform(rng, 2.0, 7.0)
    wanted = (
        int(min(400, rng.uniform(0.3, 1.6) * (side / extent) ** 2 * (3 if kind == "rod" else 1.3)))
        + 1
    )
    for number in range(1, wanted + 1):
        length = extent * math.exp(rng.normal(0, spread))
        angle = heading + rng.normal(0, order)
        which = kind if kind != "mixed" else rng.choice(("rod", "ellipse", "star", "ring"))
        centre = rng.uniform(-0.05, 1.05, 2) * side
        outline = _outline(str(which), length, aspect, angle, rng) + centre[::-1]
        low = np.floor(outline.min(0)).astype(int).clip(0, side)
        high = np.ceil(outline.max(0)).astype(int).clip(0, side) + 1
        if (high - low).min() < 2:
            continue
        stamp = np.zeros((high - low)[::-1], np.uint8)
        cv2.fillPoly(stamp, [np.round((outline - low) * 16).astype(np.int32)], 1, shift=4)
        if which == "ring":
            inner = (outline - outline.mean(0)) * rng.uniform(0.4, 0.8) + outline.mean(0)
            cv2.fillPoly(stamp, [np.round((inner - low) * 16).astype(np.int32)], 0, shift=4)
        stamp = stamp[: side - low[1], : side - low[0]].astype(bool)
        here = labels[low[1] : low[1] + stamp.shape[0], low[0] : low[0] + stamp.shape[1]]
        area = np.count_nonzero(stamp)
        if area < 8 or np.count_nonzero(here[stamp]) > overlap * area:
            continue
        here[stamp] = number
    return labels


def _outline(
    kind: str, length: float, aspect: float, angle: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the corners (x, y) of a shape around the origin."""
    turn = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    if kind in ("rod", "thread"):
        half, radius = length / 2, length / (2 * (aspect if kind == "rod" else 3 * aspect))
        radius = max(radius, 1.5)
        along = max(half - radius, 0.0)
        x = np.where(np.cos(turn) >= 0, along, -along) + radius * np.cos(turn)
        y = radius * np.sin(turn)
        curve = rng.normal(0, 0.25 if kind == "rod" else 0.8) / length
        y = y + curve * x**2
        points = np.stack((x, y), -1)
    else:
        radius = np.full(len(turn), length / 2)
        if kind == "star":
            for wave in range(2, 7):
                radius *= 1 + rng.normal(0, 0.35 / wave) * np.cos(wave * turn + rng.uniform(0, 6.3))
            radius = radius.clip(0.2 * length / 2)
        points = radius[:, None] * np.stack((np.cos(turn), np.sin(turn)), -1)
        points[:, 1] /= 1 + rng.exponential(0.4)
    c, s = math.cos(angle), math.sin(angle)
    return np.asarray(points @ np.array([[c, s], [-s, c]]))


def _tree(rng: np.random.Generator, side: int) -> Labels:
    """Draw branching tubes of varying width; the area that they enclose stays background."""
    labels = np.zeros((side, side), np.int32)
    for number in range(1, int(rng.integers(2, 6))):
        position, heading = rng.uniform(0, side, 2), rng.uniform(0, 6.3)
        canvas = np.zeros((side, side), np.uint8)
        tips = [(position, heading, log_uniform(rng, 2, 10))]
        for _ in range(int(rng.integers(20, 90))):
            index = int(rng.integers(len(tips)))
            position, heading, width = tips[index]
            ahead = position + (4 + width) * np.array([math.cos(heading), math.sin(heading)])
            ends = (tuple(int(v) for v in point) for point in (position, ahead))
            cv2.line(canvas, *ends, 1, max(1, int(2 * width)))
            if rng.random() < 0.85:
                tips.pop(index)
            narrower = max(1.0, width * math.exp(rng.normal(0, 0.1)))
            tips.append((ahead, heading + rng.normal(0, 0.35), narrower))
        parts, _ = ndimage.label(canvas)
        largest = np.bincount(parts.ravel())[1:].argmax() + 1
        labels[(parts == largest) & (labels == 0)] = number
    return labels


ARRANGEMENTS: tuple[Callable[[np.random.Generator, int], Labels], ...] = (
    _level_blobs,
    _mosaic,
    _mosaic,
    _stamped,
    _stamped,
    _stamped,
    _tree,
)


def _with_cores(labels: Labels, rng: np.random.Generator) -> Labels:
    """Give objects an inner one: nuclei in cells, axons in sheaths."""
    depth = ndimage.distance_transform_edt(labels > 0)
    share = rng.uniform(0.3, 0.7)
    count = int(labels.max())
    most = ndimage.maximum(depth, labels, np.arange(count + 1))
    inner = depth > share * np.asarray(most)[labels].clip(2)
    out = labels.copy()
    if rng.random() < 0.5:
        out[inner & (labels > 0)] += count
    else:
        out[~inner] = 0
    return out


class Paint:
    """Appearance of each label, drawn once and painted on the labels of every frame."""

    def __init__(self, side: int, largest_id: int, rng: np.random.Generator) -> None:
        count = largest_id + 1
        contrast = log_uniform(rng, 0.04, 0.6)
        ground = rng.uniform(0.1, 0.9)
        alike = rng.random() < 0.6
        around = ground + rng.choice((-1, 1)) * contrast
        self.levels = np.where(
            alike,
            around + rng.normal(0, 0.35 * contrast, count),
            ground + rng.normal(0, 1.0, count) * contrast,
        ).astype(np.float32)
        if rng.random() < 0.25:  # objects as bright as the ground: only rim or texture tell them
            self.levels[:] = ground + rng.normal(0, 0.1 * contrast, count)
        self.levels[0] = ground
        self.textures = [
            _smooth(rng, side, log_uniform(rng, 1.2, 25))
            * (rng.random() < 0.6)
            * log_uniform(rng, 0.02, 0.2)
            for _ in range(2)
        ]
        self.clutter = (
            _smooth(rng, side, log_uniform(rng, 10, 90))
            * rng.choice((0.0, 0.05, 0.15, 0.3))
            * contrast
            * 2
        )
        self.shade = rng.choice((0.0, 0.0, rng.normal(0, 0.5))) * contrast
        self.shade_depth = log_uniform(rng, 2, 15)
        self.rim = rng.choice((0.0, rng.normal(0, 1.0), rng.choice((-1, 1)) * 1.0)) * max(
            contrast, 0.1
        )
        if abs(self.rim) < 1e-6 and np.ptp(self.levels) < 0.15 * contrast:
            self.rim = rng.choice((-1, 1)) * max(contrast, 0.12)
        self.rim_width = log_uniform(rng, 0.6, 3.5)
        self.halo = rng.choice((0.0, 0.0, rng.normal(0, 0.6))) * contrast

    def image(self, labels: Labels) -> Field:
        """Return grey values of labels (side, side)."""
        out = self.levels[labels]
        inside = labels > 0
        out = out + np.where(inside, self.textures[0], self.textures[1]) + self.clutter
        if not (self.shade or self.rim or self.halo):
            return out.astype(np.float32)
        border = np.zeros(labels.shape, np.uint8)
        border[1:] |= labels[1:] != labels[:-1]
        border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
        depth = np.minimum(cv2.distanceTransform(1 - border, cv2.DIST_L2, 3), 1e3)
        if self.shade:
            out = out + np.where(inside, self.shade * np.exp(-depth / self.shade_depth), 0.0)
        if self.rim:
            out = out + self.rim * np.exp(-((depth / self.rim_width) ** 2))
        if self.halo:
            out = out + np.where(inside, 0.0, self.halo * np.exp(-depth / (3 * self.rim_width)))
        return out.astype(np.float32)


class WindowCourse:
    """Positions of the pixels of each frame on the canvas: a window that drifts and bends.

    Parameters
    ----------
    side, size : int
        Side of the canvas and of the frames in pixels.
    rng : numpy.random.Generator
    fastest : float
        The speed is drawn from 0 to this.
    """

    def __init__(
        self, side: int, size: int, rng: np.random.Generator, fastest: float = 1.4
    ) -> None:
        self._rng, self._side, self._size = rng, side, size
        self._speed = rng.uniform(0.0, fastest)
        self._angle, self._zoom = 0.0, 1.0
        self._centre = np.full(2, (side - 1) / 2)
        self._bend = np.zeros((2, 5, 5), np.float32)

    def step(self) -> tuple[Field, Field]:
        """Return x and y on the canvas of each pixel of the next frame, (size, size) each."""
        line = np.arange(self._size, dtype=np.float32) - (self._size - 1) / 2
        xx, yy = np.meshgrid(line, line)
        c, s = math.cos(self._angle) * self._zoom, math.sin(self._angle) * self._zoom
        shift = [
            cv2.resize(each, (self._size, self._size), interpolation=cv2.INTER_CUBIC)
            for each in self._bend
        ]
        x = c * xx - s * yy + self._centre[0] + shift[0]
        y = s * xx + c * yy + self._centre[1] + shift[1]
        rng, speed = self._rng, self._speed
        self._angle += rng.normal(0, 0.08 * speed)
        self._zoom = float(np.clip(self._zoom * math.exp(rng.normal(0, 0.04 * speed)), 0.7, 1.3))
        self._centre = self._centre + rng.normal(0, 0.02 * speed * self._size, 2)
        self._bend = self._bend + rng.normal(
            0, 0.008 * speed * self._size, self._bend.shape
        ).astype(np.float32)
        return x.astype(np.float32), y.astype(np.float32)


def _lives(count: int, n_frames: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which objects are there in which frames; most are in all, some end, some return."""
    lives = np.ones((count + 1, n_frames), bool)
    if n_frames == 1:
        return lives
    for number in np.flatnonzero(rng.random(count + 1) < 0.25):
        start = int(rng.integers(1, n_frames))
        stop = n_frames if rng.random() < 0.6 else int(rng.integers(start, n_frames)) + 1
        lives[number, start:stop] = False
    lives[0] = True
    return lives


def _only_living(labels: Labels, lives: NDArray[np.bool_], frame: int) -> Labels:
    there = np.ones(int(labels.max()) + 1, bool)
    known = min(len(lives), len(there))
    there[:known] = lives[:known, frame]
    return np.where(there[labels], labels, 0).astype(np.int32)


def _divided(labels: Labels, n_frames: int, rng: np.random.Generator) -> tuple[Labels, int | None]:
    """Cut some objects in two, from some frame on: both halves have new ids."""
    if n_frames == 1 or rng.random() < 0.6:
        return labels, None
    out, fresh = labels.copy(), int(labels.max())
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None or rng.random() > 0.25:
            continue
        inside = labels[box] == number
        y, x = np.nonzero(inside)
        if len(y) < 60:
            continue
        angle = rng.uniform(0, math.pi)
        across = (y - y.mean()) * math.cos(angle) + (x - x.mean()) * math.sin(angle)
        gap = rng.uniform(0.3, 2.0)
        piece = out[box]
        piece[y[across > gap], x[across > gap]] = fresh + 1
        piece[y[across < -gap], x[across < -gap]] = fresh + 2
        middle = np.abs(across) <= gap
        piece[y[middle], x[middle]] = 0
        fresh += 2
    return out, int(rng.integers(1, n_frames))


def camera(frames: Field, rng: np.random.Generator) -> Field:
    """Blur, lose resolution, add noise; scale to 0..1."""
    blur = rng.choice((0.0, log_uniform(rng, 0.4, 2.5)))
    if blur:
        frames = np.stack([cv2.GaussianBlur(frame, (0, 0), blur) for frame in frames])
    if rng.random() < 0.2:
        factor = int(rng.integers(2, 4))
        side = frames.shape[1]
        frames = np.stack(
            [
                cv2.resize(
                    cv2.resize(f, (side // factor, side // factor), interpolation=cv2.INTER_AREA),
                    (side, side),
                    interpolation=cv2.INTER_LINEAR,
                )
                for f in frames
            ]
        )
    noise = rng.choice((0.0, log_uniform(rng, 0.005, 0.15)))
    frames = frames + noise * rng.standard_normal(frames.shape, dtype=np.float32)
    low, high = np.quantile(frames, (0.002, 0.998))
    return np.clip((frames - low) / max(high - low, 0.05), 0, 1).astype(np.float32)
