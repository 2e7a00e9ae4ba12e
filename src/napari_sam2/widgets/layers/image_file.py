"""`ImageFile`: an image file as napari shows it, with its axes, sizes and units."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import Sam2Error, SeriesError, StackError
from napari_sam2.stack import OpenedStack, open_stack, stem_of
from napari_sam2.stack.lazy_view import LazyView
from napari_sam2.stack.opened_stack import MICROMETER, SECOND, listed, short_reason
from napari_sam2.stack.validation import COLOUR_SIZES, check_array, check_shape
from napari_sam2.widgets.layers.geometry import spatial_shape

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image

_AFFINE = "napari_sam2 affine"  # in the metadata of a layer
_VOLUME = "napari_sam2 volume"  # beside it: slices, rows and columns that it is of
_FRAME = "YXS"  # in this order behind all others, as napari shows them
_ORDER = {"T": 0, "Z": 2}  # times first, slices next to the frame, all others between them
_NAMELESS = "QI"  # tifffile says so of axes about which the file says nothing
_UNITS = {MICROMETER: "um", SECOND: "s"}
_WIDEST = 8  # bytes of a number that napari can draw


@dataclass(frozen=True, slots=True, eq=False)
class ImageFile:
    """An image of a file, and how it is shown. Made in any thread, shown on the main thread.

    Attributes
    ----------
    path : Path
    levels : tuple of array-like
        The image in each of its resolutions, finest first; pixels are read when they are indexed.
    axes : str
        A letter per axis: those of sliders, then Y, X, and S for the colours of a pixel.
    scale : tuple of float
    units : tuple of str
        Of each axis but the colours, as napari has them.
    contrast : (float, float) or None
        Darkest and brightest value of the first, middle and last plane; None: of the whole dtype,
        of bytes and truth values.
    affine : ndarray of float, shape (4, 4), or None
        See `OpenedStack`.
    names : tuple of str
        Of all images in the file.
    number : int
        Of this one among them.
    """

    path: Path
    levels: tuple[Any, ...]
    axes: str
    scale: tuple[float, ...]
    units: tuple[str, ...]
    contrast: tuple[float, float] | None
    affine: NDArray[np.float64] | None
    names: tuple[str, ...]
    number: int

    @classmethod
    def read(cls, path: Path, series: int | None = None) -> ImageFile:
        """Open an image, and read three planes of it for its contrast.

        Parameters
        ----------
        path : Path
            Any image that `open_stack` opens.
        series : int, optional
            Number of the image in a file with several.

        Raises
        ------
        SeriesError
            The file holds several images, and none is chosen.
        StackError
            It cannot be opened or read, has no rows and columns, or no numbers that can be shown.
        """
        finest = open_stack(path, series=series)
        names = finest.series.names
        if series is None and len(names) > 1:
            raise SeriesError(
                f"{path} holds several images: {listed(names)}.",
                names=names,
                remedy="Open it with Open in the panel, and choose one.",
            )
        order = _order(finest)
        shown = finest.with_axes(order)
        levels = _descending(shown.data, _coarser(path, series, finest.level.available, order))
        kept = len(shown.axes.removesuffix("S"))
        return cls(
            path,
            levels,
            shown.axes,
            shown.scale[:kept],
            tuple(_UNITS.get(unit, "pixel") for unit in shown.units[:kept]),
            _contrast(levels[-1], shown.axes, path),
            finest.affine,
            names,
            finest.series.number,
        )

    @property
    def name(self) -> str:
        """What the layer is called: the file, and which of its images."""
        stem = stem_of(self.path.name)
        if len(self.names) < 2:
            return stem
        return f"{stem} {self.names[self.number] or self.number}"

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments for `Viewer.add_image`."""
        is_colour = self.axes.endswith("S")
        letters = self.axes.removesuffix("S")
        # Axes that the file does not name keep the names that napari gives to such.
        labels = [
            str(at - len(letters)) if letter in _NAMELESS else letter.lower()
            for at, letter in enumerate(letters)
        ]
        options: dict[str, Any] = {
            "name": self.name,
            "scale": self.scale,
            "units": self.units,
            "axis_labels": labels,
            "rgb": is_colour,
            "multiscale": len(self.levels) > 1,
            "metadata": {},
        }
        if self.affine is not None:
            volume = [
                size
                for letter, size in zip(self.axes, self.levels[0].shape, strict=True)
                if letter in "ZYX"
            ]
            options["metadata"] = {_AFFINE: self.affine, _VOLUME: tuple(volume)}
        if self.contrast is not None and not is_colour:
            options["contrast_limits"] = self.contrast
        return options

    def data(self) -> Any:
        """Return the pixels as napari takes them: a list of all resolutions if there are any."""
        return [*map(LazyView, self.levels)] if len(self.levels) > 1 else self.levels[0]

    def show(self, viewer: Viewer) -> Image:
        """Add a layer that knows its file, as napari's own readers do. Main thread only.

        Raises
        ------
        StackError
            The plane in view cannot be read. The layer is there, and its other planes can be shown.
        """
        # Only so may others than napari's own readers say what file a layer is of.
        from napari.layers._source import layer_source

        # napari reads the plane in view while it adds a layer that is visible; an error would
        # leave the layer half added.
        with layer_source(path=str(self.path), reader_plugin="napari-sam2"):
            layer: Image = viewer.add_image(self.data(), **self.options(), visible=False)
        try:
            layer.visible = True
        except Exception as error:  # whatever the storage raises
            layer.events.visible()  # napari tells it after reading
            reason = error.happened if isinstance(error, Sam2Error) else short_reason(error)
            raise StackError(
                f"The plane in view of {self.name} cannot be read: {reason}",
                safe="The image is open, and its other planes can be shown.",
                remedy="Check its storage. If the file was copied or downloaded, do that again.",
            ) from error
        return layer


def orientation(image: Image) -> NDArray[np.float64] | None:
    """Return where the file of an image lies in a patient, as an affine; None if not known.

    napari shows its slices as they are stored; files of its labels lie where it lies. Layers that
    were made of it and have other slices, rows or columns lie elsewhere.
    """
    affine: NDArray[np.float64] | None = image.metadata.get(_AFFINE)
    volume = tuple(image.metadata.get(_VOLUME, ()))
    return affine if spatial_shape(image)[-len(volume) :] == volume else None


def _order(opened: OpenedStack) -> list[int]:
    """Return the axes of a file in the order in which napari shows them."""
    axes = opened.axes
    if not {"Y", "X"} <= {*axes}:
        raise StackError(
            f"{opened.path} has no rows and columns: its shape is {tuple(opened.data.shape)}.",
            remedy="Choose an image of two axes or more.",
        )
    check_shape(opened.data.shape)
    if np.dtype(opened.data.dtype).kind == "c":
        raise StackError(
            f"{opened.path} holds complex numbers ({opened.data.dtype}).",
            remedy="Save their magnitude or their phase as an image of its own.",
        )
    if check_array(opened.data).itemsize > _WIDEST:
        raise StackError(
            f"{opened.path} holds numbers of a kind that cannot be drawn ({opened.data.dtype}).",
            remedy="Save it as float64 or float32.",
        )
    # Colours that are no red, green and blue are channels with a slider.
    frame = _FRAME if opened.data.shape[axes.find("S")] in COLOUR_SIZES else _FRAME[:2]
    leading = [axis for axis, letter in enumerate(axes) if letter not in frame]
    leading.sort(key=lambda axis: _ORDER.get(axes[axis], 1))
    return [*leading, *(axes.index(letter) for letter in frame if letter in axes)]


def _coarser(path: Path, series: int | None, count: int, order: list[int]) -> Iterator[Any]:
    """Open the other resolutions, up to one that cannot be opened: the finer ones show the same."""
    for level in range(1, count):
        try:
            opened = open_stack(path, series=series, level=level)
        except StackError:
            return
        yield opened.with_axes(order).data


def _descending(finest: Any, others: Iterator[Any]) -> tuple[Any, ...]:
    """Return the resolutions of an image as long as each is smaller than the one before."""
    smaller = itertools.chain([finest], others)
    kept: list[Any] = []
    for level in smaller:
        if kept and not np.prod(level.shape, dtype=float) < np.prod(kept[-1].shape, dtype=float):
            break
        kept.append(level)
    return tuple(kept)


def _contrast(data: Any, axes: str, path: Path) -> tuple[float, float] | None:
    """Return the range of an image, as far as its first, middle and last plane tell.

    Planes that cannot be read are left out; if none can be read, that is an error.
    """
    sliders = data.shape[: -3 if axes.endswith("S") else -2]
    places = {tuple(0 for _ in sliders), tuple(size - 1 for size in sliders)}
    places.add(tuple(size // 2 for size in sliders))
    known = np.dtype(data.dtype).itemsize == 1  # whether a plane can be read is not
    ranges: list[tuple[float, float]] = []
    failure: Exception | None = None
    for place in sorted(places):
        try:
            ranges.append(_range(np.asarray(data[place])))
        except MemoryError as error:
            raise StackError(
                f"There is too little memory for {path}: {error}.",
                remedy="Close other programs, or save it as OME-Zarr or .nii, of which only the "
                "planes in view are read.",
            ) from error
        except Exception as error:  # damaged chunks make codecs raise errors of many kinds
            failure = error
        if known and ranges:
            return None
    if failure is not None and not ranges:
        if isinstance(failure, Sam2Error):
            raise failure
        raise StackError(
            f"{path} cannot be read: {type(failure).__name__}: {failure}.",
            remedy="Check its storage. If the file was copied or downloaded, do that again.",
        ) from failure
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    if low > high:  # nothing is finite
        return 0.0, 1.0
    return (low, high) if low < high else (min(low, 0.0), max(high, 1.0))


def _range(plane: NDArray[Any]) -> tuple[float, float]:
    if plane.dtype.kind == "f":
        plane = plane[np.isfinite(plane)]
    return (float(plane.min()), float(plane.max())) if plane.size else (np.inf, -np.inf)
