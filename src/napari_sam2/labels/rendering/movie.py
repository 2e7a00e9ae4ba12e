"""Movies of labels over their image, as MP4 or GIF.

Frames are read, drawn and written one at a time; any thread may do it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from napari_sam2._atomic import writing
from napari_sam2.errors import LabelsError
from napari_sam2.labels.array_storage import Labels, view_frame
from napari_sam2.labels.frame_records import measure
from napari_sam2.labels.masks import box_of
from napari_sam2.labels.rendering.overlay import as_rgb, overlay

FORMATS = (".mp4", ".gif")
"""Suffixes of movies; MP4 needs imageio-ffmpeg."""

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_DIMMED = 0.3  # of the brightness, outside of the spotlight
_BARS = (1, 2, 5)  # a scale bar is one of these times a power of ten


@dataclass(frozen=True, slots=True)
class MovieStyle:
    """What a movie shows.

    Attributes
    ----------
    alpha : float
        Strength of the fill, 0 (none) to 1.
    outline : float
        Width of the outlines in pixels of the movie; 0 draws none.
    zoom : float
        Size: 1, 2, 3, ... times the frame, or 1/2, 1/3, ...
    names : mapping of int to str
        Text at the centre of an object; objects without a name have none. See `show_names`.
        Letters that the font lacks, such as Chinese ones, are drawn as ``?``.
    show_names : bool
        Write the id at objects without a name.
    pixel_size : float or None
        Width of a pixel; with it there is a scale bar.
    unit : str
        Unit of the pixel size.
    interval : float or None
        Time between frames; with it there is a time stamp, else the number of the frame.
    time_unit : str
    stamp : bool
        Whether there is a stamp at all.
    spotlight : frozenset of int
        Everything but these objects is dimmed; empty: nothing is.
    follow : int or None
        The movie is cut to a square around this object, which moves with it.
    margin : float
        Of that square around the largest extent of the object, as a part of it.
    fps : float
        Frames per second.
    """

    alpha: float = 0.2
    outline: float = 1.5
    zoom: float = 1
    names: Mapping[int, str] = field(default_factory=dict)
    show_names: bool = False
    pixel_size: float | None = None
    unit: str = "µm"
    interval: float | None = None
    time_unit: str = "s"
    stamp: bool = True
    spotlight: frozenset[int] = frozenset()
    follow: int | None = None
    margin: float = 0.5
    fps: float = 10


def check_movie_path(path: Path) -> None:
    """Check the path of a movie before the work.

    Raises
    ------
    LabelsError
        Its suffix is unknown, or what it needs is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise LabelsError(
            f"A movie cannot be written as {path.name}.", remedy="Name the file .mp4 or .gif."
        )
    if suffix == ".mp4" and find_spec("imageio_ffmpeg") is None:
        raise LabelsError(
            "MP4 files need imageio-ffmpeg, which is not installed.",
            remedy='python -m pip install "napari-sam2[movie]", or name the file .gif.',
        )


def write_movie(
    path: str | PathLike[str],
    image_of: Callable[[int], NDArray[Any]],
    labels: Any,
    style: MovieStyle | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a movie of labels over their image, whole or not at all.

    Parameters
    ----------
    path : path
        ``.mp4`` (H.264) or ``.gif``; a former file is replaced.
    image_of : callable
        Gives a frame of the image as `overlay` takes it, such as `FrameStack.read`.
    labels : array of int, shape (T, Y, X)
        numpy, dask or zarr.
    style : MovieStyle, optional
    progress : callable, optional
        Called with the number of frames drawn and of all; its errors end the writing.

    Raises
    ------
    LabelsError
        The style is impossible, a frame of the labels cannot be read, or the file cannot be
        written; a former file is unchanged.
    StackError
        A frame of the image cannot be read; a former file is unchanged.
    """
    path, style = Path(path), style or MovieStyle()
    check_movie_path(path)
    pictures = movie_frames(image_of, labels, style)
    counted = _counted(pictures, int(labels.shape[0]), progress)
    with writing(path, "The movie", LabelsError) as temporary:
        if path.suffix.lower() == ".mp4":
            _write_mp4(temporary, counted, style.fps)
        else:
            _write_gif(temporary, counted, style.fps)


def movie_frames(
    image_of: Callable[[int], NDArray[Any]], labels: Any, style: MovieStyle | None = None
) -> Iterator[NDArray[np.uint8]]:
    """Draw the frames of a movie, RGB of one size (height, width, 3).

    Raises
    ------
    LabelsError
        There are no frames, the style is impossible, or the object to follow is nowhere.
    """
    style = style or MovieStyle()
    if len(tuple(labels.shape)) != 3 or 0 in labels.shape:
        raise LabelsError(
            f"A movie is made of labels (T, Y, X), not {tuple(labels.shape)}.",
            remedy="Choose one slice, or one volume as frames.",
        )
    _check_style(style)
    crop = None if style.follow is None else _Crop.around(labels, style)
    return (_picture(image_of, labels, frame, style, crop) for frame in range(labels.shape[0]))


def _check_style(style: MovieStyle) -> None:
    for name in ("pixel_size", "interval", "fps"):
        value = getattr(style, name)
        if value is not None and not (math.isfinite(value) and value > 0):
            raise LabelsError(
                f"The {name.replace('_', ' ')} of a movie cannot be {value}.",
                remedy="Give a positive number.",
            )


def _picture(
    image_of: Callable[[int], NDArray[Any]],
    labels: Any,
    frame: int,
    style: MovieStyle,
    crop: _Crop | None,
) -> NDArray[np.uint8]:
    image, plane = as_rgb(image_of(frame)), view_frame(labels, frame)
    if image.shape[:2] != plane.shape:
        raise LabelsError(
            f"The image has frames of {image.shape[:2]} pixels, the labels of {plane.shape}.",
            remedy="Give the labels of this image.",
        )
    if crop is not None:
        image, plane = crop.of(image, frame), crop.of(plane, frame)
    if style.spotlight:
        lit = np.isin(plane, list(style.spotlight))
        image = np.where(lit[..., None], image, image * np.float32(_DIMMED))
        plane = np.where(lit, plane, 0)
    drawn = overlay(image, plane, style.alpha, style.outline, zoom=style.zoom)
    return _written_on(drawn, plane, frame, style)


def _written_on(
    drawn: NDArray[np.uint8], plane: Labels, frame: int, style: MovieStyle
) -> NDArray[np.uint8]:
    """Write names, scale bar and stamp."""
    picture = Image.fromarray(drawn)
    draw = ImageDraw.Draw(picture)
    size = max(9, round(min(drawn.shape[:2]) / 22))
    font = _font(size)
    ink = {
        "fill": "white",
        "font": font,
        "stroke_width": max(1, size // 10),
        "stroke_fill": "black",
    }
    if style.names or style.show_names:
        for number, extent in measure(plane).items():
            name = style.names.get(number, str(number) if style.show_names else "")
            y, x = ((at + 0.5) * style.zoom for at in extent.centre)
            if name and number > 0:
                draw.text((x, y), _drawable(name, font), anchor="mm", **ink)
    if style.stamp:
        draw.text((size / 2, size / 3), _drawable(stamp_of(frame, style), font), **ink)
    if style.pixel_size is not None:
        height, width = drawn.shape[:2]
        length, text = scale_bar(width / style.zoom * style.pixel_size, style.unit)
        across = length / style.pixel_size * style.zoom
        right, bottom = width - size / 2, height - size / 2
        thick = max(2, size // 5)
        bar = (right - across, bottom - thick, right, bottom)
        draw.rectangle(bar, fill="white", outline="black")
        draw.text(
            (right - across / 2, bottom - 1.5 * thick), _drawable(text, font), anchor="mb", **ink
        )
    return np.array(picture)


@lru_cache(maxsize=8)
def _font(size: int) -> Font:
    """Return a font that has more letters than Pillow's own, which has not even µ.

    It comes with vispy, which draws the texts of napari; vispy is not imported.
    """
    spec = find_spec("vispy")
    for folder in spec.submodule_search_locations or () if spec is not None else ():
        path = Path(folder, "util", "fonts", "data", "OpenSans-Regular.ttf")
        if path.is_file():
            return ImageFont.truetype(str(path), size)
    return ImageFont.load_default(size)


@lru_cache(maxsize=1024)
def _drawable(text: str, font: Font) -> str:
    """Return a text without letters that the font lacks: u for µ, and ? for others."""

    def pixels(letter: str) -> bytes:
        return bytes(font.getmask(letter))

    lacking = pixels("\uffff")  # what is drawn where there is no such letter
    return "".join(
        letter if pixels(letter) != lacking else "u" if letter == "µ" else "?" for letter in text
    )


def stamp_of(frame: int, style: MovieStyle) -> str:
    """Return the time of a frame as hours, minutes and seconds, or in its unit."""
    if style.interval is None:
        return str(frame)
    elapsed = frame * style.interval
    if style.time_unit != "s" or style.interval < 1:
        return f"{elapsed:.6g} {style.time_unit}"
    minutes, seconds = divmod(round(elapsed), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


def scale_bar(width: float, unit: str) -> tuple[float, str]:
    """Return the length of a bar, at most a quarter of a width, and its text."""
    power = 10.0 ** math.floor(math.log10(width / 4))
    length = max(step * power for step in _BARS if step * power <= width / 4)
    return length, f"{length:g} {unit}"


@dataclass(frozen=True, slots=True, eq=False)
class _Crop:
    """A square that moves with an object; outside of the frame it is black."""

    corners: NDArray[np.int64]
    side: int

    @classmethod
    def around(cls, labels: Any, style: MovieStyle) -> _Crop:
        centres: dict[int, tuple[float, float]] = {}
        side = 0
        for frame in range(labels.shape[0]):
            box = box_of(view_frame(labels, frame) == style.follow)
            if box is not None:
                extent = [edge.stop - edge.start for edge in box]
                side = max(side, *extent)
                centres[frame] = (
                    (box[0].start + box[0].stop) / 2,
                    (box[1].start + box[1].stop) / 2,
                )
        if not centres:
            raise LabelsError(
                f"There is no object {style.follow} in the labels.",
                remedy="Follow an object that is in some frame.",
            )
        side = max(16, round(side * (1 + 2 * style.margin)))
        frames = np.array(sorted(centres))
        places = np.array([centres[frame] for frame in frames.tolist()])
        every = np.arange(labels.shape[0])
        # Between the frames in which it is, it moves evenly; before and after, it stays.
        smooth = np.column_stack([np.interp(every, frames, places[:, at]) for at in range(2)])
        return cls(np.rint(smooth - side / 2).astype(np.int64), side)

    def of(self, array: NDArray[Any], frame: int) -> NDArray[Any]:
        """Return the part of a frame."""
        cut = np.zeros((self.side, self.side, *array.shape[2:]), array.dtype)
        inside, outside = [], []
        for corner, size in zip(self.corners[frame].tolist(), array.shape, strict=False):
            first, last = max(0, corner), min(size, corner + self.side)
            inside.append(slice(first, max(first, last)))
            outside.append(slice(first - corner, max(first, last) - corner))
        cut[tuple(outside)] = array[tuple(inside)]
        return cut


def _counted(
    pictures: Iterator[NDArray[np.uint8]], total: int, progress: Callable[[int, int], None] | None
) -> Iterator[NDArray[np.uint8]]:
    for done, picture in enumerate(pictures, start=1):
        yield picture
        if progress is not None:
            progress(done, total)


def _write_mp4(path: Path, pictures: Iterator[NDArray[np.uint8]], fps: float) -> None:
    import imageio_ffmpeg

    first = _even(next(pictures))
    height, width = first.shape[:2]
    writer = imageio_ffmpeg.write_frames(
        str(path),
        (width, height),
        fps=fps,
        codec="libx264",
        quality=8,
        macro_block_size=2,
        output_params=["-f", "mp4", "-movflags", "+faststart"],
        ffmpeg_log_level="error",
    )
    try:
        writer.send(None)
        writer.send(np.ascontiguousarray(first))
        for picture in pictures:
            writer.send(np.ascontiguousarray(_even(picture)))
    finally:
        writer.close()


def _even(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeat the last row and column where needed: H.264 has even sizes."""
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _write_gif(path: Path, pictures: Iterator[NDArray[np.uint8]], fps: float) -> None:
    # One byte per pixel is kept of each frame until the end: the format has 256 colours.
    frames = [
        Image.fromarray(picture).quantize(256, dither=Image.Dither.NONE) for picture in pictures
    ]
    frames[0].save(
        path,
        format="GIF",
        save_all=True,
        append_images=frames[1:],
        duration=max(20, round(1000 / fps)),
        loop=0,
    )
