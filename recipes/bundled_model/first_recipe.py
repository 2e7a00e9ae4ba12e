"""The first two recipes of the bundled model, in the order in which they were run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_sam2.training.data.clips import ClipSettings
from napari_sam2.training.losses.primitives import LossWeights
from napari_sam2.training.run.recipe import Recipe, TrainingPhase
from synthetic import random_clip

_SHARE_IN_DEPTH = 0.4
_IN_DEPTH = ("solids", "solids", "nuclei", "spine", "torso")

_START = LossWeights(focal=0.0, balanced=1.0, others=0.5, iou=0.5, object_score=0.1)
_MIDDLE = LossWeights(focal=10.0, balanced=0.4, others=0.25, iou=0.5, object_score=0.2)
_END = LossWeights(focal=20.0, balanced=0.1, others=0.05, iou=0.5, object_score=0.2)

_SMALL = ClipSettings(
    size=128, n_objects=8, diameter=(14.0, 64.0), min_area=30, synthetic=0.1, look=0.7
)

_CLICKS = TrainingPhase(
    "clicks on small windows",
    steps=700,
    clips=_SMALL,
    batch=16,
    rate=1.5e-3,
    final_rate=1.5e-3,
    warm_up=40,
    losses=_START,
    boxes=0.2,
    corrections=0.0,
    freeze_statistics=False,
)

_FROZEN = TrainingPhase(
    "the same, batch statistics frozen",
    steps=443,
    clips=_SMALL,
    batch=16,
    rate=1e-3,
    final_rate=9.2e-4,
    warm_up=30,
    losses=_START,
    boxes=0.25,
    corrections=0.1,
)

_VIDEO = TrainingPhase(
    "clips of four frames",
    steps=441,
    clips=ClipSettings(
        size=128,
        n_frames=4,
        n_objects=4,
        diameter=(14.0, 60.0),
        min_area=30,
        synthetic=0.15,
        look=0.7,
    ),
    batch=4,
    rate=9e-4,
    final_rate=7.8e-4,
    warm_up=20,
    losses=_MIDDLE,
    dense=0.5,
    boxes=0.3,
    masks=0.4,
    corrections=0.0,
    also=TrainingPhase(
        "stills beside them",
        steps=0,
        clips=ClipSettings(size=256, n_objects=12, diameter=(16.0, 150.0), min_area=30, look=0.8),
        batch=4,
        losses=_MIDDLE,
        boxes=0.35,
        corrections=0.1,
    ),
)

_FINISH = TrainingPhase(
    "larger windows, falling rate",
    steps=1330,
    clips=ClipSettings(
        size=160,
        n_frames=5,
        n_objects=4,
        diameter=(14.0, 100.0),
        min_area=30,
        synthetic=0.15,
        moving=0.5,
        look=0.6,
    ),
    batch=3,
    rate=6e-4,
    final_rate=2e-5,
    losses=_END,
    dense=0.3,
    boxes=0.3,
    masks=0.3,
    corrections=0.0,
    also=TrainingPhase(
        "stills beside them",
        steps=0,
        clips=ClipSettings(size=320, n_objects=12, diameter=(14.0, 170.0), min_area=30, look=0.7),
        batch=3,
        losses=_END,
        boxes=0.35,
        corrections=0.25,
    ),
)

FRAMES_RECIPE = Recipe((_CLICKS, _FROZEN, _VIDEO, _FINISH), ema_decay=0.99, threads=1)
"""From scratch, on windows of whole frames of 512 pixels: where the weights come from."""


_FOLLOWING = LossWeights(focal=20.0, balanced=0.1, others=0.05, iou=0.5, object_score=1.0)

_BESIDE = TrainingPhase(
    "stills beside them",
    steps=0,
    clips=ClipSettings(
        size=192, n_objects=8, diameter=(15.0, 163.0), min_area=20, synthetic=0.1, look=0.7
    ),
    batch=6,
    frame_size=192,
    losses=_FOLLOWING,
    dense=0.2,
    boxes=0.4,
    corrections=0.45,
    rounds=2,
)

_WINDOWS = TrainingPhase(
    "windows of 192",
    steps=2400,
    clips=ClipSettings(
        size=192,
        n_frames=7,
        n_objects=3,
        diameter=(19.0, 144.0),
        min_area=20,
        synthetic=0.35,
        moving=0.6,
        ends=0.6,
        away=0.12,
        look=0.6,
    ),
    batch=2,
    frame_size=192,
    rate=4e-4,
    final_rate=2.5e-4,
    warm_up=40,
    losses=_FOLLOWING,
    dense=0.2,
    boxes=0.4,
    masks=0.2,
    corrections=0.25,
    rounds=2,
    also=_BESIDE,
)

_LARGER_BESIDE = replace(
    _BESIDE,
    clips=replace(_BESIDE.clips, size=256, diameter=(20.0, 218.0)),
    batch=5,
    frame_size=256,
)

_LARGER = replace(
    _WINDOWS,
    name="windows of 256",
    steps=630,
    clips=replace(_WINDOWS.clips, size=256, diameter=(26.0, 192.0)),
    frame_size=256,
    rate=2.5e-4,
    final_rate=2e-4,
    warm_up=0,
    also=_LARGER_BESIDE,
)

_DEPTH = replace(
    _WINDOWS,
    name="depth",
    steps=1660,
    clips=replace(
        _WINDOWS.clips,
        n_objects=2,
        synthetic=0.4,
        moving=0.65,
        ends=0.65,
        emphasis=(
            ("mouse_embryo_16cell", 2.5),
            ("arabidopsis_nuclei_1135", 1.5),
            ("fib25_neuropil", 0.5),
            ("yeast_baby_C", 0.7),
        ),
    ),
    batch=3,
    rate=2.4e-4,
    final_rate=1e-5,
    warm_up=0,
    also=_LARGER.also,
)

_LAW = replace(_FOLLOWING, clicks=0.3)

_LONGER = replace(
    _DEPTH,
    name="longer",
    steps=2480,
    clips=replace(
        _DEPTH.clips,
        emphasis=(
            ("mouse_embryo_16cell", 2.0),
            ("arabidopsis_nuclei_1135", 1.5),
            ("usiigaci2d", 1.5),
            ("fib25_neuropil", 0.5),
            ("yeast_baby_C", 0.7),
        ),
    ),
    rate=3e-4,
    final_rate=1.5e-4,
    warm_up=100,
    losses=_LAW,
    corrections=0.4,
    rounds=3,
    also=replace(_LARGER_BESIDE, losses=_LAW, corrections=0.5, rounds=3),
)

_LAST = replace(
    _LONGER,
    name="longer, windows of 256",
    steps=1000,
    clips=replace(_LONGER.clips, size=256, diameter=(30.0, 180.0)),
    batch=2,
    frame_size=256,
    rate=1.5e-4,
    final_rate=1e-5,
    warm_up=0,
)

BUNDLED_RECIPE = Recipe(
    (_WINDOWS, _LARGER, _DEPTH, _LONGER, _LAST), seed=1, ema_decay=0.995, threads=1, bfloat16=False
)
"""What follows: windows that follow objects. It starts where `FRAMES_RECIPE` and
`finishing.see_windows` end."""


def synthetic_clip(
    rng: np.random.Generator, n_frames: int, size: int
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Make one clip of `samples.random_clip` as training wants it: grey 0..1 and labels.

    Bodies that begin and end in depth are what little real data shows: they come more often.
    """
    depth = n_frames > 1 and rng.random() < _SHARE_IN_DEPTH
    clip = random_clip(rng, n_frames, size, str(rng.choice(_IN_DEPTH)) if depth else None)
    largest = np.iinfo(clip.image.dtype).max
    return clip.image.astype(np.float32) / np.float32(largest), clip.labels.astype(np.int32)
