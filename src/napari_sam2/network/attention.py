"""Multi-head attention with an inner width of its own, and its rotary variant."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Scaled dot-product attention between two sequences.

    Parameters
    ----------
    width : int
        Channels of queries and of the output.
    heads : int
        Attention heads.
    inner : int, optional
        Channels inside; `width` by default.
    key_width : int, optional
        Channels of keys and values; `width` by default.
    """

    def __init__(
        self, width: int, heads: int, inner: int | None = None, key_width: int | None = None
    ) -> None:
        super().__init__()
        inner = inner or width
        key_width = key_width or width
        self.heads = heads
        self.q_proj = nn.Linear(width, inner)
        self.k_proj = nn.Linear(key_width, inner)
        self.v_proj = nn.Linear(key_width, inner)
        self.out_proj = nn.Linear(inner, width)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend from q (B, L, width) to k and v (B, M, key_width)."""
        return self._attend(self.q_proj(q), self.k_proj(k), self.v_proj(v))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = F.scaled_dot_product_attention(self._split(q), self._split(k), self._split(v))
        return self.out_proj(out.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _split(self, x: Tensor) -> Tensor:
        heads: Tensor = x.unflatten(2, (self.heads, -1))
        return heads.transpose(1, 2)


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
        q = turns.rotate(self.q_proj(q))
        k = self.k_proj(k)
        if unrotated:
            cut = k.shape[1] - unrotated
            k = torch.cat((turns.rotate(k[:, :cut]), k[:, cut:]), dim=1)
        else:
            k = turns.rotate(k)
        return self._attend(q, k, self.v_proj(v))


class RotaryTable:
    """Cosines and sines of axial rotary encoding for one grid.

    Parameters
    ----------
    height, width : int
        The grid.
    channels : int
        Channels of the vectors to turn: a quarter of the frequencies each for sin/cos of x and y.
    device : torch.device
        Where the table lives.
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

    def rotate(self, x: Tensor) -> Tensor:
        """Turn consecutive channel pairs of x (B, R * tokens, C); the grid repeats R times."""
        pairs = x.unflatten(1, (-1, self.tokens)).unflatten(3, (-1, 2))
        even, odd = pairs.unbind(dim=4)
        cos, sin = self.cos.to(x.dtype), self.sin.to(x.dtype)
        turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=4)
        return turned.flatten(3).flatten(1, 2)
