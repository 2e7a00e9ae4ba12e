"""napari's reader of NIfTI images: with axes, pixel sizes and units, as the panel opens them.

napari calls it on the main thread. TIFF and others are left to napari, which would ask at every
file which reader to use.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_sam2.stack.nifti import SUFFIXES
from napari_sam2.widgets.layers.image_file import ImageFile

LayerData = tuple[Any, dict[str, Any], str]
"""What napari takes from a reader for a layer: data, attributes, kind."""


def get_reader(path: str | list[str]) -> Callable[[str], list[LayerData]] | None:
    """Return the reader of a NIfTI file; None for any other path, as napari asks for.

    Parameters
    ----------
    path : str or list of str
        A list is a stack of files, which these are not.
    """
    is_nifti = isinstance(path, str) and path.lower().endswith(SUFFIXES)
    return read_image if is_nifti else None


def read_image(path: str) -> list[LayerData]:
    """Open an image file as the data of one Image layer.

    Raises
    ------
    StackError
        It cannot be opened; see `open_stack`.
    """
    opened = ImageFile.read(Path(path))
    return [(opened.data(), opened.options(), "image")]
