"""The PyPI package `sam2` 1.1.0 as its users run it: JPEG files in, its own video predictor.

Installed as `tox run -e parity` does: with hydra-core, iopath, pillow, setuptools and tqdm, and
`SAM2_BUILD_CUDA=0 pip install --no-deps --no-build-isolation sam2==1.1.0`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from napari_sam2.benchmarking import DriftingDiscs
from napari_sam2.network import OFFICIAL_CONFIGS, Sam2

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from reference_weights import fill_randomly, random_network

STAGE_METHODS: Mapping[str, str] = MappingProxyType(
    {
        "forward_image": "encode",
        "_prepare_memory_conditioned_features": "attend",
        "_forward_sam_heads": "decode",
        "_encode_new_memory": "remember",
    }
)
"""The reference's methods, and the stage of a frame that each belongs to."""

_YAML = {"tiny": "t", "small": "s", "base+": "b+", "large": "l"}


def our_network(name: str, seed: int = 0) -> Sam2:
    """Build our network with the random weights that the reference gets too."""
    return random_network(OFFICIAL_CONFIGS[name], seed)


class JpegFrames:
    """Frames as JPEG files, which the reference reads; also an array-like (T, Y, X, 3) for ours.

    Parameters
    ----------
    folder : Path
        Where the files go.
    discs : DriftingDiscs
        What they show.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, folder: Path, discs: DriftingDiscs) -> None:
        self.folder = folder
        self.shape = (*discs.shape, 3)
        for frame in range(discs.shape[0]):
            grey = Image.fromarray(discs.frame(frame))
            grey.convert("RGB").save(self._path(frame), quality=95)

    def _path(self, frame: int) -> Path:
        return self.folder / f"{frame:05d}.jpg"

    def __getitem__(self, item: int | tuple[int, ...]) -> NDArray[np.uint8]:
        frame, *window = item if isinstance(item, tuple) else (item,)
        with Image.open(self._path(int(frame))) as image:
            pixels: NDArray[np.uint8] = np.asarray(image.convert("RGB"))[tuple(window)]
        return pixels


class ReferencePredictor:
    """Builds the reference once and runs videos with it.

    Parameters
    ----------
    name : str
        As our registry calls the model, such as "sam2.1-tiny".
    image_size : int
        Side of the model input.
    seed : int
        Of the random weights, if they do not come from a file.
    checkpoint : Path, optional
        A file with its weights.
    """

    def __init__(
        self, name: str, image_size: int, seed: int = 0, checkpoint: Path | None = None
    ) -> None:
        from sam2.build_sam import build_sam2_video_predictor

        release, _, size = name.partition("-")
        self.network: Any = build_sam2_video_predictor(
            f"configs/{release}/{release}_hiera_{_YAML[size]}.yaml",
            None if checkpoint is None else str(checkpoint),
            device="cpu",
            hydra_overrides_extra=[f"++model.image_size={image_size}"],
        )
        assert isinstance(self.network, nn.Module)
        if checkpoint is None:
            fill_randomly(self.network, seed)
        self.network.fill_hole_area = 0  # it needs a compiled extension for CUDA


class ReferenceSession:
    """One video of the reference, with the calls that a benchmark needs."""

    def __init__(self, predictor: ReferencePredictor, frames: JpegFrames) -> None:
        self._network = predictor.network
        self._state = self._network.init_state(str(frames.folder))
        self.prompted: set[int] = set()

    def click(self, object_id: int, frame: int, place: tuple[float, float]) -> None:
        """Click an object at (y, x)."""
        self.prompted.add(frame)
        self._network.add_new_points_or_box(
            self._state,
            frame_idx=frame,
            obj_id=object_id,
            points=np.array([place[::-1]], dtype=np.float32),
            labels=np.ones(1, dtype=np.int32),
        )

    def fill_memory(self, frames: range) -> None:
        """Have what is remembered of the frame before stand for these frames too."""
        for outputs in self._state["output_dict_per_obj"].values():
            tracked = outputs["non_cond_frame_outputs"]
            for frame in frames:
                tracked[frame] = tracked[frames.start - 1]

    def propagate(self, start: int) -> Iterator[NDArray[np.bool_]]:
        """Follow all objects forward; yield masks (N, Y, X)."""
        for _, _, logits in self._network.propagate_in_video(self._state, start_frame_idx=start):
            yield (logits[:, 0] > 0).numpy()
