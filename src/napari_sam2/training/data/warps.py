"""Smooth geometric warps of a window of a source image to a square training frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

_MAX_SUPERSAMPLING = 4


@dataclass(frozen=True, slots=True, eq=False)
class Warp:
    """The source position of each pixel of a square output of side `size`.

    Attributes
    ----------
    centre : tuple of float
        (y, x) of the source under the middle of the output.
    matrix : ndarray of float64, shape (2, 2)
        Source pixels per output pixel, rows and columns in (y, x) order.
    bend : ndarray of float32, shape (2, n, n), optional
        Coarse displacement in output pixels, interpolated smoothly over the output.
    size : int
        Side of the output in pixels.
    """

    centre: tuple[float, float]
    matrix: NDArray[np.float64]
    size: int
    bend: NDArray[np.float32] | None = None

    @property
    def step(self) -> float:
        """Source pixels per output pixel (geometric mean)."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix))))

    def coordinates(self, supersampling: int = 1) -> torch.Tensor:
        """Source (y, x) of every output pixel, shape (n, n, 2), n = size x supersampling."""
        n = self.size * supersampling
        line = (torch.arange(n, dtype=torch.float32) + 0.5) / supersampling - 0.5 * self.size
        grid = torch.stack(torch.meshgrid(line, line, indexing="ij"), dim=-1)
        if self.bend is not None:
            bend = torch.from_numpy(self.bend)[None]
            smooth = functional.interpolate(bend, size=(n, n), mode="bicubic", align_corners=True)
            grid = grid + smooth[0].permute(1, 2, 0)
        matrix = torch.from_numpy(self.matrix.astype(np.float32))
        return grid @ matrix.T + torch.tensor(self.centre, dtype=torch.float32)

    def sample_image(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Sample an image (Y, X) to float32 (size, size) in 0..1; averaged where it shrinks."""
        factor = int(np.clip(round(self.step), 1, _MAX_SUPERSAMPLING))
        source = torch.from_numpy(np.ascontiguousarray(image)).to(torch.float32)[None, None] / 255.0
        grid = _normalised(self.coordinates(factor), image.shape)
        out = functional.grid_sample(
            source, grid, mode="bilinear", padding_mode="border", align_corners=False
        )
        if factor > 1:
            out = functional.avg_pool2d(out, factor)
        return np.asarray(out[0, 0].numpy(), dtype=np.float32)

    def sample_labels(self, labels: NDArray[np.int32]) -> NDArray[np.int32]:
        """Nearest label of every output pixel, 0 outside the source."""
        yx = torch.floor(self.coordinates() + 0.5).to(torch.int64)
        height, width = labels.shape
        y, x = yx[..., 0], yx[..., 1]
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        flat = (y.clamp(0, height - 1) * width + x.clamp(0, width - 1)).numpy()
        values = np.ascontiguousarray(labels).ravel()[flat]
        return np.asarray(np.where(inside.numpy(), values, 0), dtype=np.int32)


def _normalised(yx: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Pixel coordinates (pixel centres at integers) as `grid_sample` wants them."""
    height, width = shape
    y = (2.0 * yx[..., 0] + 1.0) / height - 1.0
    x = (2.0 * yx[..., 1] + 1.0) / width - 1.0
    return torch.stack([x, y], dim=-1)[None]


def random_matrix(rng: np.random.Generator, step: float) -> NDArray[np.float64]:
    """Return a rotation with flip and mild anisotropy, of `step` source pixels per pixel."""
    quarter_turns = rng.random() < 0.5
    angle = rng.integers(4) * np.pi / 2 if quarter_turns else rng.uniform(0, 2 * np.pi)
    stretch = np.exp(rng.normal(0.0, 0.08))
    shape = np.diag([stretch, 1.0 / stretch])
    flip = np.diag([rng.choice([-1.0, 1.0]), 1.0])
    return np.asarray(step * _rotation(angle) @ shape @ flip)


def random_bend(
    rng: np.random.Generator, size: int, strength: float, nodes: int | None = None
) -> NDArray[np.float32]:
    """Coarse random displacements at n x n nodes, standard deviation `strength` x size pixels."""
    nodes = nodes or int(rng.integers(3, 8))
    return rng.normal(0.0, strength * size, (2, nodes, nodes)).astype(np.float32)


def drifted(warp: Warp, rng: np.random.Generator, strength: float) -> Warp:
    """Return the warp of the next frame: a small move, turn, zoom and bend of this one."""
    turn = _rotation(rng.normal(0.0, 0.12 * strength))
    zoom = np.exp(rng.normal(0.0, 0.06 * strength))
    move = warp.matrix @ rng.normal(0.0, 0.03 * strength * warp.size, 2)
    nodes = None if warp.bend is None else warp.bend.shape[1]
    bend = random_bend(rng, warp.size, 0.01 * strength, nodes)
    if warp.bend is not None:
        bend = bend + warp.bend
    return replace(
        warp,
        centre=(warp.centre[0] + float(move[0]), warp.centre[1] + float(move[1])),
        matrix=warp.matrix @ turn * zoom,
        bend=bend,
    )


def _rotation(angle: float) -> NDArray[np.float64]:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])
