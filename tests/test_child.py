"""Jobs in processes of their own."""

from __future__ import annotations

import os
import signal
import time
from functools import partial

import psutil
import pytest

from napari_sam2._child import ChildEndedError, run_in_child
from napari_sam2.errors import TrainingError


def is_alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def nothing(_value):
    raise AssertionError("no message was expected")


def never():
    return False


def run(job, argument, received=nothing, cancelled=never):
    return run_in_child(job, argument, received, cancelled)


def test_a_result_and_the_progress_before_it_come_back():
    from child_jobs import count

    messages = []
    assert run(count, 3, messages.append) == "done"
    assert messages == [0, 1, 2]


def test_the_process_has_few_threads_and_gives_way():
    from child_jobs import surroundings

    pid, threads, niceness = run(surroundings, None)
    assert pid != os.getpid()
    assert threads <= 2
    if niceness is not None:
        assert niceness >= min(19, os.nice(0) + 10)


def test_what_the_job_prints_does_not_get_between_its_answers():
    from child_jobs import chatter

    assert run(chatter, None) == "quiet"


def test_an_error_of_ours_comes_back_whole():
    from child_jobs import fail

    with pytest.raises(TrainingError) as caught:
        run(fail, "too little")
    assert (caught.value.happened, caught.value.safe) == ("too little", "All of it.")


def test_a_bug_comes_back_with_where_it_was():
    from child_jobs import stumble

    with pytest.raises(ChildEndedError, match="ZeroDivisionError") as caught:
        run(stumble, 0)
    assert "stumble" in str(caught.value)


def test_a_process_that_is_killed_is_an_error_that_says_so():
    from child_jobs import wait_for_ever

    with pytest.raises(ChildEndedError, match="ended before it was done") as caught:
        run(wait_for_ever, None, lambda pid: os.kill(pid, signal.SIGTERM))
    assert "as it was" in caught.value.safe


def test_cancelling_ends_the_process_at_once():
    from child_jobs import wait_for_ever

    pids = []
    assert run(wait_for_ever, None, pids.append, lambda: bool(pids)) is None
    assert not is_alive(pids[0])


def test_the_process_ends_with_whoever_started_it():
    """Its pipe ends then, however the other one ended."""
    from child_jobs import start_and_die

    pid = run(start_and_die, None)
    deadline = time.monotonic() + 60
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(pid)


def test_a_function_with_some_arguments_given_is_a_job():
    from child_jobs import scaled

    assert run(partial(scaled, 2.0), 4.0) == 8.0
