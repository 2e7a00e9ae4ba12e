from __future__ import annotations

from dataclasses import replace

import pytest

from napari_sam2.errors import TrainingError
from napari_sam2.network import BUNDLED_CONFIG
from napari_sam2.training import FineTuneSettings, RunIdentity, claim_folder
from napari_sam2.training.run.identity import alone_in


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "some.safetensors"
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def identity(weights, stacks):
    return RunIdentity.of("some", weights, stacks, FineTuneSettings().resolve(BUNDLED_CONFIG))


def test_the_same_run_is_recognised(tmp_path, identity):
    assert claim_folder(tmp_path / "run", identity) is False
    assert claim_folder(tmp_path / "run", identity) is True


def test_steps_and_patience_may_change(weights, stacks, identity):
    longer = FineTuneSettings(steps=5000, patience=9, validate_every=7).resolve(BUNDLED_CONFIG)
    assert RunIdentity.of("some", weights, stacks, longer) == identity


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"seed": 7}, "seed 0, not 7"),
        ({"parts": "decoder"}, "parts all, not decoder"),
        ({"data": "0"}, "other data"),
        ({"weights": "0"}, "other weights"),
    ],
)
def test_another_run_is_told_apart(tmp_path, identity, change, told):
    claim_folder(tmp_path / "run", identity)
    stored = (tmp_path / "run" / "run.json").read_bytes()
    with pytest.raises(TrainingError, match=told):
        claim_folder(tmp_path / "run", replace(identity, **change))
    assert (tmp_path / "run" / "run.json").read_bytes() == stored


def test_data_and_weights_are_told_by_content(weights, stacks, identity):
    settings = FineTuneSettings().resolve(BUNDLED_CONFIG)
    labels = stacks[0].labels.copy()
    labels[0, 0, 0] += 1
    other = (replace(stacks[0], labels=labels), *stacks[1:])
    assert RunIdentity.of("some", weights, other, settings).data != identity.data
    weights.write_bytes(b"others")
    assert RunIdentity.of("some", weights, stacks, settings).weights != identity.weights


def test_other_peoples_folders_are_left_alone(tmp_path, identity):
    folder = tmp_path / "holiday"
    folder.mkdir()
    (folder / "beach.jpg").touch()
    with pytest.raises(TrainingError, match="holds files"):
        claim_folder(folder, identity)
    assert [path.name for path in folder.iterdir()] == ["beach.jpg"]


def test_what_is_no_folder_and_what_is_damaged(tmp_path, identity, weights):
    with pytest.raises(TrainingError, match="cannot be used"):
        claim_folder(weights, identity)
    claim_folder(tmp_path / "run", identity)
    (tmp_path / "run" / "run.json").write_text("{", "utf-8")
    with pytest.raises(TrainingError, match="damaged"):
        claim_folder(tmp_path / "run", identity)


@pytest.mark.parametrize(
    "text",
    ["[]", "5", '"text"', "null", '{"a":' * 50_000, '{"seed": ' + "9" * 5000 + "}", "\xff"],
)
def test_a_damaged_identity_is_named(tmp_path, identity, text):
    claim_folder(tmp_path / "run", identity)
    (tmp_path / "run" / "run.json").write_bytes(text.encode("latin1"))
    with pytest.raises(TrainingError, match=r"run\.json is damaged"):
        claim_folder(tmp_path / "run", identity)


def test_one_run_at_a_time_has_a_folder(tmp_path, identity):
    folder = tmp_path / "run"
    claim_folder(folder, identity)
    with alone_in(folder), pytest.raises(TrainingError, match="Another run trains in"):
        claim_folder(folder, identity)
    assert claim_folder(folder, identity) is True


def test_a_folder_with_a_lock_only_is_free(tmp_path, identity):
    """A run that was killed before it had written who it is."""
    folder = tmp_path / "run"
    folder.mkdir()
    with alone_in(folder):
        pass
    assert claim_folder(folder, identity) is False
