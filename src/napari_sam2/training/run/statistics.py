"""Running statistics of batch normalisation, which are measured once and then kept.

Batches of microscopy differ so much from one another, and from any single image, that a network
trained on the statistics of its batches fails on single images: one-click IoU fell from 0.73 to
0.34 while the training loss went on falling.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from napari_sam2.network import Sam2


def freeze_statistics(network: nn.Module) -> None:
    """Make batch normalisation use its running statistics until the next `network.train()`."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


@torch.no_grad()
def measure_statistics(network: Sam2, images: Iterable[torch.Tensor], bfloat16: bool) -> None:
    """Replace the running statistics by their mean over some batches of normalised frames."""
    layers = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in layers]
    network.train()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None
    for batch in images:
        with torch.autocast(batch.device.type, torch.bfloat16, enabled=bfloat16):
            network.encode_image(batch)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
