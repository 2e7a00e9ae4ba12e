"""Defaults are stored in napari's plugin settings and match the models there are."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import napari_sam2
from napari_sam2.checkpoints import model_names
from napari_sam2.types import Speed
from napari_sam2.widgets.state import settings
from napari_sam2.widgets.state.settings import ModelUse, read_defaults, store_defaults
from napari_sam2.widgets.views.fields import PRECISIONS

PROPERTIES = yaml.safe_load(Path(napari_sam2.__file__).with_name("napari.yaml").read_text("utf-8"))[
    "contributions"
]["configurations"]["segmentation"]["properties"]


def test_manifest_offers_the_models_of_the_registry():
    assert tuple(PROPERTIES["model"]["enum"]) == model_names()
    assert PROPERTIES["model"]["default"] == ModelUse().model
    assert PROPERTIES["device"]["default"] == ModelUse().device
    assert PROPERTIES["precision"]["enum"] == [precision for _title, precision in PRECISIONS]
    assert PROPERTIES["precision"]["default"] == ModelUse().precision
    assert PROPERTIES["speed"]["enum"] == [speed.value for speed in Speed]
    assert PROPERTIES["speed"]["default"] == ModelUse().speed


@pytest.mark.stored_choices
def test_choices_are_written_and_read_back():
    try:
        use = ModelUse("sam2-large", "cpu", "bfloat16", Speed.BALANCED)
        store_defaults(use)
        assert read_defaults() == use
    finally:
        store_defaults(ModelUse())


def test_built_in_defaults_hold_without_plugin_settings(monkeypatch):
    monkeypatch.setattr(settings, "PLUGIN", "not-installed")
    store_defaults(ModelUse(model="sam2-large"))
    assert read_defaults() == ModelUse()


@pytest.mark.stored_choices
def test_unknown_model_is_refused():
    with pytest.raises(ValueError, match="model"):
        store_defaults(ModelUse(model="sam9"))
