"""A session on a server gives what one on this computer gives, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from engine_internals import engine_of
from session_plays import FRAMES, PLAYS
from session_servers import TOKEN, Proxy, local_server

from napari_sam2.errors import FrameError, RemoteError, SessionError
from napari_sam2.labels import PackedMask
from napari_sam2.remote import connect
from napari_sam2.remote.limits import ServerLimits
from napari_sam2.tracking import TrackingSession, TrackingSettings


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert (one.frame, one.object_ids, one.skipped) == (
            other.frame,
            other.object_ids,
            other.skipped,
        )
        np.testing.assert_array_equal(one.masks, other.masks)
        np.testing.assert_array_equal(one.scores, other.scores)
        np.testing.assert_array_equal(one.presence, other.presence)
        if one.logits is None:
            assert other.logits is None
        else:
            np.testing.assert_array_equal(one.logits, other.logits)


@pytest.mark.parametrize("play", PLAYS.values(), ids=PLAYS)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("tiny", {}),
        ("tiny", {"view": "object", "overlap": True}),
        ("tiny", {"encode_ahead": 4}),  # as on GPUs
        ("fine", {}),
    ],
    ids=["frames", "windows", "together", "fine"],
)
def test_all_that_users_do_gives_the_same_bits(models, noise, connection, name, options, play):
    settings = TrackingSettings(**options)
    frames = noise[:FRAMES]
    here = TrackingSession(models[name], frames, settings=settings, keep_logits=True)
    there = connection.session(frames, model=name, settings=settings, keep_logits=True)
    assert_same(play(here), play(there))
    np.testing.assert_array_equal(here.labels, there.labels)
    assert here.accepted == there.accepted
    assert here.object_ids == there.object_ids
    assert here.to_file().book == there.to_file().book


def test_colours_a_held_axis_and_a_region_give_the_same_bits(models, connection):
    image = np.random.default_rng(5).integers(0, 4000, (3, 4, 60, 70, 3), dtype=np.uint16)

    def play(session):
        return [session.add_points(1, 1, [(20, 20)]), *session.propagate()]

    from napari_sam2.stack import FrameStack

    def stack():
        return FrameStack(
            image, axis=1, at={0: 2}, channel_axis=4, channels=(2, 0), region=(5, 7, 50, 60)
        )

    assert_same(play(TrackingSession(models["tiny"], stack())), play(connection.session(stack())))


def test_objects_are_found_as_here(models, noise, connection):
    seen = []
    options = {"points_per_side": 4, "min_size": 1, "min_iou": 0.0, "min_stability": 0.0}
    here = TrackingSession(models["tiny"], noise)
    there = connection.session(noise)
    found = here.find_objects(2, **options)
    assert there.find_objects(2, progress=seen.append, **options) == found
    assert found
    assert seen[-1] == 1.0
    np.testing.assert_array_equal(here.labels, there.labels)
    assert there.find_objects(3, cancelled=lambda: True, **options) == ()
    assert_same(list(here.propagate()), list(there.propagate()))
    like = found[:1]
    assert here.find_objects(9, like=like, **options) == there.find_objects(9, like=like, **options)


def test_what_is_left_of_a_contrast_is_the_same(models, noise, connection):
    masks = [np.zeros(noise.shape[1:], bool) for _ in range(2)]
    masks[0][8:20, 10:24] = masks[1][10:22, 12:26] = True
    asked = (3, PackedMask.of(masks[0]), 5, PackedMask.of(masks[1]))
    here = TrackingSession(models["fine"], noise)
    there = connection.session(noise, model="fine")
    left = engine_of(there).remaining_contrast(*asked)
    assert left == engine_of(here).remaining_contrast(*asked)
    assert left != engine_of(here).remaining_contrast(*asked[2:], *asked[:2])


def test_objects_of_a_z_stack_end_there_as_here(models, connection):
    _, y, x = np.mgrid[:9, :48, :56]
    heights = np.array([1, 0.9, 0.8, 0.65, 0.7, 0.95, 1, 1, 1])
    discs = 40 + 150 * heights[:, None, None] * ((y - 24) ** 2 + (x - 28) ** 2 < 100)

    def play(session):
        return [session.add_box(1, 0, (14, 18, 34, 38)), *session.propagate()]

    last = {}
    for kind in ("z-stack", "time-lapse"):
        here = TrackingSession(models["fine"], discs.astype(np.uint8), kind=kind)
        there = connection.session(discs.astype(np.uint8), model="fine", kind=kind)
        assert_same(play(here), play(there))
        assert np.array_equal(here.labels, there.labels)
        last[kind] = np.flatnonzero(here.labels.any(axis=(1, 2)))[-1]
    assert last == {"z-stack": 3, "time-lapse": 8}


def test_undo_and_a_saved_session_bring_the_same_back(noise, connection, tmp_path):
    session = connection.session(noise)
    session.add_points(1, 2, [(20, 20)])
    before = session.snapshot()
    session.add_points(1, 2, [(10, 30)], [False])
    session.restore(before)
    again = session.add_points(1, 2, [(10, 30)], [False])
    list(session.propagate())
    session.save(tmp_path / "a.sam2.json")
    model = connection.model()
    other = TrackingSession.load(tmp_path / "a.sam2.json", model, noise)
    list(other.propagate())
    np.testing.assert_array_equal(other.labels, session.labels)
    assert again.masks.any()


def test_results_on_disk_go_on_where_they_were(noise, connection, tmp_path):
    store = tmp_path / "a.sam2.zarr"
    session = connection.session(noise, store=store)
    session.add_points(1, 0, [(20, 20)])
    run = session.propagate("forward")
    for _ in range(5):
        next(run)
    run.close()
    session.close()
    again = connection.session(noise, store=store)
    np.testing.assert_array_equal(again.labels, session.labels)
    done = [result.frame for result in again.propagate("forward")]
    assert done[-1] == len(noise) - 1
    assert 3 not in done
    assert again.labels[-1].any()


def test_a_prompt_between_two_frames_counts_from_there_on(models, noise, connection):
    results = []
    for session in (TrackingSession(models["tiny"], noise), connection.session(noise)):
        session.add_points(1, 0, [(20, 20)])
        found = []
        for result in session.propagate("forward"):
            found.append(result)
            if result.frame == 4:
                found.append(session.add_points(2, 6, [(10, 30)]))
                session.accept(1, 3)
                session.labels[7][:5] = 9  # painted by somebody else
        results.append(found)
    assert_same(*results)


def test_cancel_ends_a_propagation_within_a_frame(noise, connection):
    session = connection.session(noise)
    session.add_points(1, 0, [(20, 20)])
    done = []
    for result in session.propagate("forward"):
        done.append(result.frame)
        if len(done) == 3:
            session.cancel()
    assert done == [0, 1, 2]
    assert [r.frame for r in session.propagate("forward")][-1] == len(noise) - 1


def test_divisions_are_proposed_as_here(models, noise, connection):
    found = []
    for session in (TrackingSession(models["tiny"], noise), connection.session(noise)):
        session.add_points(1, 0, [(20, 20)])
        session.add_mask(2, 6, np.pad(np.ones((4, 4), bool), ((18, 18), (18, 26))))
        list(session.propagate("forward"))
        found.append([each.division for each in session.propose_divisions()])
    assert found[0] == found[1]


class Holes:
    """An array that cannot read some frames."""

    def __init__(self, data, bad):
        self.data, self.bad = data, bad
        self.shape, self.dtype = data.shape, data.dtype

    def __getitem__(self, index):
        if index[0] in self.bad:
            raise OSError("chunk is damaged")
        return self.data[index]


def test_frames_that_cannot_be_read_are_skipped_as_here(models, noise, connection):
    settings = TrackingSettings(read_attempts=1)
    bad = {4, 5}
    found = []
    frames = noise.copy()
    frames[7] = np.nan
    for opened in (
        lambda s: TrackingSession(models["tiny"], s, settings=settings, contrast=(-1, 1)),
        lambda s: connection.session(s, settings=settings, contrast=(-1, 1)),
    ):
        session = opened(Holes(frames, bad))
        session.add_points(1, 2, [(20, 20)])
        session.add_mask(1, 4, np.pad(np.ones((9, 9), bool), ((10, 21), (10, 29))))
        with pytest.raises(FrameError, match="chunk is damaged"):
            session.add_points(2, 5, [(20, 20)])
        results = list(session.propagate())
        found.append((results, [each.happened for each in session.skipped]))
    assert_same(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]
    assert len(found[0][1]) == 3


def test_frames_travel_once_and_masks_travel_small(models, noise):
    with local_server(models) as server, Proxy(server.port) as way:
        for round_number in range(2):
            connection = connect(way.url, TOKEN)
            before = way.up
            session = connection.session(noise)
            session.add_points(1, 2, [(20, 20)])
            list(session.propagate())
            list(session.propagate("backward", recompute=True))
            sent = way.up - before
            assert (sent > noise.nbytes / 2) == (round_number == 0)
            connection.close()
        assert way.down < 40_000


@pytest.mark.parametrize(("pixels", "share"), [("uint16", 0.98), ("uint8", 0.8)])
def test_fewer_bits_give_nearly_the_same_masks(models, noise, server, pixels, share):
    connection = connect(server.url, TOKEN, pixels=pixels)
    here, there = TrackingSession(models["tiny"], noise), connection.session(noise)
    for session in (here, there):
        session.add_box(1, 0, (8, 8, 30, 30))
        list(session.propagate())
    both, either = (here.labels & there.labels) > 0, (here.labels | there.labels) > 0
    assert both.sum() / either.sum() > share
    connection.close()


@pytest.mark.parametrize("limits", [ServerLimits(frame_cache_bytes=1, state_cache_bytes=3)])
def test_a_server_that_keeps_nothing_only_takes_longer(models, noise, limits):
    frames = noise[:4]
    with local_server(models, limits=limits) as server:
        connection = connect(server.url, TOKEN)
        here, there = TrackingSession(models["tiny"], frames), connection.session(frames)
        for session in (here, there):
            session.add_points(1, 1, [(20, 20)])
            session.add_points(1, 1, [(10, 20)], [False])
            assert len(list(session.propagate())) == 4
        both, either = (here.labels & there.labels) > 0, (here.labels | there.labels) > 0
        assert both.sum() / either.sum() > 0.9
        connection.close()


def test_a_file_that_both_sides_see_needs_no_upload(models, tmp_path):
    import tifffile

    image = np.random.default_rng(1).integers(0, 4000, (5, 128, 160), dtype=np.uint16)
    path = tmp_path / "sub" / "stack.tif"
    path.parent.mkdir()
    tifffile.imwrite(path, image, photometric="minisblack")
    with (
        local_server(models, data_root=tmp_path) as server,
        Proxy(server.port) as way,
    ):
        for root in (None, tmp_path):  # the same path on both sides, and a folder seen elsewhere
            connection = connect(way.url, TOKEN, data_root=root)
            before = way.up
            session = connection.session(path)
            session.add_points(1, 0, [(20, 20)])
            list(session.propagate())
            assert way.up - before < image[0].nbytes
            here = TrackingSession(models["tiny"], image)
            here.add_points(1, 0, [(20, 20)])
            list(here.propagate())
            np.testing.assert_array_equal(here.labels, session.labels)
            connection.close()


def test_a_session_says_what_it_cannot_do(noise, connection):
    with pytest.raises(RemoteError, match="does not offer the model 'large'"):
        connection.session(noise, model="large")
    with pytest.raises(RemoteError, match="cannot be sent"):
        connection.session(noise.astype(np.longdouble))
    session = connection.session(noise)
    with pytest.raises(SessionError, match="no object"):
        session.propagate()


def test_a_model_of_a_server_cannot_be_adapted_here(noise, connection):
    from napari_sam2.errors import TrainingError
    from napari_sam2.training import fine_tune_on

    session = connection.session(noise)
    session.add_points(1, 0, [(20, 20)])
    session.accept_all(0)
    with pytest.raises(TrainingError, match="on a server"):
        fine_tune_on(session, minutes=0.1)
