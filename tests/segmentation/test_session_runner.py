"""Ctrl-C asks once and insists the second time."""

from __future__ import annotations

import signal
import threading

import pytest

from napari_sam2.segmentation.session_runner import soft_interrupt


def test_the_first_interrupt_asks_and_the_second_insists(capsys):
    stopped: list[bool] = []
    before = signal.getsignal(signal.SIGINT)
    with soft_interrupt(lambda: stopped.append(True)) as interrupt:
        assert not interrupt.requested()
        signal.raise_signal(signal.SIGINT)
        assert interrupt.requested()
        assert stopped == [True]
        assert "Ctrl-C again" in capsys.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert stopped == [True]
    assert signal.getsignal(signal.SIGINT) is before


def test_the_handler_is_restored_after_an_error():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError, match="inside"), soft_interrupt():
        raise ValueError("inside")
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread_nothing_changes():
    seen: list[tuple[bool, bool]] = []
    before = signal.getsignal(signal.SIGINT)

    def work() -> None:
        with soft_interrupt() as interrupt:
            seen.append((interrupt.requested(), signal.getsignal(signal.SIGINT) is before))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, True)]
