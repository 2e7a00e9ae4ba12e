"""GEFF as the package `geff` reads and validates it, and TrackMate XML through its converter."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.lineage import write_geff, write_trackmate

pytestmark = pytest.mark.interop


@pytest.fixture
def graph_of(labels, divisions, scale, tmp_path):
    """Writes the tracks; gives them back as a networkx graph with its metadata."""
    import geff

    write_geff(tmp_path / "a.zarr", labels, divisions, scale=scale)
    return geff.read(tmp_path / "a.zarr" / "tracks", structure_validation=True)


def test_the_structure_is_valid_and_the_graph_is_a_forest(graph_of, labels, scale):
    import networkx as nx

    graph, metadata = graph_of
    assert isinstance(graph, nx.DiGraph)
    assert nx.is_forest(graph)
    assert nx.number_weakly_connected_components(graph) == 2
    assert [axis.scale for axis in metadata.axes] == list(scale)
    assert metadata.geff_version == "1.3"
    for _, node in graph.nodes(data=True):
        place = [int(node["t"])] + [round(node[a]) for a in ("z", "y", "x") if a in node]
        assert labels[tuple(place)] == node["seg_id"]


def test_divisions_are_nodes_with_two_successors(graph_of):
    graph, _ = graph_of
    dividing = [graph.nodes[n] for n in graph if graph.out_degree(n) == 2]
    assert sorted((int(n["seg_id"]), int(n["t"])) for n in dividing) == [(1, 2), (3, 4)]


def test_values_pass_the_optional_validation(labels, divisions, scale, tmp_path):
    from geff import GeffReader
    from geff.validate.data import ValidationConfig, validate_data
    from geff.validate.segmentation import axes_match_seg_dims, has_valid_seg_id

    write_geff(tmp_path / "a.zarr", labels, divisions, scale=scale)
    reader = GeffReader(tmp_path / "a.zarr" / "tracks")
    reader.read_node_props()
    reader.read_edge_props()
    memory = reader.build()
    validate_data(memory, ValidationConfig(graph=True, tracklet=True, lineage=True))
    assert has_valid_seg_id(memory) == (True, [])
    assert axes_match_seg_dims(memory, labels)[0]


def test_trackmate_converts(labels, divisions, scale, tmp_path):
    import geff
    from geff.convert import from_trackmate_xml_to_geff

    path = tmp_path / "a.xml"
    write_trackmate(path, labels, divisions, scale=scale, image=tmp_path / "cells.tif")
    from_trackmate_xml_to_geff(path, tmp_path / "b.geff")
    graph, metadata = geff.read(tmp_path / "b.geff")
    units = {axis.name: axis.unit for axis in metadata.axes}
    assert units["POSITION_X"] in ("µm", "micrometer")
    splits = [n for n in graph if graph.out_degree(n) == 2]
    assert len(splits) == 2
    for _, node in graph.nodes(data=True):
        frame = int(node["FRAME"])
        y, x = (round(node[f"POSITION_{a}"] / s) for a, s in zip("YX", scale[-2:], strict=True))
        z = () if labels.ndim == 3 else (round(node["POSITION_Z"] / scale[1]),)
        assert labels[(frame, *z, y, x)] == node["LABEL"]


def test_outlines_convert_to_polygons_around_their_spots(divisions, tmp_path):
    import geff
    from geff.convert import from_trackmate_xml_to_geff
    from lineages import dividing

    write_trackmate(tmp_path / "a.xml", dividing(), divisions, scale=(1.0, 0.5, 0.5))
    from_trackmate_xml_to_geff(tmp_path / "a.xml", tmp_path / "b.geff")
    graph, _ = geff.read(tmp_path / "b.geff")
    corners = [np.asarray(node["ROI_coords"]) for _, node in graph.nodes(data=True)]
    assert all(each.min() < 0 < each.max() for each in corners)
