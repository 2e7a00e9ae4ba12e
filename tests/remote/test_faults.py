"""Connections that are cut, servers that are killed, slow lines, and several clients at once."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from session_servers import TOKEN, CuttingProxy, ServerProcess, SlowProxy, local_server, tiny_models

from napari_sam2.errors import RemoteError
from napari_sam2.remote import connect
from napari_sam2.remote.limits import ServerLimits
from napari_sam2.remote.server.device_turns import DeviceTurns
from napari_sam2.tracking import TrackingSession


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    """Between attempts, clients wait a tenth of a second at most, and not up to two seconds."""
    monkeypatch.setattr("napari_sam2.remote.channel._PAUSES_S", (0.01, 0.05, 0.1))


def worked(session):
    found = [session.add_points(1, 2, [(20, 20)]), session.add_box(2, 8, (5, 5, 20, 30))]
    found += list(session.propagate())
    found.append(session.add_points(1, 6, [(12, 12)], [False]))
    return found + list(session.propagate())


def same(ours, theirs):
    return len(ours) == len(theirs) and all(
        a.frame == b.frame and np.array_equal(a.masks, b.masks)
        for a, b in zip(ours, theirs, strict=True)
    )


@pytest.mark.parametrize("most", [2_000, 20_000])
def test_a_connection_that_is_cut_anywhere_changes_no_bit(models, noise, server, most):
    here = TrackingSession(models["tiny"], noise)
    expected = worked(here)
    with CuttingProxy(server.port, cuts=12, most=most, seed=most) as way:
        connection = connect(way.url, TOKEN, patience_s=30)
        there = connection.session(noise)
        assert same(worked(there), expected)
        np.testing.assert_array_equal(here.labels, there.labels)
        assert way.cut >= 3
        connection.close()


def test_a_server_that_is_killed_and_comes_back_is_gone_on_with(models, noise):
    server = ServerProcess(tiny_models)
    server.start()
    try:
        connection = connect(server.url, TOKEN, patience_s=120)
        session = connection.session(noise)
        session.add_points(1, 0, [(20, 20)])
        session.add_box(2, 0, (5, 25, 20, 40))
        before = session.labels.copy()
        frames = []
        for result in session.propagate("forward"):
            frames.append(result.frame)
            if result.frame == 5:
                before = session.labels.copy()
                server.kill()
                server.start()
        assert frames == list(range(len(noise)))
        np.testing.assert_array_equal(session.labels[:6], before[:6])
        # A click refines the one before, though the server knows of neither.
        session.add_points(1, 0, [(26, 20)])
        connection.close()
    finally:
        server.kill()
    here = TrackingSession(models["tiny"], noise)
    here.add_points(1, 0, [(20, 20)])
    here.add_box(2, 0, (5, 25, 20, 40))
    list(here.propagate("forward"))
    both, either = (here.labels & session.labels) > 0, (here.labels | session.labels) > 0
    assert both[6:].sum() / either[6:].sum() > 0.9


def test_a_server_that_stays_away_is_a_clear_error_and_nothing_is_lost(models, noise):
    with local_server(models) as server:
        connection = connect(server.url, TOKEN, patience_s=0.3)
        # So many frames that they are not all underway when the server goes.
        session = connection.session(np.concatenate([noise] * 10))
        session.add_points(1, 0, [(20, 20)])
        run = session.propagate("forward")
        done = [next(run) for _ in range(3)]
    labels = session.labels.copy()
    with pytest.raises(RemoteError, match="does not answer") as caught:
        list(run)
    assert "nothing is lost" in caught.value.safe
    assert "goes on from the last frame" in caught.value.remedy
    assert TOKEN not in str(caught.value)
    np.testing.assert_array_equal(session.labels[: len(done)], labels[: len(done)])
    with pytest.raises(RemoteError):
        session.add_points(2, 1, [(10, 10)])
    assert session.object_ids == (1,)
    assert session.prompts.get(2, 1) is None
    connection.close()


def test_cancel_need_not_wait_for_a_server_that_is_away(models, noise):
    with local_server(models) as server:
        connection = connect(server.url, TOKEN, patience_s=60)
        session = connection.session(noise)
        session.add_points(1, 0, [(20, 20)])
        run = session.propagate("forward")
        next(run)
    session._tracker.engine._close_stream()
    timer = threading.Timer(0.5, session.cancel)
    timer.start()
    began = time.monotonic()
    assert list(run) == []
    assert time.monotonic() - began < 30
    timer.join()
    connection.close()


def test_clicks_on_a_slow_line_cost_little_more_than_the_round_trip(models, noise, server):
    here = TrackingSession(models["tiny"], noise)
    there_and_back = 0.1
    with SlowProxy(server.port, 10e6, there_and_back) as way:
        connection = connect(way.url, TOKEN)
        session = connection.session(noise)
        session.add_points(1, 2, [(20, 20)])
        before = way.up, way.down
        result = session.add_points(1, 2, [(12, 12)], [False])
        here.add_points(1, 2, [(20, 20)])
        assert np.array_equal(here.add_points(1, 2, [(12, 12)], [False]).masks, result.masks)
        # One request and one answer of a few kilobytes: what a click takes on any line.
        assert way.up - before[0] < 4000
        assert way.down - before[1] < 4000
        connection.close()


def test_two_clients_at_once_do_not_disturb_each_other(models, noise, server):
    here = TrackingSession(models["tiny"], noise)
    expected = worked(here)
    found = {}

    def work(number):
        connection = connect(server.url, TOKEN)
        found[number] = worked(connection.session(noise))
        connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert same(found[0], expected)
    assert same(found[1], expected)


def test_turns_on_the_device_go_round():
    turns, order, ready = DeviceTurns(), [], threading.Barrier(3)

    def work(name):
        ready.wait()
        for _ in range(20):
            with turns.turn():
                order.append(name)
                time.sleep(0.002)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for start in range(3, 55):
        assert set(order[start : start + 6]) == set("abc")


def test_whoever_waits_too_long_for_a_turn_is_told_and_does_not_hold_it():
    turns = DeviceTurns()
    with turns.turn(), pytest.raises(TimeoutError), turns.turn(0.01):
        pass
    with turns.turn(0.01):
        pass


def test_a_search_lets_others_have_their_turns():
    turns, done = DeviceTurns(), threading.Event()

    def other():
        with turns.turn():
            done.set()

    with turns.turn():
        thread = threading.Thread(target=other)
        thread.start()
        while not turns._waiting:
            time.sleep(0.001)
        turns.yield_turn()
        assert done.wait(10)
    thread.join()


def test_old_sessions_make_room_and_come_back_by_themselves(models, noise):
    limits = ServerLimits(sessions=1, clients=1)
    with local_server(models, limits=limits) as server:
        connection = connect(server.url, TOKEN)
        sessions = [connection.session(noise[:4]) for _ in range(3)]
        for session in sessions:
            session.add_points(1, 0, [(20, 20)])
        for session in sessions:
            assert len(list(session.propagate("forward"))) == 4
        for session in sessions[1:]:
            np.testing.assert_array_equal(session.labels, sessions[0].labels)
        connection.close()


def test_a_server_that_works_on_one_frame_at_a_time_is_asked_again(models, noise):
    here = TrackingSession(models["tiny"], noise)
    expected = worked(here)
    with local_server(models, limits=ServerLimits(work_s=0.001, planned_frames=3)) as server:
        connection = connect(server.url, TOKEN)
        assert same(worked(connection.session(noise)), expected)
        connection.close()


def test_a_server_that_has_other_weights_by_now_is_refused(models, noise):
    with local_server({"tiny": models["tiny"]}) as server:
        connection = connect(server.url, TOKEN)
        session = connection.session(noise)
        spec = session._tracker.engine._spec
        spec["weights"] = "another"
        with pytest.raises(RemoteError, match="other weights"):
            session.add_points(1, 0, [(20, 20)])
        connection.close()
