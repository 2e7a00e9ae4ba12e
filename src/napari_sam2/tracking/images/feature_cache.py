"""A cache of encoded frames, so that a click or a second pass need not encode them again."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_sam2.errors import Sam2Error
from napari_sam2.network import ImageFeatures
from napari_sam2.network.parallel_tasks import map_tasks
from napari_sam2.tracking.images.frame_reader import FrameReader
from napari_sam2.tracking.images.object_window import Window, frame_to_input
from napari_sam2.tracking.model import Model

_BATCH = 4  # windows that are encoded together
_TILE = 2  # windows along the side of a tile that several share
_CROWD = 5  # windows in a tile from which on it is less to encode than they are


@dataclass(frozen=True, slots=True)
class _Group:
    """Windows that are encoded together: in one batch, or cut out of one tile.

    Features are cached by their group: those of another batch may differ in the last bit, and
    what a session computes must not depend on what happens to be cached.
    """

    windows: tuple[Window, ...]
    tile: Window | None = None

    def all_in(self, found: Collection[Window]) -> bool:
        """Return whether all of its windows are among some."""
        return all(map(found.__contains__, self.windows))


class FeatureCache:
    """Encodes windows of one stack's frames and keeps a bounded number of them.

    Parameters
    ----------
    model : Model
    reader : FrameReader
    capacity : int
        Most windows that are kept; the least recently used one is dropped first.
    whole : Window, optional
        Window of every frame, if the same window is used for all.
    together : int
        Most frames that are encoded at once: the needed frame and the next ones.
    cells : int, optional
        Windows lie on grids with this number of cells per side. Crowded windows share the features
        of a tile twice as wide.
    """

    def __init__(
        self,
        model: Model,
        reader: FrameReader,
        capacity: int,
        whole: Window | None = None,
        together: int = 1,
        cells: int | None = None,
    ) -> None:
        self._model = model
        self._reader = reader
        self._capacity = capacity
        self._whole = whole
        self._together = together
        self._cells = cells
        self._run: tuple[int, ...] = ()  # the frame that a pass is in, and those to come
        self._kept: OrderedDict[tuple[int, _Group, Window], ImageFeatures] = OrderedDict()
        self.encoded = 0

    def get(
        self, frame: int, windows: Sequence[Window], among: Sequence[Window] = ()
    ) -> ImageFeatures:
        """Return the features of windows of a frame; encode those that are not cached.

        Parameters
        ----------
        frame : int
        windows : sequence of Window
        among : sequence of Window
            Windows that were encoded together before. Where all of `windows` are among them, they
            are taken from there, as they were.

        Returns
        -------
        ImageFeatures
            A batch in the order of the windows; a batch of one where all are the same.
        """
        distinct = list(dict.fromkeys(windows))
        together = list(dict.fromkeys(among)) if set(distinct) <= set(among) else distinct
        if len(together) == 1:
            alone = frame, _Group((distinct[0],)), distinct[0]
            if alone in self._kept:
                self._kept.move_to_end(alone)
                return self._kept[alone]
        wanted = [g for g in self._groups(together) if not set(distinct).isdisjoint(g.windows)]
        groups = {w: group for group in wanted for w in group.windows}
        found = {
            w: self._kept[frame, group, w]
            for w, group in groups.items()
            if (frame, group, w) in self._kept
        }
        missing = [group for group in dict.fromkeys(groups.values()) if not group.all_in(found)]
        if missing:
            # First what is kept makes room: the peak is one frame less.
            for window in found:
                self._kept.move_to_end((frame, groups[window], window))
            count = sum([len(group.windows) for group in missing])
            self._forget_down_to(self._capacity - count)
            run = self._run_from(frame) if together == [self._whole] else []
            found |= self._encode_run([frame, *run]) if run else self._encode(frame, missing)
        for window, group in groups.items():
            self._kept[frame, group, window] = found[window]
            self._kept.move_to_end((frame, group, window))
        self._forget_down_to(self._capacity)
        if len(distinct) == 1:
            return found[distinct[0]]
        return ImageFeatures.joined([found[window] for window in windows])

    def prefetch(self, frame: int, coming: Sequence[int], reads: bool) -> None:
        """Prepare for the frames that come after `frame`, unless features of them are kept.

        Frames are encoded together with `frame` as far as the settings allow. If `reads`, they are
        also read in the background.
        """
        kept = {each for each, _, _ in self._kept}
        missing = [each for each in coming if each not in kept]
        self._run = (frame, *missing)
        self._reader.prefetch(missing if reads else (), now=frame in kept)

    def stop_background_work(self) -> None:
        """Stop reading ahead."""
        self._run = ()
        self._reader.stop_background_work()

    def shrink(self) -> None:
        """Drop all features; from now on cache half as many and encode frames one by one."""
        self._kept.clear()
        self._capacity = max(1, self._capacity // 2)
        self._together = 1
        self.stop_background_work()

    def _forget_down_to(self, count: int) -> None:
        while len(self._kept) > max(0, count):
            self._kept.popitem(last=False)

    def _run_from(self, frame: int) -> Sequence[int]:
        """Return the frames to encode together with this one: the next ones of the pass."""
        if self._run[:1] != (frame,):
            return ()
        return self._run[1 : min(self._together, self._capacity)]

    def _encode_run(self, frames: Sequence[int]) -> dict[Window, ImageFeatures]:
        """Encode whole frames together, cache all of them and return the features of the first."""
        assert self._whole is not None
        images = [self._image(self._reader.read(frames[0]), self._whole)]
        for frame in frames[1:]:
            try:
                images.append(self._image(self._reader.read(frame), self._whole))
            except Sam2Error:
                break  # it is raised again when its turn comes
        self._forget_down_to(self._capacity - len(images))
        encoded = self._features(images)
        self.encoded += len(images)
        for frame, features in zip(frames, encoded, strict=False):
            self._kept[frame, _Group((self._whole,)), self._whole] = features
        return {self._whole: encoded[0]}

    def _groups(self, windows: Sequence[Window]) -> list[_Group]:
        """Divide windows into groups that are encoded together; the cache has no influence."""
        if len(windows) == 1:
            return [_Group(tuple(windows))]
        crowded = _crowded(windows, self._cells)
        taken = {window for members in crowded.values() for window in members}
        rest = [window for window in windows if window not in taken]
        batches = [_Group(tuple(rest[at : at + _BATCH])) for at in range(0, len(rest), _BATCH)]
        # A window in two tiles is cut out of the last one.
        last = {window: tile for tile, members in crowded.items() for window in members}
        tiles: dict[Window, list[Window]] = defaultdict(list)
        for window, tile in last.items():
            tiles[tile].append(window)
        return [_Group(tuple(members), tile) for tile, members in tiles.items()] + batches

    def _encode(self, frame: int, groups: Sequence[_Group]) -> dict[Window, ImageFeatures]:
        pixels = self._reader.read(frame)

        def encode(group: _Group) -> dict[Window, ImageFeatures]:
            if group.tile is not None:
                return self._cut_out(pixels, group.tile, group.windows)
            encoded = self._features([self._image(pixels, window) for window in group.windows])
            return dict(zip(group.windows, encoded, strict=True))

        # On a CPU each group is encoded by one thread: all threads wait long for each other there.
        if self._model.device.type == "cpu":
            parts = map_tasks(encode, groups)
        else:
            parts = list(map(encode, groups))
        self.encoded += sum([1 if each.tile is not None else len(each.windows) for each in groups])
        return {window: features for part in parts for window, features in part.items()}

    def _cut_out(
        self, pixels: NDArray[np.float32], tile: Window, windows: Sequence[Window]
    ) -> dict[Window, ImageFeatures]:
        """Encode a tile once, and cut the features of the windows in it out of that."""
        assert self._cells is not None
        image = self._image(pixels, tile, _TILE)
        features = self._features([image])[0]
        cell = tile.height // _TILE // self._cells
        corner = features.stride16[:, :, : self._cells, : self._cells]
        position = self._model.network.image_position(corner)
        found = {}
        for window in windows:
            row, column = (window.top - tile.top) // cell, (window.left - tile.left) // cell
            found[window] = features.part(row, column, self._cells, position)
        return found

    def _image(self, pixels: NDArray[np.float32], window: Window, across: int = 1) -> Tensor:
        size = across * self._model.image_size
        return frame_to_input(pixels, window, size, self._model.device)

    def _features(self, images: Sequence[Tensor]) -> list[ImageFeatures]:
        with torch.inference_mode(), self._model.precision():
            features = self._model.network.encode_image(torch.cat(list(images)))
        if len(images) == 1:
            return [features]
        # Copies, or one that is kept would keep the whole batch alive.
        return [features.frame(index).copied() for index in range(len(images))]

    def __len__(self) -> int:
        return len(self._kept)


def _crowded(windows: Sequence[Window], cells: int | None) -> dict[Window, list[Window]]:
    """Find the tiles that contain enough windows of one side for sharing to pay.

    Tiles are two windows wide and begin at every whole window, so that every window lies in one.
    """
    if cells is None or len(windows) < _CROWD:
        return {}
    tiles: dict[Window, list[Window]] = defaultdict(list)
    for window in windows:
        if not window.mirrored:
            side = window.height
            top, left = (first // side * side for first in (window.top, window.left))
            tiles[Window(top, left, _TILE * side, _TILE * side)].append(window)
    return {tile: members for tile, members in tiles.items() if len(members) >= _CROWD}
