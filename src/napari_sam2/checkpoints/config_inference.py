"""Inference of a network's configuration from the shapes of a checkpoint's parameters."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from napari_sam2.errors import CheckpointError
from napari_sam2.network import (
    BUNDLED_CONFIG,
    FIRST_BUNDLED_CONFIG,
    OFFICIAL_CONFIGS,
    ConvTrunkConfig,
    HieraConfig,
    InvertedResidualConfig,
    Sam2Config,
    outline,
)
from napari_sam2.network.config import TrunkConfig

Shapes = Mapping[str, tuple[int, ...]]

_TRUNK = "image_encoder.trunk."
_PATCHES = f"{_TRUNK}patch_embed.proj.weight"
_BLOCK_WIDTH = re.compile(re.escape(_TRUNK) + r"blocks\.\d+\.norm2\.weight")
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class ShapeDifferences:
    """Differences between the parameters of a file and those of a network.

    Attributes
    ----------
    missing : tuple of str
        In the network only.
    unexpected : tuple of str
        In the file only.
    mismatched : tuple of (str, shape, shape)
        Name, the network's shape, the file's shape.
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.mismatched)

    def describe(self) -> str:
        """Name the first differences of each kind."""
        mismatched = [f"{name} is {found}, not {wanted}" for name, wanted, found in self.mismatched]
        groups = (
            ("other shape", mismatched),
            ("missing", list(self.missing)),
            ("unexpected", list(self.unexpected)),
        )
        return "; ".join(f"{title}: {_first(items)}" for title, items in groups if items)


def network_shapes(config: Sam2Config) -> dict[str, tuple[int, ...]]:
    """Return the shape of every parameter and buffer of a network, without building it.

    Raises
    ------
    CheckpointError
        If there is no such network.
    """
    try:
        state = outline(config).state_dict()
    except (
        *(ArithmeticError, AssertionError, AttributeError, LookupError),
        *(MemoryError, RuntimeError, TypeError, ValueError),
    ) as error:
        raise CheckpointError(
            f"The configuration describes no SAM 2 network: {error}.",
            remedy="The file is damaged or was not written by napari-sam2.",
        ) from error
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def compare_shapes(expected: Shapes, found: Shapes) -> ShapeDifferences:
    """Compare a network's shapes with a file's, in the network's order."""
    return ShapeDifferences(
        missing=tuple(name for name in expected if name not in found),
        unexpected=tuple(name for name in found if name not in expected),
        mismatched=tuple(
            (name, shape, found[name])
            for name, shape in expected.items()
            if name in found and found[name] != shape
        ),
    )


def infer_config(shapes: Shapes) -> Sam2Config:
    """Recognise the configuration of a checkpoint of the SAM 2 format.

    Windows and global blocks of a Hiera trunk leave no trace in the shapes, so the trunk has to be
    one of the official four: embedding width and blocks per stage decide which. SAM 2.0 and 2.1
    differ by the parameters of absent objects and of temporal pointers.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        Every parameter's name and shape.

    Returns
    -------
    Sam2Config

    Raises
    ------
    CheckpointError
        If the shapes fit no known configuration; the message names the first parameters that
        differ from the nearest one.
    """
    name, config = min(_candidates().items(), key=lambda item: _distance(item[1], shapes))
    config = replace(
        config,
        temporal_pointers="obj_ptr_tpos_proj.weight" in shapes,
        absent_memory="no_obj_embed_spatial" in shapes,
    )
    differences = compare_shapes(network_shapes(config), shapes)
    if not differences:
        return config
    raise CheckpointError(
        f"The parameters belong to no known SAM 2 network{_trunk_of(shapes)}. "
        f"Against the nearest, {name}: {differences.describe()}.",
        remedy="Checkpoints of other architectures cannot be loaded; those of the SAM 2 format "
        "have one of the official sizes or carry their configuration.",
    )


def _candidates() -> dict[str, Sam2Config]:
    small = {"bundled": BUNDLED_CONFIG, "first bundled": FIRST_BUNDLED_CONFIG}
    return {**OFFICIAL_CONFIGS, **small}


def _distance(config: Sam2Config, shapes: Shapes) -> tuple[int, ...]:
    """Order candidates: trunk kind, width, blocks, then version."""
    width, stages = _hiera_facts(shapes)
    version = (config.temporal_pointers != ("obj_ptr_tpos_proj.weight" in shapes)) + (
        config.absent_memory != ("no_obj_embed_spatial" in shapes)
    )
    trunk = config.trunk
    other_kind = int(not isinstance(trunk, _trunk_kind(shapes)))
    if not isinstance(trunk, HieraConfig):
        return (other_kind, 0, 0, 0, version)
    return (
        other_kind,
        abs(trunk.embed_dim - width),
        abs(sum(trunk.stages) - sum(stages)),
        int(trunk.stages != stages),
        version,
    )


def _trunk_kind(shapes: Shapes) -> type[TrunkConfig]:
    """Return the kind of trunk, by the name of its first convolution; Hiera if there is none."""
    if f"{_TRUNK}stem.0.0.weight" in shapes:
        return ConvTrunkConfig
    return InvertedResidualConfig if f"{_TRUNK}stem.0.weight" in shapes else HieraConfig


def _hiera_facts(shapes: Shapes) -> tuple[int, tuple[int, ...]]:
    """Read embedding width and blocks per stage of a Hiera trunk; (0, ()) if there is none."""
    patches = shapes.get(_PATCHES, ())
    widths = Counter(
        shape[0] for name, shape in shapes.items() if _BLOCK_WIDTH.fullmatch(name) and shape
    )
    return (patches[0] if patches else 0), tuple(widths[width] for width in sorted(widths))


def _trunk_of(shapes: Shapes) -> str:
    width, stages = _hiera_facts(shapes)
    return f" (embedding width {width}, blocks per stage {stages})" if width else ""


def _first(items: list[str]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more
