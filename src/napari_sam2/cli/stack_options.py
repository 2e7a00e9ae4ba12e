"""Options that say how a stack is segmented: those of ``segment`` and of ``batch``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import wraps
from inspect import Parameter, Signature, signature
from types import MappingProxyType
from typing import Annotated, Any

import typer

from napari_sam2.cli.common import ImageSizeOption, KindOption, SpeedOption
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
        help="With --auto: look again in every Nth frame where no object is yet, and in a "
        "time-lapse also where objects were followed to.",
        show_default=False,
    ),
]
MinSizeOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="With --auto: smallest area of an object in pixels; by default 8, and what is "
        "unlikely is left out: noise, tiny things, and dark ones among bright ones or the reverse.",
        show_default=False,
    ),
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


_OPTIONS: Mapping[str, Any] = MappingProxyType(
    {
        "auto": AutoOption,
        "every": EveryOption,
        "min_size": MinSizeOption,
        "max_size": MaxSizeOption,
        "image_size": ImageSizeOption,
        "view": ViewOption,
        "speed": SpeedOption,
        "axis": AxisOption,
        "kind": KindOption,
        "at": AtOption,
        "channels": ChannelsOption,
        "series": SeriesOption,
        "level": LevelOption,
        "region": RegionOption,
        "through": ThroughOption,
        "direction": DirectionOption,
        "start": StartOption,
        "stop": StopOption,
        "unreadable": UnreadableOption,
        "attempts": AttemptsOption,
        "tracks": TracksOption,
        "measure": MeasureOption,
    }
)
"""Options by the attribute of `SegmentOptions` that they are, as the help lists them."""


def with_stack_options(
    model: Any, default: str | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add all options of `SegmentOptions` to a command, which gets them as argument `options`.

    In the help they stand where that argument stands. Defaults are those of `SegmentOptions`.

    Parameters
    ----------
    model : Annotated
        The option that names the model: commands differ in it.
    default : str, optional
        Its default.
    """
    known = {each.name: each.default for each in fields(SegmentOptions)} | {"model": default}
    lists = [name for name, value in known.items() if isinstance(value, tuple)]
    shared = [
        Parameter(
            name,
            Parameter.KEYWORD_ONLY,
            default=None if name in lists else known[name],
            annotation=option,
        )
        for name, option in {"model": model, **_OPTIONS}.items()
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def with_options(**given: Any) -> None:
            values = {each.name: given.pop(each.name) for each in shared}
            values |= {name: tuple(values[name] or ()) for name in lists}
            command(**given, options=SegmentOptions(**values))

        parameters: list[Parameter] = []
        for each in signature(command, eval_str=True).parameters.values():
            parameters += shared if each.name == "options" else [each]
        with_options.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        return with_options

    return decorate
