from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_sam2.prompts import PromptBook
from napari_sam2.stack import FrameStack
from napari_sam2.training.data.session_masks import read_session_masks
from napari_sam2.types import ObjectFrame

SHAPE = (5, 20, 24)


def pairs(*pairs):
    """Objects and frames as sessions give them."""
    return tuple(ObjectFrame(*pair) for pair in pairs)


class Unreadable(np.ndarray):
    """An array of which one frame cannot be read."""

    bad = 2

    def __getitem__(self, index):
        first = index[0] if isinstance(index, tuple) else index
        if isinstance(first, int | np.integer) and first == self.bad:
            raise OSError("sector not found")
        return np.asarray(self)[index]


@pytest.fixture
def session():
    """Objects 1 to 4 in all frames, each a square of its own; nothing is said of them."""
    labels = np.zeros(SHAPE, np.uint16)
    for number in range(1, 5):
        labels[:, 2 : 2 + 3 * number, 5 * number : 5 * number + 3] = number
    image = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    return SimpleNamespace(
        stack=FrameStack(image, contrast=(0.0, image.max())),
        prompts=PromptBook(SHAPE),
        labels=labels,
        accepted=(),
        handed_over=set(),
    )


def test_accepted_and_prompted_masks_are_read(session):
    session.accepted = pairs((1, 0), (2, 3))
    session.prompts.add_points(3, 0, [(4, 16)])
    session.prompts.add_points(3, 0, [(10, 1), (11, 3)], [False, False])
    found = read_session_masks(session)
    assert found.pairs == ((1, 0), (3, 0), (2, 3))
    first = found.frames[0]
    assert np.array_equal(
        first.masks, np.where(np.isin(session.labels[0], (1, 3)), session.labels[0], 0)
    )
    assert first.background == ((10.0, 1.0), (11.0, 3.0))
    assert first.image.shape == (20, 24, 1)
    assert np.abs(first.image / 255.0 - session.stack.read(0)).max() <= 0.5 / 255 + 1e-6


def test_masks_are_the_users_where_accepted_drawn_or_corrected(session):
    session.accepted = pairs((1, 0))
    session.prompts.add_points(2, 0, [(3, 11)])
    session.prompts.add_box(3, 0, (2, 15, 10, 18))
    session.prompts.add_points(3, 0, [(4, 16)])
    session.prompts.add_mask(4, 0, session.labels[0] == 4)
    found = read_session_masks(session)
    assert found.pairs == ((1, 0), (2, 0), (3, 0), (4, 0))
    assert found.decided == {(1, 0), (3, 0), (4, 0)}


def test_what_was_handed_over_counts_only_where_accepted(session):
    for frame in (0, 1):
        session.prompts.add_mask(1, frame, session.labels[frame] == 1)
    session.handed_over = set(pairs((1, 0), (1, 1)))
    session.accepted = pairs((1, 1))
    assert read_session_masks(session).pairs == ((1, 1),)


def test_masks_without_a_pixel_do_not_count(session):
    session.accepted = pairs((1, 0), (1, 1), (9, 1))
    session.labels[0] = 0
    assert read_session_masks(session).pairs == ((1, 1),)


def test_frames_that_cannot_be_read_are_named_and_left_out(session):
    image = np.random.default_rng(0).random(SHAPE).astype(np.float32).view(Unreadable)
    session.stack = FrameStack(image, contrast=(0.0, 1.0))
    session.accepted = pairs(*((1, frame) for frame in range(5)))
    found = read_session_masks(session)
    assert [pair.frame for pair in found.pairs] == [0, 1, 3, 4]
    assert len(found.skipped) == 1
    assert "Frame 2 cannot be read" in found.skipped[0]


def test_of_many_frames_some_are_read_evenly_spread(session):
    session.accepted = pairs(*((number, frame) for frame in range(5) for number in (1, 2)))
    found = read_session_masks(session, most_frames=3)
    assert [each.frame for each in found.frames] == [0, 2, 4]
