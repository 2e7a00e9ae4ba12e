"""Folders of model files on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from napari_sam2.checkpoints.registry import ModelInfo, get_model_info

CACHE_VARIABLE = "NAPARI_SAM2_CACHE"
"""Environment variable that overrides the cache folder."""

ADAPTED_SUFFIX = ".adapted.safetensors"
"""What the files of models end with that have learnt from one image."""

_BUNDLED_FOLDER = Path(__file__).parent / "weights"


def cache_folder() -> Path:
    """Return the folder that downloaded models go to; it need not exist yet.

    The environment variable ``NAPARI_SAM2_CACHE`` overrides the cache folder of the platform.
    """
    chosen = os.environ.get(CACHE_VARIABLE, "").strip()
    if chosen:
        return Path(chosen).expanduser().absolute()
    return platformdirs.user_cache_path("napari-sam2", appauthor=False)


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
        If there is no model of that name.
    """
    path = model_path(get_model_info(name))
    return path if path.is_file() else None


def free_adapted_path(folder: Path, stem: str) -> Path:
    """Return where an adapted model can be written without replacing another one."""
    number, path = 1, folder / f"{stem}{ADAPTED_SUFFIX}"
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}{ADAPTED_SUFFIX}"
    return path
