"""The registry of models: the bundled one and the eight official SAM 2 checkpoints."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from napari_sam2.errors import CheckpointError

BUNDLED = "bundled"
"""Name of the model that is shipped inside the package."""

_META_URL = "https://dl.fbaipublicfiles.com/segment_anything_2"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A registered model.

    Attributes
    ----------
    name : str
        Name that users type.
    title : str
        Name that users read.
    url : str or None
        Address of the file; None if it is part of the package.
    file_name : str
        Name of the file in the cache folder.
    size_bytes : int or None
        Size of the published file; None if not known for certain.
    sha256 : str or None
        Hex digest of the published file; None if not known.
    licence : str
        SPDX identifier of the weights' licence.
    parameters : int or None
        Number of trained values; None if the file itself has to tell.
    description : str
        One sentence: what it is good for.
    """

    name: str
    title: str
    url: str | None
    file_name: str
    size_bytes: int | None
    sha256: str | None
    licence: str
    parameters: int | None
    description: str


def _official(
    version: str,
    size: str,
    parameters: int,
    size_bytes: int | None,
    sha256: str,
    description: str,
) -> ModelInfo:
    release = {"2.1": "092824", "2": "072824"}[version]
    file_name = f"sam{version}_hiera_{size.replace('+', '_plus')}.pt"
    return ModelInfo(
        name=f"sam{version}-{size}",
        title=f"SAM {version} {size}",
        url=f"{_META_URL}/{release}/{file_name}",
        file_name=file_name,
        size_bytes=size_bytes,
        sha256=sha256,
        licence="Apache-2.0",
        parameters=parameters,
        description=description,
    )


MODELS: tuple[ModelInfo, ...] = (
    ModelInfo(
        name=BUNDLED,
        title="Bundled",
        url=None,
        file_name="bundled.safetensors",
        size_bytes=None,
        sha256=None,
        licence="BSD-3-Clause",
        parameters=None,
        description="Small SAM 2 of our own, in the package: works offline, for laptops.",
    ),
    _official(
        "2.1",
        "tiny",
        38_962_754,
        156_008_466,
        "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69",
        "Fastest official model; the first choice without a large GPU.",
    ),
    _official(
        "2.1",
        "small",
        46_060_610,
        184_416_285,
        "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38",
        "A little slower than tiny, a little better on long videos.",
    ),
    _official(
        "2.1",
        "base+",
        80_850_434,
        323_606_802,
        "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5",
        "Middle ground for a GPU.",
    ),
    _official(
        "2.1",
        "large",
        224_446_898,
        898_083_611,
        "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318",
        "Best official quality; wants a GPU.",
    ),
    _official(
        "2",
        "tiny",
        38_946_242,
        155_906_050,
        "65b50056e05bcb13694174f51bb6da89c894b57b75ccdf0ba6352c597c5d1125",
        "First release (July 2024); prefer SAM 2.1.",
    ),
    _official(
        "2",
        "small",
        46_044_098,
        None,
        "95949964d4e548409021d47b22712d5f1abf2564cc0c3c765ba599a24ac7dce3",
        "First release (July 2024); prefer SAM 2.1.",
    ),
    _official(
        "2",
        "base+",
        80_833_922,
        None,
        "d0bb7f236400a49669ffdd1be617959a8b1d1065081789d7bbff88eded3a8071",
        "First release (July 2024); prefer SAM 2.1.",
    ),
    _official(
        "2",
        "large",
        224_430_386,
        None,
        "7442e4e9b732a508f80e141e7c2913437a3610ee0c77381a66658c3a445df87b",
        "First release (July 2024); prefer SAM 2.1.",
    ),
)
"""All models by name, the bundled one first.

Sizes and hashes of the official files are as public mirrors list them; where mirrors leave a
doubt about a size, it is left out here.
"""


def model_names() -> tuple[str, ...]:
    """Return the names of all models, the bundled one first."""
    return tuple(info.name for info in MODELS)


def get_model_info(name: str) -> ModelInfo:
    """Return a model by its name.

    Parameters
    ----------
    name : str
        One of `model_names()`.

    Returns
    -------
    ModelInfo

    Raises
    ------
    CheckpointError
        If there is no such model; the message names the nearest ones.
    """
    for info in MODELS:
        if info.name == name:
            return info
    close = difflib.get_close_matches(name, model_names(), n=2)
    hint = f"Did you mean {' or '.join(close)}? " if close else ""
    raise CheckpointError(
        f"There is no model named {name!r}.",
        remedy=f"{hint}Known models: {', '.join(model_names())}; "
        "a checkpoint of your own is given by its path.",
    )
