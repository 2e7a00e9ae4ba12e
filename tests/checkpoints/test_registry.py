from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest

from napari_sam2.checkpoints import BUNDLED, MODELS, get_model_info, model_names
from napari_sam2.errors import CheckpointError

OFFICIAL = json.loads(
    gzip.decompress((Path(__file__).parent / "data" / "official_shapes.json.gz").read_bytes())
)


def test_bundled_comes_first_then_the_eight_official_models() -> None:
    assert model_names() == (
        BUNDLED,
        "sam2.1-tiny",
        "sam2.1-small",
        "sam2.1-base+",
        "sam2.1-large",
        "sam2-tiny",
        "sam2-small",
        "sam2-base+",
        "sam2-large",
    )


@pytest.mark.parametrize("name", sorted(OFFICIAL))
def test_official_facts(name: str) -> None:
    info = get_model_info(name)
    assert info.url == OFFICIAL[name]["url"]
    assert info.url.endswith("/" + info.file_name)
    assert info.parameters == OFFICIAL[name]["parameter_count"]
    assert info.licence == "Apache-2.0"
    assert info.sha256 is not None
    assert re.fullmatch(r"[0-9a-f]{64}", info.sha256)


@pytest.mark.parametrize("name", sorted(OFFICIAL))
def test_listed_sizes_fit_float32_weights(name: str) -> None:
    info = get_model_info(name)
    if info.size_bytes is None:
        assert name in {"sam2-small", "sam2-base+", "sam2-large"}
    else:
        assert 0 < info.size_bytes - 4 * OFFICIAL[name]["parameter_count"] < 400_000


def test_no_two_models_share_a_file_or_a_hash() -> None:
    assert len({info.file_name for info in MODELS}) == len(MODELS)
    assert len({info.sha256 for info in MODELS}) == len(MODELS)


def test_bundled_is_ours_and_needs_no_download() -> None:
    info = get_model_info(BUNDLED)
    assert info.licence == "BSD-3-Clause"
    assert info.url is None


def test_unknown_name_lists_the_known_and_the_nearest() -> None:
    with pytest.raises(CheckpointError, match=r"mean .*sam2\.1-tiny.*Known models: bundled"):
        get_model_info("sam2.1_tiny")
