"""Tasks: each item once, each computed by one thread, and nothing left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch
from parity_data import Draws, largest_difference
from torch import Tensor

from napari_sam2.network import Sam2, attention, memory_attention, memory_encoder
from napari_sam2.network.attention import attend_spans
from napari_sam2.network.layers import in_pieces
from napari_sam2.network.parallel_tasks import map_tasks, run_tasks, tasks_wanted
from napari_sam2.network.trunks import hiera


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Give torch its threads back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("items", [0, 1, 3, 40])
def test_every_item_is_taken_once(count: int, items: int) -> None:
    torch.set_num_threads(count)
    taken: list[int] = []
    run_tasks(taken.append, range(items))
    assert sorted(taken) == list(range(items))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(count: int) -> None:
    torch.set_num_threads(count)
    assert map_tasks(lambda item: -item, range(40)) == [-item for item in range(40)]
    assert map_tasks(str, ()) == []


@pytest.mark.parametrize("count", [2, 3])
def test_a_task_is_computed_by_one_thread_in_the_mode_of_the_caller(count: int) -> None:
    torch.set_num_threads(count)
    modes = []

    def task(_: int) -> None:
        run_tasks(lambda _: modes.append(threading.get_ident()), range(2))  # no threads of its own
        modes.append((torch.get_num_threads(), tasks_wanted(), torch.is_inference_mode_enabled()))

    run_tasks(task, range(4))
    with torch.inference_mode(False), torch.no_grad():
        run_tasks(lambda _: modes.append(torch.is_grad_enabled()), range(4))
    assert [mode for mode in modes if isinstance(mode, tuple)] == [(1, 0, True)] * 4
    assert [mode for mode in modes if isinstance(mode, bool)] == [False] * 4
    assert len({mode for mode in modes if type(mode) is int}) <= count


@pytest.mark.parametrize("half", [False, True])
def test_a_task_computes_in_the_precision_of_the_caller(half: bool) -> None:
    torch.set_num_threads(2)
    x = torch.ones(4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        found = map_tasks(lambda _: (x @ x).dtype, range(6))
    assert set(found) == {torch.bfloat16 if half else torch.float32}


def test_threads_that_come_later_use_as_many_as_before() -> None:
    torch.set_num_threads(3)
    run_tasks(lambda _: None, range(9))
    counts = [torch.get_num_threads()]
    other = threading.Thread(target=lambda: counts.append(torch.get_num_threads()))
    other.start()
    other.join()
    assert counts == [3, 3]


def test_an_error_ends_all_threads_and_is_raised() -> None:
    torch.set_num_threads(2)
    before = threading.active_count()
    taken = []

    def task(item: int) -> None:
        taken.append(item)
        if item == 1:
            raise MemoryError("too little")
        time.sleep(0.001)  # on a busy machine the error would else come after all of them

    with pytest.raises(MemoryError, match="too little"):
        run_tasks(task, range(10_000))
    assert len(taken) < 10_000
    assert threading.active_count() == before


def test_where_no_thread_can_be_started_the_caller_computes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    torch.set_num_threads(2)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    taken: list[int] = []
    run_tasks(taken.append, range(5))
    assert taken == list(range(5))


@pytest.mark.parametrize("size", [1, 2, 3, 20])
def test_pieces_of_tasks_are_put_together_in_order(size: int) -> None:
    torch.set_num_threads(3)
    x = Draws(64)(21, 6)
    assert torch.equal(in_pieces(lambda part: part * 2 + 1, x, size, as_tasks=True), x * 2 + 1)


def test_the_last_piece_may_come_first() -> None:
    torch.set_num_threads(2)
    x = Draws(65)(7, 2)
    last_is_done = threading.Event()

    def halve(part: Tensor) -> Tensor:
        if len(part) == 4:
            assert last_is_done.wait(60)
        else:
            last_is_done.set()
        return part[: len(part) // 2 * 2 : 2]

    halved = in_pieces(halve, x, 4, as_tasks=True)
    assert torch.equal(halved, x[:6:2])


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("count", [2, 3])
def test_every_stage_is_the_same_in_tasks(
    network: Sam2, count: int, frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (hiera, memory_attention, memory_encoder):
        monkeypatch.setattr(module, "_ROWS", 64)
    monkeypatch.setattr(hiera, "_LITTLE", 1)
    monkeypatch.setattr(hiera, "_ROWS_OF_A_TASK", 16)
    monkeypatch.setattr(attention, "_QUERIES", 64)
    monkeypatch.setattr(attention, "_FEWEST", 16)
    draw = Draws(66)
    images = draw(frames, 3, 256, 256)
    memory, where = draw(2, 2 * 256 + 4, 16), draw(2, 2 * 256 + 4, 16)
    masks, present = draw(2, 1, 256, 256).sigmoid(), torch.ones(2, 1)

    def stages() -> list[Tensor]:
        features = network.encode_image(images)
        stride16 = features.stride16
        attended = network.attend_memory(stride16, features.position, memory, where, 4)
        return [
            features.stride4, features.stride8, stride16, attended,
            network.encode_memory(stride16, masks, present),
        ]  # fmt: skip

    torch.set_num_threads(1)
    alone = stages()
    torch.set_num_threads(count)
    started = []
    start = threading.Thread.start
    monkeypatch.setattr(
        threading.Thread, "start", lambda thread: (started.append(thread), start(thread))
    )
    for ours, theirs in zip(stages(), alone, strict=True):
        assert largest_difference(ours, theirs) < 1e-4
    assert started


@pytest.mark.parametrize("high", [None, 0, 700, 1500])
def test_queries_are_divided_without_a_trace(high: int | None) -> None:
    """A high score takes all others of its tile along, in whatever part it is."""
    draw = Draws(67)
    q, keys, values = draw(2000, 8), draw(600, 8), draw(600, 3)
    if high is not None:
        q[high] *= 100 / q[high].norm()
    results = []
    for count in (1, 3):
        torch.set_num_threads(count)
        results.append(
            attend_spans(q, iter([(keys[:560], values[:560]), (keys[560:], values[560:])]))
        )
    one, three = results
    assert one is not None
    assert three is not None
    assert largest_difference(one, three) < 1e-5
