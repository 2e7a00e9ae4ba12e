"""Small labels with a division, a gap and an object at the edge, for tests of tracks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_sam2.types import Division

DIVISIONS = (Division(1, (2, 3), 3), Division(3, (5, 6), 5))


def dividing(volume: bool = False) -> NDArray[np.uint16]:
    """Return labels (6, 40, 50), or (6, 4, 40, 50).

    1 divides into 2 and 3 in frame 3, and 3 into 5 and 6 in frame 5. 4 is at the corner of the
    frame and missing in frame 2.
    """
    labels = np.zeros((6, 40, 50), np.uint16)
    for frame in range(6):
        if frame < 3:
            labels[frame, 10:20, 10 + frame : 22 + frame] = 1
        else:
            labels[frame, 8:13, 12:20] = 2
            if frame < 5:
                labels[frame, 16:22, 12:21] = 3
        if frame != 2:
            labels[frame, 33:40, 44:50] = 4
    labels[5, 15:18, 12:19], labels[5, 19:23, 15:21] = 5, 6
    if not volume:
        return labels
    deep = np.repeat(labels[:, None], 4, axis=1)
    deep[:, 0] = 0
    return deep


def ground_truth(result: Path, truth: Path) -> None:
    """Make the folders TRA and SEG of a ground truth out of a result of ours."""
    for name, file in (("TRA", "man_track"), ("SEG", "man_seg")):
        (truth / name).mkdir(parents=True)
        for mask in sorted(result.glob("mask*.tif")):
            number = mask.stem.removeprefix("mask")
            tifffile.imwrite(truth / name / f"{file}{number}.tif", tifffile.imread(mask))
    table = (result / "res_track.txt").read_text("ascii")
    (truth / "TRA" / "man_track.txt").write_text(table, "ascii")
