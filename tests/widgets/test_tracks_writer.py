"""napari's own saving of Labels, with a Tracks layer or without, as TrackMate and GEFF."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest
import zarr
from napari.layers import Labels, Tracks
from npe2 import PluginManager, write
from npe2.types import FullLayerData

from napari_sam2.errors import LineageError
from napari_sam2.lineage import tracks_of
from napari_sam2.types import Division
from napari_sam2.widgets.tracks_writer import write_layers


@pytest.fixture
def layers() -> list[FullLayerData]:
    """An object that divides in frame 2, in pixels of 0.5 µm, as napari hands it out."""
    labels = np.zeros((4, 20, 30), np.uint16)
    labels[:2, 5:10, 5:10] = 1
    labels[2:, 5:10, 2:6] = 2
    labels[2:, 5:10, 10:14] = 3
    placed = {"scale": (10, 0.5, 0.5), "units": ("s", "µm", "µm")}
    tracks = tracks_of(labels, [Division(1, (2, 3), 2)])
    found = [Labels(labels, **placed), Tracks(tracks.data, graph=tracks.graph, **placed)]
    return [each.as_layer_data_tuple() for each in found]


def test_trackmate_has_the_divisions_of_the_tracks_layer(layers, tmp_path):
    path = str(tmp_path / "a.xml")
    assert write_layers(path, layers) == [path]
    root = ET.parse(path).getroot()
    assert len(root.findall(".//Spot")) == 6
    assert len(root.findall(".//Edge")) == 5
    assert root.find("Model").get("spatialunits") == "µm"
    assert float(root.find(".//ImageData").get("timeinterval")) == 10


def test_labels_alone_have_no_divisions(layers, tmp_path):
    write_layers(str(tmp_path / "a.xml"), layers[:1])
    assert len(ET.parse(tmp_path / "a.xml").getroot().findall(".//Edge")) == 3


def test_napari_finds_the_writer_by_its_ending(layers, tmp_path):
    manager = PluginManager.instance()
    if "napari-sam2" not in manager._manifests:
        manager.discover()
    path = str(tmp_path / "a.geff")
    assert write(path, layers[:1], plugin_name="napari-sam2") == [path]
    assert zarr.open_group(path)["tracks/nodes/ids"].shape == (6,)


@pytest.mark.parametrize("name", ["a.txt", "a"])
def test_other_endings_are_refused(layers, tmp_path, name):
    with pytest.raises(LineageError, match="cannot be written"):
        write_layers(str(tmp_path / name), layers)
    assert list(tmp_path.iterdir()) == []


def test_merging_is_refused(layers, tmp_path):
    data, about, kind = layers[1]
    merged = (data, {**about, "graph": {3: [1, 2]}}, kind)
    with pytest.raises(LineageError, match="2 parents"):
        write_layers(str(tmp_path / "a.xml"), [layers[0], merged])
