"""Rotary position encoding of a grid, and attention that uses it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor

from napari_sam2.network.attention.scaled_dot_product import Attention
from napari_sam2.network.attention.tiled_attention import LOG2_E, Spans, attend_spans
from napari_sam2.network.precision import computes_in_place

_KEYS_AT_ONCE = 4096


class RotaryAttention(Attention):
    """Single-head attention whose queries and keys turn with their 2D position (arXiv 2104.09864).

    Keys may hold several frames of the query's grid one after another: the rotation repeats for
    each. Tokens at the end of the keys (object pointers) can be left unrotated.
    """

    def __init__(self, width: int, key_width: int | None = None) -> None:
        super().__init__(width, heads=1, key_width=key_width)

    def forward(  # type: ignore[override]
        self, q: Tensor, k: Tensor, v: Tensor, turns: RotaryTable, unrotated: int = 0
    ) -> Tensor:
        """Attend; the last `unrotated` keys carry no position in the frame."""
        narrow = v.shape[2] < self.v_proj.out_features
        if narrow and computes_in_place(q, k, v, self.k_proj.weight):
            attended = self._attend_narrow(q, k, v, turns, unrotated)
            if attended is not None:
                return attended
        q = turns.rotate(self.q_proj(q))
        k = self.k_proj(k)
        rotated = turns.rotate(k[:, : k.shape[1] - unrotated])
        k = torch.cat((rotated, k[:, k.shape[1] - unrotated :]), dim=1) if unrotated else rotated
        return self._attend(q, k, self.v_proj(v))

    def _attend_narrow(
        self, q: Tensor, k: Tensor, v: Tensor, turns: RotaryTable, unrotated: int
    ) -> Tensor | None:
        """Attend over values that are projected only afterwards: attention weights add up to 1.

        Keys are projected and turned a span at a time, so that they never exist as a whole. None
        where scores are too far apart for that.
        """
        q = turns.rotate(self.q_proj(q)).mul_(LOG2_E * q.shape[2] ** -0.5)
        spans = list(turns.spans(k.shape[1] - unrotated, _KEYS_AT_ONCE))
        ends = [(start, stop, True) for start, stop in spans]
        if unrotated:
            ends.append((k.shape[1] - unrotated, k.shape[1], False))

        def keyed(index: int) -> Spans:
            for start, stop, turning in ends:
                keys = self.k_proj(k[index, start:stop])
                if turning:
                    keys = turns.rotate(keys[None], start)[0]
                yield keys, v[index, start:stop]

        attended = []
        for index in range(len(q)):
            one = attend_spans(q[index], keyed(index))
            if one is None:
                return None
            attended.append(one)
        return self.out_proj(self.v_proj(torch.stack(attended)))  # type: ignore[no-any-return]


class RotaryTable:
    """Cosines and sines of axial rotary encoding for one grid.

    Parameters
    ----------
    height, width : int
        The grid.
    channels : int
        Channels of the vectors to turn: a quarter of the frequencies each for sin/cos of x and y.
    device : torch.device
        Device of the table.
    """

    def __init__(self, height: int, width: int, channels: int, device: torch.device) -> None:
        frequencies = 10000.0 ** -(torch.arange(0, channels, 4, device=device) / channels)
        index = torch.arange(height * width, device=device)
        x = torch.outer((index % width).float(), frequencies)
        y = torch.outer(torch.div(index, width, rounding_mode="floor").float(), frequencies)
        angles = torch.cat((x, y), dim=1)
        self.tokens = height * width
        self.cos = angles.cos()
        self.sin = angles.sin()
        self._turns = torch.complex(self.cos, self.sin)
        self._pairs: dict[torch.dtype, tuple[Tensor, Tensor]] = {}

    def rotate(self, x: Tensor, first: int = 0) -> Tensor:
        """Turn consecutive channel pairs of x (B, L, C).

        x begins at token `first` of a row of grids, and ends with a grid unless it lies within one.
        """
        rows = slice(first % self.tokens, first % self.tokens + min(x.shape[1], self.tokens))
        grids = x.unflatten(1, (-1, min(x.shape[1], self.tokens))).unflatten(3, (-1, 2))
        if computes_in_place(x) and x.is_contiguous():
            # Complex products are several times faster than strided pairs.
            turned = torch.view_as_complex(grids) * self._turns[rows]
            return torch.view_as_real(turned).view_as(x)
        cos, sin = (table[rows] for table in self._for(x.dtype))
        turned = torch.addcmul(grids * cos, grids.flip(4), sin)
        return turned.flatten(3).flatten(1, 2)

    @torch.inference_mode(False)
    @torch.no_grad()
    def _for(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return the factors of each channel of a pair and of its partner."""
        if dtype not in self._pairs:
            cos = torch.stack((self.cos, self.cos), dim=2)
            sin = torch.stack((-self.sin, self.sin), dim=2)
            self._pairs[dtype] = cos.to(dtype), sin.to(dtype)
        return self._pairs[dtype]

    def spans(self, length: int, size: int) -> Iterator[tuple[int, int]]:
        """Cut whole grids into (start, stop) that `rotate` takes, of at most `size` tokens."""
        step = self.tokens
        if step <= size:
            step *= size // step
            for start in range(0, length, step):
                yield start, min(start + step, length)
            return
        pieces = -(-step // size)
        for grid in range(0, length, step):
            for piece in range(pieces):
                yield grid + piece * step // pieces, grid + (piece + 1) * step // pieces


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def rotary_table(height: int, width: int, channels: int, device: torch.device) -> RotaryTable:
    """Return a table, the same one for the same grid; usable with and without gradients."""
    with torch.no_grad():
        return RotaryTable(height, width, channels, device)
