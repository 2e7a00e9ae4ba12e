"""Finish a trained bundled model: subtract the measured bias of its object score and save.

    python -m bundled_model.finish trained.safetensors bundled.safetensors --stacks DIR ...

Each DIR holds NAME_image.tif and NAME_labels.tif of stacks whose objects begin and end, none of
them used for validation; the package's own synthetic stacks are always added.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from bundled_model.presence import best_threshold, sample_presence
from napari_sam2.checkpoints import load_network, save_network
from napari_sam2.evaluation import EvaluationOptions, find_pairs
from napari_sam2.evaluation.pairs import read_pair
from napari_sam2.evaluation.simulated_user import choose_prompts
from napari_sam2.network import Sam2
from napari_sam2.samples import dividing_cells, nuclei_stack
from napari_sam2.stack import FrameStack
from napari_sam2.tracking import Model

METADATA = {
    "title": "napari-sam2 bundled",
    "licence": "BSD-3-Clause",
    "trained": "from ImageNet weights of EfficientNet-Lite0 (Apache-2.0); see docs/model_card.md",
}


def lower_object_score(network: Sam2, by: float) -> None:
    """Subtract a bias towards "present" from the object score (logit), in place.

    `bundled_model.presence` measures it.
    """
    last = network.sam_mask_decoder.pred_obj_score_head.layers[-1]
    assert isinstance(last, torch.nn.Linear)
    with torch.no_grad():
        last.bias.sub_(by)


def main() -> None:
    """Measure the bias, subtract it and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trained", type=Path)
    parser.add_argument("finished", type=Path)
    parser.add_argument("--stacks", type=Path, nargs="*", default=[])
    parser.add_argument("--objects", type=int, default=6, help="of each stack")
    parser.add_argument("--bias", type=float, help="subtract this much instead of what is measured")
    options = parser.parse_args()
    loaded = load_network(options.trained)
    network = loaded.network
    model = Model(network, "trained", torch.device("cpu"), network.config.image_size)
    sets = [read_pair(pair) for folder in options.stacks for pair in find_pairs(folder)]
    synthetic = nuclei_stack(5, (24, 128, 128)), dividing_cells(5, (20, 160, 160))
    sets.extend((FrameStack(sample.image), sample.labels) for sample in synthetic)
    chosen = EvaluationOptions(max_objects=options.objects)
    samples = [
        sample_presence(stack, truth, choose_prompts(truth, chosen), model) for stack, truth in sets
    ]
    measured = best_threshold(samples)
    bias = measured if options.bias is None else options.bias
    lower_object_score(network, bias)
    metadata = {**METADATA, "steps": loaded.metadata.get("steps", "?"), "bias": f"{bias:.2f}"}
    save_network(network, options.finished, metadata, half=True)
    accuracies = ", ".join(f"{sample.balanced_accuracy(bias):.2f}" for sample in samples)
    sys.stdout.write(
        f"object score lowered by {bias:.2f} (measured {measured:.2f}), "
        f"balanced accuracy per stack {accuracies}\n"
    )


if __name__ == "__main__":
    main()
