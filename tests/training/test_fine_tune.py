from __future__ import annotations

import copy
import sys
from dataclasses import replace

import pytest
import torch

from napari_sam2.checkpoints import load_network
from napari_sam2.errors import CheckpointError, TrainingError
from napari_sam2.training import (
    Ending,
    FineTuneSettings,
    HeldOutIou,
    Parts,
    fine_tune,
    read_records,
    validations,
)
from napari_sam2.training.fine_tune import MODEL_FILE
from napari_sam2.training.run.identity import alone_in
from napari_sam2.training.run.journal import append_record
from napari_sam2.training.run.loop import JOURNAL_FILE

SETTINGS = FineTuneSettings(
    steps=4, crop=32, batch=1, frames=2, rate=1e-3, validate_every=2, patience=2
)


class Scripted:
    """Gives the scores of a list, and remembers the weights that it gave them to."""

    def __init__(self, *scores: float) -> None:
        self.scores = list(scores)
        self.seen: list[dict[str, torch.Tensor]] = []

    def __call__(self, network) -> HeldOutIou:
        assert not network.training
        self.seen.append(copy.deepcopy(network.state_dict()))
        return HeldOutIou(self.scores[len(self.seen) - 1], 0.5)


def any_figure(network) -> HeldOutIou:
    """Any figure that depends on the weights."""
    value = float(network.no_mem_embed.detach().abs().sum()) % 1.0
    return HeldOutIou(value, 0.5, 0.25)


def assert_same(one, other):
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=0, atol=0)


def test_the_best_weights_are_kept_not_the_last(tiny_network, stacks, tmp_path):
    measure = Scripted(0.5, 0.7, 0.65)
    told = []
    result = fine_tune(
        tiny_network,
        stacks,
        SETTINGS,
        tmp_path,
        measure,
        metadata={"base": "tiny"},
        validated=lambda newest, best: told.append((newest.step, best.step)),
    )
    assert (result.steps, result.ending) == (4, Ending.STEPS)
    assert (result.before.step, result.best.step) == (0, 2)
    assert result.best.iou.score == pytest.approx(0.6)
    assert told == [(0, 0), (2, 2), (4, 2)]
    loaded = load_network(result.model)
    assert_same(measure.seen[1], loaded.network.state_dict())
    assert dict(loaded.metadata) == {"base": "tiny", "steps": "2", "held_out_iou": "0.6000"}


def test_patience_ends_the_run_for_good(tiny_network, stacks, tmp_path):
    measure = Scripted(0.5, 0.6, 0.6, 0.6)
    settings = replace(SETTINGS, steps=20)
    result = fine_tune(tiny_network, stacks, settings, tmp_path, measure)
    assert (result.steps, result.best.step, result.ending) == (6, 2, Ending.PATIENCE)
    again = fine_tune(tiny_network, stacks, settings, tmp_path, measure)
    assert again == result
    assert len(measure.seen) == 4


def test_a_model_that_gets_worse_is_left_as_it_was(tiny_network, stacks, tmp_path):
    before = copy.deepcopy(tiny_network.state_dict())
    result = fine_tune(tiny_network, stacks, SETTINGS, tmp_path, Scripted(0.9, 0.1, 0.2))
    assert result.best == result.before
    assert_same(before, load_network(result.model).network.state_dict())


@pytest.mark.parametrize("stop_after", [1, 2])
def test_resuming_is_exact(tiny_network, stacks, tmp_path, stop_after):
    start = copy.deepcopy(tiny_network)
    whole = fine_tune(tiny_network, stacks, SETTINGS, tmp_path / "whole", any_figure)
    steps = []
    part = fine_tune(
        copy.deepcopy(start),
        stacks,
        SETTINGS,
        tmp_path / "parts",
        any_figure,
        stepped=lambda step, losses: steps.append(step),
        cancelled=lambda: len(steps) >= stop_after,
    )
    assert (part.steps, part.ending) == (stop_after, Ending.STOPPED)
    resumed = fine_tune(start, stacks, SETTINGS, tmp_path / "parts", any_figure)
    assert resumed.steps == whole.steps
    assert (resumed.before, resumed.best) == (whole.before, whole.best)
    assert_same(
        load_network(whole.model).network.state_dict(),
        load_network(resumed.model).network.state_dict(),
    )
    logs = [read_records(tmp_path / name / JOURNAL_FILE) for name in ("whole", "parts")]
    assert validations(logs[0]) == validations(logs[1])
    assert [record["step"] for record in logs[1] if "loss" in record] == [1, 2, 3, 4]


def test_steps_after_the_last_saved_state_are_done_again(tiny_network, stacks, tmp_path):
    """As after a crash: the log is ahead of the state, and its last line is cut short."""
    start = copy.deepcopy(tiny_network)
    fine_tune(tiny_network, stacks, SETTINGS, tmp_path, any_figure, minutes=0.0)
    log = tmp_path / JOURNAL_FILE
    with log.open("a", encoding="utf-8") as file:
        file.write('{"step": 1, "loss": 9.0}\n{"step": 2, "lo')
    fine_tune(start, stacks, SETTINGS, tmp_path, any_figure)
    losses = [record for record in read_records(log) if "loss" in record]
    assert [record["step"] for record in losses] == [1, 2, 3, 4]
    assert losses[0]["loss"] != 9.0


def test_the_decoder_alone_changes(tiny_network, stacks, tmp_path):
    before = copy.deepcopy(tiny_network.state_dict())
    settings = replace(SETTINGS, parts=Parts.DECODER, steps=2)
    fine_tune(tiny_network, stacks, settings, tmp_path, any_figure)
    after = tiny_network.state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith("sam_mask_decoder.") for name in changed)
    others = [p for n, p in tiny_network.named_parameters() if not n.startswith("sam_mask_dec")]
    assert all(parameter.grad is None for parameter in others)


def test_everything_changes_but_batch_statistics(tiny_network, stacks, tmp_path):
    before = copy.deepcopy(tiny_network.state_dict())
    settings = replace(SETTINGS, steps=2)
    fine_tune(tiny_network, stacks, settings, tmp_path, any_figure)
    rooms = {"image_encoder.trunk", "image_encoder.neck", "sam_mask_decoder", "memory_attention"}
    for name, value in tiny_network.state_dict().items():
        rooms -= {room for room in rooms if name.startswith(room) and not value.equal(before[name])}
        if "running_" in name:
            torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert not rooms


def test_the_input_size_travels_with_the_model(tiny_network, stacks, tmp_path):
    settings = replace(SETTINGS, steps=1, image_size=96)
    result = fine_tune(tiny_network, stacks, settings, tmp_path, any_figure)
    assert load_network(result.model).network.config.image_size == 96


def test_too_little_data(tiny_network, stacks, tmp_path):
    with pytest.raises(TrainingError, match="Only 0 labelled"):
        fine_tune(tiny_network, (), SETTINGS, tmp_path, any_figure)
    assert not any(tmp_path.iterdir())


def test_a_model_file_that_cannot_be_written_is_an_error(tiny_network, stacks, tmp_path):
    (tmp_path / MODEL_FILE).mkdir()
    with pytest.raises(CheckpointError, match="cannot be written"):
        fine_tune(tiny_network, stacks, SETTINGS, tmp_path, any_figure)


def test_a_run_that_was_killed_before_its_first_model_writes_it(
    tiny_network, stacks, tmp_path, monkeypatch
):
    """The log of the kill may speak of a model whose file is not there."""
    before = copy.deepcopy(tiny_network)

    def killed(*args, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules[fine_tune.__module__], "save_network", killed)
        with pytest.raises(KeyboardInterrupt):
            fine_tune(tiny_network, stacks, SETTINGS, tmp_path, Scripted(0.9))
    result = fine_tune(before, stacks, replace(SETTINGS, steps=2), tmp_path, Scripted(0.9, 0.1))
    assert result.best.step == 0
    assert load_network(result.model).metadata["steps"] == "0"
    assert [one.step for one in validations(read_records(tmp_path / JOURNAL_FILE))] == [0, 2]


def test_a_log_without_its_model_does_not_name_one(tiny_network, stacks, tmp_path):
    append_record(tmp_path / JOURNAL_FILE, {"step": 0, "held_out_click": 0.9, "held_out_box": 0.9})
    settings = replace(SETTINGS, steps=2)
    result = fine_tune(tiny_network, stacks, settings, tmp_path, Scripted(0.5, 0.1))
    assert result.model.is_file()
    assert result.best.iou.click == 0.5


def test_two_runs_never_share_a_folder(tiny_network, stacks, tmp_path):
    with (
        alone_in(tmp_path),
        pytest.raises(TrainingError, match=r"Another run trains in .* right now"),
    ):
        fine_tune(tiny_network, stacks, SETTINGS, tmp_path, Scripted(0.5))
    assert [path.name for path in tmp_path.iterdir()] == ["run.lock"]
