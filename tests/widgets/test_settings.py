"""Defaults live in napari's plugin settings, and agree with the models there are."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import napari_sam2
from napari_sam2.checkpoints import model_names
from napari_sam2.widgets import settings
from napari_sam2.widgets.settings import Defaults, read_defaults, store_defaults

PROPERTIES = yaml.safe_load(Path(napari_sam2.__file__).with_name("napari.yaml").read_text("utf-8"))[
    "contributions"
]["configurations"]["segmentation"]["properties"]


def test_manifest_offers_the_models_of_the_registry():
    assert tuple(PROPERTIES["model"]["enum"]) == model_names()
    assert PROPERTIES["model"]["default"] == Defaults().model
    assert PROPERTIES["device"]["default"] == Defaults().device


def test_choices_are_written_and_read_back():
    try:
        store_defaults(Defaults(model="sam2-large", device="cpu"))
        assert read_defaults() == Defaults(model="sam2-large", device="cpu")
    finally:
        store_defaults(Defaults())


def test_without_plugin_settings_the_built_in_ones_hold(monkeypatch):
    monkeypatch.setattr(settings, "PLUGIN", "not-installed")
    store_defaults(Defaults(model="sam2-large"))
    assert read_defaults() == Defaults()


def test_unknown_model_is_no_setting():
    with pytest.raises(ValueError, match="model"):
        store_defaults(Defaults(model="sam9"))
