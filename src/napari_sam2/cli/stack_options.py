"""Options that say how a stack is segmented: those of ``segment`` and of ``batch``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any

import typer

from napari_sam2.segmentation.stack_job import SegmentOptions
from napari_sam2.types import Direction, TrackFormat, Unreadable, View

AutoOption = Annotated[
    bool,
    typer.Option(
        "--auto",
        help="Find objects without prompts: in the first frame of a time-lapse, in the middle "
        "slice of a z-stack.",
    ),
]
EveryOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="With --auto: look again in every Nth frame where no object is yet.",
        show_default=False,
    ),
]
MinSizeOption = Annotated[
    int, typer.Option(min=1, help="With --auto: smallest area of an object in pixels.")
]
MaxSizeOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="With --auto: largest area of an object in pixels.",
        show_default=False,
    ),
]
ViewOption = Annotated[
    View,
    typer.Option(
        help="What the model sees: whole frames, or a window that follows each object at its "
        "own scale; auto is what it was trained for."
    ),
]
AxisOption = Annotated[
    str, typer.Option(help="The video axis: auto, its number or its letter, such as Z.")
]
AtOption = Annotated[
    list[str] | None,
    typer.Option(metavar="AXIS=INDEX", help="Where another axis is held; may repeat."),
]
ChannelsOption = Annotated[
    str,
    typer.Option(
        metavar="N,N,N",
        help="The channels to look at, as red, green and blue: up to three. By default the "
        "first one, or the colours of an RGB image.",
    ),
]
SeriesOption = Annotated[
    str, typer.Option(metavar="N", help="Which image of a file with several: number or name.")
]
LevelOption = Annotated[
    int, typer.Option(min=0, help="Which resolution of a pyramid; 0 is the finest.")
]
RegionOption = Annotated[
    str,
    typer.Option(
        metavar="Y0:Y1,X0:X1",
        help="Look at this part of every frame only, at its own resolution. The labels have "
        "the size of the image.",
    ),
]
ThroughOption = Annotated[
    str,
    typer.Option(
        metavar="AXIS",
        help="Then go on along this axis, such as T, from volume to volume; begins where --at "
        "holds it.",
    ),
]
DirectionOption = Annotated[
    Direction, typer.Option(help="Which way masks travel from the prompted frames.")
]
StartOption = Annotated[int | None, typer.Option(help="First frame to segment.")]
StopOption = Annotated[int | None, typer.Option(help="Frame to end before.")]
UnreadableOption = Annotated[
    Unreadable | None,
    typer.Option(
        help="What to do at a frame that cannot be read: skip it and go on, or stop there; "
        "skip, unless a session file says otherwise."
    ),
]
AttemptsOption = Annotated[
    int | None,
    typer.Option(
        min=1, help="How often to try a frame whose storage fails; 2, or as a session says."
    ),
]
TracksOption = Annotated[
    list[TrackFormat] | None,
    typer.Option(
        help="Also write tracks and divisions beside the labels: ctc (a folder OUT_RES), geff "
        "(OUT.geff.zarr) or trackmate (OUT.trackmate.xml); may repeat."
    ),
]
MeasureOption = Annotated[
    bool,
    typer.Option("--measure", help="Also write measurements beside the labels, as OUT.csv."),
]


def chosen_options(given: Mapping[str, Any]) -> SegmentOptions:
    """Return the options among the arguments of a command, which are called alike.

    Parameters
    ----------
    given : mapping of str to value
        Lists become tuples, and None an empty one, where `SegmentOptions` has a tuple.
    """
    values: dict[str, Any] = {}
    for each in fields(SegmentOptions):
        value = given[each.name]
        values[each.name] = tuple(value or ()) if isinstance(each.default, tuple) else value
    return SegmentOptions(**values)
