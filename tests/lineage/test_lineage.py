"""Lineages and tracks of labels with divisions."""

from __future__ import annotations

import numpy as np
import pytest
from lineages import DIVISIONS, dividing

from napari_sam2.errors import LabelsError, LineageError
from napari_sam2.lineage import Division, Lineage, SpotFinder, tracks_of


def test_objects_have_runs_parents_and_generations():
    lineage = Lineage.of(dividing(), DIVISIONS)
    lineage.check()
    objects = lineage.objects
    assert {n: (o.parent, o.children, o.generation) for n, o in objects.items()} == {
        1: (None, (2, 3), 0),
        2: (1, (), 1),
        3: (1, (5, 6), 1),
        4: (None, (), 0),
        5: (3, (), 2),
        6: (3, (), 2),
    }
    assert objects[4].runs == ((0, 1), (3, 5))
    assert (objects[3].first, objects[3].last) == (3, 4)
    assert lineage.trees() == [(1, 2, 3, 5, 6), (4,)]


def test_links_cross_gaps_and_divisions():
    lineage = Lineage.of(dividing(), DIVISIONS)
    spots = lineage.spots
    links = {
        tuple((int(spots.object_ids[r]), int(spots.frames[r])) for r in link)
        for link in lineage.links()
    }
    assert ((1, 2), (2, 3)) in links
    assert ((1, 2), (3, 3)) in links
    assert ((3, 4), (5, 5)) in links
    assert ((4, 1), (4, 3)) in links
    assert len(links) == len(spots) - len(lineage.trees())


@pytest.mark.parametrize("volume", [False, True])
def test_tracks_are_what_napari_takes(volume):
    labels = dividing(volume)
    scale = (60.0, 2.0, 0.5, 0.5) if volume else (60.0, 0.5, 0.5)
    tracks = tracks_of(labels, DIVISIONS, scale)
    assert tracks.data.shape == (len(Lineage.of(labels).spots), labels.ndim + 1)
    assert tracks.graph == {2: [1], 3: [1], 5: [3], 6: [3]}
    order = np.lexsort((tracks.data[:, 1], tracks.data[:, 0]))
    assert (order == np.arange(len(order))).all()
    first = tracks.data[0]
    assert first[0] == 1
    assert first[1] == 0
    np.testing.assert_allclose(first[-2:], (14.5, 15.5))
    features = tracks.features
    assert features["area"][0] == 120 * 0.25 * (3 * 2 if volume else 1)
    assert features["speed"][:2].tolist() == [0, 0.5 / 60]
    assert features["parent"][tracks.data[:, 0] == 5].tolist() == [3]
    assert set(features["root"][features["generation"] > 0]) == {1}
    assert tracks.colours.shape == (len(tracks.data), 3)


def test_napari_takes_them():
    from napari.layers import Tracks

    tracks = tracks_of(dividing(), DIVISIONS)
    layer = Tracks(tracks.data, graph=tracks.graph, features=tracks.features)
    assert layer.graph == {2: [1], 3: [1], 5: [3], 6: [3]}
    np.testing.assert_array_equal(layer.data, tracks.data)


def test_centres_land_on_their_objects():
    labels = dividing()
    for number, frame, y, x in tracks_of(labels).data:
        assert labels[int(frame), round(y), round(x)] == number


class Counting:
    """Labels that count what is read, and may fail in one frame."""

    def __init__(self, array, broken=None) -> None:
        self.array, self.read, self.broken = array, [], broken
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __getitem__(self, frame):
        self.read.append(frame)
        if frame == self.broken:
            raise OSError("disk gone")
        return self.array[frame]


def test_only_changed_frames_are_read_again():
    counted = Counting(dividing())
    finder = SpotFinder(counted)
    before = tracks_of(finder, DIVISIONS)
    counted.read.clear()
    counted.array[4][counted.array[4] == 2] = 0
    finder.invalidate([4])
    after = tracks_of(finder, DIVISIONS)
    assert counted.read == [4]
    assert len(after.data) == len(before.data) - 1


def test_a_frame_that_cannot_be_read_is_named():
    with pytest.raises(LabelsError, match="frame 3"):
        tracks_of(Counting(dividing(), broken=3))


def test_divisions_of_objects_without_pixels_wait():
    labels = dividing()
    labels[labels == 6] = 0
    tracks = tracks_of(labels, DIVISIONS)
    assert tracks.graph == {2: [1], 3: [1], 5: [3]}
    labels[labels == 1] = 0
    assert tracks_of(labels, DIVISIONS).graph == {5: [3]}


def test_empty_labels_have_no_tracks():
    tracks = tracks_of(np.zeros((3, 8, 8), np.uint8))
    assert tracks.data.shape == (0, 4)
    assert tracks.graph == {}


@pytest.mark.parametrize(
    ("divisions", "reason"),
    [
        ([Division(1, (1, 2), 3)], "own child"),
        ([Division(1, (2, 2), 3)], "twice"),
        ([Division(1, (), 3)], "nothing"),
        ([Division(1, (2, 3), 0)], "frame 0"),
        ([Division(1, (2, 3), 6)], "frame 6 of 6"),
        ([Division(0, (2, 3), 3)], "id 0"),
        ([Division(1, (2, -3), 3)], "id -3"),
        ([Division(1, (2, 3), 2.5)], "whole number"),
        ([Division(1, 2, 3)], "tuple"),
        ([Division(1, (2, 3), 3), Division(1, (5, 6), 4)], "divides in frame 3 and in frame 4"),
        ([Division(1, (2, 3), 3), Division(4, (3,), 4)], "two parents"),
        ([Division(1, (2, 3), 3), Division(3, (5, 6), 3)], "begins in frame 3"),
        ([Division(1, (2, 3), 3), Division(3, (1,), 5)], "begins in frame"),
    ],
)
def test_impossible_divisions_are_clear_errors(divisions, reason):
    with pytest.raises(LineageError, match=reason):
        Lineage.of(dividing(), divisions)


@pytest.mark.parametrize(
    ("divisions", "reason"),
    [
        ([Division(2, (5, 6), 3)], "begins in frame 3"),
        ([Division(1, (2, 3), 2)], "still in the labels of frame 2"),
        ([Division(1, (2, 3), 4)], "already in the labels of frame 3"),
        ([Division(1, (2, 7), 3)], "Object 7 .* not in the labels"),
        ([Division(8, (2, 3), 3)], "Object 8 .* not in the labels"),
    ],
)
def test_divisions_that_the_labels_contradict_are_clear_errors(divisions, reason):
    with pytest.raises(LineageError, match=reason):
        Lineage.of(dividing(), divisions).check()


@pytest.mark.parametrize(
    "labels", [np.zeros((4, 4), int), np.zeros((2, 4, 4)), np.zeros((0, 4, 4), int)]
)
def test_what_holds_no_tracks_is_a_clear_error(labels):
    with pytest.raises(LineageError, match="no tracks"):
        Lineage.of(labels)


def test_ids_that_do_not_fit_are_a_clear_error():
    labels = dividing().astype(np.uint64)
    labels[labels == 1] = 2**63 + 5
    with pytest.raises(LabelsError, match=str(2**63 + 5)):
        Lineage.of(labels)
    labels[labels == 2**63 + 5] = 2**53 + 1
    with pytest.raises(LineageError, match=str(2**53 + 1)):
        tracks_of(labels)


@pytest.mark.parametrize("scale", [(1, 0, 1), (1, 1), (1, float("nan"), 1), 2.0, "far"])
def test_a_wrong_scale_is_a_clear_error(scale):
    with pytest.raises(LineageError, match="scale"):
        tracks_of(dividing(), DIVISIONS, scale)
