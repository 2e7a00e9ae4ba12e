"""The parts of a network that can be trained alone."""

from __future__ import annotations

from enum import StrEnum

from napari_sam2.network import Sam2


class Parts(StrEnum):
    """The parts of a network that fine-tuning changes.

    ``DECODER`` is the mask decoder alone. The image encoder computes no gradients then, and
    prompts and memories keep their meaning, because prompt encoder and memory stay as they were.
    """

    ALL = "all"
    DECODER = "decoder"


def choose_parts(network: Sam2, parts: Parts) -> None:
    """Enable gradients of the chosen parts only, in place."""
    network.requires_grad_(parts is Parts.ALL)
    network.sam_mask_decoder.requires_grad_(True)
