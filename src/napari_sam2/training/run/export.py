"""Export of a run's averaged weights to a model file, without the heads used only in training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from napari_sam2.checkpoints import save_network
from napari_sam2.errors import TrainingError
from napari_sam2.network import Sam2, Sam2Config
from napari_sam2.training.run.loop import STATE_FILE
from napari_sam2.training.run.state import load_average


def export_run(
    folder: Path,
    config: Sam2Config,
    path: Path,
    metadata: Mapping[str, str] | None = None,
    *,
    half: bool = True,
) -> int:
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
        Metadata of the file; the number of steps is added.
    half : bool
        Store float16.

    Returns
    -------
    int
        Steps that the run had done.

    Raises
    ------
    TrainingError
        The folder holds no state, or one of another configuration.
    """
    source = folder / STATE_FILE
    if not source.exists():
        raise TrainingError(f"No run in {folder}.", remedy="Train first, or name another folder.")
    network = Sam2(config).eval()
    step = load_average(source, network)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_network(network, path, {**(metadata or {}), "steps": str(step)}, half=half)
    return step
