"""The command ``napari-sam2 segment``, which makes labels of a stack and prompts."""

from __future__ import annotations

import json as json_text
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, astuple, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from napari_sam2.cli.common import (
    DeviceOption,
    ImageSizeOption,
    JsonOption,
    ModelOption,
    SpeedOption,
    alone_with_output,
    check_outputs,
)
from napari_sam2.cli.result_files import ResultFiles, remember_scores
from napari_sam2.cli.serve import ServerOption, TokenFileOption, model_on_server
from napari_sam2.cli.session_runner import INTERRUPTED_EXIT_CODE
from napari_sam2.errors import DetectionError, LabelsError, PromptError, Sam2Error
from napari_sam2.types import Direction, ObjectFrame, Speed, TrackFormat, Unreadable, View

if TYPE_CHECKING:
    from napari_sam2.cli.image_source import Frames, Seeing
    from napari_sam2.cli.session_runner import RunOutcome, Search
    from napari_sam2.prompts import PromptBook, SessionFile
    from napari_sam2.tracking import TrackingSession, TrackingSettings

_LEAST_SIZE = 20  # pixels of an object that is looked for, by default


@alone_with_output
def segment(
    stack: Annotated[
        Path,
        typer.Argument(
            metavar="STACK",
            help="TIFF, zarr, npy, NIfTI or DICOM image, or a folder of TIFF, PNG or JPEG slices.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="OUT", help="Labels: .tif, .ome.tif, .zarr or .nii.gz."
        ),
    ],
    prompts: Annotated[
        Path | None,
        typer.Option(
            "--prompts",
            "-p",
            help="Session JSON; CSV with the columns frame,object,kind,y,x,y2,x2,positive; "
            "napari's own CSV of points or shapes; or labels, each of which is a mask prompt where "
            "it is drawn (.tif, .zarr, .npy, .nii.gz, Cellpose _seg.npy).",
            show_default=False,
        ),
    ] = None,
    auto: Annotated[
        bool,
        typer.Option(
            "--auto",
            help="Find objects without prompts: in the first frame of a time-lapse, in the middle "
            "slice of a z-stack.",
        ),
    ] = False,
    every: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="With --auto: look again in every Nth frame where no object is yet.",
            show_default=False,
        ),
    ] = None,
    min_size: Annotated[
        int, typer.Option(min=1, help="With --auto: smallest area of an object in pixels.")
    ] = _LEAST_SIZE,
    max_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --auto: largest area of an object in pixels.",
            show_default=False,
        ),
    ] = None,
    model: ModelOption = "bundled",
    device: DeviceOption = "auto",
    image_size: ImageSizeOption = None,
    server: ServerOption = "",
    token_file: TokenFileOption = None,
    view: Annotated[
        View,
        typer.Option(
            help="What the model sees: whole frames, or a window that follows each object at its "
            "own scale; auto is what it was trained for."
        ),
    ] = View.AUTO,
    speed: SpeedOption = None,
    axis: Annotated[
        str, typer.Option(help="The video axis: auto, its number or its letter, such as Z.")
    ] = "auto",
    at: Annotated[
        list[str] | None,
        typer.Option(metavar="AXIS=INDEX", help="Where another axis is held; may repeat."),
    ] = None,
    channels: Annotated[
        str,
        typer.Option(
            metavar="N,N,N",
            help="The channels to look at, as red, green and blue: up to three. By default the "
            "first one, or the colours of an RGB image.",
        ),
    ] = "",
    series: Annotated[
        str, typer.Option(metavar="N", help="Which image of a file with several: number or name.")
    ] = "",
    level: Annotated[
        int, typer.Option(min=0, help="Which resolution of a pyramid; 0 is the finest.")
    ] = 0,
    region: Annotated[
        str,
        typer.Option(
            metavar="Y0:Y1,X0:X1",
            help="Look at this part of every frame only, at its own resolution. The labels have "
            "the size of the image.",
        ),
    ] = "",
    through: Annotated[
        str,
        typer.Option(
            metavar="AXIS",
            help="Then go on along this axis, such as T, from volume to volume; begins where --at "
            "holds it.",
        ),
    ] = "",
    direction: Annotated[
        Direction, typer.Option(help="Which way masks travel from the prompted frames.")
    ] = Direction.BOTH,
    start: Annotated[int | None, typer.Option(help="First frame to segment.")] = None,
    stop: Annotated[int | None, typer.Option(help="Frame to end before.")] = None,
    unreadable: Annotated[
        Unreadable | None,
        typer.Option(
            help="What to do at a frame that cannot be read: skip it and go on, or stop there; "
            "skip, unless a session file says otherwise."
        ),
    ] = None,
    attempts: Annotated[
        int | None,
        typer.Option(
            min=1, help="How often to try a frame whose storage fails; 2, or as a session says."
        ),
    ] = None,
    overlay: Annotated[
        Path | None,
        typer.Option(metavar="PNG", help="Also draw a contact sheet of labels on the image."),
    ] = None,
    session: Annotated[
        Path | None, typer.Option(metavar="JSON", help="Also save the session.")
    ] = None,
    resume: Annotated[
        bool | None,
        typer.Option(
            "--resume/--anew",
            help="Go on with what a run with the same options had computed before it was stopped, "
            "or delete that and begin again.",
            show_default=False,
        ),
    ] = None,
    tracks: Annotated[
        list[TrackFormat] | None,
        typer.Option(
            help="Also write tracks and divisions beside the labels: ctc (a folder OUT_RES), geff "
            "(OUT.geff.zarr) or trackmate (OUT.trackmate.xml); may repeat."
        ),
    ] = None,
    measure: Annotated[
        bool,
        typer.Option("--measure", help="Also write measurements beside the labels, as OUT.csv."),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Segment every frame of a stack from prompts or --auto, and write the labels.

    A session file replays as it was saved: its clicks round by round, accepted masks, contrast,
    channels, region and settings. On a stack of another size only its prompts and settings are
    taken. Tables count from the corner of the image, whatever the region.

    With --through T --axis Z, a stack of volumes over time is gone through: when a volume is done,
    each object is followed to the next one where most of it is, and its mask is a prompt there.

    One line says which image, resolution, video axis, channels and positions are used, with the
    option that changes each; with --json on standard error. Labels have the axes of the image, in
    their order.

    Frames that cannot be read are named at the end, and their labels are empty.

    Ctrl-C writes the labels of the frames that are done; the exit code is then 130. While it runs,
    labels and scores are also kept in OUT.sam2.zarr, or beside the session file: --resume goes on
    from there, after Ctrl-C, a crash or a power cut.
    """
    from napari_sam2.cli.image_source import replays_on, seeing_of
    from napari_sam2.cli.kept_run import KeptRun
    from napari_sam2.cli.session_runner import Range, run_session
    from napari_sam2.cli.volumes import go_on

    results = ResultFiles.beside(output, tracks or (), measure)
    inputs = _inputs(stack, prompts, auto, (every, min_size, max_size))
    _check_outputs(output, overlay, session, inputs=inputs, results=results)
    sessions = _saved(prompts)
    seeing = seeing_of(
        sessions[0] if sessions else None,
        axis=axis,
        at=at or (),
        channels=channels,
        region=region,
        through=through,
        series=series,
        level=level,
    )
    frames = _open(stack, seeing, json)
    saved = _of_volume(sessions, frames)
    replays = replays_on(saved, frames)
    book = _prompts(prompts, saved, frames, replays, json)

    # torch takes seconds
    from napari_sam2.tracking import TrackingSession, load_model
    from napari_sam2.tracking.schedule import frame_range

    frame_range(start, stop, frames.stack.n_frames)
    loaded = (
        model_on_server(server, token_file, model, image_size, stack, series, level)
        if server
        else load_model(model, device=device, image_size=image_size)
    )
    settings = _settings(saved, view, speed, unreadable, attempts)
    run = KeptRun.of(output, session, frames.through is not None)
    run.begin(resume, loaded, frames.stack, settings)
    labels = frames.empty_labels(_largest_id(saved, book))
    options = {"labels": frames.part(labels), "store": run.store(frames.stack)}
    opened = partial(TrackingSession.load, inputs[-1]) if replays else TrackingSession
    tracking = opened(loaded, frames.stack, settings=settings, **options)
    seen: dict[ObjectFrame, tuple[float, float]] = {}
    saving: list[SessionFile] = []

    def keep(ended: TrackingSession) -> None:
        if session is not None:
            saving.append(ended.to_file())

    with closing(tracking):
        outcome = run_session(
            tracking,
            book,
            Range(direction, start, stop),
            title=stack.name,
            search=_search(frames, start, stop, every, min_size, max_size) if auto else None,
            seen=partial(remember_scores, seen) if measure else None,
        )
        keep(tracking)
    if frames.through is not None and outcome.complete:
        over = Range(Direction.BOTH, start, stop)
        later = go_on(
            tracking, frames, labels, over, title=stack.name, done=keep, store_of=run.store
        )
        outcome = outcome.and_then(later)
    if outcome.error is not None and not outcome.results:
        raise outcome.error
    _write(tracking, frames, labels, saving, output=output, session_file=session, overlay=overlay)
    results.write(stack, tracking, frames, labels, seen)
    if outcome.complete:
        run.finish(keep=session is not None)
    if outcome.error is not None:
        raise _after_writing(outcome.error, output)
    summary = SegmentSummary(
        stack=str(stack),
        shape=frames.layout.as_written(labels).shape,
        region=None if frames.stack.region is None else astuple(frames.stack.region),
        axes=frames.layout.written,
        series=frames.opened.series.number,
        level=frames.opened.level.number,
        video=frames.stack.axis,
        channels=frames.stack.channels,
        at=dict(frames.stack.at),
        frames=frames.stack.n_frames,
        volumes=frames.volumes,
        model=loaded.name,
        device=server or str(loaded.device),
        image_size=loaded.image_size,
        speed=settings.speed,
        approximations=tracking.approximations,
        objects=summarise_objects(tracking.object_ids, labels, outcome, tracking.prompts),
        frames_done=outcome.frames,
        frame_results=outcome.results,
        skipped=tuple(SkippedFrame(each.frame, each.happened) for each in outcome.skipped),
        seconds=outcome.seconds,
        complete=outcome.complete,
        labels=str(output),
        overlay=str(overlay) if overlay else None,
        session=None if session is None else str(session),
        tracks=tuple(str(path) for _, path in results.tracks),
        table=None if results.table is None else str(results.table),
    )
    typer.echo(json_text.dumps(asdict(summary), indent=2) if json else describe(summary))
    if not outcome.complete:
        raise typer.Exit(INTERRUPTED_EXIT_CODE)


def _settings(
    saved: SessionFile | None,
    view: View,
    speed: Speed | None,
    unreadable: Unreadable | None,
    attempts: int | None,
) -> TrackingSettings:
    """Return the settings of a session file, or the defaults, with what the options change."""
    from napari_sam2.tracking import TrackingSettings
    from napari_sam2.tracking.state.session_io import saved_settings

    settings = TrackingSettings() if saved is None else saved_settings(saved)
    return replace(
        settings,
        view=settings.view if view is View.AUTO else view,
        speed=speed or settings.speed,
        unreadable=unreadable or settings.unreadable,
        read_attempts=attempts or settings.read_attempts,
    )


def _check_outputs(
    output: Path,
    overlay: Path | None,
    session: Path | None,
    inputs: tuple[Path, ...],
    results: ResultFiles,
) -> None:
    """Tell of files that cannot be written before the work."""
    from napari_sam2.cli.plots.pictures import check_picture
    from napari_sam2.labels import check_labels_path

    check_outputs((output, overlay, session, results.table), LabelsError, inputs=inputs)
    check_labels_path(output)
    results.check()
    if overlay is not None:
        check_picture(overlay)
    if session is not None and session.suffix.lower() != ".json":
        raise LabelsError(
            f"A session is written as JSON, not as {session.name}.",
            remedy="Name it .sam2.json: by that --prompts knows it.",
        )


def _open(path: Path, seeing: Seeing, json: bool) -> Frames:
    """Open an image and say what is seen of it, on standard error beside JSON."""
    from napari_sam2.cli.choices import describe_choices
    from napari_sam2.cli.image_source import open_frames

    frames = open_frames(path, seeing)
    typer.echo(describe_choices(frames), err=json)
    return frames


def _inputs(
    stack: Path, prompts: Path | None, auto: bool, bounds: tuple[int | None, int, int | None]
) -> tuple[Path, ...]:
    """Return the files that are read; one of prompts and a search must be asked for.

    `bounds`: --every, --min-size and --max-size, which only a search has.
    """
    if not auto and bounds != (None, _LEAST_SIZE, None):
        raise DetectionError(
            "--every, --min-size and --max-size belong to --auto.", remedy="Add --auto."
        )
    if prompts is None and not auto:
        raise PromptError(
            "Nothing says which objects are meant.",
            remedy="Give --prompts FILE, or --auto to find objects without prompts.",
        )
    return (stack,) if prompts is None else (stack, prompts)


def _saved(prompts: Path | None) -> tuple[SessionFile, ...]:
    """Read the prompts if they are a session file: of one stack, or of several volumes."""
    from napari_sam2.prompts import read_sessions

    is_session = prompts is not None and prompts.suffix.lower() == ".json"
    return read_sessions(prompts) if prompts is not None and is_session else ()


def _of_volume(sessions: Sequence[SessionFile], frames: Frames) -> SessionFile | None:
    """Return the session of the volume that is segmented."""
    from napari_sam2.prompts import session_at

    return session_at(sessions, frames.stack.at) if sessions else None


def _search(
    frames: Frames,
    start: int | None,
    stop: int | None,
    every: int | None,
    min_size: int,
    max_size: int | None,
) -> Search:
    """Return the search: first where objects of such a stack are most likely whole."""
    from napari_sam2.cli.session_runner import Search

    first = start or 0
    last = frames.stack.n_frames if stop is None else stop
    in_time = frames.layout.letters[-3] == "T"
    return Search(first if in_time else (first + last - 1) // 2, every, min_size, max_size)


def _prompts(
    path: Path | None, saved: SessionFile | None, frames: Frames, replays: bool, json: bool
) -> PromptBook:
    """Read prompts; an error about them names what else of the image could be meant.

    None where a session file is replayed, or where there is no file.
    """
    from napari_sam2.prompts import PromptBook

    if path is None or replays:
        return PromptBook(frames.stack.shape)
    from napari_sam2.cli.choices import name_choices
    from napari_sam2.cli.image_source import given_prompts
    from napari_sam2.cli.label_prompts import describe_label_prompts, holds_labels

    try:
        book = given_prompts(path, saved, frames)
    except PromptError as error:
        raise name_choices(error, frames) from error
    if holds_labels(path):
        typer.echo(describe_label_prompts(path, book), err=json)
    return book


def _numbers_of(objects: Sequence[SegmentedObject]) -> str:
    few = ", ".join(str(one.object_id) for one in objects[:_NAMED])
    more = "" if len(objects) <= _NAMED else f" and {len(objects) - _NAMED} more"
    return f"{'object' if len(objects) == 1 else 'objects'} {few}{more}"


def _largest_id(saved: SessionFile | None, book: PromptBook) -> int:
    books = (book,) if saved is None else (book, saved.book)
    return max((number for each in books for number in each.object_ids()), default=0)


def _after_writing(error: Sam2Error, output: Path) -> Sam2Error:
    """Say of an error where the frames before it are."""
    error.safe = f"The labels of the frames that were done are in {output}."
    return error


def _write(
    session: TrackingSession,
    frames: Frames,
    labels: Any,
    saving: Sequence[SessionFile],
    *,
    output: Path,
    session_file: Path | None,
    overlay: Path | None,
) -> None:
    from napari_sam2.prompts import write_sessions

    _write_labels(output, frames, labels)
    if session_file is not None:
        write_sessions(saving, session_file)
    if overlay is not None:
        from napari_sam2.cli.plots.pictures import write_sheet

        write_sheet(overlay, frames.stack, session.labels)


def _write_labels(output: Path, frames: Frames, labels: Any) -> None:
    """Write labels to their path, or to another path if that fails: no other copy exists.

    Raises
    ------
    LabelsError
        They could not be written where they should be; it says where they are.
    """
    try:
        frames.layout.write(output, labels)
    except LabelsError as error:
        refuge = Path(tempfile.mkdtemp(prefix="napari-sam2-")) / output.name
        frames.layout.write(refuge, labels)
        error.safe = f"What stood there before is unchanged, and the labels are in {refuge}."
        raise


_NAMED = 5  # number of skipped frames whose reasons are printed


@dataclass(frozen=True, slots=True)
class SegmentedObject:
    """Size and mean score of one object of a finished run.

    An object is ``tracked`` if it was found in other frames than its prompted ones, or, where there
    are no others, in these.
    """

    object_id: int
    frames: int
    pixels: int
    mean_score: float
    tracked: bool


@dataclass(frozen=True, slots=True)
class SkippedFrame:
    """A frame that could not be read, and why."""

    frame: int
    reason: str


@dataclass(frozen=True, slots=True)
class SegmentSummary:
    """The result of ``segment``, as ``--json`` prints it.

    ``shape`` and ``axes`` are those of the labels. ``video``, ``channels`` and ``at`` say what was
    seen of the image, by numbers of its axes. ``frames_done`` counts the frames with a result, of
    all volumes together; ``frame_results`` counts those twice that are passed in both directions.
    """

    stack: str
    shape: tuple[int, ...]
    region: tuple[int, int, int, int] | None
    axes: str
    series: int
    level: int
    video: int | None
    channels: tuple[int, ...]
    at: dict[int, int]
    frames: int
    volumes: int
    model: str
    device: str
    image_size: int
    speed: Speed
    approximations: tuple[str, ...]
    objects: tuple[SegmentedObject, ...]
    frames_done: int
    frame_results: int
    skipped: tuple[SkippedFrame, ...]
    seconds: float
    complete: bool
    labels: str
    overlay: str | None
    session: str | None
    tracks: tuple[str, ...]
    table: str | None


def summarise_objects(
    object_ids: Sequence[int], labels: Any, outcome: RunOutcome, prompted: PromptBook
) -> tuple[SegmentedObject, ...]:
    """Count the pixels and frames of every object in labels (..., Y, X)."""
    pixels: dict[int, int] = dict.fromkeys(object_ids, 0)
    frames: dict[int, int] = dict.fromkeys(object_ids, 0)
    for plane in labels.reshape(-1, *labels.shape[-2:]):
        ids, counts = np.unique(plane, return_counts=True)
        for object_id, count in zip(ids.tolist(), counts.tolist(), strict=True):
            if object_id in pixels:
                pixels[object_id] += count
                frames[object_id] += 1
    return tuple(
        SegmentedObject(
            object_id,
            frames[object_id],
            pixels[object_id],
            outcome.mean_scores.get(object_id, 0.0),
            frames[object_id] > min(len(prompted.frames(object_id)), max(outcome.frames, 1) - 1),
        )
        for object_id in object_ids
    )


def describe(summary: SegmentSummary) -> str:
    """Say it in a few lines."""
    found = sum(1 for one in summary.objects if one.tracked)
    lines = [
        f"{found} of {len(summary.objects)} objects in {_extent(summary)}, "
        f"{summary.seconds:.1f} s with {summary.model} at {summary.image_size} px "
        f"on {summary.device}",
        f"labels: {summary.labels}",
    ]
    lost = [one for one in summary.objects if not one.tracked]
    if lost:
        lines.append(f"not found beyond the prompted frames: {_numbers_of(lost)}")
    if summary.approximations:
        lines.append(f"{summary.speed}, approximated with {', '.join(summary.approximations)}")
    if summary.overlay:
        lines.append(f"overlay: {summary.overlay}")
    if summary.session:
        lines.append(f"session: {summary.session}")
    lines += [f"tracks: {path}" for path in summary.tracks]
    if summary.table:
        lines.append(f"measurements: {summary.table}")
    if summary.skipped:
        lines += _describe_skipped(summary.skipped)
    if not summary.complete:
        lines.append(
            "Stopped early: frames that were not reached are background. The same command with "
            "--resume goes on."
        )
    return "\n".join(lines)


def _extent(summary: SegmentSummary) -> str:
    frames = "1 frame" if summary.frames == 1 else f"{summary.frames} frames"
    everything = f"{summary.volumes} volumes of {frames}" if summary.volumes > 1 else frames
    if summary.frames_done == summary.frames * summary.volumes:
        return everything
    return f"{summary.frames_done} of {everything}"


def _describe_skipped(skipped: tuple[SkippedFrame, ...]) -> list[str]:
    count = "1 frame was" if len(skipped) == 1 else f"{len(skipped)} frames were"
    lines = [f"{count} skipped; the labels there are empty:"]
    lines += [f"  {each.reason}" for each in skipped[:_NAMED]]
    if len(skipped) > _NAMED:
        numbers = ", ".join(str(each.frame) for each in skipped[_NAMED:])
        lines.append(f"  Likewise frames {numbers}.")
    return lines
