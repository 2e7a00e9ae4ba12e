"""Memory attention: conditions the features of a frame on the memory bank."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam2.network.attention import RotaryAttention, RotaryTable, rotary_table
from napari_sam2.network.layers import computes_in_place, in_pieces
from napari_sam2.network.parallel_tasks import run_tasks, tasks_wanted

_POSITION_WEIGHT = 0.1
_ROWS = 512


class MemoryAttentionLayer(nn.Module):
    """Self-attention, cross-attention to the memories, feed-forward; normalised first."""

    def __init__(self, width: int, memory_width: int, mlp: int) -> None:
        super().__init__()
        self.self_attn = RotaryAttention(width)
        self.cross_attn_image = RotaryAttention(width, key_width=memory_width)
        self.linear1 = nn.Linear(width, mlp)
        self.linear2 = nn.Linear(mlp, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width)

    def forward(
        self, x: Tensor, keys: Tensor, values: Tensor, turns: RotaryTable, pointers: int
    ) -> Tensor:
        """Update x (N, L, C) by keys and values (N, M, memory width)."""
        return self.attend_memory(self.attend_frame(x, turns), keys, values, turns, pointers)

    def attend_frame(self, x: Tensor, turns: RotaryTable) -> Tensor:
        """Update x (B, L, C) by itself."""
        normed = self.norm1(x)
        return x + self.self_attn(normed, normed, normed, turns)  # type: ignore[no-any-return]

    def attend_memory(
        self, x: Tensor, keys: Tensor, values: Tensor, turns: RotaryTable, pointers: int
    ) -> Tensor:
        """Update x (N, L, C), which has seen its own frame, by keys and values."""
        x = x + self.cross_attn_image(self.norm2(x), keys, values, turns, unrotated=pointers)
        if computes_in_place(x, self.linear1.weight):
            rows = x.flatten(0, 1)
            if tasks_wanted() and len(rows) > _ROWS:
                return self._feed_forward_in_tasks(rows).view_as(x)
            return in_pieces(self._feed_forward, rows, _ROWS).view_as(x)
        return self._feed_forward(x)

    def _feed_forward_in_tasks(self, x: Tensor) -> Tensor:
        """Feed x (rows, C) forward, all but the last product in tasks.

        That one adds up so many terms that torch's threads share even those of one sum: done by
        one thread it would be rounded in another way.
        """
        hidden = x.new_empty(len(x), self.linear1.out_features)
        first, last = self.linear1, self.linear2

        def fill(rows: slice) -> None:
            torch.addmm(first.bias, self.norm3(x[rows]), first.weight.T, out=hidden[rows]).relu_()

        run_tasks(fill, [slice(start, start + _ROWS) for start in range(0, len(x), _ROWS)])
        return in_pieces(last, hidden, _ROWS).add_(x)

    def _feed_forward(self, x: Tensor) -> Tensor:
        return x + self.linear2(F.relu(self.linear1(self.norm3(x))))  # type: ignore[no-any-return]


class MemoryAttention(nn.Module):
    """A stack of layers and a last normalisation."""

    def __init__(self, width: int, memory_width: int, layers: int, mlp: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            MemoryAttentionLayer(width, memory_width, mlp) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)

    def open(self, features: Tensor, position: Tensor) -> Tensor:
        """Compute the part before the first memory, which all objects of a frame share.

        Returns
        -------
        Tensor, shape (B, h w, C)
        """
        turns = rotary_table(*features.shape[2:], features.shape[1], features.device)
        x = (features + _POSITION_WEIGHT * position).flatten(2).transpose(1, 2)
        return self._first.attend_frame(x, turns)

    @property
    def _first(self) -> MemoryAttentionLayer:
        first = self.layers[0]
        assert isinstance(first, MemoryAttentionLayer)
        return first

    def forward(
        self,
        features: Tensor,
        position: Tensor,
        memory: Tensor,
        memory_position: Tensor,
        pointers: int,
        opened: Tensor | None = None,
    ) -> Tensor:
        """Condition features on memory tokens; returns (N, C, h, w).

        Parameters
        ----------
        features, position : Tensor, shapes (N or 1, C, h, w) and (1, C, h, w)
        memory, memory_position : Tensor, shape (N, M, memory width)
            Whole frames of h x w tokens, then the object pointers.
        pointers : int
            Number of tokens at the end that are object pointers.
        opened : Tensor, optional
            Output of `open` for the features, if it was computed already.
        """
        height, width = features.shape[2:]
        turns = rotary_table(height, width, features.shape[1], features.device)
        if opened is None:
            opened = self.open(features, position)
        keys = memory + memory_position
        x = opened.expand(len(memory), -1, -1)
        x = self._first.attend_memory(x, keys, memory, turns, pointers)
        for layer in self.layers[1:]:
            x = layer(x, keys, memory, turns, pointers)
        return self.norm(x).transpose(1, 2).unflatten(2, (height, width))  # type: ignore[no-any-return]
