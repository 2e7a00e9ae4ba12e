"""Candidates from the dense heads: pixels of objects that agree on a common centre.

The heads predict for every pixel whether it belongs to an object, whether it lies on a border, and
the offset to the centre of its object. Pixels vote for centres, and peaks of the votes are objects
(as in arXiv 1906.11109 and arXiv 1911.10194).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_sam2.detection.candidate import Candidate
from napari_sam2.detection.tiles import Tiles
from napari_sam2.network import Sam2
from napari_sam2.network.dense_heads import OFFSET_UNIT

_STRIDE = 2  # of the finest dense maps, in pixels of the input
_OBJECT_THRESHOLD = 0.5  # object probability of the pixels that vote
_VOTE_SIGMA = 1.5  # of the Gaussian that smooths the votes, in map pixels
_PEAK_DISTANCE = 2  # map pixels between two peaks, at least
# Smoothed votes of a peak, at least. One pixel of probability 1 gives a peak of .07 (1 / (2 pi
# sigma**2)): two pixels that agree are not enough, three are. Set by hand.
_MIN_VOTES = 0.15
_MIN_AREA = 8  # map pixels of an object
_BATCH = 2  # tiles encoded together
_PIXELS_AT_ONCE = 2**20  # bounds the memory of votes
# Two candidates are the same object if their distance is at most this fraction of the extent, and
# their extents differ at most by this factor.
_NEAR, _ALIKE = 0.2, 1.4
_INSTANCES_PER_REPORT = 64
# Extents, in pixels of the input, of the objects that a scale finds: a coarser scale finds larger
# objects, a finer scale smaller ones. Scales differ by a factor of 2, so that these ranges overlap.
# Set by hand.
_MIN_EXTENT, _MAX_EXTENT = 28.0, 72.0


class DenseFrame(NamedTuple):
    """The finest dense maps of a whole frame at one scale, in probabilities and map pixels.

    Attributes
    ----------
    objects, borders : ndarray of float32, shape (h, w)
    offsets : ndarray of float32, shape (2, h, w)
        (y, x) from each pixel to the centre of its object.
    scale : float
        Map pixels per pixel of the frame.
    """

    objects: NDArray[np.float32]
    borders: NDArray[np.float32]
    offsets: NDArray[np.float32]
    scale: float


def dense_candidates(
    network: Sam2,
    pixels: NDArray[np.float32],
    image_size: int,
    device: torch.device,
    least_extent: float,
    advance: Callable[[float], None],
) -> list[Candidate]:
    """Find candidates in a frame at several scales, each twice as coarse as the one before.

    Parameters
    ----------
    network : Sam2
        With dense heads.
    pixels : ndarray of float32, shape (Y, X, C)
    image_size : int
        Side of the input that the network was trained with; a tile is twice as wide.
    device : torch.device
    least_extent : float
        Extent of the smallest objects to find, in pixels of the frame, which is enlarged for
        extents below 8.
    advance : callable
        Called with the share of the work that is done, in 0..1; may raise to end the search.

    Returns
    -------
    list of Candidate
        The best first; one object may be found at two scales.
    """
    scales = _scales(pixels.shape[:2], image_size, least_extent)
    effort = [scale * scale for scale in scales]
    found: list[Candidate] = []
    for number, scale in enumerate(scales):
        before, part = sum(effort[:number]) / sum(effort), effort[number] / sum(effort)
        tiles = Tiles(pixels, scale, 2 * image_size, image_size // 2, device)
        frame = _predict(network, tiles, partial(_advance_part, advance, before, part))
        low = _MIN_EXTENT if number else 0.0
        high = _MAX_EXTENT if number + 1 < len(scales) else np.inf
        shape = pixels.shape[0], pixels.shape[1]
        for count, each in enumerate(_instances(frame, shape)):
            if count % _INSTANCES_PER_REPORT == 0:
                advance(before + part)
            if low <= each.extent * scale < high:
                found.append(each)
    return _without_repeats(sorted(found, key=lambda each: -each.score))


def _without_repeats(found: list[Candidate]) -> list[Candidate]:
    """Leave out candidates that repeat a better one of another scale.

    Parameters
    ----------
    found : list of Candidate
        The best first.
    """
    if not found:
        return found
    places = np.array([(each.y, each.x) for each in found])
    near = cKDTree(places).query_ball_point(places, [_NEAR * each.extent for each in found])
    repeated: set[int] = set()
    for index, others in enumerate(near):
        if index in repeated:
            continue
        own = found[index].extent
        repeated |= {
            other
            for other in others
            if other > index and own / _ALIKE <= found[other].extent <= own * _ALIKE
        }
    return [each for index, each in enumerate(found) if index not in repeated]


def _advance_part(
    advance: Callable[[float], None], before: float, part: float, done: float
) -> None:
    advance(before + part * done)


def _scales(shape: tuple[int, ...], image_size: int, least_extent: float) -> list[float]:
    """Return the scales to search, the finest first."""
    scale = 2.0 if least_extent < 8 else 1.0
    scales = [scale]
    while max(shape[:2]) * scale > 1.5 * image_size:
        scale /= 2
        scales.append(scale)
    return scales


def _predict(network: Sam2, tiles: Tiles, advance: Callable[[float], None]) -> DenseFrame:
    """Predict the dense maps of all tiles and blend them where they overlap."""
    side = tiles.side // _STRIDE
    rows, columns = (length // _STRIDE + 1 for length in tiles.shape)
    total: NDArray[np.float32] = np.zeros((4, rows + side, columns + side), np.float32)
    weights = np.full((rows + side, columns + side), 1e-6, np.float32)
    ramp = np.minimum(np.arange(side) + 1, side - np.arange(side)).astype(np.float32)
    weight = np.minimum.outer(ramp, ramp) ** 2
    done = 0
    for corners, images in tiles.batches(_BATCH):
        maps = network.dense_heads(network.encode_image(images))[0]
        predicted = torch.cat(
            (
                maps.objects.sigmoid(),
                maps.borders.sigmoid(),
                maps.offsets * (OFFSET_UNIT / _STRIDE),
            ),
            dim=1,
        )
        for (top, left), values in zip(corners, predicted.float().cpu().numpy(), strict=True):
            where = (
                slice(top // _STRIDE, top // _STRIDE + side),
                slice(left // _STRIDE, left // _STRIDE + side),
            )
            total[:, *where] += values * weight
            weights[where] += weight
        done += len(corners)
        advance(done / len(tiles.corners))
    total /= weights
    total = total[:, : rows - 1, : columns - 1]
    return DenseFrame(total[0], total[1], total[2:], tiles.scale / _STRIDE)


def _pointing(
    frame: DenseFrame, inside: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float64]]]:
    """Yield flat indices of pixels in chunks, with the centre (n, 2) that each points at."""
    width = frame.objects.shape[1]
    for start in range(0, len(inside), _PIXELS_AT_ONCE):
        part = inside[start : start + _PIXELS_AT_ONCE]
        y, x = np.divmod(part, width)
        to = y + frame.offsets[0].flat[part], x + frame.offsets[1].flat[part]
        yield part, np.stack(to, axis=1).astype(np.float64)


def _instances(frame: DenseFrame, shape: tuple[int, int]) -> Iterator[Candidate]:
    """Group the pixels of objects by the centre that they point at; yield a point of each group."""
    height, width = frame.objects.shape
    inside = np.flatnonzero(frame.objects > _OBJECT_THRESHOLD)
    votes = np.zeros((height, width), np.float32)
    for part, towards in _pointing(frame, inside):
        cell = np.rint(towards).astype(int).clip(0, (height - 1, width - 1))
        weights = frame.objects.flat[part] * (1.0 - frame.borders.flat[part])
        np.add.at(votes, (cell[:, 0], cell[:, 1]), weights)
    votes = ndimage.gaussian_filter(votes, _VOTE_SIGMA)
    peaks = votes == ndimage.maximum_filter(votes, size=2 * _PEAK_DISTANCE + 1)
    centres = np.argwhere(peaks & (votes > _MIN_VOTES))
    del votes, peaks  # of a large frame, each takes as much as the image
    if not len(centres):
        return
    tree = cKDTree(centres)
    instances = np.zeros((height, width), np.int32)
    for part, towards in _pointing(frame, inside):
        instances.flat[part] = tree.query(towards)[1] + 1
    for number, box in enumerate(ndimage.find_objects(instances), start=1):
        if box is None:
            continue
        mask = instances[box] == number
        if mask.sum() < _MIN_AREA:
            continue
        depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        row, column = np.unravel_index(int(depth.argmax()), mask.shape)
        middle = (int(row) + box[0].start, int(column) + box[1].start)
        at = [(each + 0.5) / frame.scale - 0.5 for each in middle]
        extent = max(mask.shape) / frame.scale
        score = float(frame.objects[box][mask].mean())
        last_row, last_column = (length - 1.0 for length in shape)
        yield Candidate(
            min(max(at[0], 0.0), last_row), min(max(at[1], 0.0), last_column), score, extent
        )
