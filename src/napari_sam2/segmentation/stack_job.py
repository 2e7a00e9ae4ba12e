"""Segmentation of one stack from files to files: its options, and the function that runs it.

It runs on the caller's thread. It imports torch when it loads a model.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam2.errors import DetectionError, LabelsError, PromptError, Sam2Error
from napari_sam2.segmentation.result_files import ResultFiles, remember_scores
from napari_sam2.segmentation.session_runner import Range, Search, Watcher, run_session
from napari_sam2.segmentation.summary import SegmentSummary, SkippedFrame, summarise_objects
from napari_sam2.types import (
    Direction,
    ObjectFrame,
    Speed,
    StackKind,
    TrackFormat,
    Unreadable,
    View,
)

if TYPE_CHECKING:
    from napari_sam2.prompts import PromptBook, SessionFile
    from napari_sam2.segmentation.image_source import Frames, ImageSelection
    from napari_sam2.segmentation.kept_run import KeptRun
    from napari_sam2.tracking import Model, TrackingSession, TrackingSettings


@dataclass(frozen=True, slots=True)
class SegmentOptions:
    """Options of a segmentation that are the same for many stacks.

    Attributes
    ----------
    model : str or None
        Name or path; None: the model of the session file, or else the bundled one.
    image_size : int or None
    view : View
    speed : Speed or None
    axis, channels, series, region, through : str
    kind : StackKind or None
    at : tuple of str
    level : int
        The part of the image to segment; see `ImageSelection`.
    direction : Direction
    start, stop : int or None
    unreadable : Unreadable or None
    attempts : int or None
        How often to read a frame before it counts as unreadable.
    auto : bool
        Find objects without prompts.
    every : int or None
    min_size, max_size : int or None
        See `Search`.
    tracks : tuple of TrackFormat
    measure : bool
        Files to write beside the labels.
    """

    model: str | None = None
    image_size: int | None = None
    view: View = View.AUTO
    speed: Speed | None = None
    axis: str = "auto"
    kind: StackKind | None = None
    at: tuple[str, ...] = ()
    channels: str = ""
    series: str = ""
    level: int = 0
    region: str = ""
    through: str = ""
    direction: Direction = Direction.BOTH
    start: int | None = None
    stop: int | None = None
    unreadable: Unreadable | None = None
    attempts: int | None = None
    auto: bool = False
    every: int | None = None
    min_size: int | None = None
    max_size: int | None = None
    tracks: tuple[TrackFormat, ...] = ()
    measure: bool = False

    def check(self) -> None:
        """Raise an error if options of a search are given without one.

        Raises
        ------
        DetectionError
        """
        if not self.auto and (self.every, self.min_size, self.max_size) != (None, None, None):
            raise DetectionError(
                "--every, --min-size and --max-size belong to --auto.", remedy="Add --auto."
            )


@dataclass(frozen=True, slots=True)
class SegmentFiles:
    """Input and output files of one stack.

    Attributes
    ----------
    stack : Path
    prompts : Path or None
    output : Path
        The labels.
    overlay, session : Path or None
    """

    stack: Path
    prompts: Path | None
    output: Path
    overlay: Path | None = None
    session: Path | None = None

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The files that are read."""
        return (self.stack,) if self.prompts is None else (self.stack, self.prompts)


def segment_files(
    files: SegmentFiles,
    options: SegmentOptions,
    load: Callable[[str, int | None], Model],
    *,
    resume: bool | None = None,
    write_partial: bool = True,
    may_be_empty: bool = False,
    notify: Callable[[str], None] = lambda line: None,
    watcher: Watcher | None = None,
) -> SegmentSummary:
    """Segment a stack; write labels and the other files that the options name.

    Parameters
    ----------
    files : SegmentFiles
        Outputs may replace existing files; the caller checks this.
    options : SegmentOptions
    load : callable
        Loads a model by name or path and image size; called once, after all other inputs are read.
    resume : bool or None
        See `KeptRun.begin`.
    write_partial : bool
        Whether a run that was stopped, or failed, writes its finished frames. If not, results stay
        in the store only.
    may_be_empty : bool
        Whether a search without results writes empty labels; otherwise it is an error.
    notify : callable
        Called with lines that describe the selected part of the image and the prompts.
    watcher : Watcher, optional
        Observes the progress and may stop the work; by default the terminal does both.

    Returns
    -------
    SegmentSummary
        With ``complete`` False if the run was stopped.

    Raises
    ------
    Sam2Error
        Any of ours: something cannot be read, computed or written.
    """
    from napari_sam2.segmentation.image_source import replays_on, select_image
    from napari_sam2.segmentation.kept_run import KeptRun
    from napari_sam2.segmentation.volumes import go_on, later_sessions

    _check(files, options)
    results = ResultFiles.beside(files.output, options.tracks, options.measure)
    sessions = _saved(files.prompts)
    selection = select_image(
        sessions[0] if sessions else None,
        axis=options.axis,
        kind=options.kind,
        at=options.at,
        channels=options.channels,
        region=options.region,
        through=options.through,
        series=options.series,
        level=options.level,
    )
    frames = _open(files.stack, selection, notify)
    results.check(frames)
    if options.every is not None and frames.stack.n_frames > 1:
        _ask_for_kind(frames, notify)
    saved = _of_volume(sessions, frames)
    replays = saved if saved is not None and replays_on(saved, frames) else None
    book = _prompts(files.prompts, saved, frames, replays is not None, notify)
    later = later_sessions(files.prompts, sessions, saved, frames)

    # torch takes seconds
    from napari_sam2.tracking.schedule import frame_range

    frame_range(options.start, options.stop, frames.stack.n_frames)
    loaded = load(model_of(options.model, saved), image_size_of(options, saved))
    settings = _settings(saved, options)
    run = KeptRun.of(files.output, files.session, frames.through is not None)
    run.begin(
        resume, loaded, frames.stack, settings, _digest_of_objects(options, book, replays, later)
    )
    labels = frames.empty_labels(max(_object_ids(book, saved, *later.values()), default=0))
    session = _opened(loaded, frames, settings, labels, run)
    scores: dict[ObjectFrame, tuple[float, float]] = {}
    session_files: list[SessionFile] = []  # one per volume

    def keep(ended: TrackingSession) -> None:
        if files.session is not None:
            session_files.append(ended.to_file())

    with closing(session):
        if replays is not None:
            _replay(session, replays, watcher)
        if options.measure:
            _remember_kept(scores, session)
        outcome = run_session(
            session,
            book,
            Range(options.direction, options.start, options.stop),
            title=files.stack.name,
            search=_search(frames, options, may_be_empty) if options.auto else None,
            seen=partial(remember_scores, scores) if options.measure else None,
            watcher=watcher,
        )
        keep(session)
    if frames.through is not None and outcome.complete:
        others = go_on(
            session,
            frames,
            labels,
            Range(Direction.BOTH, options.start, options.stop),
            saved=later,
            title=files.stack.name,
            done=keep,
            store_of=run.store,
            watcher=watcher,
        )
        outcome = outcome.combined_with(others)
    if outcome.error is not None and not (write_partial and outcome.results):
        raise outcome.error
    if outcome.complete or write_partial:
        _write(session, frames, labels, session_files, files, fallback=write_partial)
        results.write(files.stack, session, frames, labels, scores)
    if outcome.complete:
        run.finish()
    if outcome.error is not None:
        raise _after_writing(outcome.error, files.output)
    return SegmentSummary(
        stack=str(files.stack),
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
        device=str(loaded.device) if loaded.elsewhere is None else loaded.elsewhere.place,
        image_size=loaded.image_size,
        speed=settings.speed,
        approximations=session.approximations,
        objects=summarise_objects(
            sorted({*session.object_ids, *_object_ids(None, *later.values())}),
            labels,
            outcome,
            session.prompts,
        ),
        frames_done=outcome.frames,
        frame_results=outcome.results,
        skipped=tuple(SkippedFrame(each.frame, each.happened) for each in outcome.skipped),
        unlikely_left_out=outcome.unlikely,
        divisions=0 if frames.through is not None else len(session.divisions),
        seconds=outcome.seconds,
        complete=outcome.complete,
        labels=str(files.output),
        overlay=str(files.overlay) if files.overlay else None,
        session=None if files.session is None else str(files.session),
        tracks=tuple(str(path) for _, path in results.tracks),
        table=None if results.table is None else str(results.table),
    )


def model_of(chosen: str | None, saved: SessionFile | None) -> str:
    """Return the name of the model: the chosen one, that of a session file, or the bundled one.

    Raises
    ------
    PromptError
        The session was made with a model that is none of the known ones: a file has no place.
    """
    from napari_sam2.checkpoints import BUNDLED, model_names

    if chosen is not None:
        return chosen
    named = None if saved is None else saved.settings.get("model")
    if named is None:
        return BUNDLED
    if named not in model_names():
        raise PromptError(
            f"The session was made with the model {named}, which is a file.",
            remedy="Give its path with --model, or another model.",
        )
    return str(named)


def image_size_of(options: SegmentOptions, saved: SessionFile | None) -> int | None:
    """Return the input size: the chosen one, or that of a session file; None: the model's own.

    With another model than that of the session, the size is not taken over.
    """
    if options.image_size is not None or saved is None:
        return options.image_size
    known, model = saved.settings.get("image_size"), saved.settings.get("model")
    # A checkpoint file is known to the session by its stem.
    same = options.model is None or model in (options.model, Path(options.model).stem)
    return known if same and isinstance(known, int) and not isinstance(known, bool) else None


def _check(files: SegmentFiles, options: SegmentOptions) -> None:
    """Raise an error if options do not fit together, or nothing says which objects are meant."""
    options.check()
    if files.prompts is None and not options.auto:
        raise PromptError(
            "Nothing says which objects are meant.",
            remedy="Give --prompts FILE, or --auto to find objects without prompts.",
        )


def _opened(
    model: Model, frames: Frames, settings: TrackingSettings, labels: Any, run: KeptRun
) -> TrackingSession:
    from napari_sam2.tracking import TrackingSession

    return TrackingSession(
        model,
        frames.stack,
        settings=settings,
        labels=frames.part(labels),
        store=run.store(frames.stack),
    )


def _replay(session: TrackingSession, saved: SessionFile, watcher: Watcher | None) -> None:
    """Replay a session file; a watcher may stop it between two prompts."""
    for _ in session.replay(saved):
        if watcher is not None and watcher.stopped():
            break
    session.keep()


def _remember_kept(
    scores: dict[ObjectFrame, tuple[float, float]], session: TrackingSession
) -> None:
    """Add the scores of frames that an earlier run computed."""
    for record in session.kept_records():
        if record.score is not None and record.presence is not None:
            scores[record.key] = (record.score, record.presence)


def _settings(saved: SessionFile | None, options: SegmentOptions) -> TrackingSettings:
    """Return the settings of a session file, or the defaults, with what the options change."""
    from napari_sam2.tracking import TrackingSettings
    from napari_sam2.tracking.state.session_io import saved_settings

    settings = TrackingSettings() if saved is None else saved_settings(saved)
    return replace(
        settings,
        view=settings.view if options.view is View.AUTO else options.view,
        speed=options.speed or settings.speed,
        unreadable=options.unreadable or settings.unreadable,
        read_attempts=options.attempts or settings.read_attempts,
    )


def _open(path: Path, selection: ImageSelection, notify: Callable[[str], None]) -> Frames:
    """Open an image and report the selected part."""
    from napari_sam2.segmentation.choices import describe_choices
    from napari_sam2.segmentation.image_source import open_frames

    frames = open_frames(path, selection)
    notify(describe_choices(frames))
    return frames


def _ask_for_kind(frames: Frames, notify: Callable[[str], None]) -> None:
    """Report that a search needs the kind of the frames, if it is unknown."""
    from napari_sam2.segmentation.choices import SAY_KIND

    if frames.stack.kind is StackKind.UNKNOWN:
        notify(SAY_KIND)


def _saved(prompts: Path | None) -> tuple[SessionFile, ...]:
    """Read the prompts if they are a session file: of one stack, or of several volumes."""
    from napari_sam2.prompts import read_sessions

    is_session = prompts is not None and prompts.suffix.lower() == ".json"
    return read_sessions(prompts) if prompts is not None and is_session else ()


def _of_volume(sessions: Sequence[SessionFile], frames: Frames) -> SessionFile | None:
    """Return the session of the volume that is segmented."""
    from napari_sam2.prompts import session_at

    return session_at(sessions, frames.stack.at) if sessions else None


def _search(frames: Frames, options: SegmentOptions, may_be_empty: bool) -> Search:
    """Return the search: first where objects of such a stack are most likely whole."""
    first = options.start or 0
    last = frames.stack.n_frames if options.stop is None else options.stop
    in_time = frames.stack.kind is StackKind.TIME_LAPSE
    frame = first if in_time else (first + last - 1) // 2
    return Search(frame, options.every, options.min_size, options.max_size, may_be_empty)


def _prompts(
    path: Path | None,
    saved: SessionFile | None,
    frames: Frames,
    replays: bool,
    notify: Callable[[str], None],
) -> PromptBook:
    """Read prompts; an error about them names what else of the image could be meant.

    No prompts where a session file is replayed, or where there is no file.
    """
    from napari_sam2.prompts import PromptBook

    if path is None or replays:
        return PromptBook(frames.stack.shape)
    from napari_sam2.segmentation.choices import name_choices
    from napari_sam2.segmentation.image_source import given_prompts
    from napari_sam2.segmentation.label_prompts import describe_label_prompts, holds_labels

    try:
        book = given_prompts(path, saved, frames)
    except PromptError as error:
        raise name_choices(error, frames) from error
    if holds_labels(path):
        notify(describe_label_prompts(path, book))
    return book


def _object_ids(book: PromptBook | None, *sessions: SessionFile | None) -> set[int]:
    books = (book, *(each.book for each in sessions if each is not None))
    return {number for each in books if each is not None for number in each.object_ids()}


def _digest_of_objects(
    options: SegmentOptions,
    book: PromptBook,
    replays: SessionFile | None,
    later: Mapping[int, SessionFile],
) -> str:
    """Return a digest of all that says which objects are meant."""
    from napari_sam2.segmentation.kept_run import digest_of_objects

    sessions = [*([] if replays is None else [replays]), *later.values()]
    search = (options.auto, options.every, options.min_size, options.max_size)
    books = [book, *(each.book for each in sessions)]
    return digest_of_objects(books, sessions, *search, *later)


def _after_writing(error: Sam2Error, output: Path) -> Sam2Error:
    """Add to an error where the finished frames are."""
    error.safe = f"The labels of the frames that were done are in {output}."
    return error


def _write(
    session: TrackingSession,
    frames: Frames,
    labels: Any,
    session_files: Sequence[SessionFile],
    files: SegmentFiles,
    *,
    fallback: bool,
) -> None:
    from napari_sam2.prompts import write_sessions

    _write_labels(files.output, frames, labels, fallback=fallback)
    if files.session is not None:
        write_sessions(session_files, files.session)
    if files.overlay is not None:
        from napari_sam2.segmentation.pictures import write_sheet

        write_sheet(files.overlay, frames.stack, session.labels)


def _write_labels(output: Path, frames: Frames, labels: Any, *, fallback: bool) -> None:
    """Write labels to their path, or with `fallback` to a temporary folder if that fails.

    Raises
    ------
    LabelsError
        They could not be written where they should be; it says where they are.
    """
    try:
        frames.layout.write(output, labels)
    except LabelsError as error:
        if fallback:
            other = Path(tempfile.mkdtemp(prefix="napari-sam2-")) / output.name
            frames.layout.write(other, labels)
            error.safe = f"What stood there before is unchanged, and the labels are in {other}."
        raise
