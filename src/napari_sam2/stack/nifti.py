"""NIfTI images as lazy arrays; needs nibabel, from the extra `medical`."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import StackError
from napari_sam2.stack.array_view import ArrayView
from napari_sam2.stack.file_pixels import FilePixels
from napari_sam2.stack.lazy_array import LazyArray
from napari_sam2.stack.opened_stack import (
    DAMAGED_REMEDY,
    OpenedStack,
    check_choice,
    chosen_series,
    nothing,
    step_of,
)

SUFFIXES = (".nii", ".nii.gz")

_AXES = "XYZTC"
# Deflate packs at most 1032 bytes into one: a header that promises more is wrong.
_LARGEST_RATIO = 1032


class NiftiPixels(LazyArray):
    """The pixels of a NIfTI file in its order of axes: X, Y, Z and then time.

    Slices are read when they are indexed. A compressed file can only be read from its beginning:
    it is unpacked once, when it is first indexed, and kept.

    Parameters
    ----------
    proxy : nibabel.arrayproxy.ArrayProxy
    stored : FilePixels, optional
        The stored values in the order of the file, Z, Y, X; None: they are compressed.

    Attributes
    ----------
    dtype : dtype
        As stored, or float32 where the file scales its values.
    """

    def __init__(self, proxy: Any, stored: FilePixels | None) -> None:
        slope, intercept = float(proxy.slope), float(proxy.inter)
        self._scaling = None if (slope, intercept) == (1.0, 0.0) else (slope, intercept)
        super().__init__(proxy.shape, proxy.dtype if self._scaling is None else np.float32)
        self._proxy = proxy
        self._lock = threading.Lock()
        self._values: Any = None
        if stored is not None:
            self._values = ArrayView(stored, range(self.ndim)[::-1])

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read integers and slices along each axis, as numpy understands them."""
        with self._lock:
            if self._values is None:
                self._values = self._proxy.get_unscaled()
        pixels = self._values[index]
        if self._scaling is not None:
            slope, intercept = self._scaling
            pixels = pixels * slope + intercept
        return np.asarray(pixels, self.dtype)


def open_nifti(path: Path, *, series: int | str | None, level: int) -> OpenedStack:
    """Open a NIfTI file, named .nii or .nii.gz.

    Parameters
    ----------
    path : Path
    series, level
        A NIfTI file has one of each.

    Raises
    ------
    StackError
        nibabel is not installed, or the file is damaged or truncated.
    """
    try:
        import nibabel
    except ImportError as error:
        raise StackError(
            f"{path} needs nibabel, which is not installed.",
            remedy='Install it: python -m pip install "napari-sam2[medical]".',
        ) from error
    chosen_series(series, [""], path)
    check_choice(level, 1, what="level", path=path)
    packed = path.name.lower().endswith(".gz")
    try:
        image: Any = nibabel.load(path, mmap=False)
        proxy, header = image.dataobj, image.header
        zooms, (length, duration) = header.get_zooms(), header.get_xyzt_units()
        affine = np.array(image.affine, float) if _has_orientation(header) else None
        needed = int(np.prod(proxy.shape, dtype=object)) * np.dtype(proxy.dtype).itemsize
        offset = int(proxy.offset)
    except Exception as error:  # damaged files make nibabel raise errors of many kinds
        raise StackError(
            f"{path} cannot be opened as NIfTI: {type(error).__name__}: {error}.",
            remedy=DAMAGED_REMEDY,
        ) from error
    size = path.stat().st_size
    if needed + offset > (size * _LARGEST_RATIO if packed else size):
        raise StackError(
            f"{path} is truncated: its header promises {needed} bytes of pixels.",
            remedy=DAMAGED_REMEDY,
        )
    shape = proxy.shape[::-1]
    stored = None if packed else FilePixels(path, proxy.dtype, offset, shape)
    data = NiftiPixels(proxy, stored)
    axes = (_AXES + "Q" * data.ndim)[: data.ndim]
    units = {"T": duration, **dict.fromkeys("XYZ", length)}
    steps = [step_of(zoom, units.get(axis)) for zoom, axis in zip(zooms, axes, strict=True)]
    return OpenedStack(
        data,
        axes,
        tuple(step.size for step in steps),
        path,
        nothing if stored is None else stored.close,
        units=tuple(step.unit for step in steps),
        affine=affine,
    )


def _has_orientation(header: Any) -> bool:
    return int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0
