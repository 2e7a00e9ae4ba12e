"""Learning from a session: what is learnt from, in which process, and what is kept."""

from __future__ import annotations

import pickle
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from small_networks import SMALL_HIERA, small_config

from napari_sam2.checkpoints import cache_folder, free_adapted_path, load_network, save_network
from napari_sam2.errors import CheckpointError, TrainingError
from napari_sam2.network import Sam2
from napari_sam2.tracking import Model, TrackingSession, load_model
from napari_sam2.training import (
    AdaptationCancelledError,
    HeldOutIou,
    Parts,
    Stage,
    fine_tune_on,
    prepare_adaptation,
    run_adaptation,
)
from napari_sam2.training.adapt import process
from napari_sam2.training.adapt.process import adapt, blend_weights, is_better
from napari_sam2.training.data.session_masks import UNKNOWN

CENTRES = [(y, x) for y in (30, 80, 130) for x in (30, 80, 130)]


def field(halo: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Nine bright discs, and labels that reach so many pixels beyond them."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:160, :160]
    image, labels = np.full((160, 160), 30.0, np.float32), np.zeros((160, 160), np.int32)
    for number, (y, x) in enumerate(CENTRES, 1):
        shift = rng.integers(-6, 7, 2)
        distance = np.hypot(yy - y - shift[0], xx - x - shift[1])
        radius = rng.uniform(8, 10)
        image[distance < radius] = 200
        labels[distance < radius + halo] = number
    return image + rng.normal(0, 6, image.shape).astype(np.float32), labels


def masked_session(model: Model, halo: float = 0.0, frames: int = 1, **options) -> TrackingSession:
    """A session in which the nine discs of each frame have been accepted."""
    pairs = [field(halo, seed) for seed in range(frames)]
    session = TrackingSession(model, np.stack([image for image, _ in pairs]), **options)
    for frame, (_, labels) in enumerate(pairs):
        for number in range(1, 10):
            session.add_mask(number, frame, labels == number)
            session.accept(number, frame)
    return session


@pytest.fixture
def tiny_model(tiny_network, tmp_path) -> Model:
    """A network of random weights, from a file."""
    path = tmp_path / "tiny.safetensors"
    save_network(tiny_network, path, {"licence": "none"})
    return load_model(path, device="cpu")


@pytest.fixture
def session(tiny_model) -> TrackingSession:
    return masked_session(tiny_model)


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "image.adapted.safetensors"


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# What is learnt from.


def test_a_task_holds_what_is_known_and_nothing_of_what_is_held_out(tiny_model, target):
    session = masked_session(tiny_model, frames=2)
    session.prompts.add_points(1, 1, [(2.0, 80.0)], [False])
    task = prepare_adaptation(session, path=target)
    assert (task.trained_masks, task.measured_masks) == (14, 4)
    held_out = {number for frame in task.held_out for number in frame.object_ids}
    assert len(held_out) == 2
    for place, (trained, measured) in enumerate(zip(task.train, task.held_out, strict=True)):
        _, truth = field(seed=place)
        assert trained.labels.shape == truth.shape
        assert np.array_equal(trained.labels > 0, (truth > 0) & ~np.isin(truth, list(held_out)))
        assert (trained.labels[np.isin(truth, list(held_out))] == UNKNOWN).all()
        assert (trained.labels == 0).any()
        assert (trained.labels == UNKNOWN).mean() > 0.5
        assert np.array_equal(measured.masks, np.where(np.isin(truth, list(held_out)), truth, 0))
    assert task.train[1].labels[2, 80] == 0
    assert pickle.loads(pickle.dumps(task)).title == task.title == "image"


def test_only_what_windows_can_show_of_large_frames_is_sent(tiny_config, target):
    model = Model(
        Sam2(replace(tiny_config, object_windows=True)).eval(), "tiny", torch.device("cpu"), 64
    )
    image, labels = field()
    frame = np.zeros((1, 900, 1000), np.float32)
    frame[0, 300:460, 500:660] = image
    session = TrackingSession(model, frame)
    for number in range(1, 10):
        mask = np.zeros(frame.shape[1:], bool)
        mask[300:460, 500:660] = labels == number
        session.add_mask(number, 0, mask)
    task = prepare_adaptation(session, path=target)
    assert task.train[0].image.size < 0.6 * frame.size
    assert task.held_out[0].image.shape == (900, 1000, 1)
    assert np.count_nonzero(task.train[0].labels > 0) == sum(
        np.count_nonzero(labels == n) for n in range(1, 10) if n not in task.held_out[0].object_ids
    )
    task.weights.unlink()


def test_of_large_models_the_decoder_alone_is_trained(target):
    torch.manual_seed(0)
    network = Sam2(small_config(SMALL_HIERA)).eval()
    session = masked_session(Model(network, "small", torch.device("cpu"), 64))
    task = replace(prepare_adaptation(session, path=target), steps=2, rate=1e-3)
    assert task.parts is Parts.DECODER
    before = load_network(task.weights).network.state_dict()
    adapted = adapted_weights(task)
    task.weights.unlink()
    changed = {name for name, value in adapted.items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith("sam_mask_decoder.") for name in changed)


def adapted_weights(task) -> dict[str, torch.Tensor]:
    """What is written where whatever comes is taken."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "is_better", lambda _before, _after: True)
        assert adapt(task).taken
    return load_network(task.target).network.state_dict()


def test_all_of_a_small_model_is_trained_but_batch_statistics(session, target):
    task = replace(prepare_adaptation(session, path=target), steps=2, rate=1e-3)
    assert task.parts is Parts.ALL
    before, after = session.model.network.state_dict(), adapted_weights(task)
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    for part in ("image_encoder.trunk", "image_encoder.neck", "sam_mask_decoder"):
        assert any(name.startswith(part) for name in changed)
    assert not any("running_" in name for name in changed)


def test_the_result_lies_halfway_between_the_former_and_the_trained_weights(session, target):
    """Twice as far away if nothing goes back."""
    task = replace(prepare_adaptation(session, path=target), steps=2, rate=1e-3)
    former = {name: value.clone() for name, value in session.model.network.state_dict().items()}
    found = []
    for learnt in (0.5, 1.0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(process, "_LEARNT", learnt)
            found.append(adapted_weights(task))
    halfway, trained = found
    for name, value in former.items():
        if value.is_floating_point():
            torch.testing.assert_close(halfway[name], (value + trained[name]) / 2)
    assert any(not torch.equal(trained[name], value) for name, value in former.items())


def test_weights_go_back_as_far_as_is_said(tiny_model):
    network = tiny_model.network
    start = {name: value.clone() for name, value in network.state_dict().items()}
    former = {n: v + 1 if v.is_floating_point() else v for n, v in start.items()}
    blend_weights(network, former, 0.25)
    for name, value in network.state_dict().items():
        moved = start[name] + 0.25 if value.is_floating_point() else start[name]
        torch.testing.assert_close(value, moved)
    network.load_state_dict(start)


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("inf"), float("nan")])
def test_impossible_minutes(session, minutes):
    with pytest.raises(TrainingError, match="cannot be adapted in"):
        fine_tune_on(session, minutes)


def test_too_few_masks(tiny_model):
    session = TrackingSession(tiny_model, field()[0])
    session.add_mask(1, 0, field()[1] == 1)
    with pytest.raises(TrainingError, match="Only 1 accepted or prompted"):
        fine_tune_on(session)


def test_masks_of_one_object_are_split_by_frames(tiny_model, target):
    image, labels = field()
    session = TrackingSession(tiny_model, np.stack([image] * 6))
    for frame in range(6):
        session.add_mask(4, frame, labels == 4)
    task = prepare_adaptation(session, path=target)
    assert (task.trained_masks, task.measured_masks) == (3, 2)


def test_a_file_that_is_there_is_not_touched(session, target):
    target.write_bytes(b"mine")
    with pytest.raises(CheckpointError, match="already"):
        fine_tune_on(session, path=target)
    assert target.read_bytes() == b"mine"
    assert free_adapted_path(target.parent, "image").name == "image-2.adapted.safetensors"


def test_files_go_to_the_cache_by_default(session):
    task = prepare_adaptation(session)
    assert task.target == cache_folder() / "adapted" / "tiny.adapted.safetensors"


# What comes of it.


def test_a_model_learns_what_the_user_means(target):
    """The bundled model cuts bright discs out; this user wants the halo around them as well."""
    session = masked_session(load_model("bundled", device="cpu"), halo=5.0)
    task = replace(prepare_adaptation(session, path=target), steps=4, rate=2e-3, minutes=60.0)
    told = []
    result = adapt(task, told.append)
    assert result.taken
    assert result.after.click > result.before.click + 0.05
    assert result.after.score > result.before.score + 0.08
    assert (result.steps, result.trained_masks, result.measured_masks) == (4, 7, 2)
    stages = list(dict.fromkeys(each.stage for each in told))
    assert stages == [Stage.LOADING, Stage.BEFORE, Stage.TRAINING, Stage.AFTER]
    fractions = [each.fraction for each in told]
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] <= fractions[-1] <= 1
    loaded = load_network(target)
    assert loaded.network.config == session.model.config
    assert (loaded.metadata["base"], loaded.metadata["adapted_to"]) == ("bundled", "image")
    assert float(loaded.metadata["click_after"]) == pytest.approx(result.after.click, abs=1e-4)
    assert not torch.equal(
        loaded.network.state_dict()["no_mem_embed"], torch.zeros_like(loaded.network.no_mem_embed)
    )


def test_what_is_not_better_is_not_taken(session, target):
    before = {path.name: path.read_bytes() for path in target.parent.iterdir()}
    task = replace(prepare_adaptation(session, path=target), steps=2, rate=1e-9)
    result = adapt(task)
    assert (result.taken, result.model, result.steps) == (False, None, 2)
    assert {path.name: path.read_bytes() for path in target.parent.iterdir()} == before


@pytest.mark.parametrize(
    ("click", "box", "taken"),
    [
        (0.70, 0.80, True),
        (0.60, 0.80, False),
        (0.601, 0.801, False),
        (0.603, 0.803, True),
        (0.50, 0.99, False),
        (0.70, 0.77, False),
        (0.65, 0.785, True),
    ],
)
def test_a_model_is_taken_if_it_is_better_and_no_prompt_suffers(click, box, taken):
    assert is_better(HeldOutIou(0.6, 0.8), HeldOutIou(click, box)) is taken


def test_frames_that_cannot_be_read_are_left_out_and_named(tiny_model, target):
    class Damaged(np.ndarray):
        broken = False

        def __getitem__(self, index):
            if self.broken and isinstance(index, tuple) and index[0] == 1:
                raise OSError("bad sector")
            return np.asarray(self)[index]

    images = np.stack([field(seed=seed)[0] for seed in range(2)]).view(Damaged)
    session = TrackingSession(tiny_model, images, contrast=(0, 255))
    for frame in range(2):
        for number in range(1, 10):
            session.add_mask(number, frame, field(seed=frame)[1] == number)
    images.broken = True
    task = replace(prepare_adaptation(session, path=target), steps=1)
    assert (task.trained_masks, task.measured_masks) == (7, 2)
    assert "bad sector" in adapt(task).skipped[0]


def test_a_disk_that_is_full_leaves_nothing_behind(session, target, monkeypatch):
    resource = pytest.importorskip("resource", reason="limits of files are those of POSIX")
    monkeypatch.setattr(process, "is_better", lambda _before, _after: True)
    task = replace(prepare_adaptation(session, path=target), steps=1)
    before = left_in(target.parent)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(CheckpointError, match="cannot be written"):
            adapt(task)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert left_in(target.parent) == before


def test_colours_are_measured_as_they_are_seen(tiny_model, target):
    image, labels = field()
    colours = np.stack([image, image[::-1], 255 - image], axis=-1).clip(0, 255).astype(np.uint8)
    session = TrackingSession(tiny_model, colours)
    for number in range(1, 10):
        session.add_mask(number, 0, labels == number)
    task = replace(prepare_adaptation(session, path=target), steps=1)
    assert np.array_equal(task.held_out[0].image, colours)
    assert np.abs(task.train[0].image - colours.mean(axis=-1)).max() <= 0.5
    assert adapt(task).steps == 1


# The process.


def test_it_is_done_in_a_process_and_changes_neither_session_nor_model(session, target):
    weights = session.model.path.read_bytes()
    state = {name: value.clone() for name, value in session.model.network.state_dict().items()}
    labels, threads = np.array(session.labels), torch.get_num_threads()
    told = []
    result = fine_tune_on(session, 0.02, target, progress=told.append)
    assert [each.stage for each in told if each.stage is not Stage.TRAINING] == [
        Stage.LOADING,
        Stage.BEFORE,
        Stage.AFTER,
    ]
    assert result.steps >= 1
    assert result.taken == target.exists() == (result.model == target)
    assert session.model.path.read_bytes() == weights
    for name, value in session.model.network.state_dict().items():
        assert torch.equal(value, state[name])
    assert np.array_equal(session.labels, labels)
    assert torch.get_num_threads() == threads


def test_cancelling_leaves_nothing_behind(session, target):
    told, before = [], left_in(target.parent)
    model = replace(session.model, path=None)  # its weights go through a file of their own
    session.model = model
    task = prepare_adaptation(session, 5.0, target / "folder" / "new.adapted.safetensors")
    assert task.temporary
    with pytest.raises(AdaptationCancelledError, match="cancelled"):
        run_adaptation(
            task, told.append, lambda: any(each.stage is Stage.TRAINING for each in told)
        )
    assert not task.weights.exists()
    assert left_in(target.parent) - before == {target.name}
    assert not any(path.is_file() for path in target.rglob("*"))


def test_a_process_that_is_killed_is_an_error_and_leaves_nothing_behind(session, target):
    """As the system does it for want of memory."""
    before, others = left_in(target.parent), set(psutil.Process().children())

    def kill_when_it_trains(now):
        if now.stage is Stage.TRAINING:
            for process in set(psutil.Process().children()) - others:
                process.kill()

    with pytest.raises(TrainingError, match="ended before it was done") as caught:
        fine_tune_on(session, 5.0, target, progress=kill_when_it_trains)
    assert caught.value.safe == "The model is as it was."
    assert left_in(target.parent) == before


def test_a_python_that_cannot_be_started_is_an_error(session, target, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(target.parent / "no-python"))
    with pytest.raises(TrainingError, match="No process"):
        fine_tune_on(session, 1.0, target)


def test_a_folder_that_cannot_be_made_is_an_error(session, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="cannot be made"):
        fine_tune_on(session, 1.0, tmp_path / "file" / "x.adapted.safetensors")
