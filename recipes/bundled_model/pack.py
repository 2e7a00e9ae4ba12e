"""Compression of labelled data: ``python -m bundled_model.pack DATA OUT``.

Images are stored as JPEG of high quality, labels without loss; both stay TIFF files, with the same
names. Training reads the result like the original.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile

_QUALITY = 75
_LARGEST = 1024  # pixels along a side of a piece; larger images travel in pieces


def main(arguments: Sequence[str] | None = None) -> None:
    """Pack every pair below a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of sets of labelled stacks")
    parser.add_argument("out", type=Path, help="folder to write; created")
    options = parser.parse_args(arguments)
    for image_path in sorted(options.data.rglob("*_image.tif")):
        folder = options.out / image_path.parent.relative_to(options.data)
        folder.mkdir(parents=True, exist_ok=True)
        stem = image_path.name.removesuffix("_image.tif")
        labels = tifffile.imread(image_path.with_name(f"{stem}_labels.tif"))
        _pack(tifffile.imread(image_path), labels, folder, stem)


def _pack(image: np.ndarray, labels: np.ndarray, folder: Path, stem: str) -> None:
    colour = image.ndim > labels.ndim
    if image.dtype != np.uint8:
        raise SystemExit(f"{stem}: the images must be uint8, not {image.dtype}.")
    tifffile.imwrite(
        folder / f"{stem}_image.tif",
        image,
        photometric="rgb" if colour else "minisblack",
        compression="jpeg",
        compressionargs={"level": _QUALITY},
        tile=_tile(image.shape[labels.ndim - 2 : labels.ndim]),
    )
    tifffile.imwrite(
        folder / f"{stem}_labels.tif", labels, compression="zlib", compressionargs={"level": 9}
    )


def _tile(sides: tuple[int, ...]) -> tuple[int, int]:
    """Return the sides of JPEG tiles: multiples of 16, the image's own where it is small."""
    return tuple(min(_LARGEST, -(-side // 16) * 16) for side in sides)  # type: ignore[return-value]


if __name__ == "__main__":
    main()
