"""Reading of the tensors of a checkpoint without running code from it."""

from __future__ import annotations

import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import safetensors
import torch
from torch import Tensor

from napari_sam2._limits import MOST_EXPANSION, check_file
from napari_sam2.errors import CheckpointError

_ZIP_MAGIC = b"PK\x03\x04"
_PICKLE_MAGIC = b"\x80"
_WRAPPERS = ("model", "state_dict", "model_state_dict", "model_state")
_PREFIXES = ("module.", "_orig_mod.", "model.", "sam2.", "sam.")
_UNSAFE_NAME = re.compile(r"GLOBAL (\S+)")
_LONGEST_NAME = 500  # letters of a class with its module
_PICKLES = 5  # at the start of a file of `torch.save` that is no archive
_AGAIN = "Fetch or copy it again; `napari-sam2 models` lists the files that are known to work."


@dataclass(frozen=True, slots=True, eq=False)
class StateFile:
    """The content of a checkpoint.

    Attributes
    ----------
    tensors : mapping of str to Tensor
        Weights by name, on the CPU, in the file's own dtype; may be mapped from the file.
    metadata : mapping of str to str
        Free text beside the weights; only safetensors files have it.
    """

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every tensor."""
        return {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}


def read_state(path: Path) -> StateFile:
    """Read a checkpoint in the format of safetensors or of `torch.save`.

    The content decides the format, not the suffix. A state dict may be bare or lie under the key
    ``"model"``, as in the official files; a prefix that all names share (``"module."``,
    ``"sam2."``) is dropped.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, of another kind, or holds anything but plain weights and
        so could run code.
    """
    try:
        size = check_file(path)
        with path.open("rb") as file:
            head = file.read(9)
        if head[8:9] == b"{" and not head.startswith(_ZIP_MAGIC):
            tensors, metadata = _read_safetensors(path)
        else:
            tensors, metadata = _state_dict(path, _read_torch(path, head)), {}
    except OSError as error:
        raise CheckpointError(
            f"The model file {path} cannot be read: {error.strerror or error}.",
            remedy="Check the path; `napari-sam2 models` lists the models that are there.",
        ) from error
    except MemoryError as error:  # also of a text in damaged bytes that claims to be a GB long
        raise CheckpointError(
            f"The model file {path} is damaged, or its {size / 1e6:.0f} MB do not fit into memory.",
            remedy=f"Free some memory. {_AGAIN}",
        ) from error
    if not tensors:
        raise _foreign(path, "it holds no weights")
    _check_tensors(path, tensors, size)
    return StateFile(_without_prefix(tensors), metadata)


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, dict(file.metadata() or {})
    except safetensors.SafetensorError as error:
        raise _damaged(path, f"it is no whole safetensors file ({error})") from error
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a dtype that torch does not have, for one
        raise _damaged(path, f"{type(error).__name__} while reading, {error}") from error


def _read_torch(path: Path, head: bytes) -> Any:
    archive = zipfile.is_zipfile(path)
    if head.startswith(_ZIP_MAGIC) and not archive:
        raise _damaged(path, "its end is missing")
    if not archive and not head.startswith(_PICKLE_MAGIC):
        raise _foreign(path, "it is neither a PyTorch nor a safetensors file")
    if archive:
        _check_archive(path)
    else:
        with path.open("rb") as file:
            _check_names(path, file, _PICKLES)
    try:
        with warnings.catch_warnings():
            # About pickle protocols and TorchScript: both end in an error of ours or do not matter.
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    except pickle.UnpicklingError as error:
        raise _unsafe(path, str(error)) from error
    except RuntimeError as error:
        if "TorchScript" in str(error):
            raise _unsafe(path, "GLOBAL TorchScript") from error
        raise _foreign(path, next(iter(str(error).splitlines()), "it cannot be read")) from error
    except (OSError, MemoryError):
        raise
    except Exception as error:  # from damaged bytes the unpickler raises whatever comes
        raise _damaged(path, f"{type(error).__name__} while reading, {error}") from error


def _check_archive(path: Path) -> None:
    """Refuse an archive that would take far more memory or time than its size."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            _check_parts(path, parts)
            for part in parts:
                if part.filename.endswith("data.pkl"):
                    with archive.open(part) as file:
                        _check_names(path, file, 1)
    except (zipfile.BadZipFile, RuntimeError, ValueError) as error:
        raise _damaged(path, f"it is no whole archive ({error})") from error


def _check_parts(path: Path, parts: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse code, and parts that are larger than the file: ``torch.save`` compresses nothing."""
    if any("/code/" in part.filename for part in parts):
        raise _unsafe(path, "GLOBAL TorchScript")
    packed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
    total = sum(part.file_size for part in parts)
    if packed or total > path.stat().st_size:
        raise _foreign(
            path, f"it unpacks to {total / 1e6:.0f} MB, and PyTorch's own files are not packed"
        )


def _check_names(path: Path, file: IO[bytes], pickles: int) -> None:
    """Refuse classes whose names are far too long to be names.

    torch does not load them either, but it then searches them in a time that grows with the square
    of their length: minutes for a name of 100 kB.
    """
    try:
        for _ in range(pickles):
            for operation, value, _ in pickletools.genops(file):
                if operation.name == "GLOBAL" and len(str(value)) > _LONGEST_NAME:
                    raise _unsafe(path, f"GLOBAL {str(value)[:60]}...")
    except UnicodeDecodeError as error:
        raise _damaged(path, "the name of a class is none") from error
    except ValueError:
        return  # damaged from here on: torch says how


def _check_tensors(path: Path, tensors: Mapping[str, Tensor], size: int) -> None:
    """Check that all are plain arrays of real numbers that the file can hold."""
    total = 0
    for name, tensor in tensors.items():
        kind = _kind(tensor)
        if kind:
            raise _foreign(path, f"its weights {name} are {kind}")
        total += tensor.numel() * tensor.element_size()
    if total > MOST_EXPANSION * size:
        raise _foreign(
            path, f"its weights take {total / 1e6:.0f} MB and the file has {size / 1e6:.0f} MB"
        )


def _kind(tensor: Tensor) -> str:
    """Return why a tensor is no plain array of real numbers; empty if it is one."""
    if tensor.is_nested or tensor.layout is not torch.strided:
        return "sparse"
    if tensor.is_quantized:
        return "quantised"
    if tensor.is_complex():
        return "complex"
    return "without values" if tensor.is_meta else ""


def _state_dict(path: Path, content: Any) -> dict[str, Tensor]:
    """Find the weights in the content of a PyTorch file."""
    if isinstance(content, Mapping):
        for key in _WRAPPERS:
            if isinstance(content.get(key), Mapping):
                content = content[key]
                break
        tensors = {
            name: value
            for name, value in content.items()
            if isinstance(name, str) and isinstance(value, Tensor)
        }
        if tensors:
            return tensors
    raise _foreign(path, f"it holds no weights but a {type(content).__name__}")


def _without_prefix(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    names = dict.fromkeys(tensors)
    # Of no names at all, every prefix would be a common one, for ever.
    while names and (
        prefix := next((p for p in _PREFIXES if all(n.startswith(p) for n in names)), "")
    ):
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
        names = dict.fromkeys(tensors)
    return dict(tensors)


def _damaged(path: Path, why: str) -> CheckpointError:
    return CheckpointError(f"The model file {path} is damaged or cut short: {why}.", remedy=_AGAIN)


def _foreign(path: Path, why: str) -> CheckpointError:
    return CheckpointError(f"{path} is no model file of the SAM 2 format: {why}.", remedy=_AGAIN)


def _unsafe(path: Path, reason: str) -> CheckpointError:
    match = _UNSAFE_NAME.search(reason)
    what = f" ({match.group(1)})" if match else ""
    return CheckpointError(
        f"The model file {path} was not opened: it is damaged or holds more than weights{what}, "
        "and such a file could run code.",
        safe="Nothing of it was run.",
        remedy="Ask its author for the plain weights, as safetensors or as "
        "torch.save({'model': network.state_dict()}).",
    )
