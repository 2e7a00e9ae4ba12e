"""Carrying objects from a volume to the next one: worker thread only."""

from __future__ import annotations

from collections.abc import Callable, Collection

from napari_sam2.prompts import FramePrompt
from napari_sam2.widgets.places import Place
from napari_sam2.widgets.session_protocol import Session, SessionOpener
from napari_sam2.widgets.spec import PlacedPrompt, Prompts, SessionSpec


def carry_on(
    spec: SessionSpec,
    there: Place,
    object_ids: Collection[int],
    open_session: SessionOpener,
    stopped: Callable[[], bool],
    frames: tuple[int | None, int | None] = (None, None),
) -> Prompts:
    """Find objects of a volume in the next one; see `napari_sam2.tracking.volume_series.hand_over`.

    Parameters
    ----------
    spec : SessionSpec
        The volume, with its labels.
    there : Place
        The next volume: the neighbour along one axis.
    object_ids : collection of int
    open_session : callable
    stopped : callable
        Asked before every frame whether to give up.
    frames : (start, stop)
        Only these frames of the volume.

    Returns
    -------
    tuple of PlacedPrompt
        A mask for every object that was found.
    """
    from napari_sam2.tracking.volume_series import Passage, hand_over

    ((axis, here, to),) = [
        (axis, before, after)
        for (axis, before), (_, after) in zip(spec.at, there, strict=True)
        if before != after
    ]
    first = frames[0] or 0

    def follow(frame: int) -> Session:
        return open_session(spec.across(axis, first + frame), lambda _text: None)

    passage = Passage(here, to, follow, stopped)
    return tuple(
        PlacedPrompt(seed.object_id, first + seed.frame, FramePrompt(mask=seed.mask))
        for seed in hand_over(spec.labels[first : frames[1]], object_ids, passage)
    )
