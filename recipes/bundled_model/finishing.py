"""Changes of a trained network without gradients, such as measured offsets of its scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from napari_sam2.errors import TrainingError
from napari_sam2.network import Sam2


def keep_recent_memories(network: Sam2, memory_frames: int) -> Sam2:
    """Return a copy that attends to fewer recent frames: slots no clip was long enough to train.

    Parameters
    ----------
    network : Sam2
    memory_frames : int
        Temporal slots to keep: the latest ones and that of conditioning frames.

    Raises
    ------
    TrainingError
        The network has fewer slots.
    """
    if not 2 <= memory_frames <= network.config.memory_frames:
        raise TrainingError(
            f"The network has {network.config.memory_frames} memory slots, not {memory_frames}.",
            remedy="Keep at least 2 and at most as many as there are.",
        )
    shorter = Sam2(replace(network.config, memory_frames=memory_frames))
    state = dict(network.state_dict())
    slots = state["maskmem_tpos_enc"]
    state["maskmem_tpos_enc"] = torch.cat((slots[: memory_frames - 1], slots[-1:]))
    shorter.load_state_dict(state)
    return shorter.eval()


def lower_object_score(network: Sam2, by: float) -> None:
    """Subtract a bias towards "present" from the object score (logit), in place.

    `bundled_model.presence` measures it.
    """
    last = network.sam_mask_decoder.pred_obj_score_head.layers[-1]
    assert isinstance(last, torch.nn.Linear)
    with torch.no_grad():
        last.bias.sub_(by)


def see_windows(network: Sam2, image_size: int) -> Sam2:
    """Return a copy that sees a window around each object where it saw a whole frame before.

    Clicks are encoded by Fourier frequencies relative to the input. In a smaller input the same
    frequencies would mean other distances in pixels: they are scaled so that they do not, and a
    click acts as far as it did.

    Parameters
    ----------
    network : Sam2
        Trained on frames of its configuration's image size.
    image_size : int
        Side of the windows in pixels.
    """
    config = replace(network.config, image_size=image_size, object_windows=True)
    windowed = Sam2(config)
    windowed.load_state_dict(network.state_dict())
    scale = image_size / network.config.image_size
    windowed.sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix.mul_(scale)
    return windowed.eval()


def mean_of(networks: Sequence[Sam2]) -> Sam2:
    """Return the network whose weights are the mean of several of one configuration.

    Ends of one training run lie close together, and their mean is often as good as the best of
    each ("model soups", arXiv 2203.05482).

    Parameters
    ----------
    networks : sequence of Sam2
        At least one.
    """
    states = [network.state_dict() for network in networks]
    mean = Sam2(networks[0].config)
    mean.load_state_dict(
        {
            name: torch.stack([state[name] for state in states]).mean(dim=0)
            if value.is_floating_point()
            else value
            for name, value in states[0].items()
        }
    )
    return mean.eval()
