"""`ServedModels`: the models that a server offers, by name, loaded when first asked for.

The device turn guards it. A client names a model; it never gives a path or a file.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from napari_sam2.checkpoints import config_to_json, find_model_file, model_names
from napari_sam2.errors import RemoteError
from napari_sam2.remote.messages import Message
from napari_sam2.remote.session_spec import ModelSpec
from napari_sam2.tracking.device import release_memory
from napari_sam2.tracking.model import Model, load_model

ModelLoader = Callable[[int | None, str], Model]
"""Loads a model at an input size (None: its own) and in a precision."""


class ServedModels:
    """Models by name; the last ones stay loaded.

    Parameters
    ----------
    loaders : mapping of str to ModelLoader
    keep : int
        How many stay loaded.
    """

    def __init__(self, loaders: Mapping[str, ModelLoader], keep: int = 2) -> None:
        self._loaders = dict(loaders)
        self._keep = max(1, keep)
        self._loaded: OrderedDict[ModelSpec, Model] = OrderedDict()

    @classmethod
    def of_registry(cls, models: Sequence[str], device: str, keep: int = 2) -> ServedModels:
        """Offer models on a device: registered ones, and checkpoint files by `offered_name`.

        Raises
        ------
        RemoteError
            One is not on this machine, or two would have the same name.
        """

        def loader(model: str) -> ModelLoader:
            return lambda size, precision: load_model(model, device, size, precision)

        loaders: dict[str, ModelLoader] = {}
        for model in models:
            _check_offered(model)
            name = offered_name(model)
            if name in loaders or (name != model and name in model_names()):
                raise RemoteError(
                    f"The model {model!r} cannot be offered as {name}: another model has that "
                    "name.",
                    remedy="Rename its file.",
                )
            loaders[name] = loader(model)
        return cls(loaders, keep)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the models."""
        return tuple(self._loaders)

    def get(self, spec: ModelSpec) -> Model:
        """Return a model, loaded now if it is not any more.

        Raises
        ------
        RemoteError
            There is none of this name.
        """
        if spec.name not in self._loaders:
            raise RemoteError(
                f"The server does not offer the model {spec.name[:100]!r}.",
                remedy=f"Choose one of: {', '.join(self.names)}.",
            )
        if spec not in self._loaded:
            while len(self._loaded) >= self._keep:
                _, old = self._loaded.popitem(last=False)
                release_memory(old.device)
            self._loaded[spec] = self._loaders[spec.name](spec.image_size, spec.precision)
        self._loaded.move_to_end(spec)
        return self._loaded[spec]

    def describe(self, spec: ModelSpec) -> Message:
        """Return what a client has to know of a model; no weights."""
        model = self.get(spec)
        return Message(
            {
                "name": model.name,
                "config": config_to_json(model.config),
                "image_size": model.image_size,
                "half": model.half,
                "device": str(model.device),
                "weights": model.weights_digest,
            }
        )


def offered_name(model: str) -> str:
    """Return the name by which clients know a model: its own, or the stem of a checkpoint file."""
    return model if model in model_names() else Path(model).stem


def _check_offered(model: str) -> None:
    if model not in model_names():
        if not Path(model).is_file():
            raise RemoteError(
                f"The model {model!r} cannot be offered: it is neither a model's name nor a "
                "checkpoint file.",
                remedy="Check the path, or choose a name that napari-sam2 models lists.",
            )
    elif find_model_file(model) is None:
        raise RemoteError(
            f"The model {model!r} cannot be offered: it is not on this machine.",
            remedy=f"Fetch it first: napari-sam2 models download {model}.",
        )
