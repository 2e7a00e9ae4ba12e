"""Draw the pictures of docs/images from labelled stacks, with the real command.

Each stack is a pair NAME_image.tif and NAME_labels.tif. The prompts come from the labels, are
written as CSV and given to ``napari-sam2 segment``; what it draws is the picture::

    python docs/pictures.py t98g_phase PATH/t98g_phase_image.tif
    python docs/pictures.py mouse_embryo_8cell PATH/mouse_embryo_8cell_image.tif
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image

from napari_sam2.evaluation import EvaluationOptions, PromptFrame, PromptKind, choose_prompts
from napari_sam2.prompts import PromptBook, write_prompts
from napari_sam2.stack import open_stack

IMAGES = Path(__file__).parent / "images"
_PAGE_WIDTH = 2000


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
    name: Annotated[str, typer.Argument(help=f"One of: {', '.join(PICTURES)}.")],
    image: Annotated[Path, typer.Argument(help="NAME_image.tif; its labels lie beside it.")],
    model: Annotated[str, typer.Option(help="Name or path of a model.")] = "bundled",
    output: Annotated[Path, typer.Option(help="Folder of the pictures.")] = IMAGES,
    keep: Annotated[Path | None, typer.Option(help="Folder for prompts and labels.")] = None,
) -> None:
    """Draw one picture."""
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        prompts = folder / f"{name}_prompts.csv"
        write_prompts(_book_from_labels(image, PICTURES[name]), prompts)
        command = [sys.executable, "-m", "napari_sam2.cli", "segment"]
        command += [str(image), "-p", str(prompts), "-o", str(folder / f"{name}_sam2.tif")]
        command += ["--overlay", str(output / f"{name}.png"), "--model", model]
        code = subprocess.run(command, check=False).returncode
        if code == 0:
            _fit_page(output / f"{name}.png")
        raise typer.Exit(code)


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
