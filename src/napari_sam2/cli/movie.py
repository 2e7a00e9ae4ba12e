"""The command ``napari-sam2 movie``, which draws labels over their image."""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import Annotated

import typer

from napari_sam2.cli.common import JsonOption, frame_bar
from napari_sam2.cli.stack_options import AtOption
from napari_sam2.errors import LabelsError
from napari_sam2.segmentation.output_paths import check_outputs


def movie(
    stack: Annotated[
        Path, typer.Argument(metavar="STACK", help="TIFF, OME-TIFF, zarr or npy image.")
    ],
    labels: Annotated[Path, typer.Argument(metavar="LABELS", help="Its labels.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="OUT", help="The movie: .mp4 or .gif."),
    ],
    fill: Annotated[
        float, typer.Option(min=0, max=1, help="Strength of the fill; 0 draws outlines only.")
    ] = 0.2,
    outline: Annotated[
        float, typer.Option(min=0, help="Width of the outlines; 0 draws none.")
    ] = 1.5,
    zoom: Annotated[float, typer.Option(help="Size: 1, 2, 3, ... or 0.5, ...")] = 1.0,
    names: Annotated[
        bool, typer.Option("--names", help="Write the names of a session, else the ids.")
    ] = False,
    session: Annotated[
        Path | None, typer.Option(metavar="JSON", help="Session file with the names.")
    ] = None,
    spotlight: Annotated[
        list[int] | None,
        typer.Option(metavar="ID", help="Dim everything but this object; may repeat."),
    ] = None,
    follow: Annotated[
        int | None, typer.Option(metavar="ID", help="Cut the movie to this object.")
    ] = None,
    pixel_size: Annotated[
        float | None,
        typer.Option(help="Micrometres per pixel, for the scale bar; as the files say."),
    ] = None,
    interval: Annotated[
        float | None, typer.Option(help="Seconds per frame, for the time; as the files say.")
    ] = None,
    fps: Annotated[float, typer.Option(help="Frames per second.")] = 10.0,
    axis: Annotated[
        str, typer.Option(help="The video axis of the image: auto, its number or its letter.")
    ] = "auto",
    at: AtOption = None,
    channels: Annotated[
        str, typer.Option(metavar="N,N,N", help="Channels to show as red, green and blue.")
    ] = "",
    json: JsonOption = False,
) -> None:
    """Draw labels over their image, frame by frame, and write a movie.

    With a pixel size there is a scale bar, with an interval a time stamp; image and labels may
    name both.
    """
    from napari_sam2.labels.rendering.movie import MovieStyle, check_movie_path, write_movie
    from napari_sam2.prompts import read_sessions
    from napari_sam2.segmentation.image_source import ImageSelection, open_frames
    from napari_sam2.stack import open_labels

    inputs = [path for path in (stack, labels, session) if path is not None]
    check_outputs((output,), LabelsError, inputs=inputs)
    check_movie_path(output)
    frames = open_frames(stack, ImageSelection(axis, tuple(at or ()), channels=channels))
    opened = open_labels(labels)
    masks = frames.layout.as_frames(opened.data, opened.axes, frames.opened, frames.stack)
    if masks is None or masks.dtype.kind not in "iu":
        raise LabelsError(
            f"The labels are {opened.data.dtype} of shape {tuple(opened.data.shape)} "
            f"({opened.axes}), the frames of the image {frames.shape} ({frames.axes}).",
            remedy="Give the labels of this image, of whole numbers; --axis names the axis of its "
            "frames, --at a place along another one.",
        )
    n_frames = len(masks)
    step, _, size = frames.layout.scale
    step_unit, _, size_unit = frames.layout.units
    in_time = frames.axes[0] == "T" and bool(step_unit)
    style = MovieStyle(
        alpha=fill,
        outline=outline,
        zoom=zoom,
        names=read_sessions(session)[0].names if names and session is not None else {},
        show_names=names,
        pixel_size=pixel_size if pixel_size is not None else (size if size_unit else None),
        interval=interval if interval is not None else (step if in_time else None),
        spotlight=frozenset(spotlight or ()),
        follow=follow,
        fps=fps,
    )
    with frame_bar(stack.name, n_frames) as show:
        write_movie(output, frames.stack.read, masks, style, progress=show)
    summary = {"movie": str(output), "frames": n_frames, "fps": fps}
    text = f"movie: {output}, {n_frames} frames"
    typer.echo(json_text.dumps(summary, indent=2) if json else text)
