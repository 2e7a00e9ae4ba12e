"""Speed presets: each names the computations that it approximates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from napari_sam2.network import Sam2Config
from napari_sam2.tracking.model import Model
from napari_sam2.types import Speed

_STRIDE = 32
_LEAST_INPUT = 256  # pixels: the official networks were made for 1024, small ones for this


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedPreset:
    """The reductions of one level of speed.

    Attributes
    ----------
    input_share : float
        Share of the side of the model input; at least 256 pixels, unless the model's is smaller.
        Cost goes with the square, that of attention with the fourth power (EfficientTAM,
        arXiv 2411.18933, tracks at 512 pixels).
    recent_share : float
        Share of the recent frames that a frame attends to, the nearest ones.
    conditioning : int or None
        Conditioning frames attended to at most; None: as the settings say.
    follows : bool
        See windows that follow the objects, where the settings leave the view open.
    """

    input_share: float = 1.0
    recent_share: float = 1.0
    conditioning: int | None = None
    follows: bool = False

    def model(self, model: Model) -> Model:
        """Return the model with its input made smaller."""
        side = math.ceil(self.input_share * model.image_size / _STRIDE) * _STRIDE
        return replace(model, image_size=min(max(side, _LEAST_INPUT), model.image_size))

    def recent_frames(self, config: Sam2Config) -> int:
        """Return how many recent frames a frame attends to."""
        return math.ceil(self.recent_share * (config.memory_frames - 1))

    def conditioning_frames(self, limit: int | None) -> int | None:
        """Return how many conditioning frames a frame attends to, of `limit` by the settings."""
        limits = [each for each in (limit, self.conditioning) if each is not None]
        return min(limits, default=None)

    def describe(self, model: Model, limit: int | None, follows: bool) -> tuple[str, ...]:
        """Return the approximations with a model, one text each; empty if there are none.

        Parameters
        ----------
        model : Model
            As it was loaded.
        limit : int or None
            Conditioning frames by the settings.
        follows : bool
            Whether windows follow the objects.
        """
        approximations = []
        side, config = self.model(model).image_size, model.config
        if side != model.image_size:
            approximations.append(f"an input of {side} instead of {model.image_size} pixels")
        if self.follows and follows and not config.object_windows:
            approximations.append("windows around the objects instead of whole frames")
        recent, usual = self.recent_frames(config), config.memory_frames - 1
        if recent < usual:
            approximations.append(f"{recent} of {usual} recent memories")
        decided = self.conditioning_frames(limit)
        if decided != limit:
            approximations.append(f"the nearest {decided} prompted frames")
        return tuple(approximations)


SPEED_PRESETS: Mapping[Speed, SpeedPreset] = MappingProxyType(
    {
        Speed.EXACT: SpeedPreset(),
        Speed.BALANCED: SpeedPreset(input_share=1 / 2, recent_share=1 / 2, conditioning=4),
        Speed.FASTEST: SpeedPreset(
            input_share=1 / 4, recent_share=1 / 6, conditioning=2, follows=True
        ),
    }
)
"""The levels: half the input and half the memories, or windows and as little as will do."""
