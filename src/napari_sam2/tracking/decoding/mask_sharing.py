"""`MaskFinisher`: finished masks of one frame, of predictions and of the labels that are there.

It changes nothing, and runs where the network does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_sam2.labels import PackedMask
from napari_sam2.labels.compose import Labels, pixels_of, without
from napari_sam2.tracking.decoding.mask_postprocessing import (
    FrameOutput,
    finish_masks,
    spread_logits,
)
from napari_sam2.tracking.decoding.prediction import (
    Conditioning,
    ObjectPrediction,
    decided_logits,
)
from napari_sam2.tracking.model import Model
from napari_sam2.tracking.settings import TrackingSettings


class SharedMasks(NamedTuple):
    """Finished masks of prompted objects that share the pixels of a frame.

    Attributes
    ----------
    object_ids : tuple of int
        Ascending.
    output : FrameOutput
        In their order.
    """

    object_ids: tuple[int, ...]
    output: FrameOutput


class MaskFinisher:
    """Resolves overlaps of predicted masks by their logits, and cleans them.

    Parameters
    ----------
    model : Model
    settings : TrackingSettings
    keep_logits : bool
        Hand out logits at full resolution too.
    """

    def __init__(self, model: Model, settings: TrackingSettings, keep_logits: bool) -> None:
        self._model = model
        self._settings = settings
        self._keep_logits = keep_logits

    def tracked(
        self,
        predictions: Mapping[int, ObjectPrediction],
        labels: Labels,
        displaced: Collection[int] = (),
    ) -> FrameOutput:
        """Finish objects that were tracked into a frame with these labels, (Y, X).

        Among them the highest logit wins a pixel; they take none from any other object, but for
        those that are displaced.
        """
        taken: NDArray[np.bool_] = without(labels, [*predictions, *displaced]) != 0
        ordered = [predictions[object_id] for object_id in sorted(predictions)]
        return finish_masks(ordered, taken, self._settings, self._keep_logits)

    def decided(
        self,
        object_id: int,
        decided: Conditioning,
        others: Mapping[int, Conditioning],
        labels: Labels,
    ) -> SharedMasks:
        """Finish the predicted mask of an object that the user prompted in a frame.

        It takes pixels from what was only tracked there, shares by the highest logit with the
        objects that were prompted there too, and yields to what was drawn or accepted.

        Parameters
        ----------
        object_id : int
        decided : Conditioning
            With a prediction.
        others : mapping of int to Conditioning
            Conditioning frames of other objects in that frame.
        labels : ndarray of int, shape (Y, X)
            As they are.
        """
        taken = pixels_of(labels, [i for i, other in others.items() if other.drawn])
        sharing = {object_id: decided}
        free = {i for i, other in others.items() if not other.drawn}
        output = self._shared(sharing, taken)
        # Whoever meets one of them shares too: else the order of prompts would tell in the end.
        while met := free & output.ids_under(labels):
            if met <= sharing.keys():
                break
            sharing |= {rival: others[rival] for rival in met}
            output = self._shared(sharing, taken)
        return SharedMasks(tuple(sorted(sharing)), output)

    def alone(self, decided: Conditioning, shape: tuple[int, int]) -> PackedMask:
        """Return the mask of a decision as it would be written to an empty frame."""
        if decided.prediction is None:
            return decided.pixels
        output = self._shared({0: decided}, np.zeros(shape, dtype=bool))
        box = output.boxes[0] or (slice(0, 0), slice(0, 0))
        return PackedMask.within(box, output.disjoint[(0, *box)], shape)

    def logits(self, decided: Conditioning) -> NDArray[np.float32] | None:
        """Return the logits (1, Y, X) of a decided frame, if they are handed out."""
        if not self._keep_logits:
            return None
        logits = decided_logits(self._model, decided)
        return spread_logits(logits, decided.window, decided.pixels.shape)[None]

    def _shared(self, sharing: Mapping[int, Conditioning], taken: NDArray[np.bool_]) -> FrameOutput:
        """Finish prompted masks that share pixels; each keeps the parts that its clicks are in."""
        ordered = [sharing[object_id] for object_id in sorted(sharing)]
        output = finish_masks(
            [each.prediction for each in ordered if each.prediction is not None],
            taken,
            self._settings,
            self._keep_logits,
            pierced={index for index, each in enumerate(ordered) if not each.closed},
        )
        if self._settings.clicked_part:
            for index, each in enumerate(ordered):
                clicks = each.clicks
                if clicks:
                    output.keep_clicked(index, clicks)
        return output
