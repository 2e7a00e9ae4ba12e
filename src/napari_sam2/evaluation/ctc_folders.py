"""Sequences of the Cell Tracking Challenge on disk: images NN beside ground truth NN_GT."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import EvaluationError
from napari_sam2.lineage.ctc import CtcFrames, read_ctc, read_tiff, segmented_frames
from napari_sam2.stack import FrameStack, StackKind

_TRUTH = "_GT"
_IMAGE = re.compile(r"t(\d{3,})\.tif", re.IGNORECASE)


def find_sequences(folder: Path) -> list[tuple[Path, Path]]:
    """Find sequences in a folder and in the folders directly below it.

    Returns
    -------
    list of (Path, Path)
        Folder of the images and folder of the ground truth, which has ``TRA`` in it.
    """
    truths = [
        path
        for pattern in (f"*{_TRUTH}", f"*/*{_TRUTH}")
        for path in sorted(folder.glob(pattern))
        if (path / "TRA" / "man_track.txt").is_file()
    ]
    found = []
    for truth in truths:
        images = truth.with_name(truth.name.removesuffix(_TRUTH))
        if not _image_files(images):
            raise EvaluationError(
                f"{truth} has no images beside it.",
                remedy=f"Put t000.tif, t001.tif, ... into {images}.",
            )
        found.append((images, truth))
    return found


def read_sequence(
    images: Path, truth: Path, kind: StackKind = StackKind.TIME_LAPSE
) -> tuple[FrameStack, NDArray[np.integer[Any]]]:
    """Open a sequence as frames and truth (T, Y, X), which is that of ``TRA``.

    Raises
    ------
    LineageError
        The ground truth is incomplete or damaged.
    EvaluationError
        It has volumes, or does not fit the images.
    """
    sequence = read_ctc(truth / "TRA")
    pixels = _Images(_image_files(images))
    if sequence.labels.ndim != 3:
        raise EvaluationError(
            f"{truth} has volumes, {sequence.labels.shape[1:]} each.",
            remedy="Sequences of 2D frames can be evaluated.",
        )
    stack = FrameStack(pixels, 0, channel_axis=None, kind=kind)
    if stack.shape != sequence.labels.shape:
        raise EvaluationError(
            f"{images} has the frames {stack.shape}, {truth} {sequence.labels.shape}.",
            remedy="Copy the folders again.",
        )
    planes = [np.asarray(sequence.labels[frame]) for frame in range(len(sequence.labels))]
    return stack, np.stack(planes)


def read_segmented(truth: Path) -> dict[int, NDArray[np.integer[Any]]] | None:
    """Read the true segmentations of ``SEG`` by frame; None if there are none."""
    files = segmented_frames(truth / "SEG")
    return {frame: read_tiff(path) for frame, path in sorted(files.items())} or None


def _image_files(folder: Path) -> dict[int, Path]:
    files = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        found = _IMAGE.fullmatch(path.name)
        if found is not None:
            files[int(found[1])] = path
    return files


class _Images(CtcFrames):
    """Images as an array; indexing reads only the indexed frames."""

    def __getitem__(self, place: Any) -> NDArray[Any]:
        """Return pixels; the first index is a frame."""
        frame, *rest = place if isinstance(place, tuple) else (place,)
        if isinstance(frame, slice):
            frames = range(*frame.indices(len(self)))
            return np.stack([super(_Images, self).__getitem__(at) for at in frames])[
                (slice(None), *rest)
            ]
        plane: NDArray[Any] = super().__getitem__(int(frame))[tuple(rest)]
        return plane
