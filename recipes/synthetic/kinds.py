"""All kinds of images that random clips show, with their frequencies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from synthetic import painters
from synthetic.camera import photograph
from synthetic.dish import film_dish
from synthetic.electron import film_neuropil
from synthetic.family import Family
from synthetic.footage import Footage
from synthetic.habit import Habit
from synthetic.scanner import scan
from synthetic.solids import Packing
from synthetic.spine import Spine
from synthetic.tissue import Tissue
from synthetic.torso import Torso
from synthetic.vessels import Vessels


@dataclass(frozen=True, slots=True)
class Kind:
    """A name, a relative frequency, and a function from (generator, frames, size) to a clip."""

    name: str
    weight: float
    film: Callable[[np.random.Generator, int, int], Footage]


_NUCLEI = Family(painter=painters.fluorescence, plan=Habit(radius=(0.015, 0.38)), warp=(0.1, 0.6))
_CROWD = Family(
    painter=painters.fluorescence,
    plan=Habit(radius=(0.015, 0.08), packing=0.85, fill=0.95, elongation=(1, 2)),
    warp=(0.1, 0.6),
)
_SOLIDS = Family(
    painter=painters.fluorescence,
    plan=Packing(),
    warp=(0.1, 0.6),
    sideways=0.25,
    recorder=partial(photograph, dim=0.3),
)
_HISTOLOGY = Family(
    painter=painters.brightfield,
    plan=Habit(radius=(0.02, 0.15), packing=0.85, fill=0.8, elongation=(1, 2.2), divides=0.02),
    warp=(0.3, 0.9),
    reach=1.7,
)
_MEMBRANES = Family(painter=painters.membranes, plan=Tissue(), warp=(0.1, 0.8), clutter=0.0)
_TUBES = Family(
    painter=painters.ring,
    plan=Habit(radius=(0.03, 0.25), elongation=(1, 2), divides=0, motion=0.2, fill=0.4),
    warp=(0.1, 0.6),
    reach=1.7,
)
_ORGANS = Family(
    painter=painters.organs,
    plan=Habit(
        radius=(0.04, 0.42),
        spread=0.5,
        elongation=(1, 2.5),
        bend=0.3,
        nested=0.35,
        divides=0,
        motion=0.04,
        through_depth=0.8,
    ),
    warp=(0.3, 1.1),
    reach=1.9,
    recorder=scan,
)
_SPINE = Family(
    painter=painters.tissues,
    plan=Spine(),
    warp=(0.15, 0.6),
    grain=(0.2, 0.6),
    reach=1.1,
    clutter=0.0,
    recorder=scan,
)
_TORSO = Family(
    painter=painters.tissues,
    plan=Torso(),
    warp=(0.2, 0.9),
    grain=(0.2, 0.6),
    reach=1.1,
    clutter=0.0,
    recorder=scan,
)
_VESSELS = Family(painter=painters.vessels, plan=Vessels(), warp=(0.05, 0.4), reach=1.7)
_RODS = Family(
    painter=painters.bacteria,
    plan=Habit(
        radius=(0.02, 0.08), elongation=(2.5, 6), bend=0.12, lobes=0, rods=True, packing=0.7
    ),
    warp=(0.0, 0.2),
)
_YEAST = Family(
    painter=painters.yeast,
    plan=Habit(radius=(0.03, 0.2), elongation=(1, 1.35), lobes=0.02, packing=0.95, divides=0.15),
    warp=(0.0, 0.2),
    reach=1.7,
)
_TEXTURED = Family(
    painter=painters.textured,
    plan=Habit(radius=(0.05, 0.35), spread=0.4, elongation=(1, 2), fill=0.5),
    warp=(0.4, 1.2),
    reach=1.9,
)

KINDS: tuple[Kind, ...] = (
    Kind("culture", 0.2, film_dish),
    Kind("solids", 0.16, _SOLIDS.film),
    Kind("nuclei", 0.12, _NUCLEI.film),
    Kind("crowd", 0.06, _CROWD.film),
    Kind("histology", 0.1, _HISTOLOGY.film),
    Kind("membranes", 0.07, _MEMBRANES.film),
    Kind("neuropil", 0.08, film_neuropil),
    Kind("tubes", 0.05, _TUBES.film),
    Kind("vessels", 0.06, _VESSELS.film),
    Kind("organs", 0.04, _ORGANS.film),
    Kind("torso", 0.06, _TORSO.film),
    Kind("spine", 0.09, _SPINE.film),
    Kind("rods", 0.04, _RODS.film),
    Kind("yeast", 0.03, _YEAST.film),
    Kind("textured", 0.04, _TEXTURED.film),
)
