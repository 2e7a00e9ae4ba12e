"""Who follows whom by mistake."""

from __future__ import annotations

import numpy as np
import torch
from engine_internals import identity_switches, writer_of
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2 import load_model
from napari_sam2.network.logits import ABSENT_LOGIT
from napari_sam2.tracking import TrackingSession
from napari_sam2.tracking.decoding.mask_postprocessing import MaskFinisher
from napari_sam2.tracking.decoding.prediction import ObjectPrediction
from napari_sam2.tracking.engine import TrackedFrame
from napari_sam2.tracking.identity_switches import find_identity_switches, find_yielding
from napari_sam2.tracking.images.object_window import Window
from napari_sam2.tracking.propagation import FrameUpdate

SHAPE = (32, 32)
NOTHING = np.zeros(SHAPE, np.uint16)


def box(y0: int, x0: int, y1: int, x1: int, score: float = 1.0) -> ObjectPrediction:
    """A mask that fills a rectangle, seen in the whole frame at its own resolution."""
    logits = torch.full(SHAPE, -8.0)
    logits[y0:y1, x0:x1] = 8.0
    return ObjectPrediction(logits, score, 1.0, torch.zeros(4), Window.whole(SHAPE))


def test_of_two_that_coincide_the_one_decided_farther_away_is_switched():
    twins = {1: box(4, 4, 20, 20), 2: box(5, 4, 21, 20)}
    assert find_identity_switches(twins, NOTHING, {1: 3, 2: 9}) == {2}
    assert find_identity_switches(twins, NOTHING, {1: 9, 2: 3}) == {1}


def test_at_equal_distance_the_better_score_stays():
    twins = {1: box(4, 4, 20, 20, score=0.4), 2: box(5, 4, 21, 20, score=0.9)}
    assert find_identity_switches(twins, NOTHING, {1: 5, 2: 5}) == {1}


def test_neighbours_and_nested_objects_keep_to_themselves():
    predictions = {1: box(0, 0, 20, 20), 2: box(0, 16, 20, 31), 3: box(4, 4, 10, 10)}
    assert find_identity_switches(predictions, NOTHING, {1: 1, 2: 2, 3: 3}) == set()


def test_a_cell_that_goes_on_into_both_daughters_ends():
    daughters = {2: box(4, 4, 20, 12), 3: box(4, 12, 20, 20)}
    parent = {1: box(4, 4, 20, 20)}
    nearer = {1: 6, 2: 1, 3: 2}
    assert find_identity_switches(parent | daughters, NOTHING, nearer) == {1}
    assert find_identity_switches(parent | daughters, NOTHING, {1: 1, 2: 6, 3: 6}) == set()
    assert find_identity_switches(parent | daughters, NOTHING, {1: 4, 2: 5, 3: 5}) == {1}
    occupied = NOTHING.copy()
    occupied[4:20, 4:20] = 1
    assert find_identity_switches(daughters, occupied, nearer) == {1}, "from an earlier pass"


def test_a_little_farther_from_their_decisions_daughters_must_fill_their_mother():
    parent = {1: box(4, 4, 20, 20)}
    most = {2: box(4, 4, 20, 10), 3: box(4, 14, 20, 20)}
    assert find_identity_switches(parent | most, NOTHING, {1: 4, 2: 5, 3: 5}) == set()
    assert find_identity_switches(parent | most, NOTHING, {1: 4, 2: 3, 3: 3}) == {1}


def test_a_cell_outlives_the_nuclei_in_it_and_one_part_of_it():
    nuclei = {2: box(6, 6, 10, 10), 3: box(12, 12, 16, 16)}
    assert find_identity_switches({1: box(4, 4, 20, 20)} | nuclei, NOTHING, {1: 9}) == set()
    half = {1: box(4, 4, 20, 20), 2: box(4, 4, 20, 12)}
    assert find_identity_switches(half, NOTHING, {1: 9, 2: 1}) == set()


def test_labels_yield_to_what_is_decided_nearer_by_alone():
    occupied = NOTHING.copy()
    occupied[4:20, 4:20] = 7
    part = {2: box(4, 4, 20, 10)}
    assert find_yielding(part, occupied, {2: 1, 7: 5}) == {7}
    assert find_yielding(part, occupied, {2: 5, 7: 1}) == set()
    assert find_yielding(part, occupied, {2: 5, 7: 5}) == set()
    assert find_yielding(part, occupied, {2: 5}) == set(), "what no session knows is the user's"
    both = part | {3: box(10, 4, 20, 20)}
    assert find_yielding(both, occupied, {2: 1, 3: 9, 7: 5}) == set()
    assert find_yielding({2: box(22, 22, 28, 28)}, occupied, {2: 1, 7: 5}) == set()


def test_labels_of_others_count_by_their_own_distance():
    occupied = NOTHING.copy()
    occupied[4:20, 4:20] = 7
    mine = {1: box(4, 4, 20, 20)}
    assert find_identity_switches(mine, occupied, {1: 5, 7: 2}) == {1}
    assert find_identity_switches(mine, occupied, {1: 5, 7: 20}) == {7}
    assert find_identity_switches(mine, occupied, {1: 5}) == {1}, (
        "what no session knows is the user's"
    )


def test_absent_objects_are_never_switched():
    gone = ObjectPrediction(
        torch.full(SHAPE, ABSENT_LOGIT), 1.0, 0.0, torch.zeros(4), Window.whole(SHAPE)
    )
    occupied = np.ones(SHAPE, np.uint16)
    assert find_identity_switches({5: gone}, occupied, {5: 1}) == set()


@given(
    st.dictionaries(
        st.integers(1, 9),
        st.tuples(*[st.integers(0, 15)] * 2, *[st.integers(1, 16)] * 2),
        max_size=6,
    ),
    st.randoms(),
)
@settings(max_examples=60, deadline=None)
def test_identity_switches_do_not_depend_on_the_order(rectangles, random):
    predictions = {i: box(y, x, y + h, x + w) for i, (y, x, h, w) in rectangles.items()}
    distances = {i: i % 3 for i in predictions}
    shuffled = list(predictions.items())
    random.shuffle(shuffled)
    switched = find_identity_switches(predictions, NOTHING, distances)
    assert find_identity_switches(dict(shuffled), NOTHING, distances) == switched
    assert len(switched) < max(1, len(predictions))


def divided_plainly(claims: list[tuple[int, float, int, np.ndarray]]) -> set[int]:
    """Find what is made of several smaller claims, on whole frames."""
    shown: list[tuple[int, np.ndarray]] = []
    divided = set()
    for distance, _, number, mask in sorted(claims, key=lambda claim: claim[3].sum()):
        parts = [(d, each) for d, each in shown if d <= distance + 1 and (each & mask).any()]
        share = 0.5 if all(d < distance for d, _ in parts) else 0.8
        inside = [each & mask for _, each in parts if (each & mask).sum() > share * each.sum()]
        if len(inside) > 1 and sum(each.sum() for each in inside) > share * mask.sum():
            divided.add(number)
        else:
            shown.append((distance, mask & ~np.any([each for _, each in shown] or [~mask], axis=0)))
    return divided


def plainly(
    claims: list[tuple[int, float, int, np.ndarray]],
) -> set[int]:
    """Find switched objects on whole frames: (distance, -score, id, mask), one by one."""
    held: dict[int, np.ndarray] = {}
    ordered = sorted(claims, key=lambda claim: claim[:3])
    switched = divided_plainly(ordered)
    for _, _, number, mask in ordered:
        if number in switched:
            continue
        ious = [(mask & has).sum() / max(1, (mask | has).sum()) for has in held.values()]
        if any(iou > 0.5 for iou in ious):
            switched.add(number)
        else:
            held[number] = mask & ~np.any(list(held.values()) or [np.zeros(SHAPE, bool)], axis=0)
    return switched


rectangles_of_a_frame = st.dictionaries(
    st.integers(1, 9), st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(3, 12)] * 2), max_size=7
)


@given(rectangles_of_a_frame, rectangles_of_a_frame, st.lists(st.integers(0, 3), min_size=10))
@settings(max_examples=60, deadline=None)
def test_identity_switches_are_those_of_masks_compared_in_whole_frames(
    predicted, labelled, distances
):
    occupied = NOTHING.copy()
    for number, (y, x, h, w) in labelled.items():
        if number not in predicted:
            occupied[y : y + h, x : x + w] = number
    predictions = {i: box(y, x, y + h, x + w, i / 10) for i, (y, x, h, w) in predicted.items()}
    masks = {i: each.logits.numpy() > 0 for i, each in predictions.items()}
    covered = np.any(list(masks.values()) or [NOTHING > 0], axis=0)
    met = set(np.unique(occupied[covered]).tolist()) - {0}
    claims = [(distances[i], -i / 10, i, mask) for i, mask in masks.items()]
    claims += [(distances[i], -1.0, i, occupied == i) for i in met]
    assert find_identity_switches(predictions, occupied, dict(enumerate(distances))) == plainly(
        claims
    )


def bodies_in_depth() -> tuple[np.ndarray, np.ndarray]:
    """Return two bright balls above one another in 18 slices, a gap between, and their labels."""
    z, y, x = np.mgrid[:18, :96, :96]
    truth = np.zeros(z.shape, np.uint16)
    for label, depth in ((1, 4), (2, 13)):
        ball = ((z - depth) / 3.5) ** 2 + ((y - 48) / 15) ** 2 + ((x - 47) / 15) ** 2 < 1
        truth[ball] = label
    noise = np.random.default_rng(0).normal(40, 6, truth.shape)
    return np.clip(noise + 150 * (truth > 0), 0, 255).astype(np.uint8), truth


def test_an_object_does_not_go_on_as_the_next_one_in_depth():
    image, truth = bodies_in_depth()
    session = TrackingSession(load_model("bundled", device="cpu"), image)
    for object_id, depth in ((1, 4), (2, 13)):
        session.add_points(object_id, depth, [(48, 47)])
    list(session.propagate())
    for object_id, depth in ((1, 13), (2, 4)):
        assert not (session.labels[depth] == object_id).any()
    for object_id in (1, 2):
        found, true = session.labels == object_id, truth == object_id
        assert (found & true).sum() / (found | true).sum() > 0.5


def test_a_new_object_takes_back_what_another_has_run_on_into(model, stack):
    """The labels of an earlier run yield where they coincide with what is decided nearer by."""
    session = TrackingSession(model, stack)
    mask = np.zeros(stack.shape[1:], bool)
    mask[8:28, 8:30] = True
    session.add_mask(1, 0, mask)
    session.accept_all(0)
    for frame in range(1, 8):
        session.labels[frame][mask] = 1  # as though it had been tracked there
    session.add_mask(2, 8, mask)
    logits = torch.where(torch.from_numpy(mask), 8.0, -8.0)
    whole = Window.whole(mask.shape)
    meeting = {2: ObjectPrediction(logits, 1.0, 1.0, torch.zeros(4), whole)}
    assert identity_switches(session, 7, meeting) == {1}
    assert (session.labels[7] == 1).any(), "nothing goes before something comes"
    finisher = MaskFinisher(model, session.settings, keep_logits=False)
    output = finisher.tracked(meeting, session.labels[7], {1})
    writer_of(session).tracked(TrackedFrame(FrameUpdate(7, meeting, {1}, (), {}), output))
    assert set(np.unique(session.labels[7])) == {0, 2}
    assert identity_switches(session, 2, meeting) == {2}
    assert (session.labels[2] == 1).any()


def dividing_disc() -> tuple[np.ndarray, np.ndarray]:
    """Return 12 frames of a bright disc, which divides at frame 5, and labels."""
    y, x = np.mgrid[:96, :96]
    truth = np.zeros((12, 96, 96), np.uint16)
    for frame in range(12):
        apart = 0 if frame < 5 else 9 + frame - 5
        for label, centre in ((2, 48 - apart), (3, 48 + apart)) if apart else ((1, 48),):
            radii = (14, 9) if apart else (14, 17)
            inside = ((y - 48) / radii[0]) ** 2 + ((x - centre) / radii[1]) ** 2 < 1
            truth[frame][inside] = label
    noise = np.random.default_rng(0).normal(40, 6, truth.shape)
    return np.clip(noise + 120 * (truth > 0), 0, 255).astype(np.uint8), truth


def test_daughters_take_what_their_mother_was_followed_into():
    image, truth = dividing_disc()
    session = TrackingSession(load_model("bundled", device="cpu"), image)
    session.add_points(1, 2, [(48, 48)])
    list(session.propagate())
    assert (session.labels[9] == 1).any(), "the mother alone is followed into what comes of her"
    session.add_points(2, 9, [(48, 35)])
    session.add_points(3, 9, [(48, 61)])
    list(session.propagate())
    for frame in (6, 7, 8, 10, 11):  # in 9, which is decided, a rest of her border may stay
        assert not (session.labels[frame] == 1).any()
        for object_id in (2, 3):
            found, true = session.labels[frame] == object_id, truth[frame] == object_id
            assert (found & true).sum() / (found | true).sum() > 0.6
