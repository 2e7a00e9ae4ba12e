"""A session with the network whose masks have the resolution of its input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from known_masks import known_masks
from small_networks import SMALL_FINE

from napari_sam2.network import Sam2
from napari_sam2.prompts import FramePrompt
from napari_sam2.stack import FrameStack
from napari_sam2.tracking import Model, TrackingSession, TrackingSettings
from napari_sam2.tracking.decoding import prompt_decoding, prompted_frames
from napari_sam2.tracking.images.feature_cache import FeatureCache
from napari_sam2.tracking.images.frame_reader import FrameReader
from napari_sam2.tracking.images.object_window import Framing, Window

SIDE = 64
CELLS = SIDE // 16


@pytest.fixture(scope="module")
def fine() -> Model:
    """A network that takes every object for present, and whose masks are known."""
    return Model(known_masks(config=SMALL_FINE), "small", torch.device("cpu"), SIDE)


@pytest.fixture
def movie() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 255, (5, 150, 160), dtype=np.uint8)


@pytest.fixture
def told(monkeypatch) -> dict[str, list[torch.Tensor | None]]:
    """What each call of the decoder is told beside prompts: mask before, and brightness."""
    calls: dict[str, list[torch.Tensor | None]] = {"carried": [], "brightness": []}
    real = Sam2.predict_masks

    def predict(network, *maps, **prompts):
        for name, values in calls.items():
            values.append(prompts.get(name))
        return real(network, *maps, **prompts)

    monkeypatch.setattr(Sam2, "predict_masks", predict)
    return calls


@pytest.fixture
def carried(told) -> list[torch.Tensor | None]:
    """What is carried along in each call of the decoder."""
    return told["carried"]


def test_a_session_goes_through_the_stack_and_back(fine, movie):
    session = TrackingSession(fine, movie)
    session.add_points(1, 2, [(70.0, 80.0)], [True])
    session.add_box(2, 2, (20, 20, 50, 60))
    frames = [result.frame for result in session.propagate(direction="both")]
    assert sorted(set(frames)) == list(range(5))
    corrected = session.add_points(1, 4, [(75.0, 80.0)], [True])
    assert corrected.masks[0][75, 80]
    assert session.labels.shape == movie.shape


@pytest.mark.parametrize("fits", [True, False])
def test_the_next_click_encodes_nothing(fine, movie, encoded, monkeypatch, fits):
    monkeypatch.setattr(Framing, "fits", lambda *_: fits)  # if not, a closer look is chosen too
    session = TrackingSession(fine, movie)
    session.add_points(1, 0, [(75.0, 80.0)])
    assert sum(encoded) == (3 if fits else 4), "windows of 40, 80 and 160, and one that fits"
    encoded.clear()
    session.choose(1, 0, rank=1)
    session.add_points(1, 0, [(78.0, 84.0)])
    assert not encoded


@pytest.fixture
def near(monkeypatch) -> list[int]:
    """New clicks in each change of a mask that is made near its clicks only."""
    counts = []
    real = prompt_decoding.change_near

    def change(prediction, previous, points, positive):
        counts.append(len(points))
        return real(prediction, previous, points, positive)

    monkeypatch.setattr(prompt_decoding, "change_near", change)
    return counts


CLICKS, KINDS = ((75.0, 80.0), (70.0, 95.0), (60.0, 80.0)), (True, False, True)


def test_the_second_click_may_change_all_and_the_third_what_is_near_it(fine, movie, near):
    session = TrackingSession(fine, movie)
    for number, (click, kind) in enumerate(zip(CLICKS, KINDS, strict=True), start=1):
        session.add_points(1, 0, [click], [kind])
        assert near == [1] * max(0, number - 2)
    clicked = np.array(session.labels[0])
    replayed = TrackingSession(fine, movie)
    replayed.set_prompt(1, 0, FramePrompt(CLICKS, KINDS, rounds=(1, 1, 1)))
    assert near == [1, 1]
    assert np.array_equal(replayed.labels[0], clicked)


def test_corrections_keep_the_mask_far_from_their_clicks(fine, movie, monkeypatch):
    kept = []
    real = prompt_decoding.keep_far

    def keep(prediction, previous, points):
        kept.append(len(points))
        return real(prediction, previous, points)

    monkeypatch.setattr(prompt_decoding, "keep_far", keep)
    session = TrackingSession(fine, movie)
    for click, kind in zip(CLICKS, KINDS, strict=True):
        session.add_points(1, 0, [click], [kind])
    assert kept == [1], "the second click may mean something else"
    session.add_box(2, 0, (30, 30, 90, 90))
    session.add_points(2, 0, [(60.0, 88.0)], [False])
    assert kept == [1, 1]


@pytest.mark.parametrize("drawn", [True, False])
def test_a_click_on_what_was_drawn_or_boxed_changes_what_is_near_it(fine, movie, near, drawn):
    session = TrackingSession(fine, movie)
    if drawn:
        mask = np.zeros(movie.shape[1:], bool)
        mask[30:90, 30:90] = True
        session.add_mask(1, 0, mask)
    else:
        session.add_box(1, 0, (30, 30, 90, 90))
    session.add_points(1, 0, [(60.0, 88.0)], [False])
    assert near == [2 if drawn else 1], "a click inside a drawing stands for it"


def test_a_mask_that_the_second_click_denies_is_looked_for_at_other_scales(
    fine, movie, monkeypatch
):
    chosen = []
    real = prompted_frames.choose_other

    def choose(*given):
        chosen.append(real(*given))
        return chosen[-1]

    monkeypatch.setattr(prompted_frames, "rejects_mask", lambda *_: True)
    monkeypatch.setattr(prompted_frames, "choose_other", choose)
    session = TrackingSession(fine, movie)
    session.add_points(1, 0, [(75.0, 80.0)])
    session.add_points(1, 0, [(75.0, 98.0)], [False])
    assert len(chosen) == 1
    side = (40, 80, 160)[chosen[0].window]
    assert session.snapshot().tracks[0].conditioning[0].window.height == side
    session.add_points(1, 0, [(60.0, 80.0)], [False])
    assert len(chosen) == 1, "two clicks have settled it"


def test_all_clicks_at_once_are_no_corrections(fine, movie, near):
    TrackingSession(fine, movie).add_points(1, 0, CLICKS, KINDS)
    assert near == []


def test_one_run_is_like_another(fine, movie):
    volumes = []
    for _ in range(2):
        session = TrackingSession(fine, movie)
        session.add_box(1, 0, (30, 30, 90, 90))
        list(session.propagate())
        volumes.append(np.array(session.labels))
    assert np.array_equal(*volumes)


def test_the_mask_of_the_frame_before_is_carried_into_the_next(fine, movie, carried):
    session = TrackingSession(fine, movie)
    drawn = np.zeros(movie.shape[1:], bool)
    drawn[60:90, 60:100] = True
    session.add_mask(1, 1, drawn)
    list(session.propagate(direction="both"))
    moved = [each for each in carried if each is not None]
    assert len(moved) == len(movie) - 1
    assert all(each.shape == (1, 1, SIDE, SIDE) for each in moved)
    covered = float((moved[0] > 0).float().mean())
    window = session.snapshot().tracks[0].conditioning[0].window
    assert covered == pytest.approx(drawn.sum() / (window.height * window.width), rel=0.15)


def test_prompted_frames_are_decoded_without_a_mask_of_another_frame(fine, movie, carried):
    session = TrackingSession(fine, movie)
    session.add_box(1, 0, (30, 30, 90, 90))
    assert carried
    assert all(each is None for each in carried)


def test_tracked_frames_are_told_how_bright_they_are_beside_the_decided_one(fine, told):
    yy, xx = np.mgrid[:150, :160]
    disc = (yy - 75) ** 2 + (xx - 80) ** 2 < 18**2
    levels = (200, 120, 60)  # of the object, which fades; its surroundings have 40
    movie = np.stack([np.where(disc, level, 40) for level in levels]).astype(np.uint8)
    session = TrackingSession(fine, movie, contrast=(0, 255))
    session.add_mask(1, 0, disc)
    list(session.propagate())
    maps = [each for each in told["brightness"] if each is not None]
    assert [tuple(each.shape) for each in maps] == [(1, 1, SIDE, SIDE)] * 2
    middle = [float(each[0, 0, SIDE // 2, SIDE // 2]) for each in maps]
    assert middle == pytest.approx([80 / 160, 20 / 160], abs=0.06)
    assert float(maps[0][0, 0, 0, 0]) == pytest.approx(0.0, abs=0.06)


@pytest.mark.parametrize(
    ("levels", "decided", "stays"),
    [
        ((200, 90, 80), [0], True),
        ((200, 90, 46), [0], False),
        ((200, 55, 46), [0, 1], False),  # little was left where it was decided near by
        ((200, 55, 54), [0, 1], True),  # it was decided although so little was left
        ((200, 55, 48), [0], False),
    ],
)
def test_an_object_ends_where_its_clearest_contrast_is_gone(fine, levels, decided, stays):
    yy, xx = np.mgrid[:150, :160]
    disc = (yy - 75) ** 2 + (xx - 80) ** 2 < 18**2
    movie = np.stack([np.where(disc, level, 40) for level in levels]).astype(np.uint8)
    session = TrackingSession(fine, movie, contrast=(0, 255))
    for frame in decided:
        session.add_mask(1, frame, disc)
    list(session.propagate())
    assert bool(session.labels[2].any()) == stays


CROWD = [Window(8 * row, 8 * column, 32, 32) for row in range(3) for column in range(3)]


def cache(model: Model, movie: np.ndarray, cells: int | None) -> FeatureCache:
    return FeatureCache(model, FrameReader(FrameStack(movie), 1), 64, cells=cells)


def test_windows_that_crowd_share_what_is_encoded(fine, movie):
    shared, apart = cache(fine, movie, CELLS), cache(fine, movie, None)
    for each in (shared, apart):
        each.get(0, CROWD)
    assert shared.encoded == 1
    assert apart.encoded == len(CROWD)


def test_few_windows_are_encoded_each_for_itself(fine, movie):
    few = cache(fine, movie, CELLS)
    few.get(0, CROWD[:4])
    assert few.encoded == 4


def test_what_is_cut_out_of_a_tile_has_the_shapes_of_a_window(fine, movie):
    together = cache(fine, movie, CELLS).get(0, CROWD)
    alone = cache(fine, movie, None).get(0, CROWD)
    assert together.stride16.shape == alone.stride16.shape
    assert together.stride4.shape == alone.stride4.shape
    assert [level.shape for level in together.finer] == [level.shape for level in alone.finer]
    assert torch.equal(together.position, alone.position)


def test_pixels_cut_out_of_a_tile_are_those_of_the_window(fine, movie):
    # At the frame's own scale nothing is resized: only the contrast is that of the tile.
    windows = [Window(16 * r, 16 * c, SIDE, SIDE) for r in range(3) for c in range(3)]
    together = cache(fine, movie, CELLS).get(0, windows).finer[0]
    for row, window in enumerate(windows):
        seen = movie[0][window.inside(movie.shape[1:])].astype(np.float32)
        assert np.corrcoef(together[row, 0].numpy().ravel(), seen.ravel())[0, 1] > 0.999


def test_objects_keep_their_order_when_neighbours_are_put_together(fine, movie):
    session = TrackingSession(fine, movie, settings=TrackingSettings(overlap=True))
    for object_id, (y, x) in {5: (90, 100), 2: (10, 10), 9: (80, 95), 1: (15, 12)}.items():
        session.add_box(object_id, 0, (y, x, y + 20, x + 20))
    for result in session.propagate():
        assert result.object_ids == (1, 2, 5, 9)


@pytest.fixture
def threads():
    """Set torch's threads for a while."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_many_objects_are_computed_in_pieces_of_one_thread_each(fine, movie, threads, monkeypatch):
    pieces = []
    for name in ("predict_masks", "encode_image"):
        real = getattr(Sam2, name)

        def compute(network, first, *maps, _name=name, _real=real, **prompts):
            pieces.append((_name, len(first), torch.get_num_threads()))
            return _real(network, first, *maps, **prompts)

        monkeypatch.setattr(Sam2, name, compute)
    volumes = []
    for count in (1, 2):
        threads(count)
        session = TrackingSession(fine, movie)
        for object_id in range(1, 11):
            y, x = 14 * object_id, 12 * object_id
            drawn = np.zeros(movie.shape[1:], bool)
            drawn[y - 8 : y, x - 8 : x] = True
            session.add_mask(object_id, 0, drawn)
        passes = session.propagate("forward")
        next(passes)
        next(passes)
        pieces.clear()
        for _ in passes:
            pass
        volumes.append(np.array(session.labels))
    assert {name for name, _, _ in pieces} == {"predict_masks", "encode_image"}
    assert all((size <= 4, of_threads) == (True, 1) for _, size, of_threads in pieces), pieces
    assert np.array_equal(*volumes)
