"""Messages and values come back as they were, and damaged ones raise one error only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_sam2.errors import DeviceError, FrameError, Sam2Error
from napari_sam2.labels import PackedMask
from napari_sam2.prompts import FramePrompt
from napari_sam2.remote.frame_data import FrameData
from napari_sam2.remote.messages import Message, MessageBuilder, MessageError, framed, unframed
from napari_sam2.remote.values import (
    DecidedValues,
    PredictionValues,
    error_values,
    plane_values,
    read_error,
    read_plane,
)
from napari_sam2.tracking.images.object_window import Place, Window, WindowedObject

SHAPE = (9, 11)
MASKS = arrays(bool, SHAPE)
QUICK = settings(max_examples=60, deadline=None)

messages = st.builds(
    Message,
    st.dictionaries(st.text(max_size=5).filter(lambda key: key != "blocks"), st.integers()),
    st.lists(st.binary(max_size=20), max_size=4).map(tuple),
)


@QUICK
@given(messages)
def test_a_message_comes_back_as_it_was(message):
    again = Message.decode(message.encode())
    assert again.head == message.head
    assert again.blocks == message.blocks


@QUICK
@given(st.lists(messages, max_size=4), st.integers(1, 50))
def test_a_stream_comes_back_in_whatever_pieces_it_comes(sent, size):
    data = b"".join(framed(message) for message in sent)
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    found = list(unframed(chunks, 10_000))
    assert [each.head for each in found] == [each.head for each in sent]
    if data:
        with pytest.raises(EOFError):
            list(unframed([data[:-1]], 10_000))


def test_a_message_that_claims_to_be_huge_is_refused():
    with pytest.raises(MessageError, match="more than"):
        list(unframed([(2**31).to_bytes(4, "little")], 10_000))


@st.composite
def decided(draw):
    window = Window(draw(st.integers(-5, 5)), 2, draw(st.integers(1, 30)), 8, draw(st.booleans()))
    sighting = draw(st.sampled_from([None, WindowedObject(Place((3.5, 4.25), 2.5), window)]))
    mask = draw(MASKS)
    drawn = draw(MASKS)
    prompt = FramePrompt(
        points=((1.0, 2.5), (3.0, 4.0)),
        positive=(True, False),
        box=(0, 0, 4, 5),
        mask=drawn if drawn.any() else None,
    )
    prediction = PredictionValues(draw(st.integers(0, 2**62)), 0.5, 0.75, window, sighting, 2)
    return DecidedValues(
        draw(st.integers(0, 3)),
        PackedMask.of(mask),
        window,
        sighting,
        draw(st.booleans()),
        draw(st.sampled_from([None, prompt])),
        draw(st.sampled_from([None, prediction])),
    )


@QUICK
@given(decided())
def test_a_decided_frame_comes_back_as_it_was(value):
    again = DecidedValues.decode(value.encode(), SHAPE, 4)
    assert again.encode() == value.encode()
    np.testing.assert_array_equal(again.pixels.unpack(), value.pixels.unpack())
    assert (again.frame, again.window, again.sighting) == (
        value.frame,
        value.window,
        value.sighting,
    )
    assert again.prediction == value.prediction


@QUICK
@given(decided(), st.data())
def test_a_damaged_decided_frame_is_one_kind_of_error(value, data):
    encoded = bytearray(value.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(encoded)))
    for damaged in (bytes(encoded), bytes(encoded[:cut])):
        try:
            found = DecidedValues.decode(damaged, SHAPE, 4)
        except MessageError:
            continue
        assert found.pixels.unpack().shape == SHAPE


@QUICK
@given(arrays(np.uint16, SHAPE, elements=st.integers(0, 3)))
def test_labels_come_back_as_they_were(labels):
    builder = MessageBuilder()
    values = plane_values(labels, builder)
    again = read_plane(values, builder.blocks, SHAPE)
    assert again.dtype == labels.dtype
    np.testing.assert_array_equal(again, labels)


@pytest.mark.parametrize("dtype", ["?", "i1", "<u2", ">u2", "<i4", "u8", "f2", "<f4", ">f8"])
def test_pixels_come_back_as_they_were(dtype):
    pixels = np.random.default_rng(0).integers(0, 2, (5, 7, 2)).astype(dtype)
    frame = FrameData.of(pixels)
    again = frame.pixels()
    np.testing.assert_array_equal(again, pixels)
    assert again.dtype.name == pixels.dtype.name
    assert FrameData.of(again).key == frame.key
    assert FrameData.of(pixels[::-1].copy()).key != frame.key


@pytest.mark.parametrize(
    "error",
    [
        FrameError("Frame 3 is gone.", frame=3, safe="Others.", remedy="Look."),
        DeviceError("It is full.", remedy="Smaller."),
        Sam2Error("Something."),
    ],
)
def test_errors_come_back_as_they_were(error):
    again = read_error(error_values(error))
    assert (again.happened, again.safe, again.remedy) == (
        error.happened,
        error.safe,
        error.remedy,
    )
    assert isinstance(again, FrameError) == isinstance(error, FrameError)
    assert isinstance(again, DeviceError) == isinstance(error, DeviceError)
