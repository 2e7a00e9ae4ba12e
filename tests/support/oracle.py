"""The reference package `sam2` 1.1.0 beside ours, on the same weights and frames.

Only `tox run -e parity` has it installed: import this module inside of fixtures. The video
predictor needs none of torchvision, so that any torch will do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import sam2.sam2_video_predictor as reference
import torch
from numpy.typing import NDArray
from reference_weights import fill_randomly, random_network, set_object_score_bias
from sam2.build_sam import build_sam2_video_predictor
from torch import Tensor

from napari_sam2.network import OFFICIAL_CONFIGS, Sam2
from napari_sam2.tracking.images.object_window import Window, frame_to_input
from napari_sam2.types import Direction

SIZE = 256

_CONFIGS = {
    "2.1": "configs/sam2.1/sam2.1_hiera_t.yaml",
    "2.0": "configs/sam2/sam2_hiera_t.yaml",
}
_NAMES = {"2.1": "sam2.1-tiny", "2.0": "sam2-tiny"}


@dataclass(frozen=True)
class Pair:
    """Both implementations with the same weights."""

    ours: Sam2
    theirs: Any  # SAM2VideoPredictor

    def set_object_score_bias(self, bias: float) -> None:
        """Make both see objects more or less easily."""
        for network in (self.ours, self.theirs):
            set_object_score_bias(network, bias)


def build_pair(version: str, seed: int) -> Pair:
    """Build the tiny model of a version twice."""
    theirs = build_sam2_video_predictor(
        _CONFIGS[version], device="cpu", hydra_overrides_extra=[f"++model.image_size={SIZE}"]
    )
    fill_randomly(theirs, seed)
    theirs.fill_hole_area = 0  # it needs CUDA, and warns of every frame
    # Memories are kept in bfloat16; without any float32 pointer among them the reference's
    # attention would meet bfloat16 keys with float32 weights and stop.
    theirs.memory_attention.register_forward_pre_hook(_float_memory, with_kwargs=True)
    return Pair(random_network(OFFICIAL_CONFIGS[_NAMES[version]], seed), theirs)


def _float_memory(
    module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, {**kwargs, "memory": kwargs["memory"].float()}


@dataclass(frozen=True)
class Prompt:
    """One call of the user: clicks (y, x), a box (y0, x0, y1, x1), or a mask."""

    object_id: int
    frame: int
    points: Sequence[tuple[float, float]] = ()
    positive: Sequence[bool] = ()
    box: tuple[float, float, float, float] | None = None
    mask: NDArray[np.bool_] | None = None


class OracleVideo:
    """The reference on one video of 256 x 256 pixels, (T, Y, X, 3) uint8.

    Every object gets a state of its own unless prompted on the same first frame as others: the
    reference would follow it through the frames before its first prompt too.
    """

    def __init__(self, pair: Pair, frames: NDArray[np.uint8]) -> None:
        self._predictor = pair.theirs
        scaled = frames.astype(np.float32) / 255
        device, whole = torch.device("cpu"), Window.whole(frames.shape[1:3])
        self._images = torch.cat([frame_to_input(frame, whole, SIZE, device) for frame in scaled])
        self._empty = self._init_state()

    def run(
        self, prompts: Sequence[Prompt], direction: Direction
    ) -> tuple[list[Tensor], dict[tuple[int, int], Tensor]]:
        """Return logits (Y, X) per prompt, and by object id and frame after propagation."""
        clicked: dict[int, Tensor] = {}
        tracked: dict[tuple[int, int], Tensor] = {}
        for first, group in _by_first_frame(prompts, direction).items():
            state = self.new_state()
            for index in group:
                clicked[index] = self.prompt(state, prompts[index])
            tracked.update(self.propagate(state, first, direction))
        return [clicked[index] for index in range(len(prompts))], tracked

    def new_state(self) -> dict[str, Any]:
        """Begin a session of the reference."""
        return deepcopy(self._empty)

    def _init_state(self) -> dict[str, Any]:
        load = reference.load_video_frames
        reference.load_video_frames = lambda **_: (self._images, SIZE, SIZE)
        try:
            state = self._predictor.init_state("frames in memory")
        finally:
            reference.load_video_frames = load
        # All frames at once: encoding is most of the work, and states are many.
        for frame, image in enumerate(self._images.split(1)):
            state["cached_features"][frame] = (image, self._predictor.forward_image(image))
        return state  # type: ignore[no-any-return]

    def prompt(self, state: dict[str, Any], prompt: Prompt) -> Tensor:
        """Prompt, further clicks adding to earlier ones; return the object's logits (Y, X)."""
        place = {"frame_idx": prompt.frame, "obj_id": prompt.object_id}
        if prompt.mask is not None:
            _, ids, masks = self._predictor.add_new_mask(state, mask=prompt.mask, **place)
        else:
            clicks: dict[str, Any] = {}
            if prompt.points:
                clicks["points"] = np.array(prompt.points, dtype=np.float32)[:, ::-1].copy()
                clicks["labels"] = np.array(prompt.positive, dtype=np.int32)
            if prompt.box is not None:
                y0, x0, y1, x1 = prompt.box
                clicks["box"] = np.array((x0, y0, x1, y1), dtype=np.float32)
            _, ids, masks = self._predictor.add_new_points_or_box(
                state, clear_old_points=prompt.box is not None, **clicks, **place
            )
        return masks[ids.index(prompt.object_id), 0].clone()

    def propagate(
        self, state: dict[str, Any], start: int, direction: Direction
    ) -> Iterator[tuple[tuple[int, int], Tensor]]:
        """Yield (object id, frame) and logits (Y, X)."""
        backward = direction is Direction.BACKWARD
        for frame, ids, masks in self._predictor.propagate_in_video(
            state, start_frame_idx=start, reverse=backward
        ):
            for object_id, mask in zip(ids, masks, strict=True):
                yield (object_id, frame), mask[0].clone()


def _by_first_frame(prompts: Sequence[Prompt], direction: Direction) -> Mapping[int, list[int]]:
    pick = max if direction is Direction.BACKWARD else min
    groups: dict[int, list[int]] = {}
    for index, prompt in enumerate(prompts):
        own = [each.frame for each in prompts if each.object_id == prompt.object_id]
        groups.setdefault(pick(own), []).append(index)
    return groups
