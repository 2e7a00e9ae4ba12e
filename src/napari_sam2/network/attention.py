"""Attention layers: scaled dot product, two-way, in tiles of keys, and with rotary positions.

Scaled dot-product attention has an inner width of its own. The two-way transformer lets prompt
tokens and image features attend to each other. Tiled attention saves work where values have fewer
channels than keys; rotary attention uses it for the memories of many frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam2.network.layers import MLP, computes_in_place
from napari_sam2.network.parallel_tasks import run_tasks, tasks_wanted


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


class TwoWayBlock(nn.Module):
    """Self-attention of tokens, tokens to image, MLP, image to tokens."""

    def __init__(self, width: int, heads: int, mlp: int, first: bool) -> None:
        super().__init__()
        half = width // 2
        self.first = first
        self.self_attn = Attention(width, heads)
        self.norm1 = nn.LayerNorm(width)
        self.cross_attn_token_to_image = Attention(width, heads, inner=half)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = MLP(width, mlp, width, layers=2)
        self.norm3 = nn.LayerNorm(width)
        self.norm4 = nn.LayerNorm(width)
        self.cross_attn_image_to_token = Attention(width, heads, inner=half)

    def forward(
        self, tokens: Tensor, image: Tensor, token_position: Tensor, image_position: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return updated tokens (N, P, C) and image features (N, L, C)."""
        if self.first:
            # Tokens are their own position encoding here: no residual, nothing to add.
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            q = tokens + token_position
            tokens = tokens + self.self_attn(q, q, tokens)
        tokens = self.norm1(tokens)
        image_keys = image + image_position
        q = tokens + token_position
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(q, image_keys, image))
        tokens = self.norm3(tokens + self.mlp(tokens))
        q = tokens + token_position
        image = self.norm4(image + self.cross_attn_image_to_token(image_keys, q, tokens))
        return tokens, image


class TwoWayTransformer(nn.Module):
    """Blocks and a last attention of the tokens to the image."""

    def __init__(self, width: int, layers: int, heads: int, mlp: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayBlock(width, heads, mlp, first=index == 0) for index in range(layers)
        )
        self.final_attn_token_to_image = Attention(width, heads, inner=width // 2)
        self.norm_final_attn = nn.LayerNorm(width)

    def forward(self, image: Tensor, position: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return tokens (N, P, C) and image (N, L, C).

        Parameters
        ----------
        image, position : Tensor, shapes (N, C, h, w) and (1, C, h, w)
        tokens : Tensor, shape (N, P, C)
        """
        features = image.flatten(2).transpose(1, 2)
        image_position = position.flatten(2).transpose(1, 2)
        token_position = tokens
        for layer in self.layers:
            tokens, features = layer(tokens, features, token_position, image_position)
        q = tokens + token_position
        attended = self.final_attn_token_to_image(q, features + image_position, features)
        return self.norm_final_attn(tokens + attended), features


Spans = Iterator[tuple[Tensor, Tensor]]
"""Keys (K, C) and values (K, D) of one span of tokens after another."""

LOG2_E = math.log2(math.e)
"""What turns scores to base e into scores to base 2."""

_MODEST = 27.0  # a power of 2 that leaves a hundred more before overflow
_QUERIES, _KEYS = 1024, 512  # of a tile: so many scores stay in the caches next to a core
_FEWEST = 128  # queries of a tile; products of fewer are slow


def attend_spans(q: Tensor, spans: Spans) -> Tensor | None:
    """Softmax attention, a tile of scores at a time.

    torch's own kernels want values as wide as the keys, or write out all scores; here neither is
    needed, and a tile of scores stays in the processor's cache. Softmax does not change when a
    constant is taken from all scores of a query. Usually that is their maximum, so that no power
    overflows; here it is the maximum of the first tile, which needs no look at any other before
    its powers are taken. Where that is a modest number nothing is taken from the scores at all,
    which spares a pass over each tile. Without gradients.

    Parameters
    ----------
    q : Tensor of float32, shape (L, C)
        Queries, scaled so that the softmax is one to base 2, whose powers torch computes more than
        twice as fast as those of e on CPUs.
    spans : iterator of (keys, values)
        Float32, shapes (K, C) and (K, D); of any length, in tiles they are cut here.

    Returns
    -------
    Tensor, shape (L, D), or None
        None where powers overflowed: a score lies more than 100 above those of the first tile.
    """
    tiles: list[list[_Part]] = []
    parts: list[_Part] = []
    for keys, values in spans:
        if not tiles:
            rows = _rows_of_a_part(len(q))
            tiles = [
                [_Part(some, values.shape[1]) for some in tile.split(rows)]
                for tile in q.split(_QUERIES)
            ]
            parts = list(chain(*tiles))
            run_tasks(partial(_Part.open, keys=keys[:_KEYS]), parts)
            for tile in tiles:
                _take_off_the_highest(tile)
        run_tasks(partial(_Part.add, keys=keys, values=values), parts)
    if not all(part.is_sound() for part in parts):
        return None
    return torch.cat([part.result() for part in parts])


def _rows_of_a_part(queries: int) -> int:
    """Divide the queries of a tile where there would not be enough parts for all threads."""
    rows = _QUERIES
    while queries >= _QUERIES and rows > _FEWEST and queries < rows * tasks_wanted():
        rows //= 2
    return rows


def _take_off_the_highest(parts: Sequence[_Part]) -> None:
    """Subtract the highest scores from all scores if one of the tile's scores is high."""
    if max(float(part.highest.abs().amax()) for part in parts) > _MODEST:
        for part in parts:
            part.offset = -part.highest


class _Part:
    """Partial sums of some queries: weighted sums of values, and sums of weights."""

    def __init__(self, q: Tensor, width: int) -> None:
        self._q = q
        self._sums = q.new_zeros(len(q), width)
        self._weights = q.new_zeros(len(q), 1)
        self._first: Tensor | None = None  # scores that nobody has looked at since `open`
        self.highest = self._weights
        self.offset: Tensor | None = None

    def open(self, keys: Tensor) -> None:
        """Compute the scores of the first keys; `add` must begin with the same keys."""
        self._first = torch.mm(self._q, keys.T)
        self.highest = self._first.amax(dim=1, keepdim=True)

    def add(self, keys: Tensor, values: Tensor) -> None:
        buffer = self._q.new_empty(len(self._q) * _KEYS)
        for some, theirs in zip(keys.split(_KEYS), values.split(_KEYS), strict=True):
            scores = self._scores(some, buffer).exp2_()
            self._weights.add_(scores.sum(dim=1, keepdim=True))
            self._sums.addmm_(scores, theirs)

    def _scores(self, keys: Tensor, buffer: Tensor) -> Tensor:
        if self._first is not None:
            scores, self._first = self._first, None
            return scores if self.offset is None else scores.add_(self.offset)
        scores = buffer[: len(self._q) * len(keys)].view(len(self._q), len(keys))
        if self.offset is not None:
            return torch.addmm(self.offset, self._q, keys.T, out=scores)
        return torch.mm(self._q, keys.T, out=scores)

    def is_sound(self) -> bool:
        return bool(self._weights.isfinite().all() and self._sums.isfinite().all())

    def result(self) -> Tensor:
        return self._sums.div_(self._weights)


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
        """Rotate consecutive channel pairs of x (B, L, C).

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
