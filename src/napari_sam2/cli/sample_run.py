"""Segmentation of one synthetic stack, with all its files in one folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import tifffile

from napari_sam2.errors import LabelsError
from napari_sam2.evaluation import EvaluationOptions, ObjectPrompt, PromptFrame, choose_prompts
from napari_sam2.evaluation.label_masks import LabelMasks
from napari_sam2.evaluation.scoreboard import Scoreboard
from napari_sam2.labels import write_labels
from napari_sam2.prompts import PromptBook, write_prompts
from napari_sam2.samples import SampleStack, dividing_cells, nuclei_stack
from napari_sam2.segmentation.pictures import write_sheet
from napari_sam2.segmentation.session_runner import Range, run_session
from napari_sam2.stack import FrameStack, kind_along
from napari_sam2.tracking import Model, TrackingSession

_SHAPE = (12, 256, 256)
"""Frames and pixels of the demo's stacks: what a laptop segments in a minute or two."""

_FRAME = PromptFrame.MIDDLE


@dataclass(frozen=True, slots=True)
class SampleRun:
    """Files and scores of one segmented sample stack.

    Attributes
    ----------
    name, prompt : str
        Name of the stack, and the prompt of each object.
    frames, objects, objects_above_half : int
        Number of frames, of objects, and of objects with an IoU of at least 0.5.
    mean_iou : float
        Mean over objects of the IoU of all their pixels with the known truth.
    seconds : float
        Wall time of prompting and propagating.
    complete : bool
        False if it was stopped.
    image, clicks, labels, truth, picture : str
        Paths of the files.
    """

    name: str
    prompt: str
    frames: int
    objects: int
    objects_above_half: int
    mean_iou: float
    seconds: float
    complete: bool
    image: str
    clicks: str
    labels: str
    truth: str
    picture: str


def sample_stacks() -> tuple[SampleStack, ...]:
    """Make the demo's stacks: a z-stack and a time-lapse."""
    return nuclei_stack(shape=_SHAPE), dividing_cells(shape=_SHAPE)


def prepare_folder(folder: Path) -> None:
    """Make a folder for results.

    Raises
    ------
    LabelsError
        If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabelsError(
            f"The folder {folder} cannot be made: {error.strerror or error}.",
            remedy="Give another folder with -o.",
        ) from error


def run_sample(sample: SampleStack, model: Model, folder: Path) -> SampleRun:
    """Segment a sample from one click per object in the middle of its life, write and score.

    Parameters
    ----------
    sample : SampleStack
    model : Model
    folder : Path
        Takes the files; must exist.
    """
    stem = re.sub(r"[^a-z0-9]+", "_", sample.name.lower()).strip("_")
    image, clicks, labels, truth, picture = (
        folder / f"{stem}_{ending}"
        for ending in ("image.tif", "prompts.csv", "labels.tif", "truth.tif", "overlay.png")
    )
    tifffile.imwrite(image, sample.image, metadata={"axes": sample.axes}, compression="zlib")
    scale = [
        60 * size if axis == "T" else size
        for axis, size in zip(sample.axes, sample.scale, strict=True)
    ]
    write_labels(truth, sample.labels, axes=sample.axes, scale=scale)
    stack = FrameStack(sample.image, kind=kind_along(sample.axes[0]))
    prompts = choose_prompts(sample.labels, EvaluationOptions(frame=_FRAME))
    book = _book_of(prompts, stack.shape)
    write_prompts(book, clicks)
    session = TrackingSession(model, stack)
    outcome = run_session(session, book, Range(), title=sample.name)
    write_labels(labels, session.labels, axes=sample.axes, scale=scale)
    if outcome.error is not None:
        raise outcome.error
    write_sheet(picture, stack, session.labels)
    board = Scoreboard(sample.labels, prompts)
    board.measure(LabelMasks(session.labels, [prompt.object_id for prompt in prompts]))
    ious = board.iou().tolist()
    return SampleRun(
        name=sample.name,
        prompt=f"click in its {_FRAME} {'slice' if sample.axes[0] == 'Z' else 'frame'}",
        frames=stack.n_frames,
        objects=len(ious),
        objects_above_half=sum(iou > 0.5 for iou in ious),
        mean_iou=fmean(ious),
        seconds=outcome.seconds,
        complete=outcome.complete,
        image=str(image),
        clicks=str(clicks),
        labels=str(labels),
        truth=str(truth),
        picture=str(picture),
    )


def _book_of(prompts: Sequence[ObjectPrompt], shape: tuple[int, int, int]) -> PromptBook:
    book = PromptBook(shape)
    for prompt in prompts:
        book.put(prompt.object_id, prompt.frame, prompt.frame_prompt())
    return book
