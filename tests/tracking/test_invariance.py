"""What results must not depend on: chunks, caches, threads, and the order of objects.

On one machine, repeated runs, the size of the cache and the order in which objects are prompted
change no bit. Chunks, threads and ids change how a CPU blocks its matrix products, and so how sums
are rounded: logits of the tiny network, of the order of ten, then differ by some 1e-6.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_sam2 import load_model
from napari_sam2.benchmarking import DriftingDiscs
from napari_sam2.tracking import Model, TrackingSession, TrackingSettings

FRAMES = 5
PLACES = ((8, 8), (10, 38), (30, 12), (32, 40))
ROUNDING = 1e-4  # of logits

FEW = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@dataclass(frozen=True)
class Outcome:
    """What a run gives; rows of logits and scores are objects in the order of `PLACES`."""

    labels: np.ndarray
    logits: np.ndarray
    scores: np.ndarray


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def follow(
    model: Model,
    frames: np.ndarray,
    *,
    chunk: int = 16,
    cached: int = 16,
    order: Sequence[int] = range(len(PLACES)),
    ids: Sequence[int] = (1, 2, 3, 4),
    threads: int = 1,
) -> Outcome:
    """Click the places in this order, as objects of these ids, and propagate."""
    torch.set_num_threads(threads)
    options = TrackingSettings(object_chunk=chunk, cached_frames=cached, exclusive=False)
    session = TrackingSession(model, frames, keep_logits=True, settings=options)
    for index in order:
        session.add_points(ids[index], 1 + index % 2, [PLACES[index]])
    results = {
        (result.frame, object_id): (logits, score)
        for result in session.propagate()
        for object_id, logits, score in zip(
            result.object_ids, result.logits, result.scores, strict=True
        )
    }
    labels = np.zeros_like(session.labels)
    for index, object_id in enumerate(ids):
        labels[session.labels == object_id] = index + 1
    keys = [(frame, object_id) for frame in range(FRAMES) for object_id in ids]
    logits, scores = (np.stack([results[key][part] for key in keys]) for part in (0, 1))
    return Outcome(labels, logits.reshape(FRAMES, len(ids), *labels.shape[1:]), scores)


@pytest.fixture(scope="module")
def usual(model, noise) -> Outcome:
    torch.set_num_threads(1)
    return follow(model, noise[:FRAMES])


@FEW
@given(cached=st.integers(1, 6), order=st.permutations(range(len(PLACES))))
def test_cache_and_order_of_prompting_change_no_bit(model, noise, usual, cached, order):
    outcome = follow(model, noise[:FRAMES], cached=cached, order=order)
    np.testing.assert_array_equal(outcome.logits, usual.logits)
    np.testing.assert_array_equal(outcome.scores, usual.scores)
    np.testing.assert_array_equal(outcome.labels, usual.labels)


@FEW
@given(chunk=st.integers(1, 5), ids=st.permutations((1, 2, 3, 4)))
def test_chunks_and_ids_change_rounding_only(model, noise, usual, chunk, ids):
    alike(follow(model, noise[:FRAMES], chunk=chunk, ids=ids), usual)


def test_threads_change_rounding_only(model, noise, usual):
    alike(follow(model, noise[:FRAMES], threads=2), usual)


def alike(outcome: Outcome, usual: Outcome) -> None:
    """Check that two outcomes differ by rounding at most."""
    np.testing.assert_allclose(outcome.logits, usual.logits, atol=ROUNDING)
    np.testing.assert_allclose(outcome.scores, usual.scores, atol=1e-5)
    # A pixel may change hands only where the best two, one of them the background, are as good.
    ranked = np.sort(np.pad(usual.logits, ((0, 0), (1, 0), (0, 0), (0, 0))), axis=1)
    certain = ranked[:, -1] - ranked[:, -2] > 2 * ROUNDING
    whole = usual.labels == usual.logits.argmax(axis=1) + 1  # not cut away, nor filled in
    np.testing.assert_array_equal(outcome.labels[certain & whole], usual.labels[certain & whole])
    assert (certain & whole).mean() > 0.1, "objects of noise often tie; not everywhere"


@pytest.mark.parametrize(("chunk", "threads"), [(1, 1), (3, 2)])
def test_masks_of_the_bundled_model_are_the_same(chunk, threads):
    stack = DriftingDiscs(4, 96, 4)
    model = load_model("bundled", device="cpu")
    labels = []
    for size, count in ((16, 1), (chunk, threads)):
        torch.set_num_threads(count)
        options = TrackingSettings(object_chunk=size)
        session = TrackingSession(model, stack, contrast=(0, 255), settings=options)
        for index in range(4):
            session.add_points(index + 1, 1, [stack.centre(index, 1)])
        list(session.propagate())
        labels.append(session.labels)
    np.testing.assert_array_equal(*labels)
    assert len(np.unique(labels[0][3])) == 5
