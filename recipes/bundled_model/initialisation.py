"""An initialisation in which prompts act locally from the first training step.

Points and pixels carry the same random-Fourier encoding, but random query and key projections lose
its dot product, and the network then finds the click only after thousands of steps. Here every
attention between tokens and image starts with equal query and key projections that select whole
frequencies (sine and cosine together). Their dot product is a sum of cosines of the distance, so
that a token attends near its point, and pixels near it attend to the token, from the first step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from napari_sam2.network import Sam2
from napari_sam2.network.attention import Attention, TwoWayBlock
from napari_sam2.network.memory_attention import MemoryAttentionLayer
from napari_sam2.network.memory_encoder import ConvNextBlock


@dataclass(frozen=True, slots=True)
class LocalityPrior:
    """Strength and width of the effect of prompts before training.

    Attributes
    ----------
    peak : float
        Attention logit of a token with the pixel right under it.
    finest, coarsest : float
        Standard deviations of the kernels of the finest and the coarsest attention head, as
        shares of the frame's side.
    embedding : float
        Standard deviation of the learned tokens and prompt kinds, in channels without position.
    """

    peak: float = 6.0
    finest: float = 1 / 40
    coarsest: float = 1 / 8
    embedding: float = 1.0


def initialise_locality(
    network: Sam2, prior: LocalityPrior | None = None, *, seed: int = 0
) -> None:
    """Initialise prompt encoding and token-image attentions in place.

    Parameters
    ----------
    network : Sam2
        Freshly built; its Fourier frequencies (a buffer of the checkpoint) are replaced.
    prior : LocalityPrior, optional
        Strength and widths.
    seed : int
        Of the frequencies.
    """
    prior = prior or LocalityPrior()
    generator = torch.Generator().manual_seed(seed)
    attentions = list(_cross_attentions(network))
    per_head = attentions[0].q_proj.out_features // attentions[0].heads // 2
    matrix = network.sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix
    count = matrix.shape[1]
    used = per_head * attentions[0].heads
    with torch.no_grad():
        matrix.zero_()
        matrix[:, :used] = _frequencies(attentions[0].heads, per_head, prior, generator)
        for attention in attentions:
            _pick_frequencies(attention, count, prior.peak)
        for embedding in _embeddings(network):
            embedding.weight.normal_(0.0, prior.embedding, generator=generator)
            embedding.weight[:, :used] = 0.0
            embedding.weight[:, count : count + used] = 0.0
        initialise_recall(network, prior.peak)
    for layer in network.memory_encoder.fuser.layers:
        assert isinstance(layer, ConvNextBlock)
        nn.init.constant_(layer.gamma, 0.1)
    for parameter in (network.maskmem_tpos_enc, network.no_mem_embed, network.no_obj_ptr):
        nn.init.trunc_normal_(parameter, std=0.02, generator=generator)


def initialise_recall(network: Sam2, peak: float = 6.0) -> None:
    """Make the memory attention look first at the same place of remembered frames, in place.

    Rotary encodings turn queries and keys with their position: equal constant queries and keys
    have a dot product that falls with the distance. The biases of the quickest turning pairs of
    channels, an eighth of all, are such constants.
    """
    for layer in network.memory_attention.layers:
        assert isinstance(layer, MemoryAttentionLayer)
        attention = layer.cross_attn_image
        width = attention.q_proj.out_features
        count = max(1, width // 16)
        # The first half of the pairs turns with x, the second with y, quickest first.
        pairs = torch.cat([torch.arange(count), width // 4 + torch.arange(count)])
        bias = torch.zeros(width)
        bias[2 * pairs] = (peak * width**0.5 / (2 * count)) ** 0.5
        with torch.no_grad():
            attention.q_proj.bias.copy_(bias)
            attention.k_proj.bias.copy_(bias)


def _cross_attentions(network: Sam2) -> Iterator[Attention]:
    transformer = network.sam_mask_decoder.transformer
    for layer in transformer.layers:
        assert isinstance(layer, TwoWayBlock)
        yield layer.cross_attn_token_to_image
        yield layer.cross_attn_image_to_token
    yield transformer.final_attn_token_to_image


def _embeddings(network: Sam2) -> Iterator[nn.Embedding]:
    encoder, decoder = network.sam_prompt_encoder, network.sam_mask_decoder
    yield from (kind for kind in encoder.point_embeddings if isinstance(kind, nn.Embedding))
    yield encoder.not_a_point_embed
    if not network.config.fine_channels:
        yield encoder.no_mask_embed
    yield from (decoder.iou_token, decoder.mask_tokens, decoder.obj_score_token)


def _frequencies(
    heads: int, per_head: int, prior: LocalityPrior, generator: torch.Generator
) -> torch.Tensor:
    """Gaussian frequencies (2, heads x per_head), heads from fine to coarse.

    Frequencies of standard deviation s over coordinates in -1..1 give the expected kernel
    ``exp(-2 (pi s d)^2)``: a standard deviation of ``1 / (2 pi s)``, of the side half as much.
    """
    ladder = torch.linspace(0.0, 1.0, heads)
    widths = prior.finest ** (1 - ladder) * prior.coarsest**ladder
    scales = (1.0 / (4.0 * torch.pi * widths)).repeat_interleave(per_head)
    # Even angles and moderate radii: a few frequencies still make a round kernel.
    turn = torch.rand(heads, generator=generator).repeat_interleave(per_head)
    angles = (torch.arange(heads * per_head) % per_head + turn) * torch.pi / per_head
    uniform = 0.1 + 0.8 * torch.rand(heads * per_head, generator=generator)
    radii = torch.sqrt(-2.0 * torch.log1p(-uniform))
    return torch.stack([angles.cos(), angles.sin()]) * radii * scales


def _pick_frequencies(attention: Attention, count: int, peak: float) -> None:
    """Set equal query and key projections: each head reads its own frequencies, sine and cosine."""
    inner, width = attention.q_proj.weight.shape
    per_head = inner // attention.heads
    pairs = per_head // 2
    weight = torch.zeros(inner, width)
    # pairs x gain^2 / sqrt(per_head) is the logit at distance zero.
    gain = (peak * per_head**0.5 / pairs) ** 0.5
    for head in range(attention.heads):
        chosen = head * pairs + torch.arange(pairs)
        rows = head * per_head + torch.arange(pairs)
        weight[rows, chosen] = gain
        weight[rows + pairs, count + chosen] = gain
    attention.q_proj.weight.copy_(weight)
    attention.k_proj.weight.copy_(weight)
    nn.init.zeros_(attention.q_proj.bias)
    nn.init.zeros_(attention.k_proj.bias)
