"""The recipe of the bundled model: its start, its parts, and what travels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch
from small_networks import SMALL_FINE

from bundled_model import pack, recipe
from bundled_model.imagenet import load_trunk
from bundled_model.train import RECIPES, main
from napari_sam2.checkpoints import load_network, save_network
from napari_sam2.network import BUNDLED_CONFIG, Sam2, outline
from napari_sam2.network.trunks.inverted_trunk import InvertedTrunk
from napari_sam2.training import read_records


def foreign_names(trunk: InvertedTrunk) -> dict[str, torch.Tensor]:
    """Name the trunk's weights as `efficientnet_lite_pytorch` does, each with its own value."""
    names, number = {}, -1
    tails = {"expand": ("_expand_conv", "_bn0"), "depthwise": ("_depthwise_conv", "_bn1")}
    tails["project"] = ("_project_conv", "_bn2")
    before = None
    for name, value in trunk.state_dict().items():
        parts = name.split(".")
        if parts[0] == "stem":
            foreign = ("_conv_stem", "_bn0")[int(parts[1])] + f".{parts[2]}"
        else:
            if parts[1:3] != before:
                number, before = number + 1, parts[1:3]
            layer = tails[parts[3]][int(parts[4])]
            foreign = f"_blocks.{number}.{layer}.{parts[5]}"
        names[foreign] = torch.rand(value.shape) if value.is_floating_point() else value
    return names


def test_every_weight_of_the_trunk_finds_its_place():
    network = Sam2(BUNDLED_CONFIG)
    trunk = network.image_encoder.trunk
    state = foreign_names(trunk)
    load_trunk(network, {**state, "_conv_head.weight": torch.rand(3), "_fc.bias": torch.rand(2)})
    for given, kept in zip(state.values(), trunk.state_dict().values(), strict=True):
        assert torch.equal(given, kept)


def test_a_state_dict_that_lacks_a_weight_is_refused():
    network = Sam2(BUNDLED_CONFIG)
    state = foreign_names(network.image_encoder.trunk)
    del state["_blocks.3._project_conv.weight"]
    with pytest.raises(RuntimeError, match="Missing"):
        load_trunk(network, state)


def test_the_recipe_trains_what_is_bundled():
    assert recipe.RECIPE.steps >= 28_000
    assert {phase.clips.size for phase in recipe.RECIPE.phases} == {BUNDLED_CONFIG.image_size}


def test_a_run_can_end_early_with_a_rate_that_falls_to_its_end():
    early = recipe.ending(8_000, 12_000)
    assert early.steps == 12_000
    assert early.learning_rate(8_000) == pytest.approx(recipe.RECIPE.learning_rate(8_000))
    assert early.learning_rate(11_999) < 2e-5
    assert early.at(9_001)[0].clips.n_frames == 5


def test_the_second_run_sees_more_that_ends_than_the_first():
    (phase,) = recipe.TRACKING.phases
    (_, clips), (_, before) = (
        (stills, stills.also) for stills in (phase, recipe.RECIPE.phases[-1])
    )
    assert clips.clips.size == BUNDLED_CONFIG.image_size
    assert clips.clips.ends > before.clips.ends
    assert clips.losses.object_score > before.losses.object_score
    assert recipe.TRACKING.learning_rate(recipe.TRACKING.steps - 1) < 1e-5


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    for group in ("one", "two"):
        folder = tmp_path / "data" / group
        folder.mkdir(parents=True)
        labels = np.zeros((96, 96), np.uint16)
        labels[10:50, 10:40], labels[60:90, 50:90] = 1, 2
        image = (60 + 120 * (labels > 0) + rng.normal(0, 8, labels.shape)).astype(np.uint8)
        tifffile.imwrite(folder / "a_image.tif", image)
        tifffile.imwrite(folder / "a_labels.tif", labels)
    return tmp_path / "data"


def test_a_part_of_training_goes_on_where_the_last_one_ended(data, tmp_path, monkeypatch):
    start = tmp_path / "start.safetensors"
    torch.manual_seed(0)

    save_network(Sam2(SMALL_FINE), start)
    phases = recipe.RECIPE.phases
    small = [
        replace(
            phase,
            steps=2,
            batch=1,
            also=None,
            clips=replace(phase.clips, size=64),
            frame_size=64,
        )
        for phase in phases[:1]
    ]
    for steps in (2, 4):
        changed = replace(recipe.RECIPE, phases=tuple(small * (steps // 2)))
        monkeypatch.setitem(RECIPES, "first", (changed, recipe.synthetic_clip))
        main([str(data), str(tmp_path / "run"), "--start", str(start), "--leave-out", "two"])
        trained = load_network(tmp_path / "run" / "weights.safetensors")
        assert trained.metadata["steps"] == str(steps)
    assert outline(SMALL_FINE).state_dict().keys() == trained.network.state_dict().keys()


def test_a_run_can_begin_in_the_middle_of_the_recipe(data, tmp_path, monkeypatch):
    start = tmp_path / "start.safetensors"
    save_network(Sam2(SMALL_FINE), start)
    phase = recipe.RECIPE.phases[0]
    short = replace(phase, steps=3, batch=1, clips=replace(phase.clips, size=64), frame_size=64)
    changed = replace(recipe.RECIPE, phases=(short,))
    monkeypatch.setitem(RECIPES, "first", (changed, recipe.synthetic_clip))
    main([str(data), str(tmp_path / "run"), "--start", str(start), "--first-step", "2"])
    steps = [record["step"] for record in read_records(tmp_path / "run" / "journal.jsonl")]
    assert steps == [3]


def test_packed_data_is_nearly_the_same_and_labels_are_exactly(data, tmp_path):
    pack.main([str(data), str(tmp_path / "packed")])
    for path in data.rglob("*.tif"):
        packed = tifffile.imread(tmp_path / "packed" / path.relative_to(data))
        original = tifffile.imread(path)
        if "labels" in path.name:
            assert np.array_equal(packed, original)
        else:
            assert np.abs(packed.astype(int) - original).mean() < 8
