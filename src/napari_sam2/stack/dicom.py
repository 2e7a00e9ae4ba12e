"""DICOM files and series as lazy arrays; needs pydicom, from the extra `medical`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import SeriesError, StackError
from napari_sam2.stack.opened_stack import (
    AxisStep,
    FileChoice,
    OpenedStack,
    check_choice,
    chosen_series,
    listed,
    step_of,
)
from napari_sam2.stack.slice_files import SliceFiles, natural_order

_PREAMBLE, _MARK = 128, b"DICM"
_EVEN = 0.01  # share by which distances of slices may differ and still count as one
_TO_RAS = np.diag([-1.0, -1.0, 1.0])  # DICOM counts towards left and posterior


def is_dicom(path: Path) -> bool:
    """Return whether a file begins like a DICOM file."""
    try:
        with path.open("rb") as file:
            return file.read(_PREAMBLE + len(_MARK))[_PREAMBLE:] == _MARK
    except OSError:
        return False


def dicom_files_in(folder: Path) -> list[Path]:
    """List the DICOM files of a folder in natural order, whatever they are called."""
    files = [path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file()]
    return natural_order([path for path in files if path.name != "DICOMDIR" and is_dicom(path)])


class _Slice(NamedTuple):
    """What the header of a DICOM file says."""

    path: Path
    frames: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scaling: tuple[float, float]
    series: tuple[int, str, str]
    instance: int
    spacing: tuple[float, float] | None
    thickness: float | None
    position: NDArray[np.float64] | None
    orientation: NDArray[np.float64] | None

    @property
    def along(self) -> float | None:
        """The place of the slice along the normal of its plane, in millimetres."""
        if self.position is None or self.orientation is None:
            return None
        normal = np.cross(self.orientation[:3], self.orientation[3:])
        return float(self.position @ normal)


def open_dicom(
    path: Path, files: Sequence[Path], *, series: int | str | None, level: int
) -> OpenedStack:
    """Open the slices of one DICOM series as a stack, in their order along the body.

    Slices that come several times at each place are time points. Values are rescaled as the files
    say, to float32 where that changes them.

    Parameters
    ----------
    path : Path
        The file or folder that was asked for.
    files : sequence of Path
        At least one.
    series : int, str or None
        Which series of the folder: its number, its description or its identifier.
    level : int
        DICOM files have one.

    Raises
    ------
    SeriesError
        No series is chosen, there are several, and the first does not open.
    StackError
        pydicom is not installed, a file is damaged, or slices do not fit each other; the error
        names the file.
    """
    try:
        import pydicom
    except ImportError as error:
        raise StackError(
            f"{path} needs pydicom, which is not installed.",
            remedy='Install it: python -m pip install "napari-sam2[medical]".',
        ) from error
    check_choice(level, 1, what="level", path=path)
    groups: dict[tuple[int, str, str], list[_Slice]] = defaultdict(list)
    for file in files:
        found = _header(pydicom, file)
        if found is not None:
            groups[found.series].append(found)
    if not groups:
        raise StackError(
            f"{path} holds no DICOM images.", remedy="Choose the folder of an image series."
        )
    keys = sorted(groups)
    names = [key[2] or key[1] for key in keys]
    number = chosen_series(series, names, path)
    try:
        return _stack_of(path, groups[keys[number]], FileChoice.among(names, number))
    except StackError as error:
        if series is not None or len(names) == 1:
            raise
        # A scout or a report comes first in many folders, and is no stack.
        raise SeriesError(
            f"The first series of {path} cannot be opened: {error.happened} It holds "
            f"{listed(names)}.",
            names=tuple(names),
            remedy="Choose another one by its name or its number.",
        ) from error


def _header(pydicom: Any, path: Path) -> _Slice | None:
    """Read the header of a file; None if it holds no image."""
    try:
        found = pydicom.dcmread(path, stop_before_pixels=True)
        if "Rows" not in found or "Columns" not in found:
            return None
        samples = int(found.get("SamplesPerPixel", 1))
        # Segments are a bit per pixel, which pydicom unpacks. Only floats have no representation.
        kind = "i" if int(found.get("PixelRepresentation", 0)) else "u"
        kind = kind if "PixelRepresentation" in found else "f"
        bits = int(found.BitsAllocated)
        dtype = np.dtype(np.uint8) if bits == 1 else np.dtype(f"{kind}{bits // 8}")
        scaling = float(found.get("RescaleSlope", 1)), float(found.get("RescaleIntercept", 0))
        plane = (int(found.Rows), int(found.Columns))
        spacing = _numbers(found.get("PixelSpacing"), 2)
        return _Slice(
            path,
            int(found.get("NumberOfFrames", 1) or 1),
            plane if samples == 1 else (*plane, samples),
            dtype if scaling == (1.0, 0.0) else np.dtype(np.float32),
            scaling,
            (
                int(found.get("SeriesNumber") or 0),
                str(found.get("SeriesInstanceUID", "")),
                str(found.get("SeriesDescription", "")),
            ),
            int(found.get("InstanceNumber") or 0),
            None if spacing is None else (float(spacing[0]), float(spacing[1])),
            _number(found.get("SpacingBetweenSlices")),
            _numbers(found.get("ImagePositionPatient"), 3),
            _numbers(found.get("ImageOrientationPatient"), 6),
        )
    except Exception as error:  # damaged files make pydicom raise errors of many kinds
        raise StackError(
            f"{path} cannot be read as DICOM: {type(error).__name__}: {error}.",
            remedy="Move it elsewhere if it is no slice; else copy or export it again.",
        ) from error


def _number(value: Any) -> float | None:
    return None if value in (None, "") else float(value)


def _numbers(value: Any, count: int) -> NDArray[np.float64] | None:
    return None if value is None or len(value) != count else np.array(value, float)


def _stack_of(path: Path, slices: list[_Slice], choice: FileChoice) -> OpenedStack:
    first = slices[0]
    for each in slices[1:]:
        if (each.shape, each.frames) != (first.shape, first.frames):
            raise StackError(
                f"{each.path.name} has {each.frames} frame(s) of shape {each.shape}, but "
                f"{first.path.name} of the same series {first.frames} of shape {first.shape}.",
                remedy="Move the files that are no slices of this series elsewhere.",
            )
    slices, times = _in_order(slices)
    dtype = np.result_type(*{each.dtype for each in slices})
    count = len(slices) // times
    leading = (times, count) if times > 1 else (count,)
    axes = "TZ" if times > 1 else "Z"
    if first.frames > 1:
        leading = (first.frames,) if len(slices) == 1 else (*leading, first.frames)
        axes = "Z" if len(slices) == 1 else ("TZ" if times == 1 else "CTZ")
    data = SliceFiles(
        lambda number: _pixels(slices[number // first.frames], number % first.frames, dtype),
        leading,
        first.shape,
        dtype,
    )
    colours = "S" if len(first.shape) > 2 else ""
    volume = slices[:count] if first.frames == 1 else slices[:1]
    steps = _steps(volume)
    named = [steps.get(axis, AxisStep()) for axis in f"{axes}YX{colours}"]
    return OpenedStack(
        data,
        f"{axes}YX{colours}",
        tuple(step.size for step in named),
        path,
        units=tuple(step.unit for step in named),
        series=choice,
        affine=_affine(volume) if first.frames == 1 else None,
    )


def _in_order(slices: list[_Slice]) -> tuple[list[_Slice], int]:
    """Sort slices time point by time point, and return how many of these there are."""
    if any(each.along is None for each in slices):
        return sorted(slices, key=lambda each: each.instance), 1
    places: dict[float, list[_Slice]] = defaultdict(list)
    for each in slices:
        places[round(each.along or 0.0, 3)].append(each)
    times = {len(group) for group in places.values()}
    ordered = [sorted(places[place], key=lambda each: each.instance) for place in sorted(places)]
    if len(times) > 1:
        fewest = min(ordered, key=len)
        raise StackError(
            f"The slices of this series are not complete: {fewest[0].path.name} is one of "
            f"{len(fewest)} at its place, and other places have up to {max(times)}.",
            remedy="Choose another series, or export this one again.",
        )
    number = times.pop()
    return [group[time] for time in range(number) for group in ordered], number


def _steps(volume: list[_Slice]) -> dict[str, AxisStep]:
    """Return the known sizes of a volume's pixels, by axis letter."""
    first, steps = volume[0], {}
    if first.spacing is not None:
        steps = {"Y": step_of(first.spacing[0], "mm"), "X": step_of(first.spacing[1], "mm")}
    between = _distance(volume) if len(volume) > 1 else first.thickness
    if between is not None:
        steps["Z"] = step_of(between, "mm")
    return steps


def _distance(volume: list[_Slice]) -> float | None:
    """Return the distance of neighbouring slices; None if it is unknown or uneven."""
    places = [each.along for each in volume]
    if any(place is None for place in places):
        return None
    gaps = np.diff(np.array(places, float))
    mean = float(gaps.mean())
    return mean if mean > 0 and np.abs(gaps - mean).max() <= _EVEN * mean else None


def _affine(volume: list[_Slice]) -> NDArray[np.float64] | None:
    """Return the map of pixels (x, y, z) to millimetres towards right, anterior, superior."""
    first, last = volume[0], volume[-1]
    if first.orientation is None or first.spacing is None or first.position is None:
        return None
    if len(volume) > 1 and _distance(volume) is None:
        return None
    affine = np.eye(4)
    affine[:3, 0] = first.orientation[:3] * first.spacing[1]
    affine[:3, 1] = first.orientation[3:] * first.spacing[0]
    if len(volume) > 1 and last.position is not None:
        affine[:3, 2] = (last.position - first.position) / (len(volume) - 1)
    else:
        normal = np.cross(first.orientation[:3], first.orientation[3:])
        affine[:3, 2] = normal * (first.thickness or 1.0)
    affine[:3, 3] = first.position
    affine[:3] = _TO_RAS @ affine[:3]
    return affine


def _pixels(found: _Slice, frame: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    from pydicom.pixels.utils import pixel_array

    try:
        pixels = np.asarray(pixel_array(found.path, index=frame))
    except Exception as error:  # codecs that are missing, damaged pixels
        raise StackError(
            f"{found.path} cannot be decoded: {type(error).__name__}: {error}.",
            remedy="Install its codec (python -m pip install pylibjpeg pylibjpeg-libjpeg "
            "pylibjpeg-openjpeg), or export the series without compression.",
        ) from error
    if found.scaling == (1.0, 0.0):
        return pixels.astype(dtype, copy=False)
    slope, intercept = found.scaling
    return (pixels * slope + intercept).astype(dtype)
