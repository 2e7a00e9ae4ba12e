from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2.errors import StackError
from napari_sam2.stack import AxisGuess, FrameStack, StackKind, guess_axes, kind_along


@pytest.mark.parametrize(
    ("shape", "labels", "rgb", "expected"),
    [
        ((64, 48), None, False, AxisGuess(None, 0, 1, None, ())),
        ((9, 64, 48), None, False, AxisGuess(0, 1, 2, None, ())),
        ((64, 48, 3), None, True, AxisGuess(None, 0, 1, 2, (), True)),
        ((9, 64, 48, 4), None, True, AxisGuess(0, 1, 2, 3, (), True)),
        # A napari RGB layer has no label for its colours.
        ((9, 64, 48, 3), ("z", "y", "x"), True, AxisGuess(0, 1, 2, 3, (), True)),
        # 4D without labels: the longest leading axis.
        ((20, 5, 64, 48), None, False, AxisGuess(0, 2, 3, None, (1,))),
        ((2, 40, 64, 48), None, False, AxisGuess(1, 2, 3, None, (0,))),
        ((5, 5, 64, 48), ("-4", "-3", "-2", "-1"), False, AxisGuess(0, 2, 3, None, (1,))),
        # Time goes before z, if there is more than one of it.
        ((5, 20, 64, 48), "TZYX", False, AxisGuess(0, 2, 3, None, (1,))),
        ((1, 20, 64, 48), "TZYX", False, AxisGuess(1, 2, 3, None, (0,))),
        ((20, 5, 64, 48), ("depth", "Time", "row", "col"), False, AxisGuess(1, 2, 3, None, (0,))),
        ((1, 1, 64, 48), "TZYX", False, AxisGuess(0, 2, 3, None, (1,))),
        # Channels anywhere: composed up to three, one of more held.
        ((5, 2, 64, 48), "TCYX", False, AxisGuess(0, 2, 3, 1, ())),
        ((3, 5, 64, 48), "CZYX", False, AxisGuess(1, 2, 3, 0, ())),
        ((5, 7, 64, 48), "ZCYX", False, AxisGuess(0, 2, 3, None, (1,))),
        ((5, 64, 48), "CYX", False, AxisGuess(0, 1, 2, None, ())),
        ((1, 7, 64, 48), "TCYX", False, AxisGuess(1, 2, 3, None, (0,))),
        ((3, 64, 48), "SYX", False, AxisGuess(None, 1, 2, 0, (), True)),
        ((3, 64, 48), "CYX", False, AxisGuess(None, 1, 2, 0, ())),
        ((5, 2, 64, 48, 3), "TCYXS", False, AxisGuess(0, 2, 3, 4, (1,), True)),
        ((4, 64, 48), "CYX", False, AxisGuess(None, 1, 2, None, (0,))),
        ((5, 6, 2, 64, 48), "TZCYX", False, AxisGuess(0, 3, 4, 2, (1,))),
        # The video may be last.
        ((64, 48, 9), "YXZ", False, AxisGuess(2, 0, 1, None, ())),
        ((64, 48, 9), ("", "", "z"), False, AxisGuess(2, 0, 1, None, ())),
        ((5, 64, 48, 9), "TYXZ", False, AxisGuess(0, 1, 2, None, (3,))),
    ],
)
def test_guess(shape, labels, rgb, expected):
    assert guess_axes(shape, labels=labels, rgb=rgb) == expected


@pytest.mark.parametrize(
    ("shape", "labels", "rgb"),
    [
        ((64,), None, False),
        ((), None, False),
        ((9, 0, 48), None, False),
        ((9, 64, 48), "YX", False),
        ((9, 64, 48), None, True),
        ((3, 4), None, True),
        ((float("nan"), 64, 48), None, False),
    ],
)
def test_shapes_and_labels_that_fit_nothing_are_refused(shape, labels, rgb):
    with pytest.raises(StackError) as caught:
        guess_axes(shape, labels=labels, rgb=rgb)
    assert caught.value.remedy


class _Shaped:
    """An array of any size that takes no memory."""

    dtype = "uint16"

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def __getitem__(self, index: object) -> object:
        raise AssertionError("axes are found without reading")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_guess_gives_each_axis_one_role_and_makes_a_stack(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 9), min_size=2, max_size=6)))
    names = st.sampled_from(["t", "z", "c", "y", "x", "S", "Q", "", "time", "-1"])
    labels = data.draw(
        st.none() | st.lists(names, min_size=len(shape), max_size=len(shape)).map(tuple)
    )
    guess = guess_axes(shape, labels=labels)
    roles = [guess.y, guess.x, *guess.other]
    roles += [axis for axis in (guess.video, guess.channel) if axis is not None]
    assert sorted(roles) == list(range(len(shape)))
    assert guess.y < guess.x

    stack = FrameStack(
        _Shaped(shape),
        guess.video,
        channel_axis=guess.channel,
        at=dict.fromkeys(guess.other, 0),
    )
    n_frames = 1 if guess.video is None else shape[guess.video]
    assert stack.shape == (n_frames, shape[guess.y], shape[guess.x])


@pytest.mark.parametrize(
    ("name", "kind"),
    [("Z", "z-stack"), ("slices", "z-stack"), ("y", "z-stack"), ("Time", "time-lapse")]
    + [(name, "unknown") for name in ("C", "Q", "", "-3")],
)
def test_the_name_of_an_axis_says_what_frames_along_it_are(name, kind):
    assert kind_along(name) == kind


def test_what_frames_are_holds_for_their_own_axis_only():
    stack = FrameStack(np.zeros((3, 4, 8, 9)), axis=1, at={0: 0}, kind="z-stack")
    assert stack.kind is StackKind.Z_STACK
    assert stack.with_axis(1, {0: 2}).kind is StackKind.Z_STACK
    assert stack.with_axis(0, {1: 2}).kind is StackKind.UNKNOWN
    assert FrameStack(np.zeros((8, 9)), kind="z-stack").kind is StackKind.UNKNOWN, "it is one frame"
    assert FrameStack(np.zeros((4, 8, 9))).kind is StackKind.UNKNOWN
    with pytest.raises(StackError, match="kind of stack"):
        FrameStack(np.zeros((4, 8, 9)), kind="volume")
