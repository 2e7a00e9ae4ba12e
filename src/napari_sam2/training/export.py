"""From a run's state to a model file: the averaged weights, without the throw-away heads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from napari_sam2.checkpoints import save_network
from napari_sam2.errors import TrainingError
from napari_sam2.network import Sam2, Sam2Config
from napari_sam2.training.loop import STATE_FILE
from napari_sam2.training.recipe import Recipe
from napari_sam2.training.state import TrainingState


def export_run(
    folder: Path,
    config: Sam2Config,
    path: Path,
    metadata: Mapping[str, str] | None = None,
    *,
    half: bool = True,
) -> TrainingState:
    """Write the averaged network of a run as safetensors; atomic.

    Parameters
    ----------
    folder : Path
        The run.
    config : Sam2Config
        The configuration that the run trains.
    path : Path
        The model file to write.
    metadata : mapping of str to str, optional
        What the file is to say about itself; the number of steps is added.
    half : bool
        Store float16.

    Returns
    -------
    TrainingState
        The state that was exported.

    Raises
    ------
    TrainingError
        The folder holds no state, or one of another configuration.
    """
    source = folder / STATE_FILE
    if not source.exists():
        raise TrainingError(f"No run in {folder}.", remedy="Train first, or name another folder.")
    state = TrainingState.create(Sam2(config), Recipe(phases=()))
    state.load(source)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_network(state.average, path, {**(metadata or {}), "steps": str(state.step)}, half=half)
    return state
