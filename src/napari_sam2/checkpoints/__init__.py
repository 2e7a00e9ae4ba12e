"""Model files: the registry, downloads, verification and loading.

Modules that need torch or the network load on first use: listing the models needs neither.
All of it runs on the caller's thread.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_sam2.checkpoints.cache import (
    ADAPTED_SUFFIX,
    cache_folder,
    find_model_file,
    free_adapted_path,
    model_path,
)
from napari_sam2.checkpoints.download_target import DownloadCancelledError
from napari_sam2.checkpoints.provenance import TrustRecord, Voucher, read_record
from napari_sam2.checkpoints.registry import (
    BUNDLED,
    MODELS,
    ModelInfo,
    get_model_info,
    model_names,
)

if TYPE_CHECKING:
    from napari_sam2.checkpoints.config_inference import infer_config
    from napari_sam2.checkpoints.config_json import config_from_json, config_to_json
    from napari_sam2.checkpoints.download import download_model
    from napari_sam2.checkpoints.http_transfer import TransferPolicy
    from napari_sam2.checkpoints.loading import LoadedNetwork, load_network, save_network

__all__ = [
    "ADAPTED_SUFFIX",
    "BUNDLED",
    "MODELS",
    "DownloadCancelledError",
    "LoadedNetwork",
    "ModelInfo",
    "TransferPolicy",
    "TrustRecord",
    "Voucher",
    "cache_folder",
    "config_from_json",
    "config_to_json",
    "download_model",
    "find_model_file",
    "free_adapted_path",
    "get_model_info",
    "infer_config",
    "load_network",
    "model_names",
    "model_path",
    "read_record",
    "save_network",
]

_LAZY = {
    "LoadedNetwork": "loading",
    "TransferPolicy": "http_transfer",
    "config_from_json": "config_json",
    "config_to_json": "config_json",
    "download_model": "download",
    "infer_config": "config_inference",
    "load_network": "loading",
    "save_network": "loading",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        if _LAZY[name] == "loading":
            import_module("napari_sam2._memory")  # says what is needed before torch is loaded
        return getattr(import_module(f"napari_sam2.checkpoints.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
