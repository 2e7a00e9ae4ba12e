"""The manifest that napari reads: valid, found by its entry point, every command real."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import distribution
from pathlib import Path

import pytest
from napari._app_model.constants._menus import is_menu_contributable
from npe2 import PluginManifest
from npe2.cli import app
from typer.testing import CliRunner

import napari_sam2
from napari_sam2.prompts import SESSION_SUFFIX
from napari_sam2.widgets.session_reader import get_reader, open_session

MANIFEST = Path(napari_sam2.__file__).with_name("napari.yaml")


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    return PluginManifest.from_file(MANIFEST)


def test_manifest_is_valid_for_npe2(manifest):
    manifest.validate_imports()
    assert manifest.name == "napari-sam2"
    assert manifest.display_name


def test_npe2_command_accepts_the_installed_plugin():
    done = CliRunner().invoke(app, ["validate", "napari-sam2", "--imports"])
    assert done.exit_code == 0, done.output


def test_entry_point_leads_to_the_manifest(manifest):
    (entry,) = distribution("napari-sam2").entry_points.select(group="napari.manifest")
    assert (entry.name, entry.value) == ("napari-sam2", "napari_sam2:napari.yaml")
    assert PluginManifest.from_distribution("napari-sam2").display_name == manifest.display_name


def test_every_command_resolves_to_a_callable(manifest):
    commands = manifest.contributions.commands or []
    assert commands
    for command in commands:
        module, _, name = command.python_name.partition(":")
        assert callable(getattr(import_module(module), name)), command.id


def test_menus_are_those_that_napari_has(manifest):
    assert manifest.is_visible
    assert "napari/layers/segment" in manifest.contributions.menus
    assert [menu for menu in manifest.contributions.menus if not is_menu_contributable(menu)] == []


def test_readers_take_sessions_and_nifti_images_and_nothing_else(manifest):
    patterns = [reader.filename_patterns for reader in manifest.contributions.readers]
    assert patterns == [[f"*{SESSION_SUFFIX}"], ["*.nii", "*.nii.gz"]]
    assert get_reader(f"folder/cells{SESSION_SUFFIX}") is open_session
    for path in ("cells.json", "cells.tif", [f"cells{SESSION_SUFFIX}"]):
        assert get_reader(path) is None


def test_widgets_and_samples_name_known_commands(manifest):
    contributions = manifest.contributions
    known = {command.id for command in contributions.commands or []}
    in_menus = [item for items in contributions.menus.values() for item in items]
    users = [
        *(contributions.widgets or []),
        *(contributions.sample_data or []),
        *(contributions.readers or []),
        *in_menus,
    ]
    assert users
    assert {user.command for user in users if getattr(user, "command", None)} <= known
