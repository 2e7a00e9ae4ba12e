"""The configuration of a network as JSON text, which model files carry in their metadata."""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, get_origin, get_type_hints

from napari_sam2._limits import MOST_IMAGE_SIDE, MOST_LAYERS, MOST_WIDTH, load_json
from napari_sam2.errors import CheckpointError
from napari_sam2.network.config import (
    ConvTrunkConfig,
    HieraConfig,
    InvertedResidualConfig,
    Sam2Config,
    TrunkConfig,
)

_TRUNKS: Mapping[str, type[TrunkConfig]] = {
    "hiera": HieraConfig,
    "conv": ConvTrunkConfig,
    "inverted": InvertedResidualConfig,
}
# Numbers of layers, blocks, stages or frames; the sum of a list counts.
_COUNTS = {
    *("stages", "depths", "decoder_layers", "memory_layers", "fuser_layers"),
    *("memory_frames", "max_pointers", "multimask_max_points"),
}
_MAY_BE_ZERO = {"top_down_levels", "global_blocks", "multimask_max_points", "max_pointers"}


def config_to_json(config: Sam2Config) -> str:
    """Write a configuration as JSON text."""
    kind = next(kind for kind, cls in _TRUNKS.items() if isinstance(config.trunk, cls))
    return json.dumps({**asdict(config), "trunk": {"kind": kind, **asdict(config.trunk)}})


def config_from_json(text: str) -> Sam2Config:
    """Read a configuration from JSON text.

    Values that are not named take their defaults.

    Raises
    ------
    CheckpointError
        If the text is no JSON, names something that this version does not know, or a value has
        the wrong type or a size that no network has: zero, NaN, or far too large.
    """
    try:
        values = load_json(text)
    except ValueError as error:
        raise CheckpointError(f"The model's configuration is no JSON: {error}.") from error
    if not isinstance(values, dict) or not isinstance(values.get("trunk"), dict):
        raise CheckpointError("The model's configuration does not say which trunk it has.")
    trunk = dict(values.pop("trunk"))
    kind = trunk.pop("kind", None)
    if not isinstance(kind, str) or kind not in _TRUNKS:
        raise _unknown(f"trunk {reprlib.repr(kind)}")
    return Sam2Config(
        trunk=_TRUNKS[kind](**_checked(_TRUNKS[kind], trunk)), **_checked(Sam2Config, values)
    )


def _checked(cls: type, values: dict[str, Any]) -> dict[str, Any]:
    """Check names and types; lists become tuples."""
    types = get_type_hints(cls)
    unknown = sorted(values.keys() - {field.name for field in fields(cls)})
    if unknown:
        raise _unknown(", ".join(unknown)[:200])
    typed = {name: _typed(name, value, types[name]) for name, value in values.items()}
    for name, value in typed.items():
        _check_size(name, value)
    return typed


def _check_size(name: str, value: Any) -> None:
    """Raise an error for a configuration from which no network can be built."""
    if isinstance(value, float):
        if math.isfinite(value):
            return
    elif isinstance(value, int | tuple) and not isinstance(value, bool):
        numbers = value if isinstance(value, tuple) else (value,)
        least = 0 if name in _MAY_BE_ZERO else 1
        most = MOST_IMAGE_SIDE if name == "image_size" else MOST_WIDTH
        within = len(numbers) <= MOST_LAYERS and all(least <= each <= most for each in numbers)
        if within and (name not in _COUNTS or sum(numbers) <= MOST_LAYERS):
            return
    else:
        return
    raise CheckpointError(
        f"The model's configuration has {name} = {reprlib.repr(value)}, which no network has.",
        remedy="The file is damaged or was not written by napari-sam2.",
    )


def _typed(name: str, value: Any, wanted: Any) -> Any:
    if get_origin(wanted) is tuple:
        if isinstance(value, list) and all(type(item) is int for item in value):
            return tuple(value)
    elif wanted is float and type(value) is int:
        return float(value)
    elif type(value) is wanted:
        return value
    shown = wanted.__name__ if isinstance(wanted, type) else str(wanted)
    raise CheckpointError(
        f"The model's configuration has {name} = {reprlib.repr(value)}, which is no {shown}.",
        remedy="The file is damaged or was not written by napari-sam2.",
    )


def _unknown(what: str) -> CheckpointError:
    return CheckpointError(
        f"The model's configuration names what this version does not know: {what}.",
        remedy="Update napari-sam2: the model was written by a newer version.",
    )
