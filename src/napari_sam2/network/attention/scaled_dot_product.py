"""Multi-head scaled dot-product attention with its own inner width."""

from __future__ import annotations

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
        heads = (self.heads, -1)
        q = q.unflatten(2, heads).transpose(1, 2)
        k = k.unflatten(2, heads).transpose(1, 2)
        v = v.unflatten(2, heads).transpose(1, 2)
        out = F.scaled_dot_product_attention(q, k, v)
        return self.out_proj(out.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]
