"""The Hiera trunk (arXiv 2306.00989) in the variant of SAM 2."""

from __future__ import annotations

from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam2.network.config import HieraConfig
from napari_sam2.network.layers import MLP, computes_in_place, full_precision, in_pieces
from napari_sam2.network.parallel_tasks import run_tasks, tasks_wanted

_TOKENS = 4096  # in windows, so many at a time where memory traffic costs
_ROWS = 1024  # of the feed-forward parts at a time: as quick as more, and less memory
_ROWS_OF_A_TASK = 512  # fewer would be slow, as weights have to be read for each
_LITTLE = 2**19  # numbers: where there are fewer, threads are not worth their start


class PatchEmbed(nn.Module):
    """Overlapping 7 x 7 patches with stride 4, channels last; never in half precision."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, kernel_size=7, stride=4, padding=3)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, S, S) to (B, S / 4, S / 4, C)."""
        if computes_in_place(images, self.proj.weight):
            # What comes out is channels last already, and the convolution twice as fast.
            images = images.contiguous(memory_format=torch.channels_last)
        with full_precision(images.device):
            return self.proj(images).permute(0, 2, 3, 1)  # type: ignore[no-any-return]


class WindowAttention(nn.Module):
    """Self-attention inside a window, with optionally max-pooled queries."""

    def __init__(self, dim: int, dim_out: int, heads: int, pool: bool) -> None:
        super().__init__()
        self.heads = heads
        self.pool = pool
        self.qkv = nn.Linear(dim, 3 * dim_out)
        self.proj = nn.Linear(dim_out, dim_out)

    def forward(self, x: Tensor) -> Tensor:
        """Attend within each of (B, H, W, dim); pooled queries halve H and W."""
        batch, height, width, _ = x.shape
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        if self.pool:
            q = _pool(q)
            height, width = q.shape[1:3]
        q, k, v = (self._split(part) for part in (q, k, v))
        out = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        return self.proj(out.reshape(batch, height, width, -1))  # type: ignore[no-any-return]

    def _split(self, x: Tensor) -> Tensor:
        heads: Tensor = x.flatten(1, 2).unflatten(2, (self.heads, -1))
        return heads.transpose(1, 2)


class HieraBlock(nn.Module):
    """Attention and MLP with residuals; may change the width and halve the resolution.

    Parameters
    ----------
    dim, dim_out : int
        Channels before and after.
    heads : int
        Attention heads.
    window : int
        Window side in tokens; 0 attends over the whole frame.
    pool : bool
        Halve the resolution.
    """

    def __init__(self, dim: int, dim_out: int, heads: int, window: int, pool: bool) -> None:
        super().__init__()
        self.window = window
        self.pool = pool
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = WindowAttention(dim, dim_out, heads, pool)
        self.norm2 = nn.LayerNorm(dim_out, eps=1e-6)
        self.mlp = MLP(dim_out, 4 * dim_out, dim_out, layers=2, activation=F.gelu)
        self.proj = nn.Linear(dim, dim_out) if dim != dim_out else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, dim) to (B, H', W', dim_out)."""
        if self.window and computes_in_place(x, self.attn.qkv.weight):
            # Windows know nothing of each other: a band of them is a whole frame to itself.
            rows = self._rows_of_a_task(x)
            if rows:
                return in_pieces(self._whole, x, rows, dim=1, as_tasks=True)
            windows = max(1, _TOKENS // (self.window * x.shape[2]))
            return in_pieces(self._whole, x, windows * self.window, dim=1)
        return self._whole(x)

    def _rows_of_a_task(self, x: Tensor) -> int:
        """Return the height of a band that one thread computes; 0 where bands would be too small.

        All threads together compute what is small: one alone has to read all weights for few rows.
        """
        height, width = x.shape[1:3]
        wanted = tasks_wanted()
        if not wanted or x.numel() < _LITTLE:
            return 0
        bands = -(-height // self.window)
        most = max(1, _TOKENS // (self.window * width))
        rows = self.window * max(1, min(most, bands // wanted))
        last = height % rows or rows
        tokens = last * width // (4 if self.pool else 1)
        return rows if rows < height and tokens >= _ROWS_OF_A_TASK else 0

    def _whole(self, x: Tensor) -> Tensor:
        normed = self.norm1(x)
        shortcut = x
        if self.proj is not None:
            shortcut = self.proj(normed)
            if self.pool:
                shortcut = _pool(shortcut)
        x = shortcut + self._attend(normed, shortcut.shape[1], shortcut.shape[2])
        if computes_in_place(x, self.attn.qkv.weight):
            x = x.contiguous()
            self._feed_forward_in_place(x.view(-1, x.shape[3]))
            return x
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]

    def _feed_forward_in_place(self, x: Tensor) -> None:
        """Add the feed-forward part to x (rows, channels): the last product adds to it."""
        last = self.mlp.layers[-1]
        assert isinstance(last, nn.Linear)

        def feed(rows: Tensor) -> None:
            hidden = self.mlp.hidden(self.norm2(rows))
            rows.add_(last.bias).addmm_(hidden, last.weight.T)

        if tasks_wanted() and len(x) >= 2 * _ROWS and len(x) % _ROWS_OF_A_TASK == 0:
            run_tasks(feed, x.split(_ROWS_OF_A_TASK))
        else:
            for rows in x.split(_ROWS):
                feed(rows)

    def _attend(self, x: Tensor, height: int, width: int) -> Tensor:
        if not self.window:
            return self.attn(x)  # type: ignore[no-any-return]
        batch, x_height, x_width, _ = x.shape
        # Padding takes part as keys, as in the reference: its value is the projection's bias.
        x = F.pad(x, (0, 0, 0, -x_width % self.window, 0, -x_height % self.window))
        rows, columns = x.shape[1] // self.window, x.shape[2] // self.window
        x = x.unflatten(1, (rows, self.window)).unflatten(3, (columns, self.window))
        # Contiguous also where windows are side by side only: products of a view are slow.
        x = x.transpose(2, 3).flatten(0, 2).contiguous()
        x = self.attn(x).unflatten(0, (batch, rows, columns))
        return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)[:, :height, :width]


class Hiera(nn.Module):
    """The trunk: four stages at strides 4, 8, 16 and 32."""

    def __init__(self, config: HieraConfig) -> None:
        super().__init__()
        ends = [total - 1 for total in accumulate(config.stages)]
        self.stage_ends = tuple(ends)
        self.patch_embed = PatchEmbed(config.embed_dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, config.embed_dim, *config.background_size))
        self.pos_embed_window = nn.Parameter(
            torch.zeros(1, config.embed_dim, config.windows[0], config.windows[0])
        )
        self.blocks = nn.ModuleList(_blocks(config, ends))

    @property
    def first(self) -> nn.Module:
        """The layer that reads the pixels."""
        return self.patch_embed

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map (B, 3, S, S) to one (B, C, H, W) map per stage, finest first."""
        x = self.patch_embed(images)
        x = self._positioned(x)
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.stage_ends:
                maps.append(x.permute(0, 3, 1, 2))
        return maps

    def _positioned(self, x: Tensor) -> Tensor:
        """Add to x (B, H, W, C) the background, bicubically resized, and the repeated window."""
        height, width = x.shape[1:3]
        background = self.pos_embed[0].permute(1, 2, 0)
        rows = _resizing(background.shape[0], height, background)
        columns = _resizing(background.shape[1], width, background)
        # Resizing is linear in each axis: two small matrix products instead of 4 x 4 neighbours.
        position: Tensor = columns @ (rows @ background.flatten(1)).unflatten(
            1, background.shape[1:]
        )
        window = self.pos_embed_window[0].permute(1, 2, 0)
        side = window.shape[0]
        row = window.tile(1, -(-width // side), 1)[:, :width]
        if len(x) > 1 or not computes_in_place(x, position):
            return position + row.tile(-(-height // side), 1, 1)[:height] + x
        whole = height // side * side  # at once, which is one operation instead of many
        position[:whole].unflatten(0, (-1, side)).add_(row)
        position[whole:].add_(row[: height - whole])
        return position.unsqueeze(0).add_(x)


def _resizing(length: int, wanted: int, like: Tensor) -> Tensor:
    """Return the matrix (wanted, length) of torch's bicubic interpolation along one axis."""
    unit = torch.eye(length, device=like.device, dtype=like.dtype)[None, None]
    return F.interpolate(unit, size=(wanted, length), mode="bicubic")[0, 0]


def _blocks(config: HieraConfig, ends: list[int]) -> list[HieraBlock]:
    blocks = []
    dim, heads, stage = config.embed_dim, config.heads, 0
    for index in range(sum(config.stages)):
        # The window lags by a block: a stage's first block still works on the finer grid.
        window = 0 if index in config.global_blocks else config.windows[stage]
        starts_stage = index - 1 in ends
        dim_out = dim * 2 if starts_stage else dim
        if starts_stage:
            heads *= 2
            stage += 1
        blocks.append(HieraBlock(dim, dim_out, heads, window, pool=starts_stage))
        dim = dim_out
    return blocks


def _pool(x: Tensor) -> Tensor:
    """Return the maximum of each 2 x 2 tokens of (B, H, W, C); an odd row or column is left out."""
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    rows = torch.maximum(x[:, 0:height:2, :width], x[:, 1:height:2, :width])
    return torch.maximum(rows[:, :, 0::2], rows[:, :, 1::2])
