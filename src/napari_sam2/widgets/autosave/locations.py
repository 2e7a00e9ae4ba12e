"""Folders and names of session files. Any thread."""

from __future__ import annotations

import os
import re
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from napari_sam2._atomic import short_name
from napari_sam2._limits import chosen_folder
from napari_sam2.labels.store.result_store import STORE_SUFFIX, part_of
from napari_sam2.prompts import SESSION_SUFFIX
from napari_sam2.stack import stem_of
from napari_sam2.widgets.layers.geometry import spatial_shape
from napari_sam2.widgets.state.positions import StackPosition

if TYPE_CHECKING:
    from napari.layers import Image

SESSIONS_VARIABLE = "NAPARI_SAM2_SESSIONS"
"""Environment variable that overrides the folder for work on images that came from no file."""

_LONGEST_STEM = 200  # bytes: number, sliders and suffix follow, and names may have 255


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What of an image layer says where its session files belong.

    Attributes
    ----------
    path : str or None
        The file or folder that it was opened from.
    name : str
        Of the layer.
    shape : tuple of int
        Without colours.
    pixels : array-like, optional
        Its data, of the finest level: the work belongs to them, not to a name.
    """

    path: str | None
    name: str
    shape: tuple[int, ...]
    pixels: Any = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, image: Image) -> ImageFacts:
        """Ask a layer. Main thread only."""
        path = image.source.path
        pixels = image.data[0] if image.multiscale else image.data
        where = None if path is None else str(path)
        return cls(where, image.name, spatial_shape(image), pixels)

    def same_as(self, other: ImageFacts) -> bool:
        """Whether both are of one image with the same pixels: its data may be replaced."""
        return self == other and self.pixels is other.pixels


@dataclass(frozen=True, slots=True)
class SessionLocation:
    """A folder and the name that session file and results of one piece of work share there.

    Attributes
    ----------
    folder : Path
    stem : str
    number : int
        Of several pieces of work on one image, from 1.
    """

    folder: Path
    stem: str
    number: int = 1

    @classmethod
    def chosen(cls, path: Path) -> SessionLocation:
        """Return the location whose session file is `path`."""
        name = path.name.removesuffix(".json").removesuffix(".sam2")
        return cls(path.parent, name)

    @property
    def file(self) -> Path:
        """The session file, of all stacks of the image."""
        number = f"-{self.number}" if self.number > 1 else ""
        return self.folder / f"{self.stem}{number}{SESSION_SUFFIX}"

    def results(self, position: StackPosition) -> Path:
        """Return the folder with the results of one stack of the image."""
        number = f"-{self.number}" if self.number > 1 else ""
        folder = self.folder / f"{self.stem}{number}{STORE_SUFFIX}"
        return part_of(folder, dict(position)) if position else folder

    def next(self) -> SessionLocation:
        """Return the location of the next piece of work."""
        return replace(self, number=self.number + 1)

    def files(self) -> list[Path]:
        """List the session files of this piece of work that there are.

        There may be several: earlier versions wrote one for each stack of an image.
        """
        return [path for path, number in _numbered(self.folder, self.stem) if number == self.number]


def reference_to(pixels: Any) -> Callable[[], Any]:
    """Return what gives the data of an image as long as it is in use, without keeping it in use."""
    try:
        return weakref.ref(pixels)
    except TypeError:  # there are kinds of array to which there are no weak references
        return lambda: pixels


def session_locations(facts: ImageFacts) -> tuple[SessionLocation, ...]:
    """Return where work on an image may be kept, the best place first; reads no file.

    That is beside the image; the user's data folder where it came from no file, or where its
    folder may not be written to.
    """
    own = SessionLocation(sessions_folder(), _own_stem(facts))
    if facts.path is None or not Path(facts.path).exists():
        return (own,)
    near = beside(facts.path)
    return (near, own) if os.access(near.folder, os.W_OK) else (own, near)


def beside(path: str) -> SessionLocation:
    """Return the location beside an image; never inside a zarr, whose folders are its own."""
    image = Path(path).absolute()
    zarrs = [each for each in (image, *image.parents) if each.suffix.lower() == ".zarr"]
    image = zarrs[-1] if zarrs else image
    return SessionLocation(image.parent, short_name(stem_of(image.name), _LONGEST_STEM))


def works(location: SessionLocation) -> list[SessionLocation]:
    """List the pieces of work on an image for which there are session files, by number."""
    numbers = {number for _, number in _numbered(location.folder, location.stem)}
    return [replace(location, number=number) for number in sorted(numbers)]


def sessions_folder() -> Path:
    """Return the folder for work on images that came from no file; it need not exist.

    The environment variable ``NAPARI_SAM2_SESSIONS`` overrides the data folder of the user.
    """
    chosen = chosen_folder(SESSIONS_VARIABLE)
    return chosen or platformdirs.user_data_path("napari-sam2", appauthor=False) / "sessions"


def _numbered(folder: Path, stem: str) -> Iterable[tuple[Path, int]]:
    pattern = re.compile(re.escape(stem) + r"(?:-(\d+))?(?:\.\d+=\d+)*" + re.escape(SESSION_SUFFIX))
    try:
        paths = sorted(folder.iterdir())
    except OSError:  # there is no such folder yet, or it may not be read: no files for us
        return
    for path in paths:
        match = pattern.fullmatch(path.name)
        if match is not None:
            yield path, int(match[1] or 1)


def image_stem(facts: ImageFacts) -> str:
    """Return what files are called that are named after an image alone."""
    if facts.path is not None:
        return beside(facts.path).stem
    return re.sub(r"[^\w. -]", "_", facts.name).strip(". ") or "image"


def _own_stem(facts: ImageFacts) -> str:
    """Name work by layer and shape: images of one name are told apart as far as can be."""
    stem = f"{image_stem(replace(facts, path=None))} {'x'.join(map(str, facts.shape))}"
    return short_name(stem, _LONGEST_STEM)
