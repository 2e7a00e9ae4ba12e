"""Prediction of frames that have prompts, drawn masks or accepted masks.

It runs on the session's thread.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from napari_sam2.labels import PackedMask
from napari_sam2.network import ImageFeatures, MaskPrediction
from napari_sam2.network.parallel_tasks import map_tasks
from napari_sam2.prompts import FramePrompt
from napari_sam2.tracking.decoding.click_rules import click_inside, rejects_mask
from napari_sam2.tracking.decoding.prediction import (
    Conditioning,
    ObjectPrediction,
    decided_logits,
    drawn_logits,
)
from napari_sam2.tracking.decoding.prompt_decoding import (
    as_clicked,
    predict_points,
    predict_prompts,
    predict_windows,
    seen_from,
)
from napari_sam2.tracking.decoding.scale_choice import ScaleChoice, choose_other, choose_scale
from napari_sam2.tracking.images.feature_cache import FeatureCache
from napari_sam2.tracking.images.object_window import (
    Framing,
    Place,
    Window,
    WindowedObject,
    mask_to_input,
    points_to_input,
)
from napari_sam2.tracking.memory.memory_bank import RecentMemory
from napari_sam2.tracking.memory.object_track import ObjectTrack
from napari_sam2.tracking.model import Model
from napari_sam2.tracking.propagation import Propagator, pieces_of

_MERGED_SIZE = 16  # clicks; smaller groups are merged up to this size
_MAX_LOOKS = 3  # predictions of a newly clicked object, each in a window that fits better


@dataclass(frozen=True, slots=True, eq=False)
class _Start:
    """The start of a round of clicks: a window, and logits to refine.

    `settled`: clicks after so many only correct it near by; None: it may all be meant otherwise.
    """

    window: Window
    logits: Tensor
    settled: int | None


class PromptedFramePredictor:
    """Predicts the frames that the user gives prompts for.

    Parameters
    ----------
    model : Model
    cache : FeatureCache
    propagator : Propagator
        Recalls what an object is known to look like, for corrections.
    framing : Framing
        Decides what the model sees of a frame.
    enforces : bool
        Whether masks must contain every object click and no background click.
    """

    def __init__(
        self,
        model: Model,
        cache: FeatureCache,
        propagator: Propagator,
        framing: Framing,
        enforces: bool,
    ) -> None:
        self._model = model
        self._cache = cache
        self._propagator = propagator
        self._framing = framing
        self._enforces = enforces

    def from_prompt(
        self,
        track: ObjectTrack,
        frame: int,
        prompt: FramePrompt,
        current: NDArray[np.bool_],
        refines: bool,
        rank: int = 0,
    ) -> Conditioning:
        """Decide a frame from its prompts.

        Parameters
        ----------
        track : ObjectTrack
        frame : int
        prompt : FramePrompt
            All that the user gave there for this object; not a mask alone.
        current : ndarray of bool, shape (Y, X)
            The object's mask in that frame so far.
        refines : bool
            The last round only adds to the prompt that the frame was decided from before.
        rank : int
            Index of the mask that an ambiguous last round means; 0 is the best.
        """
        corrects = _corrects(track, frame)
        context = track if corrects else None
        refined = track.conditioning.get(frame) if refines else None
        rounds = _rounds(prompt, self._enforces, last=refined is not None)
        start: _Start | None
        if refined is not None:
            settled = _settled(refined.prompt)
            start = _Start(refined.window, decided_logits(self._model, refined), settled)
        else:
            start = self._start(track, frame, prompt, current if corrects else None)
        for each in rounds[:-1]:
            prediction = self._round(frame, each, start, context)
            settled = _settled(replace(each, mask=prompt.mask))
            start = _Start(prediction.window, prediction.logits, settled)
        prediction = self._round(frame, rounds[-1], start, context, rank)
        return Conditioning(
            frame,
            PackedMask.of(current),
            prediction.window,
            prediction.sighting,
            corrects,
            prediction,
            prompt,
        )

    def batches(
        self, clicks: Sequence[tuple[float, float]], extents: Sequence[float]
    ) -> list[list[int]]:
        """Group clicks, by their indices, whose windows share what is encoded; see `from_clicks`.

        Small groups that follow one another are put together.
        """
        tiles: dict[tuple[int, int, int], list[int]] = defaultdict(list)
        for index, (click, extent) in enumerate(zip(clicks, extents, strict=True)):
            window = self._framing.shared(Place(click, extent))
            side = window.height
            tiles[side, window.top // side, window.left // side].append(index)
        groups: list[list[int]] = []
        for _, members in sorted(tiles.items()):
            if groups and len(groups[-1]) + len(members) <= _MERGED_SIZE:
                groups[-1] += members
            else:
                groups.append(members)
        return groups

    def from_clicks(
        self, frame: int, clicks: Sequence[tuple[float, float]], extents: Sequence[float]
    ) -> list[Conditioning]:
        """Decide what single clicks of new objects mean whose size is about known, all at once.

        The extents give the windows, which are encoded together where they are near one another.
        A mask that does not fit its window is predicted once more in one that it fits.

        Parameters
        ----------
        frame : int
        clicks : sequence of N (y, x)
        extents : sequence of N float
            Longer sides of the objects in pixels.
        """
        prompts = [FramePrompt((click,), (True,)) for click in clicks]
        windows = [
            self._framing.holding(self._framing.shared(Place(click, extent)), (click,))
            for click, extent in zip(clicks, extents, strict=True)
        ]
        found = self._click(frame, prompts, windows)
        again: list[tuple[int, Window]] = []
        for index, each in enumerate(found):
            seen = each.sighting
            if seen is not None and not self._framing.fits(seen.place, each.window):
                fitting = self._framing.shared(seen.place)
                again.append((index, self._framing.holding(fitting, (clicks[index],))))
        if again:
            rows = [row for row, _ in again]
            nearer = self._click(
                frame, [prompts[row] for row in rows], [window for _, window in again]
            )
            for row, each in zip(rows, nearer, strict=True):
                found[row] = found[row] if each.sighting is None else each
        nothing = PackedMask.of(np.zeros(self._framing.frame_shape, dtype=bool))
        return [
            Conditioning(frame, nothing, each.window, each.sighting, False, each, prompt)
            for each, prompt in zip(found, prompts, strict=True)
        ]

    def _click(
        self, frame: int, prompts: Sequence[FramePrompt], windows: Sequence[Window]
    ) -> list[ObjectPrediction]:
        """Predict N objects from one click each; of three masks, that of the best quality."""
        model, follows = self._model, self._framing.follows

        def decode(piece: tuple[slice, ImageFeatures]) -> list[ObjectPrediction]:
            rows, features = piece
            given = list(zip(prompts[rows], windows[rows], strict=True))
            conditioned = model.network.without_memory(features.stride16)
            conditioned = conditioned.expand(len(given), -1, -1, -1)
            masks = predict_prompts(
                model, features, conditioned, prompts[rows], windows[rows]
            ).best()
            return [
                as_clicked(
                    model, masks.select(row, 0), prompt, window, None, follows, self._enforces
                )
                for row, (prompt, window) in enumerate(given)
            ]

        pieces = pieces_of(len(prompts), self._cache.get(frame, windows))
        return [each for part in map_tasks(decode, pieces) for each in part]

    def _start(
        self,
        track: ObjectTrack,
        frame: int,
        prompt: FramePrompt,
        current: NDArray[np.bool_] | None,
    ) -> _Start | None:
        """Return the mask that the first round refines: a mask prompt or the tracked mask."""
        mask = prompt.mask if prompt.mask is not None else current
        if mask is None:
            return None
        known = track.expected(frame, without=frame)
        if mask.any():
            window = self._framing.of_mask(mask, known)
        elif known is not None:
            window = self._framing.following(known)
        else:
            return None
        drawn = mask_to_input(mask, window, self._model.image_size, self._model.device)
        logits = drawn_logits(drawn, self._model.config.mask_stride)
        # What was tracked and is clicked for the first time may be wrong as a whole.
        return _Start(window, logits, None if prompt.mask is None else 0)

    def _round(
        self,
        frame: int,
        prompt: FramePrompt,
        start: _Start | None,
        context: ObjectTrack | None,
        rank: int = 0,
    ) -> ObjectPrediction:
        scales: Sequence[Window] = ()
        if self._model.config.fine_channels and prompt.box is None and prompt.points:
            scales = self._framing.scales(prompt.points[:1])  # as they were for the first click
        if start is None:
            found = self._first_look(frame, prompt, context)
            if not rank:
                return found
            return self._look(frame, prompt, found.window, None, context, rank, scales)
        if scales and start.settled is None:
            start = self._meant_otherwise(frame, prompt, start, scales, context) or start
        window = self._framing.holding(start.window, prompt.points)
        logits = seen_from(start.logits, start.window, window)
        settled = start.settled if self._model.config.fine_channels else None
        return self._look(frame, prompt, window, logits, context, rank, scales, settled)

    def _meant_otherwise(
        self,
        frame: int,
        prompt: FramePrompt,
        start: _Start,
        scales: Sequence[Window],
        context: ObjectTrack | None,
    ) -> _Start | None:
        """Return the first click's mask at another scale, if a second click rejects the first mask.

        A background click in the middle of the mask, deeper than the object click, does not correct
        the border: the mask shows something else, such as the group that contains the object.
        """
        if prompt.positive != (True, False) or context is not None:
            return None
        side, device = start.logits.shape[-1], self._model.device
        yx = np.asarray(prompt.points, dtype=np.float32)
        clicks = points_to_input(yx, start.window, side, device)[0].tolist()
        if not rejects_mask(start.logits, *clicks):
            return None
        first = FramePrompt(prompt.points[:1], prompt.positive[:1])
        looks = self._predict(frame, first, scales, None)
        chosen = choose_other(looks, scales, *prompt.points)
        if chosen is None:
            return None
        logits = looks.masks[chosen.window, chosen.mask].float()
        return _Start(scales[chosen.window], logits, settled=None)

    def _first_look(
        self, frame: int, prompt: FramePrompt, context: ObjectTrack | None
    ) -> ObjectPrediction:
        """Predict a newly prompted object at the scale that fits it.

        A box gives the scale. For a click the window begins at the scale of the frame and becomes
        smaller or larger until the predicted object fits it.
        """
        if prompt.box is not None:
            y0, x0, y1, x1 = prompt.box
            corners = [(y0, x0), (y1, x1), *prompt.points]
            window = self._framing.around(Place.spanning(corners))
            if context is None and self._model.config.object_windows:
                return self._look_twice(frame, prompt, window)
            return self._look(frame, prompt, window, None, context)
        if self._model.config.fine_channels:
            return self._look_at_scales(frame, prompt, context)
        window = self._framing.first_look(prompt.points)
        found = self._look(frame, prompt, window, None, context)
        for _ in range(_MAX_LOOKS - 1):
            seen = found.sighting
            if seen is None:
                following = self._framing.closer(window, prompt.points[0])
            elif self._framing.fits(seen.place, window):
                break
            else:
                following = self._framing.around(seen.place)
            following = self._framing.holding(following, prompt.points)
            if following == window:
                break
            window = following
            nearer = self._look(frame, prompt, window, None, context)
            if nearer.sighting is None and seen is not None:
                break
            found = nearer
        return found

    def _look_at_scales(
        self, frame: int, prompt: FramePrompt, context: ObjectTrack | None
    ) -> ObjectPrediction:
        """Predict a click at several scales, and once more in a window that fits the object.

        The model's own judgement decides: it was taught to count what a window cuts off.
        """
        windows, click = self._framing.scales(prompt.points), prompt.points[0]
        looks = self._predict(frame, prompt, windows, context)
        chosen = choose_scale(looks, windows, click)
        found = self._chosen(looks, chosen, prompt, windows)
        if found.sighting is None or self._framing.fits(found.sighting.place, found.window):
            return found
        fitting = self._framing.around(found.sighting.place)
        windows = [*windows, self._framing.holding(fitting, prompt.points)]
        last = self._predict(frame, prompt, windows[-1:], context)
        looks = MaskPrediction.joined((looks, last))
        nearer = self._chosen(looks, choose_scale(looks, windows, click), prompt, windows)
        return found if nearer.sighting is None else nearer

    def _predict(
        self,
        frame: int,
        prompt: FramePrompt,
        windows: Sequence[Window],
        context: ObjectTrack | None,
    ) -> MaskPrediction:
        features = self._cache.get(frame, windows)  # encoded together
        conditioned = self._conditioned(features, frame, context)
        return predict_windows(self._model, features, conditioned, prompt, windows)

    def _chosen(
        self,
        looks: MaskPrediction,
        chosen: ScaleChoice,
        prompt: FramePrompt,
        windows: Sequence[Window],
    ) -> ObjectPrediction:
        mask = looks.select(*chosen)
        window, follows = windows[chosen.window], self._framing.follows
        return as_clicked(self._model, mask, prompt, window, None, follows, self._enforces)

    def _look_twice(self, frame: int, prompt: FramePrompt, window: Window) -> ObjectPrediction:
        """Average the predictions of the frame and of its mirror image, which is more accurate."""
        mirror = replace(window, mirrored=True)
        self._cache.get(frame, [window, mirror])  # encoded together
        found = self._look(frame, prompt, window, None, None)
        mirrored = self._look(frame, prompt, mirror, None, None)
        if found.sighting is None or mirrored.sighting is None:
            return found
        logits = (found.logits + mirrored.logits.flip(-1)) / 2
        place = Place.of_mask((logits > 0).cpu().numpy(), window)
        if place is None:
            return found
        iou = (found.iou + mirrored.iou) / 2
        return replace(found, logits=logits, iou=iou, sighting=WindowedObject(place, window))

    def _look(
        self,
        frame: int,
        prompt: FramePrompt,
        window: Window,
        previous: Tensor | None,
        context: ObjectTrack | None,
        rank: int = 0,
        among: Sequence[Window] = (),
        settled: int | None = None,
    ) -> ObjectPrediction:
        """Predict from prompts in a window; `context` lends its memory of other frames.

        `among`: windows that this one may have been encoded with. `settled`: see `predict_points`.
        """
        features = self._cache.get(frame, [window], among=among)
        conditioned = self._conditioned(features, frame, context)
        return predict_points(
            self._model,
            features,
            conditioned,
            prompt,
            window,
            previous,
            self._framing.follows,
            rank,
            self._enforces,
            settled,
        )

    def _conditioned(
        self, features: ImageFeatures, frame: int, context: ObjectTrack | None
    ) -> Tensor:
        if context is None:
            return self._model.network.without_memory(features.stride16)
        return self._recalling(context, frame, features)

    def _recalling(self, track: ObjectTrack, frame: int, features: ImageFeatures) -> Tensor:
        """Condition a corrected frame on the other conditioning frames of the object."""
        nothing = RecentMemory(1, spatial=0, pointers=0)
        known = self._propagator.recall(frame, track, nothing, without=frame)
        if not known.spatial:
            return self._model.network.without_memory(features.stride16)
        return self._propagator.attend(features, [known] * len(features.stride16))


def drawn_conditioning(
    framing: Framing,
    frame: int,
    mask: NDArray[np.bool_],
    seen: WindowedObject | None,
    corrects: bool = True,
) -> Conditioning:
    """Decide that an object is just where `mask` is; nowhere, if it is empty.

    The network is not asked before a frame attends to this one. `seen`: where the object was in
    the nearest frame.
    """
    place = Place.of_mask(mask, framing.whole)
    if place is None:
        window, sighting = framing.following(seen), None
    else:
        window = framing.of_place(place, seen)
        sighting = WindowedObject(place, window)
    return Conditioning(frame, PackedMask.of(mask), window, sighting, corrects)


def needs_no_network(prompt: FramePrompt) -> bool:
    """Return whether a prompt is only a mask, which is kept as drawn."""
    return prompt.mask is not None and not prompt.points and prompt.box is None


def drawn_prompt(
    framing: Framing, track: ObjectTrack, frame: int, prompt: FramePrompt
) -> Conditioning:
    """Decide a frame from a prompt that is a mask alone."""
    assert prompt.mask is not None
    seen = track.expected(frame, without=frame)
    drawn = drawn_conditioning(framing, frame, prompt.mask, seen, _corrects(track, frame))
    return replace(drawn, prompt=prompt)


def _corrects(track: ObjectTrack, frame: int) -> bool:
    """Return whether prompts in a frame correct a tracked mask."""
    before = track.conditioning.get(frame)
    return before.corrects if before else bool(track.done[frame])


def _settled(prompt: FramePrompt | None) -> int | None:
    """Return how many clicks have settled what the object is; None: a single one, or none."""
    if prompt is None:
        return None
    drawn = prompt.mask is not None or prompt.box is not None
    return len(prompt.points) if drawn or len(prompt.points) > 1 else None


def _rounds(prompt: FramePrompt, enforces: bool, *, last: bool) -> list[FramePrompt]:
    """Return the prompt as it stood after each round of clicking, or after the last one alone.

    With background clicks alone the network rejects the whole drawn mask. A drawn mask is as
    binding as a click, so that a click inside it is added.
    """
    stages, points = [], 0
    for number, count in enumerate(prompt.rounds, start=1):
        points += count
        if last and number < len(prompt.rounds):
            continue
        if points == len(prompt.points) and prompt.mask is None:
            stages.append(prompt)
            continue
        clicks, kinds = prompt.points[:points], prompt.positive[:points]
        if (
            enforces
            and clicks
            and prompt.mask is not None
            and prompt.box is None
            and not any(kinds)
        ):
            inside = click_inside(prompt.mask, clicks)
            if inside is not None:
                clicks, kinds = (inside, *clicks), (True, *kinds)
        if points or prompt.box is not None:
            stages.append(FramePrompt(clicks, kinds, box=prompt.box))
    return stages
