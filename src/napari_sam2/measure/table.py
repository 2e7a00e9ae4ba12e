"""`Measurements`: one table of all objects and frames, measured again only where labels change.

Not safe for several threads at once; the arrays may be written by others between two calls.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import MeasurementError
from napari_sam2.labels.array_storage import Labels
from napari_sam2.labels.divisions import checked_divisions, generations_of, parents_of
from napari_sam2.measure.regions import PIXELS, Columns, measure_regions
from napari_sam2.measure.review import Review
from napari_sam2.measure.source import MeasuredStack
from napari_sam2.types import Division, ObjectFrame

if TYPE_CHECKING:
    from pandas import DataFrame


def measure(
    labels: Any,
    images: Any = None,
    *,
    scale: Sequence[float] | None = None,
    units: str | Sequence[str] | None = None,
    channels: Sequence[str] | None = None,
    axes: str | None = None,
    image_axes: str | None = None,
    volumes: bool = False,
    divisions: Iterable[Division] = (),
    review: Review | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DataFrame:
    """Measure every object in every frame.

    Frames are read one at a time. Of labels (T, Z, Y, X), each volume is measured as a whole.

    Parameters
    ----------
    labels : array of int, shape (Y, X), (T, Y, X), (Z, Y, X) or (T, Z, Y, X)
        numpy, dask or zarr; 0 is background.
    images : array or sequence of arrays, optional
        Intensities: of the labels' shape, or with one more axis of channels, or several of these.
        Where the shapes leave open which axis that is, `image_axes` says so.
    scale : sequence of float, optional
        Size of a step along each axis of the labels; by default all is measured in pixels.
    units : str or sequence of str, optional
        Unit of the lengths, or one per axis, such as ``("s", "µm", "µm")``.
    channels : sequence of str, optional
        Names of the channels; their numbers by default.
    axes : str, optional
        Letters of the labels' axes; by default "YX", "TYX" or "TZYX", or of one volume "ZYX". The
        first one leads from frame to frame, and only it may be T, along which speed is measured;
        the others are rows and columns of a frame, or the axes of a volume.
    image_axes : str, optional
        Letters of the images' axes, such as "CTYX". The images may then have the axes of the
        labels in any order, and one more of channels, C or S.
    volumes : bool
        Measure labels of three axes as one volume: one row per object of a z-stack.
    divisions : iterable of Division
        Give parent and generation.
    review : Review, optional
        Gives prompted and accepted and, where they are known, score, doubtful and doubts.
    progress : callable, optional
        Called with the number of measured frames and of all.

    Returns
    -------
    pandas.DataFrame
        One row per object and frame, ordered by frame and label; see `Measurements.table`.

    Raises
    ------
    MeasurementError
        Labels, image, scale, units or names do not fit each other.
    LabelsError
        A frame of the labels cannot be read.
    """
    found = Measurements(
        labels,
        images,
        scale=scale,
        units=units,
        channels=channels,
        axes=axes,
        image_axes=image_axes,
        volumes=volumes,
    )
    found.update(progress=progress)
    return found.table(divisions, review)


class Measurements:
    """Measurements of labels that change.

    It keeps the measured values and a digest of each frame of the labels, and no pixels.

    Parameters
    ----------
    labels, images, scale, units, channels, axes, image_axes, volumes
        As in `measure`.

    Attributes
    ----------
    unreadable : dict of int to str
        Frames of the image that could not be read, and why; their intensities are NaN.
    """

    def __init__(
        self,
        labels: Any,
        images: Any = None,
        *,
        scale: Sequence[float] | None = None,
        units: str | Sequence[str] | None = None,
        channels: Sequence[str] | None = None,
        axes: str | None = None,
        image_axes: str | None = None,
        volumes: bool = False,
    ) -> None:
        self._stack = MeasuredStack.of(
            labels,
            images,
            scale=scale,
            units=units,
            channels=channels,
            axes=axes,
            image_axes=image_axes,
            volumes=volumes,
        )
        self._digests: dict[int, bytes] = {}
        self._frames: dict[int, Columns] = {}
        self.unreadable: dict[int, str] = {}

    @property
    def n_frames(self) -> int:
        """Number of frames or volumes."""
        return self._stack.n_frames

    def update(
        self,
        frames: Iterable[int] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[int, ...]:
        """Measure frames whose labels have changed.

        Parameters
        ----------
        frames : iterable of int, optional
            Look at these only; at all by default.
        progress : callable, optional
            Called with the number of frames looked at and of all.

        Returns
        -------
        tuple of int
            Frames that were measured, ascending.

        Raises
        ------
        LabelsError
            A frame of the labels cannot be read; the others keep their values.
        """
        chosen = sorted(range(self.n_frames) if frames is None else set(frames))
        if chosen and not 0 <= chosen[0] <= chosen[-1] < self.n_frames:
            raise MeasurementError(
                f"There is no frame {chosen[0] if chosen[0] < 0 else chosen[-1]}.",
                remedy=f"Frames go from 0 to {self.n_frames - 1}.",
            )
        measured = []
        for done, frame in enumerate(chosen, start=1):
            labels = self._stack.frame(frame)
            digest = _digest(labels)
            if self._digests.get(frame) != digest:
                self._frames[frame] = self._measured(frame, labels)
                self._digests[frame] = digest
                measured.append(frame)
            if progress is not None:
                progress(done, len(chosen))
        return tuple(measured)

    def invalidate(self, frames: Iterable[int] | None = None) -> None:
        """Measure frames again at the next `update`, for example after the image changed."""
        for frame in list(self._digests) if frames is None else frames:
            self._digests.pop(frame, None)

    def table(self, divisions: Iterable[Division] = (), review: Review | None = None) -> DataFrame:
        """Return the table of the frames measured so far.

        Parameters
        ----------
        divisions : iterable of Division
        review : Review, optional

        Returns
        -------
        pandas.DataFrame
            ``label``, ``frame``, then properties under the names that they have in
            `skimage.measure.regionprops`. With a scale, they are in physical units, and beside
            them, with the ending ``_px``, in pixels. ``bbox`` and ``num_pixels`` are in pixels.
            ``displacement`` is the distance from the centroid in the object's frame before,
            ``speed`` the same by time. ``parent`` is missing where there is none. The units of
            the columns are in ``attrs["units"]``.

        Raises
        ------
        LineageError
            The divisions cannot all be true.
        """
        import pandas as pd

        known = checked_divisions(divisions)
        stack = self._stack
        dims = len(stack.axes) - 1
        columns = self._column_names(dims)
        frames = [frame for frame in sorted(self._frames) if self._frames[frame]]
        values: dict[str, NDArray[Any]] = {}
        for name in columns:
            parts = [self._frames[frame][name] for frame in frames]
            values[name] = np.concatenate(parts) if parts else np.zeros(0)
        counts = [len(self._frames[frame]["label"]) for frame in frames]
        label = values.pop("label").astype(np.int64)
        number = np.repeat(np.array(frames, dtype=np.int64), counts)
        table: dict[str, Any] = {"label": label, "frame": number}
        if stack.step is not None:
            table["time" if stack.in_time else "position"] = number * stack.step
        table |= values | self._moves(label, number, values, dims)
        parents, generations = parents_of(known), generations_of(known)
        table["parent"] = pd.array([parents.get(each) for each in label.tolist()], dtype="Int64")
        table["generation"] = np.array(
            [generations.get(each, 0) for each in label.tolist()], dtype=np.int64
        )
        if review is not None:
            table |= _reviewed(review, label, number)
        data = pd.DataFrame(table)
        for name in ("num_pixels", *(each for each in columns if each.startswith("bbox"))):
            data[name] = data[name].astype(np.int64)
        data = data.rename(columns=self._channel_names())
        data.attrs = self._attributes(data.columns)
        return data

    def _measured(self, frame: int, labels: Labels) -> Columns:
        stack = self._stack
        self.unreadable.pop(frame, None)
        try:
            image = stack.image(frame)
        except Exception as error:  # a store may fail with anything
            self.unreadable[frame] = f"Frame {frame} of the image cannot be read: {error}."
            shape = (*labels.shape, len(stack.images))
            image = np.broadcast_to(np.float32(np.nan), shape)
        labels = labels.view(np.uint8) if labels.dtype.kind == "b" else labels
        return measure_regions(labels, image, stack.spacing)

    def _column_names(self, dims: int) -> list[str]:
        """Return the columns in their order, also where there is no object."""
        scaled = self._stack.spacing is not None
        extent = ["perimeter"] if dims == 2 else ["surface_area"]
        lengths = [
            "area",
            *(f"centroid-{axis}" for axis in range(dims)),
            *extent,
            "axis_major_length",
            "axis_minor_length",
        ]
        shapes = ["eccentricity", "orientation", "solidity"] if dims == 2 else ["solidity"]
        in_pixels = []
        if scaled:
            for name in lengths:
                plain, dash, axis = name.partition("-")
                in_pixels.append(plain + PIXELS + dash + axis)
        intensities = [
            f"intensity_{kind}-{channel}"
            for channel in range(len(self._stack.images))
            for kind in ("mean", "min", "max", "std", "sum")
        ]
        boxes = [f"bbox-{corner}" for corner in range(2 * dims)]
        return ["label", "num_pixels", *lengths, *shapes, *in_pixels, *boxes, *intensities]

    def _moves(
        self,
        label: NDArray[np.int64],
        frame: NDArray[np.int64],
        values: Columns,
        dims: int,
    ) -> Columns:
        """Return the distance from the frame before, and the speed where the axis is time."""
        order = np.lexsort((frame, label))
        same = np.diff(label[order]) == 0
        found: Columns = {}
        endings = ("",) if self._stack.spacing is None else ("", PIXELS)
        for ending in endings:
            places = np.column_stack([values[f"centroid{ending}-{axis}"] for axis in range(dims)])
            steps = np.linalg.norm(np.diff(places[order], axis=0), axis=1)
            moved = np.full(len(label), np.nan)
            moved[order[1:]] = np.where(same, steps, np.nan)
            found[f"displacement{ending}"] = moved
        if self._stack.in_time:
            elapsed = np.full(len(label), np.nan)
            elapsed[order[1:]] = np.where(same, np.diff(frame[order]), np.nan)
            found["speed"] = found["displacement"] / (elapsed * (self._stack.step or 1.0))
        return found

    def _channel_names(self) -> dict[str, str]:
        """Return new names of the intensities: by channel name, and none for a single channel."""
        channels = self._stack.channels
        renamed = {}
        for number, name in enumerate(channels):
            ending = f"-{name or number}" if name or len(channels) > 1 else ""
            for kind in ("mean", "min", "max", "std", "sum"):
                renamed[f"intensity_{kind}-{number}"] = f"intensity_{kind}{ending}"
        return renamed

    def _attributes(self, columns: Iterable[str]) -> dict[str, Any]:
        stack = self._stack
        units = {name: self._unit(name) for name in columns}
        sizes = None if stack.spacing is None else [stack.step or 1.0, *stack.spacing]
        return {
            "axes": stack.axes,
            "scale": sizes,
            "channels": list(stack.channels),
            "units": {name: unit for name, unit in units.items() if unit},
        }

    def _unit(self, column: str) -> str:
        name = column.partition("-")[0]
        in_pixels = name.endswith(PIXELS)
        unit = "pixel" if in_pixels else self._stack.unit
        name = name.removesuffix(PIXELS)
        dims = len(self._stack.axes) - 1
        if name == "area":
            return f"{unit}^{dims}"
        if name == "surface_area":
            return f"{unit}^2"
        if name in ("time", "position"):
            return self._stack.step_unit
        if name == "speed":
            return f"{unit}/{self._stack.step_unit}"
        if name in ("bbox", "num_pixels"):
            return "pixel"
        if name == "orientation":
            return "radian"
        lengths = ("centroid", "perimeter", "axis_major_length", "axis_minor_length")
        return unit if name in (*lengths, "displacement") else ""


def _reviewed(review: Review, label: NDArray[Any], frame: NDArray[Any]) -> dict[str, Any]:
    pairs = [ObjectFrame(*pair) for pair in zip(label.tolist(), frame.tolist(), strict=True)]
    decided = {
        "prompted": np.array([pair in review.prompted for pair in pairs], dtype=bool),
        "accepted": np.array([pair in review.accepted for pair in pairs], dtype=bool),
    }
    if review.doubtful is None:
        return decided
    reasons = [review.doubtful.get(pair, ()) for pair in pairs]
    scores = [review.scores.get(pair, np.nan) for pair in pairs]
    return {
        "score": np.array(scores, dtype=np.float64),
        **decided,
        "doubtful": np.array([bool(each) for each in reasons], dtype=bool),
        "doubts": ["; ".join(each) for each in reasons],
    }


def _digest(labels: Labels) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(labels).data, digest_size=16).digest()
