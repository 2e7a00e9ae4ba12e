"""GEFF as `funtracks` imports it."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.lineage import write_geff

pytestmark = pytest.mark.interop


def test_positions_land_on_the_labels(labels, divisions, scale, tmp_path):
    from funtracks.import_export import import_from_geff

    write_geff(tmp_path / "a.zarr", labels, divisions, scale=scale)
    axes = ["z", "y", "x"][-(labels.ndim - 1) :]
    tracks = import_from_geff(
        tmp_path / "a.zarr" / "tracks",
        node_name_map={"time": "t", "pos": axes, "seg_id": "seg_id"},
        segmentation_path=tmp_path / "a.zarr" / "labels" / "0",
        scale=[1.0, *scale[1:]],  # of the segmentation: frames are counted
    )
    nodes = list(tracks.nodes())
    assert len(nodes) == len({int(n) for n in nodes})
    for node in nodes:
        place = np.asarray(tracks.get_position(node)) / np.array(scale[1:])
        frame = int(tracks.get_time(node))
        assert labels[(frame, *(round(float(at)) for at in place))] > 0
