"""Loading of networks by model name or path, and saving of networks to files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import safetensors.torch
import torch
from torch import Tensor

from napari_sam2._atomic import replacing
from napari_sam2.checkpoints.cache import find_model_file, model_path
from napari_sam2.checkpoints.config_inference import compare_shapes, infer_config, network_shapes
from napari_sam2.checkpoints.config_json import config_from_json, config_to_json
from napari_sam2.checkpoints.registry import get_model_info, model_names
from napari_sam2.checkpoints.state_dict import StateFile, read_state
from napari_sam2.errors import CheckpointError
from napari_sam2.network import HieraConfig, Sam2, Sam2Config, outline

CONFIG_KEY = "config"
"""Metadata key of a safetensors file under which the configuration lies, as JSON."""

_DENSE_HEADS = "dense_heads."
_SUFFIXES = {".pt", ".pth", ".ckpt", ".bin", ".safetensors"}


@dataclass(frozen=True, slots=True, eq=False)
class LoadedNetwork:
    """A network with weights, ready to use.

    Attributes
    ----------
    network : Sam2
        In evaluation mode, float32, on the CPU.
    name : str
        The model's name, or the file's without suffix.
    path : Path
        The file that it was read from.
    metadata : mapping of str to str
        Metadata of the file, without the configuration.
    """

    network: Sam2
    name: str
    path: Path
    metadata: Mapping[str, str]


def load_network(name_or_path: str | os.PathLike[str]) -> LoadedNetwork:
    """Load a model by its name, or a checkpoint of the SAM 2 format by its path.

    Parameters
    ----------
    name_or_path : str or path
        One of `model_names()`, or a file as `save_network`, ``torch.save`` or safetensors write.

    Returns
    -------
    LoadedNetwork

    Raises
    ------
    CheckpointError
        If the file is not there, damaged, not safe to open, or of another architecture, or a
        weight is NaN or infinite.
    """
    name, path = _locate(name_or_path)
    state = read_state(path)
    try:
        config = _config_of(state)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error.happened}", remedy=error.remedy) from error
    # Every value comes from the file: first-time initialisation would only cost seconds.
    network = outline(config)
    values = _copied(state.tensors, network)
    _check_finite(path, values)
    network.load_state_dict(values, assign=True)
    network.requires_grad_(False)
    metadata = {key: text for key, text in state.metadata.items() if key != CONFIG_KEY}
    return LoadedNetwork(network.eval(), name, path, MappingProxyType(metadata))


def save_network(
    network: Sam2,
    path: Path,
    metadata: Mapping[str, str] | None = None,
    *,
    half: bool = False,
) -> None:
    """Write a network as safetensors, with its configuration; atomic.

    Parameters
    ----------
    network : Sam2
        The network.
    path : Path
        The file to write; its folder exists.
    metadata : mapping of str to str, optional
        Metadata of the file.
    half : bool, optional
        Round the weights to float16: half the size. A tensor beyond float16's range stays float32.

    Raises
    ------
    CheckpointError
        If a weight is NaN or infinite, or the file cannot be written.
    """
    tensors = {name: _stored(name, tensor, half) for name, tensor in network.state_dict().items()}
    texts = {**(metadata or {}), CONFIG_KEY: config_to_json(network.config)}
    try:
        with replacing(path) as fresh:
            # safetensors makes files that only their owner may read: the user's umask decides.
            fresh.touch()
            mode = fresh.stat().st_mode
            safetensors.torch.save_file(tensors, fresh, metadata=texts)
            fresh.chmod(mode)
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(
            f"The model cannot be written to {path}: {error}.",
            remedy="Check that the folder exists, is writable and has space.",
        ) from error


def _locate(name_or_path: str | os.PathLike[str]) -> tuple[str, Path]:
    """Return the name and the file of a model."""
    # Any caller may hand over anything; an empty path would be this folder.
    if not isinstance(name_or_path, str | os.PathLike) or not os.fspath(name_or_path):
        raise CheckpointError(
            f"{name_or_path!r} is neither the name of a model nor a path.",
            remedy=f"Choose one of: {', '.join(model_names())}, or give a file.",
        )
    path = Path(name_or_path)
    if isinstance(name_or_path, str) and name_or_path in model_names():
        return name_or_path, _named_file(name_or_path)
    if not _exists(path) and path.suffix not in _SUFFIXES and path.name == os.fspath(name_or_path):
        get_model_info(path.name)
    return path.stem, path


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long, say: reading it will tell
        return True


def _named_file(name: str) -> Path:
    path = find_model_file(name)
    if path is not None:
        return path
    info = get_model_info(name)
    if info.url is None:
        raise CheckpointError(
            f"The {name} model is missing from this installation: {model_path(info)} is not there.",
            remedy="Install napari-sam2 again.",
        )
    raise CheckpointError(
        f"The model {name} is not on this machine.",
        remedy=f"Fetch it with `napari-sam2 models download {name}`, or fetch {info.url} in any "
        f"other way and put it at {model_path(info)}.",
    )


def _config_of(state: StateFile) -> Sam2Config:
    """Read the configuration from the file, or infer it from the shapes of the parameters."""
    text = state.metadata.get(CONFIG_KEY)
    if text is None:
        return infer_config(state.shapes())
    config = config_from_json(text)
    _check_counts(config, len(state.tensors))
    if config.dense_heads and not any(name.startswith(_DENSE_HEADS) for name in state.tensors):
        config = replace(config, dense_heads=False)  # a file may leave them out
    differences = compare_shapes(network_shapes(config), state.shapes())
    if differences:
        raise CheckpointError(
            f"The parameters do not fit the configuration in the file: {differences.describe()}.",
            remedy="The file is damaged or was changed by hand; fetch it again.",
        )
    return config


def _check_counts(config: Sam2Config, count: int) -> None:
    """Refuse a configuration of more layers than the file has weights, before they are built."""
    trunk = config.trunk
    blocks = trunk.stages if isinstance(trunk, HieraConfig) else trunk.depths
    layers = sum(blocks) + config.decoder_layers + config.memory_layers + config.fuser_layers
    if layers > count:
        raise CheckpointError(
            f"The configuration in the file names {layers} layers, and the file has {count} "
            "weights.",
            remedy="The file is damaged or was changed by hand; fetch it again.",
        )


def _check_finite(path: Path, values: Mapping[str, Tensor]) -> None:
    for name, value in values.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise CheckpointError(
                f"The model file {path} is of no use: its weights {name} are not all finite.",
                remedy="Take an earlier checkpoint of that training, or fetch the file again.",
            )


def _copied(tensors: Mapping[str, Tensor], network: Sam2) -> dict[str, Tensor]:
    """Copy tensors that may be mapped from a file, converted to the dtypes of the network."""
    types = {name: value.dtype for name, value in network.state_dict().items()}
    return {
        name: tensor.to(types[name], copy=True).contiguous() for name, tensor in tensors.items()
    }


def _stored(name: str, tensor: Tensor, half: bool) -> Tensor:
    """Return a copy of a tensor as it goes into a file."""
    tensor = tensor.detach().to("cpu").contiguous().clone()
    if not tensor.is_floating_point():
        return tensor
    if not torch.isfinite(tensor).all():
        raise CheckpointError(
            f"The weights {name} are not finite, so the network is of no use.",
            safe="No file was written.",
            remedy="Go back to an earlier checkpoint of the training.",
        )
    rounded = tensor.half()
    return rounded if half and bool(torch.isfinite(rounded).all()) else tensor
