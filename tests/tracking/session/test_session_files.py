"""Sessions to files and back: the same prompts, the same labels, and the same file again."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine_internals import track_of, volume_of

from napari_sam2.errors import FrameError
from napari_sam2.labels import PackedMask
from napari_sam2.prompts.session_file import MaskStore
from napari_sam2.tracking import TrackingSession, TrackingSettings
from napari_sam2.types import ObjectFrame

SETTINGS = TrackingSettings(exclusive=False)
DRAWN = np.pad(np.ones((8, 8), bool), ((4, 28), (4, 36)))
EVERYWHERE = list(itertools.product(range(1, 40, 3), range(1, 48, 3)))


@pytest.fixture
def session(model, stack) -> TrackingSession:
    """Two objects, clicked in one frame each and followed through all."""
    session = TrackingSession(model, stack, settings=SETTINGS)
    session.add_points(1, 3, [(10, 10)])
    session.add_points(2, 5, [(30, 35)])
    list(session.propagate())
    return session


def there_and_back(session: TrackingSession, stack: np.ndarray, path: Path) -> TrackingSession:
    """Save a session and load it; saved once more it gives the same file."""
    session.save(path)
    again = TrackingSession.load(path, session.model, stack)
    again.save(path.with_name("again.json"))
    assert path.with_name("again.json").read_text() == path.read_text()
    assert again.prompts == session.prompts
    assert again.accepted == session.accepted
    return again


def test_a_correction_comes_back_as_it_was_seen(session, stack, tmp_path):
    corrected = session.add_points(1, 7, [(35, 5)], [False])
    session.add_points(2, 9, [(5, 40)])
    again = there_and_back(session, stack, tmp_path / "s.json")
    assert again.prompts.get(1, 7).mask is None, "nobody drew a mask"
    np.testing.assert_array_equal(again.labels[7] == 1, corrected.masks[0])
    np.testing.assert_array_equal(again.labels[9] == 2, session.labels[9] == 2)
    assert again.planned_frames() > 4, "what is around it is to be tracked anew"


def test_an_object_that_was_clicked_away_stays_away(session, stack, tmp_path):
    gone = session.add_points(1, 7, EVERYWHERE, [False] * len(EVERYWHERE))
    assert (session.labels[6] == 1).any(), "it had been there"
    assert not gone.masks.any()
    again = there_and_back(session, stack, tmp_path / "s.json")
    assert not (again.labels[7] == 1).any()
    (decided,) = [c for c in again.snapshot().tracks[0].conditioning if c.frame == 7]
    assert decided.dismissed, "the frame tells that it is gone"
    assert track_of(again, 1).sources() == [3]


def test_further_clicks_are_a_round_of_their_own_upon_what_came_back(session, stack, tmp_path):
    session.add_points(1, 7, [(35, 5)], [False])
    again = there_and_back(session, stack, tmp_path / "s.json")
    again.add_points(1, 7, [(20, 20)])
    assert again.prompts.get(1, 7).rounds == (1, 1)


def test_prompts_that_were_accepted_come_back_with_what_was_accepted(session, stack, tmp_path):
    session.add_points(1, 7, [(35, 5)], [False])
    session.accept_all(7)
    session.accept(1, 3)
    again = there_and_back(session, stack, tmp_path / "s.json")
    np.testing.assert_array_equal(again.labels[3] == 1, session.labels[3] == 1)
    np.testing.assert_array_equal(again.labels[7], session.labels[7])
    again.unaccept(1, 7)
    np.testing.assert_array_equal(again.labels[7], session.labels[7])


def test_masks_that_were_handed_over_are_known_as_such(session, stack, tmp_path):
    session.add_mask(3, 0, DRAWN)
    session.add_mask(4, 2, DRAWN)
    session.handed_over |= {ObjectFrame(3, 0), ObjectFrame(4, 2)}
    session.add_mask(4, 2, ~DRAWN)
    again = there_and_back(session, stack, tmp_path / "s.json")
    assert again.handed_over == {(3, 0)}, "the other one was drawn anew"
    again.remove_prompts(3)
    again.save(tmp_path / "b.json")
    assert TrackingSession.load(tmp_path / "b.json", again.model, stack).handed_over == set()


def test_what_is_merged_or_split_is_the_user_s_own_and_undo_gives_it_back(session):
    session.add_mask(1, 8, DRAWN)
    session.handed_over = {ObjectFrame(1, 8)}
    state = session.snapshot()
    session.merge(1, 2)
    assert session.handed_over == set()
    session.restore(state)
    assert session.handed_over == {(1, 8)}


def test_files_of_the_first_version_still_load(session, stack, tmp_path):
    """They hold what came of a correction as a mask that the clicks refine."""
    corrected = session.add_points(1, 7, [(35, 5)], [False])
    path = tmp_path / "s.json"
    session.save(path)
    document = json.loads(path.read_text())
    document["version"] = 1
    for prompt in document["prompts"]:
        if "result" in prompt:
            prompt["mask"] = prompt.pop("result")
    path.write_text(json.dumps(document))
    again = TrackingSession.load(path, session.model, stack)
    np.testing.assert_array_equal(again.prompts.get(1, 7).mask, corrected.masks[0])
    assert (again.labels[7] == 1).any()


def test_a_correction_comes_back_even_where_the_frame_is_gone(model, stack, tmp_path, session):
    session.add_points(1, 7, [(35, 5)], [False])
    session.save(tmp_path / "s.json")
    stack[7] = np.nan
    again = TrackingSession.load(tmp_path / "s.json", model, stack)
    np.testing.assert_array_equal(again.labels[7] == 1, session.labels[7] == 1)
    stopping = TrackingSettings(unreadable="stop")
    again = TrackingSession.load(tmp_path / "s.json", model, stack, settings=stopping)
    with pytest.raises(FrameError, match="Frame 7"):
        list(again.propagate())


def test_what_the_frames_are_comes_back(model, stack, tmp_path):
    session = TrackingSession(model, stack, kind="z-stack", store=tmp_path / "s.sam2.zarr")
    session.add_points(1, 3, [(10, 10)])
    session.save(tmp_path / "s.sam2.json")
    session.close()
    path = tmp_path / "s.sam2.json"
    assert TrackingSession.load(path, model, stack, store=None).stack.kind == "z-stack"
    other = TrackingSession.load(path, model, stack, store=None, kind="time-lapse")
    assert other.stack.kind == "time-lapse"
    assert TrackingSession(model, stack, store=tmp_path / "s.sam2.zarr").stack.kind == "z-stack"
    assert '"z-stack"' in path.read_text()
    path.write_text(path.read_text().replace('"z-stack"', '"hologram"'))  # of a later version
    assert TrackingSession.load(path, model, stack, store=None).stack.kind == "unknown"


@pytest.mark.parametrize("refined", [False, True])
def test_a_chosen_mask_comes_back(model, stack, tmp_path, refined):
    session = TrackingSession(model, stack)
    session.add_points(1, 3, [(20, 20)])
    best = session.labels[3].copy()
    session.choose(1, 3, 2)
    assert (session.labels[3] != best).any()
    if refined:
        session.add_points(1, 3, [(22, 22)])
    again = there_and_back(session, stack, tmp_path / "s.json")
    np.testing.assert_array_equal(again.labels, session.labels)


def test_the_best_mask_chosen_once_more_needs_no_mask_in_the_file(model, stack):
    session = TrackingSession(model, stack)
    session.add_points(1, 3, [(20, 20)])
    session.choose(1, 3, 1)
    session.choose(1, 3, 0)
    assert session.corrected_masks() == {}


OVER = np.roll(DRAWN, 4, axis=1)


@pytest.mark.parametrize("first", [1, 2])
def test_the_first_of_two_drawn_masks_keeps_its_pixels(model, stack, tmp_path, first):
    session = TrackingSession(model, stack)
    session.add_mask(first, 3, DRAWN)
    session.add_mask(3 - first, 3, OVER)
    assert (session.labels[3] == first).sum() == DRAWN.sum()
    assert (session.labels[3] == 3 - first).sum() == (OVER & ~DRAWN).sum()
    again = there_and_back(session, stack, tmp_path / "s.json")
    np.testing.assert_array_equal(again.labels, session.labels)
    for each in (session, again):
        list(each.propagate())
    np.testing.assert_array_equal(again.labels, session.labels)


@pytest.mark.parametrize(("corrected", "cut"), itertools.product((1, 2), (True, False)))
def test_a_mask_drawn_over_a_correction_keeps_its_pixels(session, stack, tmp_path, corrected, cut):
    """Also if the file has all of the corrected mask, as those of before."""
    session.add_points(corrected, 7, [(20, 20)])
    whole = session.labels[7] == corrected
    drawn = np.roll(whole, 3, axis=1)
    session.add_mask(3 - corrected, 7, drawn)
    left = whole & ~drawn
    assert left.any(), "some of it is left"
    assert left.sum() < whole.sum()
    if not cut:
        file = session.to_file()
        results = MaskStore([(ObjectFrame(corrected, 7), whole)])
        again = TrackingSession(session.model, stack, settings=SETTINGS)
        list(again.replay(replace(file, results=results)))
    else:
        again = there_and_back(session, stack, tmp_path / "s.json")
    np.testing.assert_array_equal(again.labels[7] == 3 - corrected, drawn)
    np.testing.assert_array_equal(again.labels[7] == corrected, left)
    again.add_mask(3, 7, whole)
    np.testing.assert_array_equal(again.labels[7] == 3, left, "what is drawn now counts")


def test_masks_of_a_session_are_looked_at_in_their_boxes(session, monkeypatch):
    """The time that a save takes does not grow with objects times pixels of a frame."""
    session.add_points(1, 7, [(35, 5)], [False])
    session.add_mask(3, 2, DRAWN)
    session.add_mask(4, 2, OVER)
    for frame in range(4):
        session.accept_all(frame)
    read, volume = [], volume_of(session)
    monkeypatch.setattr(PackedMask, "unpack", lambda mask: pytest.fail("a whole mask is made"))
    monkeypatch.setattr(volume, "mask", lambda *_: pytest.fail("a whole frame is compared"))
    view = volume.view
    monkeypatch.setattr(volume, "view", lambda frame: read.append(frame) or view(frame))
    corrected = session.corrected_masks()
    assert {(1, 7), (4, 2)} <= corrected.keys()
    read.clear()
    saved = session.to_file()
    assert len(saved.accepted) > 2 * 4
    assert len(read) <= 4 + len(corrected), "each frame once, not for each object"
    monkeypatch.undo()
    for pair in saved.accepted:
        mask = session.labels[pair.frame] == pair.object_id
        np.testing.assert_array_equal(saved.accepted_masks[pair], mask)
    for pair, mask in corrected.items():
        np.testing.assert_array_equal(saved.results[pair], mask.unpack())
