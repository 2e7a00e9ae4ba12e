"""How many operations a GPU would be told to do for a frame.

    python benchmarks/calls.py --model sam2.1-tiny --image-size 128
    python benchmarks/calls.py --image-size 64 --objects 1 10

On a GPU a small network mostly waits for instructions, a few microseconds each, whatever its input:
their number says how quick it can be. They are counted on the CPU, in bfloat16, where the network
takes the way that it takes on a GPU. Views of tensors are told apart: they only cost the processor
time. Weights of official models are random.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from figures import read_options, write_figures
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from napari_sam2.benchmarking import DriftingDiscs, table
from napari_sam2.checkpoints import load_network
from napari_sam2.network import OFFICIAL_CONFIGS, Sam2
from napari_sam2.tracking import Model, TrackingSession, TrackingSettings
from napari_sam2.tracking.device import halved

_WARM_UP = 18  # frames until all memories are there
_COUNTED = 8


@dataclass(frozen=True)
class Calls:
    """Means per frame."""

    objects: int
    together: int
    rounded: bool
    operations: float
    views: float
    commonest: tuple[tuple[str, float], ...]


class Counting(TorchDispatchMode):
    """Tells calls that compute from those that only look at memory in another way."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: Counter[str] = Counter()
        self.views = 0

    def __torch_dispatch__(
        self,
        operation: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = operation(*args, **(kwargs or {}))
        name = str(operation).removeprefix("aten.").split(".")[0]
        if not name.endswith("_") and _shares_memory(result, args):
            self.views += 1
        else:
            self.operations[name] += 1
        return result


def _shares_memory(result: Any, args: tuple[Any, ...]) -> bool:
    """Tell a view, also one of several, from what was computed."""
    first = result[0] if isinstance(result, (tuple, list)) and result else result
    source = args[0] if args else None
    if not isinstance(first, Tensor) or not isinstance(source, Tensor):
        return False
    return first.untyped_storage().data_ptr() == source.untyped_storage().data_ptr()


def count(model: Model, objects: int, together: int, rounded: bool) -> Calls:
    """Follow discs through a few frames, and count in the last of them."""
    discs = DriftingDiscs(_WARM_UP + _COUNTED + together, model.image_size, objects)
    settings = TrackingSettings(encode_ahead=together, exclusive=False, read_ahead=0)
    session = TrackingSession(model, discs, settings=settings)
    for index in range(objects):
        session.add_points(index + 1, 0, [discs.centre(index, 0)])
    walk = session.propagate("forward")
    for _ in islice(walk, _WARM_UP):
        pass
    with Counting() as counted:
        for _ in islice(walk, _COUNTED):
            pass
    return Calls(
        objects,
        together,
        rounded,
        counted.operations.total() / _COUNTED,
        counted.views / _COUNTED,
        tuple((name, n / _COUNTED) for name, n in counted.operations.most_common(12)),
    )


def loaded(name: str, image_size: int | None, rounded: bool) -> Model:
    """Return a model in bfloat16; its weights rounded once, or in every call."""
    if name in OFFICIAL_CONFIGS:
        network = Sam2(OFFICIAL_CONFIGS[name])  # random weights: the values make no difference
    else:
        network = load_network(name).network
    network = network.eval().requires_grad_(False)
    size = image_size or network.config.image_size
    device = torch.device("cpu")
    return Model(halved(network) if rounded else network, name, device, size, half=True)


def main() -> None:
    """Count, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--image-size", type=int, help="side of the model input: it changes little")
    parser.add_argument("--objects", type=int, nargs="+", default=[1])
    options = read_options(parser)
    results = [
        count(loaded(options.model, options.image_size, rounded), objects, together, rounded)
        for objects in options.objects
        for rounded, together in ((False, 1), (True, 1), (True, 4))
    ]
    titles = ["objects", "weights rounded", "frames together", "operations", "views"]
    rows = [
        [
            str(each.objects),
            "once" if each.rounded else "in every call",
            str(each.together),
            f"{each.operations:.0f}",
            f"{each.views:.0f}",
        ]
        for each in results
    ]
    sys.stdout.write("\n".join(table([titles, *rows])) + "\n")
    write_figures(options, results)


if __name__ == "__main__":
    main()
