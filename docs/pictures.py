"""Draw the pictures of docs/images from labelled stacks, with the real command.

Each stack is a pair NAME_image.tif and NAME_labels.tif. The prompts come from the labels, are
written as CSV and given to ``napari-sam2 segment``; what it draws is the picture::

    python docs/pictures.py t98g_phase PATH/t98g_phase_image.tif
    python docs/pictures.py mouse_embryo_8cell PATH/mouse_embryo_8cell_image.tif

``python docs/pictures.py movie`` draws a frame of what ``napari-sam2 movie`` makes of the sample
time-lapse and its labels.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tifffile
import typer
from PIL import Image

from napari_sam2.evaluation import EvaluationOptions, PromptFrame, PromptKind, choose_prompts
from napari_sam2.prompts import PromptBook, write_prompts
from napari_sam2.samples import SampleStack, dividing_cells
from napari_sam2.stack import open_stack

IMAGES = Path(__file__).parent / "images"
_PAGE_WIDTH = 2000
MOVIE_LATER = 3  # frames after a division


@dataclass(frozen=True)
class Picture:
    """Which prompts a picture's stack gets, and the frame where all of them must lie, if any."""

    options: EvaluationOptions
    only_frame: int | None = None


PICTURES = {
    "t98g_phase": Picture(
        EvaluationOptions(prompt=PromptKind.BOX, frame=PromptFrame.FIRST), only_frame=0
    ),
    "mouse_embryo_8cell": Picture(
        EvaluationOptions(prompt=PromptKind.POINT, frame=PromptFrame.MIDDLE)
    ),
}


def main(
    name: Annotated[str, typer.Argument(help=f"One of: movie, {', '.join(PICTURES)}.")],
    image: Annotated[
        Path | None, typer.Argument(help="NAME_image.tif; its labels lie beside it.")
    ] = None,
    model: Annotated[str, typer.Option(help="Name or path of a model.")] = "bundled",
    output: Annotated[Path, typer.Option(help="Folder of the pictures.")] = IMAGES,
    keep: Annotated[Path | None, typer.Option(help="Folder for prompts and labels.")] = None,
) -> None:
    """Draw one picture."""
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if image is None:
            _movie_frame(folder, output / f"{name}.png")
            return
        prompts = folder / f"{name}_prompts.csv"
        write_prompts(_book_from_labels(image, PICTURES[name]), prompts)
        command = [sys.executable, "-m", "napari_sam2.cli", "segment"]
        command += [str(image), "-p", str(prompts), "-o", str(folder / f"{name}_sam2.tif")]
        command += ["--overlay", str(output / f"{name}.png"), "--model", model]
        code = subprocess.run(command, check=False).returncode
        if code == 0:
            _fit_page(output / f"{name}.png")
        raise typer.Exit(code)


def _movie_frame(folder: Path, picture: Path) -> None:
    """Draw the frame of a movie of the sample in which a cell has just divided."""
    sample = dividing_cells()
    child, parent = _dividing(sample)
    frame = int(np.flatnonzero((sample.labels == child).any(axis=(1, 2)))[0]) + MOVIE_LATER
    step, _, size = sample.scale
    about = {
        "axes": "TYX",
        "TimeIncrement": 60 * step,
        "TimeIncrementUnit": "s",
        "PhysicalSizeX": size,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": size,
        "PhysicalSizeYUnit": "µm",
    }
    for what, data in (("image", sample.image), ("labels", sample.labels)):
        tifffile.imwrite(folder / f"{what}.ome.tif", data, metadata=about)
    family = [str(i) for i, mother in sample.parents if mother == parent]
    command = [sys.executable, "-m", "napari_sam2.cli", "movie"]
    command += [str(folder / "image.ome.tif"), str(folder / "labels.ome.tif")]
    command += ["-o", str(folder / "movie.gif"), "--names", "--zoom", "3"]
    command += [word for number in (str(parent), *family) for word in ("--spotlight", number)]
    subprocess.run(command, check=True)
    with Image.open(folder / "movie.gif") as movie:
        movie.seek(frame)
        movie.convert("RGB").save(picture, optimize=True)


def _dividing(sample: SampleStack) -> tuple[int, int]:
    """Return the first child, and its parent, whose sister is in the image too."""
    mothers = [mother for _, mother in sample.parents]
    return next(pair for pair in sample.parents if mothers.count(pair[1]) == 2)


def _fit_page(path: Path) -> None:
    """Halve pictures that are wider than a page shows, so that the repository stays small."""
    with Image.open(path) as picture:
        if picture.width <= _PAGE_WIDTH:
            return
        smaller = picture.resize(
            (picture.width // 2, picture.height // 2), Image.Resampling.LANCZOS
        )
    smaller.save(path, optimize=True)


def _book_from_labels(image: Path, picture: Picture) -> PromptBook:
    labels = image.with_name(image.name.replace("_image", "_labels"))
    truth = np.asarray(open_stack(labels).data)
    book = PromptBook(truth.shape)
    for prompt in choose_prompts(truth, picture.options):
        if picture.only_frame not in (None, prompt.frame):
            continue
        if prompt.box is not None:
            book.add_box(prompt.object_id, prompt.frame, prompt.box)
        if prompt.point is not None:
            book.add_points(prompt.object_id, prompt.frame, [prompt.point])
    return book


if __name__ == "__main__":
    typer.run(main)
