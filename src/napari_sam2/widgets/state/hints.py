"""The sentences that tell the user what to do next, as pure functions of the situation.

Any thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Set
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import NamedTuple

LOW_SCORE = 0.7
"""Mean scores below this one are low."""

WEAK_SCORE = 0.5
"""A prompted mask below this score is hardly the object."""

OPEN_AN_IMAGE = (
    "Open an image to begin, with Open or by dropping it on napari. To try it out: "
    "File ▸ Open Sample ▸ SAM 2 for stacks."
)
GET_THE_MODEL = "Download the model, or choose the bundled one."
REACH_THE_SERVER = "Connect to the server, or compute on this computer."
FETCHING = "The model is on its way. With the bundled one you can begin at once."
PRESS_START = "Press Start, then click an object in the image."
PRESS_RESUME = (
    "Press Resume to go on with the earlier work, or Start to begin anew; it stays in its file."
)
DRAW_THE_PART = "Draw a rectangle in the image: the part to work in. Without one it is all of it."
CLICK = "Click an object in the image. Shift-click marks what does not belong to it."
GO_ON = "Propagate to fill the other frames, or press N and click the next object."
FOLLOWED = "Where a mask is wrong, click there and propagate again. N is for the next object."
CLICK_THE_NEXT = "Click the next object, or propagate to fill the other frames."
CLICK_THE_NEXT_ALONE = "Click the next object."
GO_ON_ALONE = "Press N and click the next object."
RUNNING = "Following the objects through the stack. You may scroll and correct meanwhile."
PAUSED = "Paused. P or Resume goes on; until then you may look, click and correct."
NOTHING_DOUBTFUL = "No frame of any object is doubtful."
NO_OBJECT = "There is no object yet."
NOT_PROMPTED = "Object {number} has no prompt in this stack."
NO_DIVISION = "No selected object divides or comes from a division."
NOTHING_TO_ACCEPT = "There is no mask to accept here."
NO_CANDIDATES = (
    "M shows the three masks that one click can mean. Object {number} {reason} in this frame."
)
CANCELLING = "Stopping after this frame…"
ADAPT = (
    "Scores are low. With Adapt the model learns from the masks that you have accepted, and undo "
    "brings the former one back."
)
READING_MASKS = "Reading the masks to learn from"
ADAPT_WAITS = "Adapted: taken into use once nothing else is running"
FIND_CANCELLED = "Cancelled; nothing was added."
SAY_KIND = (
    "If this is a time-lapse, say so under Frames are and press Restart: a search through it then "
    "also finds divisions."
)
ADAPT_CANCELLED = "Cancelled; the model is as it was."
ADAPT_NO_MODEL = "Start first, with a model that is on this computer."
TILTED = (
    "The image is turned out of the plane of the view (affine, rotate or shear): its sliders move "
    "through no slices, so that no frame is shown as it is. Reset the affine of the image and "
    "press Restart; the labels can have the affine back afterwards."
)
NO_PROMPT_IN_3D = (
    "A click in the 3D view is in no slice, so it is no prompt. Go back to the 2D view (Ctrl-Y) "
    "and click there. Ctrl-click selects an object in 3D too."
)
OUTSIDE = "The sliders are outside this image: move them to one of its frames."


class Ignored(StrEnum):
    """Why a point or a shape is no prompt; the value completes "it is"."""

    OUTSIDE = "outside the image"
    OUTSIDE_PART = "outside the part that is worked in"
    ACROSS = "across several frames"
    SMALL = "smaller than a pixel"
    NO_OBJECT = "of no object"


class Weakness(NamedTuple):
    """What is wrong with a prompted mask.

    Attributes
    ----------
    score : float
    filling : bool
        It reaches all four sides of what the model sees; else its score is low.
    boxed, one_click : bool
        Whether it has a box; whether it is of one click alone.
    adapts : bool
        Whether the model can learn from other masks.
    """

    score: float
    filling: bool = False
    boxed: bool = False
    one_click: bool = False
    adapts: bool = False


class ContrastState(Enum):
    """What there is to be said of the contrast that the model sees."""

    AS_SEEN = auto()
    CHANGED = auto()
    HIDES = auto()


CONTRAST_CHANGED = "The model still sees the contrast of the start."
CONTRAST_HIDES = (
    "Nearly all pixels are black or white in the contrast that the model sees. Set the limits of "
    "the image in napari, then press Use new contrast."
)
ROLLED = (
    "What is shown are no frames: those lie along {axis} and show {rows} and {columns}. To click, "
    "roll or transpose the view back (Ctrl-E, Ctrl-T)."
)


class RunFindings(NamedTuple):
    """What a run has found.

    Attributes
    ----------
    objects : int
        All that it was to follow.
    alone : tuple of int
        Those that are in one frame only.
    low : tuple of int
        Those whose mean score is low.
    boxed : set of int
        Those that have a box in some frame.
    """

    objects: int = 0
    alone: tuple[int, ...] = ()
    low: tuple[int, ...] = ()
    boxed: Set[int] = frozenset()

    def lacks_box(self, object_ids: Iterable[int]) -> bool:
        """Tell whether any of these objects has no box yet."""
        return not self.boxed >= set(object_ids)


@dataclass(frozen=True, slots=True)
class Situation:
    """What the hint depends on.

    Attributes
    ----------
    has_image, has_model, awaits_server, fetching, awaits_part, started, running, outside : bool
        Where the user is.
    resumes : bool
        Earlier work on the image is offered.
    n_prompted : int
        Objects with prompts in the stack in view.
    fresh : bool
        The object that the next prompts are for is none of these.
    n_frames : int
        Length of the stack.
    followed : bool
        Every object with prompts is also in frames where it has none.
    ignored : tuple of Ignored
        Why marks are no prompts, once for each.
    paused, cancelling : bool
        The run is held; it is to stop after this frame.
    weakness : Weakness or None
        What is wrong with the prompted mask in view.
    contrast : ContrastState
    rolled : (str, str, str) or None
        The view shows other axes than those of the frames: video axis, rows and columns by name.
    outdated : int
        Frames with masks that are older than their prompts.
    outcome : str
        How the last run ended; empty if there was none since the last prompt.
    teaches : bool
        The model would do better if it learnt from what is accepted.
    """

    has_image: bool = False
    has_model: bool = True
    awaits_server: bool = False
    fetching: bool = False
    awaits_part: bool = False
    started: bool = False
    running: bool = False
    outside: bool = False
    n_prompted: int = 0
    fresh: bool = False
    n_frames: int = 1
    followed: bool = False
    ignored: tuple[Ignored, ...] = ()
    paused: bool = False
    cancelling: bool = False
    weakness: Weakness | None = None
    contrast: ContrastState = ContrastState.AS_SEEN
    rolled: tuple[str, str, str] | None = None
    outdated: int = 0
    outcome: str = ""
    teaches: bool = False
    resumes: bool = False


def hint(now: Situation) -> str:
    """Return what to do next."""
    if not now.has_image:
        return OPEN_AN_IMAGE
    if now.awaits_server:
        return REACH_THE_SERVER
    if not now.has_model:
        return FETCHING if now.fetching else GET_THE_MODEL
    if now.running:
        if now.cancelling:
            return CANCELLING
        return PAUSED if now.paused else RUNNING
    if now.awaits_part:
        return DRAW_THE_PART
    if not now.started:
        return PRESS_RESUME if now.resumes else PRESS_START
    if now.outside:
        return OUTSIDE
    if now.rolled is not None:
        return rolled_text(now.rolled)
    step = _next_step(now)
    if now.contrast is ContrastState.HIDES:
        step = CONTRAST_HIDES
    changed = CONTRAST_CHANGED if now.contrast is ContrastState.CHANGED else ""
    return " ".join(filter(None, (_ignored(now.ignored), step, changed)))


def rolled_text(names: tuple[str, str, str]) -> str:
    """Say that the view shows no frames; `names` are those of video axis, rows and columns."""
    axis, rows, columns = names
    return ROLLED.format(axis=axis, rows=rows, columns=columns)


def _next_step(now: Situation) -> str:
    if now.teaches:
        return ADAPT
    if now.weakness is not None:
        return what_helps(now.weakness)
    if now.outcome:
        return now.outcome
    if not now.n_prompted:
        return CLICK
    if now.outdated:
        return out_of_date(now.outdated)
    alone = now.n_frames == 1
    if now.fresh:
        return CLICK_THE_NEXT_ALONE if alone else CLICK_THE_NEXT
    if now.followed:
        return FOLLOWED
    return GO_ON_ALONE if alone else GO_ON


def _ignored(reasons: tuple[Ignored, ...]) -> str:
    if not reasons:
        return ""
    if len(reasons) == 1:
        return f"1 mark is ignored: it is {reasons[0]}."
    counts = Counter(reasons)
    if len(counts) == 1:
        return f"{len(reasons)} marks are ignored: they are {reasons[0]}."
    each = ", ".join(f"{counts[reason]} {reason}" for reason in Ignored if counts[reason])
    return f"{len(reasons)} marks are ignored: {each}."


def what_helps(weakness: Weakness) -> str:
    """Say what is wrong with a mask, and what helps."""
    ways = [] if weakness.boxed else ["a box around the object (B)"]
    ways += ["another of its three masks (M)"] if weakness.one_click else []
    ways += ["another model"]
    ways += ["Adapt"] if weakness.adapts else []
    helps = f"What helps: {', '.join(ways[:-1])} or {ways[-1]}." if ways[1:] else ""
    helps = helps or f"What helps: {ways[0]}."
    if weakness.filling:
        return f"This mask reaches the border on all sides of what the model sees. {helps}"
    return f"The score of this mask is low ({weakness.score:.2f}). {helps}"


def out_of_date(count: int) -> str:
    """Say that prompts have changed since masks were computed."""
    frames, them = ("1 frame is", "it") if count == 1 else (f"{count} frames are", "them")
    return f"{frames} out of date, marked ↻: propagate to compute {them} again from the prompts."


def outcome(
    done: int,
    total: int,
    *,
    cancelled: bool,
    skipped: int = 0,
    found: RunFindings | None = None,
) -> str:
    """Say how a run ended; `skipped` of the frames that are done could not be read."""
    if cancelled:
        return f"Cancelled after {done} of {total} frames; these are kept."
    found = found or RunFindings()
    alone, left_out = found.alone, f", {skipped} of them skipped" if skipped else ""
    if alone:
        was = "was" if len(alone) == 1 else "were"
        box = ", or draw a box (B)," if found.lacks_box(alone) else ""
        alone_text = (
            f"{_named(alone)} {was} found in one frame only: click there in another frame as well"
            f"{box} and propagate again."
        )
        if len(alone) >= found.objects:
            return alone_text
    count = "1 frame" if done == 1 else f"{done} frames"
    if alone:
        others = found.objects - len(alone)
        return f"Done: {count}{left_out}, {others} of {found.objects} objects. {alone_text}"
    if found.low:
        box = "a box (B), " if found.lacks_box(found.low) else ""
        return (
            f"Done: {count}{left_out}. Scores of {_named(found.low).lower()} are low: D shows "
            f"where. What helps: {box}a prompt there, or another model."
        )
    return f"Done: {count}{left_out}. Where a mask is wrong, click there and propagate again."


def _named(object_ids: Iterable[int]) -> str:
    """Name some objects, or say how many they are."""
    ids = [str(number) for number in object_ids]
    if len(ids) == 1:
        return f"Object {ids[0]}"
    if len(ids) > _NAMED:
        return f"{len(ids)} objects"
    return f"Objects {', '.join(ids[:-1])} and {ids[-1]}"


_NAMED = 4  # objects that are named one by one


def volumes_outcome(volumes: int, frames: int, *, cancelled: bool, skipped: int = 0) -> str:
    """Say how a run through several volumes ended."""
    if cancelled:
        return f"Cancelled in volume {volumes} after {frames} frames; these are kept."
    count = "1 volume" if volumes == 1 else f"{volumes} volumes"
    left_out = f", {skipped} of them skipped" if skipped else ""
    done = f"Done: {count}, {frames} frames{left_out}."
    return f"{done} Where a mask is wrong, click there and go on again."


def nothing_found(*, part: bool, like: bool) -> str:
    """Say that a search has found nothing, in the part in view or with examples."""
    where = "in the part in view" if part else "in this frame"
    what = "No further object like these was found" if like else "No further object was found"
    return f"{what} {where}, so nothing was added. Try other sizes, or click the objects."


def found_to_look_at(count: int) -> str:
    """Say how many found objects nobody has looked at."""
    objects = "1 found object is" if count == 1 else f"{count} found objects are"
    return f"{objects} not looked at yet. Correct them by clicks, accept them, or throw them away."


def unlikely_left_out(count: int) -> str:
    """Say how many objects a search has left out as unlikely; nothing for none."""
    if not count:
        return ""
    objects = "1 unlikely object was" if count == 1 else f"{count} unlikely objects were"
    what = "noise, tiny, or dark among bright ones or the reverse"
    return f"{objects} left out ({what}); give a smallest area to keep such objects."


def adapt_too_few(count: int, fewest: int) -> str:
    """Say why the model cannot learn yet."""
    there = "there is 1" if count == 1 else f"there are {count}"
    return f"Needs {fewest} accepted or prompted masks; {there}."


def adapt_question(masks: int, model: str, *, partly: bool) -> str:
    """Say what adapting would do; `partly`: of an official model only the decoder learns."""
    text = (
        f"The model {model} learns from the {masks} masks of this stack; about a fifth are held "
        "out to measure whether it is better. Only then is it used. Work can go on meanwhile."
    )
    if not partly:
        return text
    return (
        f"{text} Of this model the mask decoder alone learns, which is slow without a GPU: "
        "give it ten minutes or more, or choose the bundled model."
    )


def adapt_result(
    click: tuple[float, float], box: tuple[float, float], masks: int, *, taken: bool, used: bool
) -> str:
    """Say what came of an adaptation: figures before and after on masks that were held out."""
    figures = (
        f"one click: {_short(click[0])} → {_short(click[1])}, "
        f"box: {_short(box[0])} → {_short(box[1])} on {masks} held-out masks"
    )
    if not taken:
        return f"Not better, so the model was kept as it is ({figures})."
    if used:
        return f"Better: {figures}. The adapted model is in use."
    return f"Better: {figures}. The adapted model is in the list of models."


def _short(value: float) -> str:
    return f"{value:.2f}".lstrip("0") if value < 1 else f"{value:.2f}"
