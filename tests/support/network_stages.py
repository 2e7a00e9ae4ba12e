"""Every method of the network, one after the other, on any device."""

from __future__ import annotations

import torch
from parity_data import Draws
from torch import Tensor

from napari_sam2.network import (
    Sam2,
    bright_level,
    dim_pixels,
    object_contrast,
    relative_brightness,
    remaining_contrast,
)


def stages(network: Sam2, device: torch.device) -> dict[str, Tensor]:
    """Run every method of the network, each on what an earlier one gave."""
    draw = Draws(70)
    features = network.encode_image(draw(2, 3, 64, 64).to(device))
    stride16, stride8, stride4 = features.stride16, features.stride8, features.stride4
    one = features.frame(0).copied()
    points = (64 * draw(2, 3, 2).sigmoid()).to(device)
    labels = torch.tensor([[1, 0, -1], [2, 3, 1]], device=device)
    first = network.without_memory(stride16)
    maps = (first, stride8, stride4, features.finer)
    clicked = network.predict_masks(*maps, points=points, point_labels=labels, multimask=True)
    best = clicked.best()
    refined = network.predict_masks(
        *maps, points=points, point_labels=labels, mask_inputs=best.masks.float()
    )
    drawn = (draw(2, 1, 64, 64) > 0).float().to(device)
    given = network.predict_masks(*maps, mask_inputs=network.downsample_mask(drawn))
    present = torch.tensor([[1.0], [0.0]], device=device)
    pointers = network.object_pointers(best.tokens[:, 0], present)
    memory = network.encode_memory(stride16, drawn, present).flatten(2).transpose(1, 2)
    split = network.config.pointer_tokens
    tokens = torch.cat((memory, pointers.unflatten(1, (split, -1)).to(memory.dtype)), dim=1)
    ages = torch.tensor([0.5], device=device)
    where = torch.cat(
        (
            network.memory_position(4, 4, slot=1),
            network.pointer_position(ages).repeat_interleave(split, dim=0)[None],
        ),
        dim=1,
    ).expand(2, -1, -1)
    cast = [each.to(stride16.dtype) for each in (tokens, where)]
    opened = network.open_memory(one.stride16, one.position)
    attended = network.attend_memory(one.stride16, one.position, *cast, split, opened)
    carried = best.masks.float() if network.config.carried_masks else None
    brightness = None
    if network.config.relative_brightness:
        contrast = object_contrast(one.pixels, drawn > 0)
        brightness = relative_brightness(one.pixels, contrast)
        left = remaining_contrast(one.pixels, drawn > 0, contrast)
        level = bright_level(one.pixels, drawn > 0)
        bright = [torch.tensor([row], device=device) for row in ((9.0, 0.0, 1.0), (9.0, 1.0))]
        dim = dim_pixels(one.pixels, drawn > 0, *(each.expand(2, -1) for each in bright))
    followed = network.predict_masks(
        attended,
        one.stride8,
        one.stride4,
        one.finer,
        carried=carried,
        brightness=brightness,
        multimask=True,
    )
    measured = {} if brightness is None else {"left": left, "level": level, "dim": 1.0 + dim}
    return measured | {
        "stride4": stride4,
        "stride8": stride8,
        "stride16": stride16,
        "clicked": clicked.masks,
        "ious": clicked.ious,
        "scores": clicked.object_scores,
        "refined": refined.masks,
        "given": given.masks,
        "pointers": pointers,
        "memory": memory,
        "attended": attended,
        "followed": followed.masks,
    }
