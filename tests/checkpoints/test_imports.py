from __future__ import annotations

import subprocess
import sys

import pytest

import napari_sam2.checkpoints


def test_listing_models_loads_neither_torch_nor_the_web_client() -> None:
    code = (
        "import sys, napari_sam2.checkpoints as c; c.model_names(), c.find_model_file('sam2-tiny');"
        "print(sorted({'torch', 'httpx', 'napari'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", napari_sam2.checkpoints.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(napari_sam2.checkpoints, name) is not None
    assert name in dir(napari_sam2.checkpoints)


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'load_everything'"):
        napari_sam2.checkpoints.load_everything  # noqa: B018
