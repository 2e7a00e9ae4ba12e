"""The command ``napari-sam2 measure``, which makes a table of labels."""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_sam2.cli.common import JsonOption, frame_bar
from napari_sam2.cli.stack_options import AtOption, SeriesOption
from napari_sam2.errors import MeasurementError
from napari_sam2.segmentation.output_paths import check_outputs

if TYPE_CHECKING:
    from napari_sam2.measure import Review
    from napari_sam2.segmentation.measured_files import MeasuredFiles
    from napari_sam2.types import Division


def measure(
    labels: Annotated[
        Path, typer.Argument(metavar="LABELS", help="TIFF, OME-TIFF, zarr or npy of label ids.")
    ],
    image: Annotated[
        Path | None,
        typer.Argument(metavar="[IMAGE]", help="Intensities: an image with the labels' axes."),
    ] = None,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="TABLE", help="The table: .csv, .tsv or .parquet."),
    ] = Path("measurements.csv"),
    scale: Annotated[
        str,
        typer.Option(
            metavar="N,N,N",
            help="Size of a step along each axis of the labels; by default as the files say.",
        ),
    ] = "",
    unit: Annotated[
        str, typer.Option(help="Unit of lengths; micrometres in files that name their units.")
    ] = "µm",
    axes: Annotated[
        str,
        typer.Option(help="Letters of the labels' axes, such as TYX or ZYX; as the file says."),
    ] = "",
    volumes: Annotated[
        bool, typer.Option("--volumes", help="Measure a z-stack as one volume, not by slice.")
    ] = False,
    at: AtOption = None,
    series: SeriesOption = "",
    channels: Annotated[
        str, typer.Option(metavar="NAME,NAME", help="Names of the channels of the image.")
    ] = "",
    session: Annotated[
        Path | None,
        typer.Option(
            metavar="JSON", help="Session file: parents, prompted and accepted frames in the table."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure every object of labels in every frame, and write a table.

    One row per object and frame; of volumes over time, one per object and volume. Axes are known by
    their letters, in whatever order the files have them; one without a name is time. Further axes
    of the image are channels, or held with --at. Columns are named as in scikit-image. With a pixel
    size, they are in physical units, and again in pixels with the ending _px; the units stand in
    the header of the file.
    """
    from napari_sam2.measure import Measurements, check_table_path, write_table
    from napari_sam2.segmentation.measured_files import MeasuredFiles

    inputs = [path for path in (labels, image, session) if path is not None]
    check_outputs((output,), MeasurementError, inputs=inputs)
    check_table_path(output)
    given = _sizes(scale)
    files = MeasuredFiles.open(
        labels, image, axes=axes, scale=given, at=at or (), series=series, volumes=volumes
    )
    stack, part = files.labels, files.image
    if given is None:
        sizes, units = files.known_scale()
    else:
        sizes, units = stack.scale, units_of(stack.axes, unit)
    known = Measurements(
        stack.data,
        None if part is None else part.stack.data,
        scale=sizes,
        units=units,
        channels=tuple(channels.split(",")) if channels else None,
        axes=stack.axes,
        image_axes=None if part is None else part.stack.axes,
        volumes=volumes,
    )
    divisions, review = _from_session(session, files)
    with frame_bar(labels.name, known.n_frames) as show:
        known.update(progress=show)
    table = known.table(divisions, review)
    write_table(table, output)
    summary = {
        "labels": str(labels),
        "table": str(output),
        "rows": len(table),
        "objects": int(table["label"].nunique()),
        "frames": known.n_frames,
        "scale": table.attrs["scale"],
        "unreadable": list(known.unreadable.values()),
    }
    if part is not None and part.file.series.available > 1:
        summary["series"] = part.file.series._asdict()
    typer.echo(json_text.dumps(summary, indent=2) if json else _describe(summary))


def units_of(axes: str, unit: str) -> tuple[str, ...]:
    """Return the unit of each axis: seconds along T."""
    return tuple("s" if letter == "T" else unit for letter in axes)


def _sizes(text: str) -> tuple[float, ...] | None:
    try:
        return tuple(float(size) for size in text.split(",")) if text else None
    except ValueError as error:
        raise MeasurementError(
            f"{text!r} is no scale.", remedy="Write one number per axis, such as 60,0.5,0.5."
        ) from error


def _from_session(
    path: Path | None, files: MeasuredFiles
) -> tuple[tuple[Division, ...], Review | None]:
    if path is None:
        return (), None
    from napari_sam2.measure import Review
    from napari_sam2.prompts import read_sessions
    from napari_sam2.types import ObjectFrame

    saved, *others = read_sessions(path)
    if others:
        raise MeasurementError(
            f"{path.name} holds the sessions of {len(others) + 1} stacks, whose prompts and "
            "accepted frames the table cannot tell apart.",
            remedy="Measure without --session.",
        )
    files.check_session(saved, path.name)
    prompted = frozenset(ObjectFrame(number, frame) for number, frame, _ in saved.book)
    return saved.divisions, Review(prompted=prompted, accepted=frozenset(saved.accepted))


def _describe(summary: dict[str, Any]) -> str:
    lines = [
        f"{summary['rows']} rows of {summary['objects']} objects in {summary['frames']} frames",
        f"table: {summary['table']}",
    ]
    if summary["scale"] is None:
        lines.append("in pixels: the files give no pixel size, and --scale was not given")
    if "series" in summary:
        chosen, count = summary["series"]["number"], summary["series"]["available"]
        lines.append(f"intensities: image {chosen} of the {count} in the file (--series)")
    if summary["unreadable"]:
        lines.append(f"without intensities: {summary['unreadable'][0]}")
    return "\n".join(lines)
