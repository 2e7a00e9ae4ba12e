"""Random weights that are the same numbers everywhere: what the stored reference outputs hold for.

Every value comes from numpy's PCG64 seeded by the parameter's name, so that no tensor depends on
another. The scales keep activations near 1 and make every term matter: an ordinary initialisation
leaves position embeddings at 0 and layer scales at 1e-6, and would hide mistakes.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_sam2.network import Sam2, Sam2Config, outline

PRESENT_BIAS = 8.0
"""Object score bias of networks that always see the object; its negative: that never do."""

_OBJECT_SCORE_BIAS = "sam_mask_decoder.pred_obj_score_head.layers.2.bias"


def random_weights(
    shapes: Mapping[str, tuple[int, ...]], seed: int = 0, object_score_bias: float = PRESENT_BIAS
) -> dict[str, NDArray[Any]]:
    """Return an array for every parameter name."""
    weights = {name: _values(name, shape, seed) for name, shape in shapes.items()}
    if _OBJECT_SCORE_BIAS in weights:
        weights[_OBJECT_SCORE_BIAS] = np.full(1, object_score_bias, dtype=np.float32)
    return weights


def fill_randomly(module: nn.Module, seed: int = 0) -> None:
    """Give a module, ours or the reference, its random weights for this seed."""
    shapes = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    weights = random_weights(shapes, seed)
    state = {name: torch.from_numpy(value) for name, value in weights.items()}
    module.load_state_dict(state, assign=True)
    module.requires_grad_(False)


def random_network(config: Sam2Config, seed: int = 0) -> Sam2:
    """Build a network with random weights, ready for inference."""
    network = outline(config)  # to initialise 224 million parameters first takes seconds
    fill_randomly(network, seed)
    return network.eval()


def set_object_score_bias(network: Sam2, bias: float) -> None:
    """Make the network see objects everywhere (large) or nowhere (negative)."""
    network.get_parameter(_OBJECT_SCORE_BIAS).fill_(bias)


def _values(name: str, shape: tuple[int, ...], seed: int) -> NDArray[Any]:
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    normal = rng.standard_normal(shape, dtype=np.float32)
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, dtype=np.int64)
    values = _scaled(name, normal)
    if "memory_attention" in name and name.endswith(("q_proj.weight", "k_proj.weight")):
        values = 1.7 * values  # sharper attention
    if name.endswith("pred_obj_score_head.layers.2.weight"):
        values = 10 * values
    return np.ascontiguousarray(values, dtype=np.float32)


def _scaled(name: str, normal: NDArray[np.float32]) -> NDArray[np.float32]:
    owner, _, leaf = name.rpartition(".")
    owner = owner.rpartition(".")[2]
    embedding = "embed" in owner or "token" in owner or "point_embeddings" in name
    if leaf == "positional_encoding_gaussian_matrix":
        return normal
    if "gamma" in leaf:
        return 0.3 + 0.05 * normal
    if leaf == "running_var" or (leaf == "weight" and normal.ndim == 1):  # normalisations
        return 1 + 0.1 * normal
    if leaf == "bias":
        return 0.05 * normal
    if leaf == "weight" and not embedding:
        return normal / np.sqrt(np.prod(normal.shape[1:]))
    return 0.5 * normal  # embeddings, tokens, temporal encodings, no-object vectors
