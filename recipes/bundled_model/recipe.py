"""The recipe of the bundled model: its data and training phases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bundled_model.depth import random_stack
from bundled_model.initialisation import initialise_locality
from bundled_model.shapes import random_shapes
from napari_sam2.network import BUNDLED_CONFIG, Sam2
from napari_sam2.training import ClipSettings, LossWeights, Recipe, TrainingPhase
from synthetic import random_clip

PARTIAL = ("neuron_brightfield", "root_membrane_3d", "arabidopsis_nuclei_1135")
"""Sets of which not every object is labelled."""
LEFT_OUT = ("bacteria_dapi", "ct_organs", "root_membrane_3d")
"""Sets that development runs never see: everything is decided on them and on validation."""

_DRAWN_SHARE = 0.35  # of the synthetic clips: painted scenes; the others are random shapes
_DEEP_SHARE = 0.6  # of the random shapes of several frames: bodies seen slice by slice
_SIZE = BUNDLED_CONFIG.image_size

_LOSSES = LossWeights(
    focal=0.0, plain=1.0, dice=1.0, iou=2.0, object_score=0.2, clicks=0.05, others=0.1
)

_STILLS = TrainingPhase(
    "stills",
    steps=1500,
    clips=ClipSettings(
        size=_SIZE,
        n_objects=2,
        diameter=(9.0, 200.0),
        min_area=20,
        synthetic=0.25,
        regions=0.2,
        look=1.5,
        partial=PARTIAL,
        searches=0.3,
    ),
    batch=10,
    frame_size=_SIZE,
    rate=1e-3,
    final_rate=8e-4,
    warm_up=60,
    losses=_LOSSES,
    dense=0.2,
    boxes=0.35,
    corrections=0.4,
    rounds=2,
)

_CLIPS = TrainingPhase(
    "clips beside them",
    steps=0,
    clips=ClipSettings(
        size=_SIZE,
        n_frames=5,
        n_objects=2,
        diameter=(20.0, 80.0),
        min_area=20,
        synthetic=0.3,
        regions=0.1,
        moving=0.6,
        ends=0.6,
        away=0.15,
        partial=PARTIAL,
    ),
    batch=3,
    frame_size=_SIZE,
    losses=replace(_LOSSES, object_score=1.0, clicks=0.0),
    dense=0.1,
    boxes=0.4,
    masks=0.3,
    corrections=0.25,
    rounds=2,
)

_BOTH = replace(
    _STILLS,
    name="stills and clips",
    steps=26_500,
    rate=8e-4,
    final_rate=1e-5,
    warm_up=0,
    also=_CLIPS,
)

RECIPE = Recipe(
    (_STILLS, _BOTH), seed=2, weight_decay=0.01, ema_decay=0.999, threads=1, bfloat16=False
)
"""About twelve hours on one core; any part of it gives a network that can be used."""


_STACKS = replace(
    _CLIPS,
    name="stacks beside them",
    clips=replace(
        _CLIPS.clips,
        diameter=(14.0, 90.0),
        synthetic=0.35,
        regions=0.25,
        moving=0.75,
        ends=0.75,
        away=0.3,
    ),
    batch=4,
    losses=replace(_CLIPS.losses, object_score=2.0),
    masks=0.4,
)

TRACKING = replace(
    RECIPE,
    phases=(
        replace(
            _STILLS,
            name="stills and stacks",
            steps=2000,
            rate=3e-4,
            final_rate=5e-6,
            warm_up=100,
            also=_STACKS,
        ),
    ),
    seed=3,
)
"""A second run, from the weights of the first: objects that end, that shrink in depth, and that are
what they were prompted as although something larger or smaller around them has clearer borders."""

_LABELLED = (("dsb2018", 2.5), ("usiigaci2d", 1.6), ("mouse_embryo_16cell", 1.6))

CLICKS = replace(
    RECIPE,
    phases=(
        replace(
            _STILLS,
            name="stills for clicks",
            steps=2400,
            clips=replace(_STILLS.clips, synthetic=0.15, regions=0.15, emphasis=_LABELLED),
            rate=4e-4,
            final_rate=4e-6,
            warm_up=60,
            boxes=0.3,
            also=replace(
                _STACKS,
                clips=replace(_STACKS.clips, synthetic=0.25, regions=0.15, emphasis=_LABELLED),
                batch=3,
            ),
        ),
    ),
    seed=4,
)
"""A further run: what a click means in images that people label, most of all in the large sets."""

CORRECTIONS = replace(
    RECIPE,
    phases=(
        replace(
            _STILLS,
            name="stills to correct",
            steps=2000,
            rate=3e-4,
            final_rate=4e-6,
            warm_up=60,
            boxes=0.3,
            corrections=0.85,
            rounds=3,
            also=replace(_STACKS, batch=3, corrections=0.4),
        ),
    ),
    seed=5,
)
"""A further run: what second, third and fourth clicks mean."""

SCENES = replace(
    RECIPE,
    phases=(
        replace(
            _STILLS,
            name="stills of scenes",
            steps=1500,
            rate=4e-4,
            final_rate=4e-6,
            warm_up=60,
            also=replace(_STACKS, batch=3),
        ),
    ),
    seed=6,
)
"""A further run with `scene_clip`: without random shapes, which lower clicks in short runs."""


def ending(first: int, last: int) -> Recipe:
    """Return the recipe that ends at step `last`: from step `first` on the rate falls to its end.

    Parameters
    ----------
    first, last : int
        Steps of `RECIPE`, past its first phase.
    """
    rate = RECIPE.learning_rate(first)
    before = replace(_BOTH, steps=first - _STILLS.steps, final_rate=rate)
    end = replace(_BOTH, name="last steps", steps=last - first, rate=rate)
    return replace(RECIPE, phases=(_STILLS, before, end))


def fresh_network() -> Sam2:
    """Return the network that the recipe starts from."""
    import torch

    from bundled_model.imagenet import start_from_imagenet

    torch.manual_seed(RECIPE.seed)
    network = Sam2(BUNDLED_CONFIG)
    initialise_locality(network)
    start_from_imagenet(network)
    return network


def synthetic_clip(
    rng: np.random.Generator, n_frames: int, size: int
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Make one synthetic clip: random shapes, or a scene painted after life."""
    if rng.random() < _DRAWN_SHARE:
        return painted_clip(rng, n_frames, size)
    deep = n_frames > 1 and rng.random() < _DEEP_SHARE
    return (random_stack if deep else random_shapes)(rng, n_frames, size)


def scene_clip(
    rng: np.random.Generator, n_frames: int, size: int
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Make one synthetic clip: a scene painted after life, or bodies seen slice by slice."""
    deep = n_frames > 1 and rng.random() < _DEEP_SHARE
    return (random_stack if deep else painted_clip)(rng, n_frames, size)


def painted_clip(
    rng: np.random.Generator, n_frames: int, size: int
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Make one clip of a scene painted after life."""
    clip = random_clip(rng, n_frames, size)
    largest = np.iinfo(clip.image.dtype).max
    return clip.image.astype(np.float32) / np.float32(largest), clip.labels.astype(np.int32)
