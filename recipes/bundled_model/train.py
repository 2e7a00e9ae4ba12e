"""Train the bundled model, in parts: ``python -m bundled_model.train DATA RUN --minutes 10``.

Every call goes on from the state in RUN. DATA holds one folder per set of labelled stacks.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bundled_model.recipe import (
    CLICKS,
    CORRECTIONS,
    LEFT_OUT,
    RECIPE,
    SCENES,
    TRACKING,
    ending,
    fresh_network,
    scene_clip,
    synthetic_clip,
)
from napari_sam2.checkpoints import load_network, save_network
from napari_sam2.network import Sam2
from napari_sam2.training import TrainingState, read_sources, train
from napari_sam2.training.run.loop import STATE_FILE

_TRUNK_RATE = 0.4  # the trunk has seen far more images than the rest
_WEIGHTS = "weights.safetensors"
RECIPES = {
    "first": (RECIPE, synthetic_clip),
    "tracking": (TRACKING, synthetic_clip),
    "clicks": (CLICKS, synthetic_clip),
    "corrections": (CORRECTIONS, synthetic_clip),
    "scenes": (SCENES, scene_clip),
}
_NEW_WEIGHTS = 0.5  # of inputs that a network did not have before, over those of a fresh one


def started_from(path: Path) -> Sam2:
    """Return the network of a file, which is told the relative brightness from now on.

    Files of networks that were not told are widened: the new inputs begin with small random
    weights (those of zero hardly move in the rest of a run).
    """
    old = load_network(path).network
    network = Sam2(replace(old.config, relative_brightness=old.config.own_contrast))
    state = network.state_dict()
    for name, value in old.state_dict().items():
        wanted = state[name]
        if value.shape == wanted.shape:
            state[name] = value
        else:
            state[name] = wanted * _NEW_WEIGHTS
            state[name][:, : value.shape[1]] = value
    network.load_state_dict(state)
    return network


def main(arguments: Sequence[str] | None = None) -> None:
    """Train one part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of sets of labelled stacks")
    parser.add_argument("run", type=Path, help="folder of the run's state; created")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--leave-out", nargs="*", default=list(LEFT_OUT), metavar="SET")
    parser.add_argument("--start", type=Path, help="model to start from instead of ImageNet's")
    parser.add_argument(
        "--first-step", type=int, default=0, help="of the recipe, for a run that starts anew"
    )
    parser.add_argument(
        "--end",
        nargs=2,
        type=int,
        metavar=("FIRST", "LAST"),
        help="end at step LAST; the rate falls to its end from step FIRST on",
    )
    parser.add_argument(
        "--recipe",
        choices=RECIPES,
        default="first",
        help="which run; the later ones go on from --start",
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    folders = [
        folder
        for folder in sorted(options.data.iterdir())
        if folder.is_dir() and folder.name not in options.leave_out
    ]
    if options.start is None:
        network = fresh_network()
    else:
        network = started_from(options.start).requires_grad_(True)
    planned, synthetic = RECIPES[options.recipe]
    if options.end:
        planned = ending(*options.end)
    recipe = replace(planned, threads=options.threads, bfloat16=options.bfloat16)
    network.to(options.device)
    if options.first_step and not (options.run / STATE_FILE).exists():
        options.run.mkdir(parents=True, exist_ok=True)
        state = TrainingState.create(network, recipe, trunk_rate=_TRUNK_RATE)
        state.step = options.first_step
        state.save(options.run / STATE_FILE)
    state = train(
        network,
        read_sources(folders),
        recipe,
        options.run,
        synthetic=synthetic,
        workers=1,
        minutes=options.minutes,
        trunk_rate=_TRUNK_RATE,
    )
    save_network(state.average, options.run / _WEIGHTS, {"steps": str(state.step)}, half=True)


if __name__ == "__main__":
    main()
