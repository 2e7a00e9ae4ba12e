"""Folders of model files on this machine."""

from __future__ import annotations

from pathlib import Path

import platformdirs

from napari_sam2._atomic import short_name
from napari_sam2._limits import chosen_folder
from napari_sam2.checkpoints.registry import ModelInfo, get_model_info
from napari_sam2.errors import CheckpointError

CACHE_VARIABLE = "NAPARI_SAM2_CACHE"
"""Environment variable that overrides the cache folder."""

ADAPTED_SUFFIX = ".adapted.safetensors"
"""What the files of models end with that have learnt from one image."""

_LONGEST_STEM = 215  # bytes: number and suffix follow, and names may have 255
_BUNDLED_FOLDER = Path(__file__).parent / "weights"


def cache_folder() -> Path:
    """Return the folder that downloaded models go to; it need not exist yet.

    The environment variable ``NAPARI_SAM2_CACHE`` overrides the cache folder of the platform.
    """
    chosen = chosen_folder(CACHE_VARIABLE)
    return chosen or platformdirs.user_cache_path("napari-sam2", appauthor=False)


def model_path(info: ModelInfo, folder: Path | None = None) -> Path:
    """Return where the file of a model belongs, whether or not it is there.

    Parameters
    ----------
    info : ModelInfo
        The model.
    folder : Path, optional
        A folder in place of the cache folder; without effect on the bundled model.
    """
    if info.url is None:
        return _BUNDLED_FOLDER / info.file_name
    return (folder if folder is not None else cache_folder()) / info.file_name


def find_model_file(name: str) -> Path | None:
    """Find the file of a model on this machine, downloaded or put there by hand.

    Parameters
    ----------
    name : str
        One of `model_names()`.

    Returns
    -------
    Path or None
        None if the file is not there.

    Raises
    ------
    CheckpointError
        If there is no model of that name, or the cache folder cannot be looked into.
    """
    path = model_path(get_model_info(name))
    return path if is_there(path) else None


def is_there(path: Path) -> bool:
    """Return whether the file of a model exists.

    Raises
    ------
    CheckpointError
        The folder cannot be looked into: its name is too long, say.
    """
    try:
        return path.is_file()
    except OSError as error:
        raise CheckpointError(
            f"The folder of models {path.parent} cannot be used: {error.strerror or error}.",
            remedy=f"Choose another folder with {CACHE_VARIABLE}.",
        ) from error


def free_adapted_path(folder: Path, stem: str) -> Path:
    """Return where an adapted model can be written without replacing another one."""
    stem = short_name(stem, _LONGEST_STEM)
    number, path = 1, folder / f"{stem}{ADAPTED_SUFFIX}"
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}{ADAPTED_SUFFIX}"
    return path
