"""Adapting the model to the image: asking, progress, cancelling, using the outcome, undo."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from napari.utils.notifications import notification_manager
from small_networks import SMALL_CONV, small_config

from napari_sam2.checkpoints import save_network
from napari_sam2.errors import TrainingError
from napari_sam2.network import Sam2
from napari_sam2.training.adapt.mask_split import FEWEST_MASKS
from napari_sam2.widgets.controllers import adapting
from napari_sam2.widgets.stack_panel import Wiring
from napari_sam2.widgets.state import hints
from napari_sam2.widgets.state.model_catalog import ModelEntry
from napari_sam2.widgets.state.settings import ModelUse, read_defaults
from napari_sam2.widgets.worker.adaptation import AdaptOutcome, AdaptState, prepare_process_job
from napari_sam2.widgets.worker.model_fetcher import Sources
from napari_sam2.widgets.worker.session_factory import SessionFactory
from napari_sam2.widgets.worker.thread import THREAD_NAME

BETTER = AdaptOutcome((0.61, 0.72), (0.8, 0.81), 4, Path("/data/blobs.adapted.safetensors"))
NO_BETTER = AdaptOutcome((0.61, 0.58), (0.8, 0.81), 4, None)


class Job:
    """An adaptation that lasts until its gate is opened."""

    def __init__(self) -> None:
        self.outcome: AdaptOutcome | Exception | None = BETTER
        self.gate, self.cancelled = threading.Event(), threading.Event()
        self.plans, self.sessions, self.threads = [], [], []
        self.refusal: Exception | None = None

    def prepare(self, session, plan):
        self.threads.append(threading.current_thread().name)
        self.sessions.append(session)
        self.plans.append(plan)
        if self.refusal is not None:
            raise self.refusal
        return self

    def run(self, progress, cancelled):
        self.threads.append(threading.current_thread().name)
        progress(AdaptState("Learning: step 3 of 9", 0.4))
        while not self.gate.wait(0.01):
            if cancelled():
                self.cancelled.set()
                return None
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@pytest.fixture
def job():
    job = Job()
    yield job
    job.gate.set()


@pytest.fixture
def prompted(make_panel, blobs, script, sources, job):
    """A panel with two objects that were clicked and carried through six frames."""
    panel = make_panel(blobs(), wiring=Wiring(script.open, sources, job.prepare))
    panel.viewer.dims.set_current_step(0, 0)
    panel.start()
    panel.wait_idle()
    for y, x in ((8, 8), (25, 30)):
        panel.click(0, y, x)
        panel.wait_idle()
        panel.next_object()
    panel.propagate("both")
    panel.wait_idle()
    return panel


@pytest.fixture
def accepted(prompted):
    """The same with everything accepted: ten masks."""
    prompted.accept("all")
    prompted.wait_idle()
    notification_manager.records.clear()
    return prompted


@pytest.fixture
def learning(accepted, qtbot):
    """The same in the middle of an adaptation."""
    accepted.begin_adaptation()
    wait_for(qtbot, lambda: accepted.adaptation_progress == "Learning: step 3 of 9")
    return accepted


def wait_for(qtbot, condition) -> None:
    qtbot.waitUntil(condition, timeout=60_000)


def finish(panel, job, qtbot, outcome=BETTER) -> None:
    job.outcome = outcome
    job.gate.set()
    wait_for(qtbot, lambda: not panel.adapting)
    panel.wait_idle()


def use(panel) -> ModelUse:
    return panel.model_use


def messages() -> str:
    return " ".join(record.message for record in notification_manager.records)


def test_adaptation_needs_four_masks(prompted):
    assert not prompted.can_adapt
    assert prompted.adaptation_text == "Needs 4 accepted or prompted masks; there are 2."
    assert prompted.adaptation_text in prompted.adaptation_tooltip
    prompted.viewer.dims.set_current_step(0, 3)
    prompted.accept("frame")
    prompted.wait_idle()
    assert prompted.can_adapt
    assert prompted.adaptation_text == ""
    prompted.undo()
    prompted.wait_idle()
    assert not prompted.can_adapt


def test_panel_and_training_need_equally_many_masks():
    assert adapting.FEWEST_MASKS == FEWEST_MASKS


def test_adaptation_is_hidden_before_the_start(make_panel, blobs):
    panel = make_panel(blobs())
    assert panel.adaptation_section.isHidden()


def test_adaptation_asks_before_it_begins(accepted, job):
    accepted.ask_for_adaptation()
    assert "from the 10 masks" in accepted.adaptation_question
    assert "decoder" not in accepted.adaptation_question
    assert accepted.adaptation_minutes == 2.0
    assert not accepted.offers_adaptation
    accepted.refuse_adaptation()
    assert accepted.offers_adaptation
    assert accepted.adaptation_question == ""
    assert job.plans == []


def test_question_says_that_only_the_decoder_of_official_models_learns(accepted, monkeypatch):
    accepted.pretend_official_model(monkeypatch)
    accepted.ask_for_adaptation()
    assert "decoder alone learns" in accepted.adaptation_question


def test_worker_reads_masks_and_another_thread_trains(learning, job, script):
    (plan,) = job.plans
    assert (plan.minutes, plan.stem) == (2.0, "blobs")
    assert len(job.sessions[0].accepted) == 10
    assert job.threads == [f"{THREAD_NAME}-engine", f"{THREAD_NAME}-adapting"]
    assert learning.adaptation_parts_done == 400


def test_adapted_model_is_written_beside_the_session(make_panel, blobs, job, folder):
    from napari.layers import Image
    from napari.layers._source import layer_source

    with layer_source(path=str(folder / "cells.ome.tif")):
        image = Image(blobs(), contrast_limits=(0, 1000), name="other")
    panel = make_panel(wiring=Wiring(None, None, job.prepare))
    panel.viewer.add_layer(image)
    panel.start()
    panel.wait_idle()
    assert panel.session_place == ("cells", (folder,))


def test_clicks_are_answered_during_adaptation(learning, job, qtbot, script):
    before = len(script.told)
    learning.viewer.dims.set_current_step(0, 2)
    learning.click(2, 8, 10)
    learning.wait_idle()
    assert len(script.told) > before
    finish(learning, job, qtbot)
    assert use(learning).model == str(BETTER.path)


@pytest.mark.stored_choices
def test_better_model_is_used_for_this_and_the_next_stack(learning, job, qtbot, script):
    before = use(learning)
    finish(learning, job, qtbot)
    path = str(BETTER.path)
    assert use(learning) == ModelUse(path, before.device, before.precision, before.speed)
    assert script.opened[-1].use.model == path
    assert read_defaults().model == path
    assert learning.chosen_model_title == "blobs (adapted)"
    assert "one click: .61 → .72, box: .80 → .81 on 4 held-out masks" in learning.adaptation_text
    assert "in use" in messages()
    assert learning.offers_adaptation
    assert learning.can_adapt


def test_undo_restores_the_former_model(learning, job, qtbot, script):
    before, labels = use(learning), np.array(learning.labels)
    accepted = learning.accepted
    finish(learning, job, qtbot)
    assert "adapted model" in learning.undo_text
    learning.undo()
    learning.wait_idle()
    assert use(learning) == before
    assert script.opened[-1].use == before
    assert read_defaults().model == before.model
    assert learning.chosen_model_title == "Bundled"
    assert np.array_equal(learning.labels, labels)
    assert learning.accepted == accepted
    learning.redo()
    learning.wait_idle()
    assert use(learning).model == str(BETTER.path)
    learning.undo()
    learning.undo()
    learning.wait_idle()
    assert learning.accepted == frozenset()


def test_undo_reverts_steps_before_and_after_the_adaptation(learning, job, qtbot):
    finish(learning, job, qtbot)
    learning.click(0, 38, 45)
    learning.wait_idle()
    assert len(learning.points) == 3
    learning.undo()
    learning.wait_idle()
    assert (len(learning.points), use(learning).model) == (2, str(BETTER.path))
    learning.undo()
    learning.wait_idle()
    assert use(learning).model == "bundled"


def test_model_that_is_not_better_is_not_used(learning, job, qtbot, script):
    before, opened = use(learning), len(script.opened)
    finish(learning, job, qtbot, NO_BETTER)
    assert use(learning) == before
    assert len(script.opened) == opened
    assert learning.adaptation_text.startswith("Not better, so the model was kept")
    assert ".61 → .58" in learning.adaptation_text
    assert "adapted" not in learning.undo_text


def test_cancel_stops_the_adaptation_and_it_can_begin_again(learning, job, qtbot):
    learning.cancel_adaptation()
    assert not learning.can_cancel_adaptation
    wait_for(qtbot, lambda: not learning.adapting)
    assert job.cancelled.is_set()
    assert learning.adaptation_text == hints.ADAPT_CANCELLED
    assert use(learning).model == "bundled"
    learning.begin_adaptation()
    wait_for(qtbot, lambda: len(job.plans) == 2)
    job.gate.set()
    wait_for(qtbot, lambda: not learning.adapting)
    learning.wait_idle()
    assert use(learning).model == str(BETTER.path)


@pytest.mark.parametrize(
    "error", [TrainingError("The process died.", remedy="Again."), OSError("x")]
)
def test_training_errors_are_shown(learning, job, qtbot, error):
    job.outcome = error
    job.gate.set()
    wait_for(qtbot, lambda: not learning.adapting)
    assert str(error) in messages()
    assert learning.can_adapt
    assert use(learning).model == "bundled"


def test_refused_masks_are_reported(accepted, job, qtbot):
    job.refusal = TrainingError("The masks are too much alike.", remedy="Accept others.")
    accepted.begin_adaptation(1.0)
    wait_for(qtbot, lambda: "too much alike" in messages())
    assert not accepted.adapting
    assert accepted.offers_adaptation


def test_bug_while_reading_masks_ends_the_adaptation(accepted, job, qtbot):
    job.refusal = ZeroDivisionError("oops")
    accepted.begin_adaptation(1.0)
    wait_for(qtbot, lambda: "oops" in messages())
    assert not accepted.adapting


def test_skipped_frames_are_reported(learning, job, qtbot):
    skipped = AdaptOutcome((0.5, 0.6), (0.5, 0.6), 2, None, ("Frame 3 cannot be read.",))
    finish(learning, job, qtbot, skipped)
    assert "Frame 3 cannot be read." in messages()


def test_adapted_model_waits_for_the_end_of_a_propagation(accepted, job, qtbot, script):
    script.seconds = 0.05
    accepted.tick_recompute()
    accepted.propagate("both")
    wait_for(qtbot, lambda: accepted.frames_done >= 1)
    accepted.pause()
    accepted.begin_adaptation()
    job.gate.set()
    wait_for(qtbot, lambda: accepted.adaptation_progress == hints.ADAPT_WAITS)
    assert accepted.running
    assert use(accepted).model == "bundled"
    accepted.pause()
    wait_for(qtbot, lambda: not accepted.running)
    accepted.wait_idle()
    assert use(accepted).model == str(BETTER.path)
    assert accepted.frames_to_do > 0


def test_model_chosen_during_adaptation_stays_chosen(learning, job, qtbot):
    learning.choose_model("sam2.1-tiny")
    finish(learning, job, qtbot)
    assert use(learning).model == "sam2.1-tiny"
    names = learning.models_offered
    assert "blobs (adapted)" in names
    assert "in the list of models" in learning.adaptation_text


def test_adaptation_continues_when_the_image_is_left(learning, job, qtbot):
    learning.viewer.layers.remove("blobs · labels")
    learning.wait_idle()
    finish(learning, job, qtbot)
    assert use(learning).model == str(BETTER.path)
    assert "in use" in messages()


def test_leaving_the_image_before_masks_are_read_ends_the_adaptation(accepted, job, script):
    script.gate.clear()
    accepted.click(0, 9, 9)
    accepted.begin_adaptation(1.0)
    accepted.viewer.layers.remove("blobs · labels")
    script.gate.set()
    accepted.wait_idle()
    assert not accepted.adapting
    assert job.plans == []


def test_closing_the_panel_ends_the_adaptation(learning, job, qtbot, our_threads):
    learning.close()
    wait_for(qtbot, lambda: not our_threads())
    assert job.cancelled.is_set()


def test_adaptation_is_proposed_for_low_scores_and_many_accepted_masks(
    accepted, job, qtbot, monkeypatch
):
    assert accepted.hint != hints.ADAPT
    accepted.take_scores_for_low_below(0.95, monkeypatch)
    accepted.refresh_hint()
    assert accepted.hint == hints.ADAPT
    accepted.begin_adaptation()
    assert accepted.hint != hints.ADAPT
    finish(accepted, job, qtbot, NO_BETTER)
    assert accepted.hint != hints.ADAPT, "not again from the same masks"


def test_adaptation_is_not_proposed_before_eight_accepted_masks(prompted, monkeypatch):
    prompted.take_scores_for_low_below(0.95, monkeypatch)
    prompted.viewer.dims.set_current_step(0, 3)
    prompted.accept("frame")
    prompted.wait_idle()
    assert prompted.hint != hints.ADAPT


# All of it real: session, process, file.


@pytest.fixture
def real(make_panel, tmp_path, qtbot, monkeypatch, folder):
    """A panel on a small network with random weights, with nine masks drawn and accepted."""
    from napari.layers import Image
    from napari.layers._source import layer_source

    path = tmp_path / "small.safetensors"
    torch.manual_seed(0)
    save_network(Sam2(small_config(SMALL_CONV)).eval(), path)
    chosen = ModelUse(str(path), "cpu")
    monkeypatch.setattr("napari_sam2.widgets.controllers.model.read_defaults", lambda: chosen)
    monkeypatch.setattr("napari_sam2.widgets.controllers.model.store_defaults", lambda _: None)
    entries = (ModelEntry(str(path), "Small", "Random.", "none", None, True),)
    sources = Sources(lambda: entries, lambda: ("cpu",))
    panel = make_panel(
        wiring=Wiring(SessionFactory(), sources, prepare_process_job), keep_settings=True
    )
    yy, xx = np.mgrid[:160, :160]
    centres = [(y, x) for y in (30, 80, 130) for x in (30, 80, 130)]
    masks = [np.hypot(yy - y, xx - x) < 9 for y, x in centres]
    with layer_source(path=str(folder / "cells.ome.tif")):
        frame = 100 + 800 * np.any(masks, axis=0)
        image = Image(np.stack([frame] * 2).astype(np.float32), name="cells")
    panel.viewer.add_layer(image)
    panel.viewer.dims.set_current_step(0, 0)
    panel.start()
    panel.wait_idle()
    panel.give_masks(dict(enumerate(masks, 1)))
    panel.wait_idle()
    panel.accept("frame")
    panel.wait_idle()
    notification_manager.records.clear()
    return panel


def test_real_adaptation_reports_its_outcome(real, qtbot, folder):
    before = use(real)
    real.begin_adaptation(0.02)
    qtbot.waitUntil(lambda: not real.adapting, timeout=300_000)
    real.wait_idle()
    text = real.adaptation_text
    assert "on 2 held-out masks" in text, messages()
    file = folder / "cells.adapted.safetensors"
    assert file.exists() == text.startswith("Better") == (use(real) != before)
    assert not list(folder.glob(".*.tmp"))


def test_closing_the_panel_ends_the_training_process(real, qtbot, our_threads, folder):
    me = psutil.Process()
    before = set(me.children())
    real.begin_adaptation(60.0)
    qtbot.waitUntil(lambda: real.adaptation_progress.startswith("Learning"), timeout=300_000)
    (process,) = set(me.children()) - before
    real.close()
    deadline = time.monotonic() + 60
    while process.is_running() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not process.is_running()
    qtbot.waitUntil(lambda: not our_threads(), timeout=60_000)
    assert {path.name for path in folder.glob("*.safetensors*")} == set()


def ends_at(script, job, step: str):
    """Have the adaptation end, and the session wait, when it is at this step."""

    def hold(told: str) -> None:
        if told == step and not job.gate.is_set():
            script.gate.clear()
            job.gate.set()

    script.fault = hold


@pytest.mark.parametrize("step", ["search", "frame"])
def test_adapted_model_waits_for_the_end_of_a_search_through_the_stack(
    learning, job, qtbot, script, step
):
    learning.image_layer.data[2:, 20:22, 2:40] = 1000
    learning.settings.look_again.value = 2
    steps = len(learning.undo_texts)
    ends_at(script, job, step)
    learning.find_objects()
    wait_for(qtbot, lambda: learning.adaptation_progress == hints.ADAPT_WAITS)
    asked = len(script.told)
    script.gate.set()
    wait_for(qtbot, lambda: not learning.adapting)
    learning.wait_idle()
    kinds = [told[0] for told in script.told[asked:]]
    assert "search" not in kinds[kinds.index("open") :]
    assert [told[1] for told in script.told if told[0] == "search"] == [0, 2, 4]
    assert learning.undo_texts[steps:] == ["objects found through the stack", "adapted model"]
    assert use(learning).model == str(BETTER.path)


@pytest.mark.parametrize("added", [True, False])
def test_adapted_model_waits_until_similar_objects_are_chosen(learning, job, qtbot, script, added):
    learning.image_layer.data[3, 36:39, 2:10] = 1000
    learning.viewer.dims.set_current_step(0, 3)
    learning.select_rows(0)
    learning.set_similarity(0.0)
    ends_at(script, job, "search")
    learning.find_more_like_these()
    wait_for(qtbot, lambda: learning.adaptation_progress == hints.ADAPT_WAITS)
    script.gate.set()
    learning.wait_idle()
    assert learning.choice_text
    assert use(learning).model == "bundled"
    (learning.add_similar if added else learning.add_no_similar)()
    wait_for(qtbot, lambda: not learning.adapting)
    learning.wait_idle()
    assert use(learning).model == str(BETTER.path)
    assert (learning.labels == 3).any() == added


def test_adapted_model_waits_for_the_end_of_a_search_for_divisions(learning, job, qtbot, script):
    ends_at(script, job, "propose")
    learning.find_divisions()
    wait_for(qtbot, lambda: learning.adaptation_progress == hints.ADAPT_WAITS)
    script.gate.set()
    wait_for(qtbot, lambda: not learning.adapting)
    learning.wait_idle()
    assert [told[1] for told in script.told if told[0] == "propose"] == [1, 2, 3, 4]
    assert learning.divisions_button == "Find divisions"
    assert use(learning).model == str(BETTER.path)
