from __future__ import annotations

import json
import sys

import pytest

from napari_sam2._limits import load_json
from napari_sam2.checkpoints.config_json import config_from_json, config_to_json
from napari_sam2.errors import CheckpointError, PromptError
from napari_sam2.network import BUNDLED_CONFIG
from napari_sam2.prompts.session_reader import session_from_json

LARGEST = int(sys.float_info.max)
TOO_LARGE = 10 * LARGEST


@pytest.mark.parametrize("number", [0, -7, 2**80, LARGEST, -LARGEST])
def test_whole_numbers_are_read_exactly(number):
    assert load_json(json.dumps([number, {"n": number}])) == [number, {"n": number}]


@pytest.mark.parametrize("number", [TOO_LARGE, -TOO_LARGE, 10**4000])
def test_a_whole_number_that_no_float_holds_is_refused(number):
    with pytest.raises(ValueError, match=r"a number of \d+ digits"):
        load_json(json.dumps({"a": [number]}))


def test_digits_in_text_are_no_number():
    text = "1" * 5000
    assert load_json(json.dumps({text: [text, 3]})) == {text: [text, 3]}


def test_deep_nesting_is_refused():
    with pytest.raises(ValueError, match="nested too deeply"):
        load_json("[" * 200_000)


def test_readers_name_what_is_wrong_with_such_a_number():
    config = json.loads(config_to_json(BUNDLED_CONFIG))
    config["sigmoid_scale"] = TOO_LARGE
    with pytest.raises(CheckpointError, match="digits"):
        config_from_json(json.dumps(config))
    with pytest.raises(PromptError, match="digits"):
        session_from_json(json.dumps({"format": TOO_LARGE}), (1, 8, 8))
