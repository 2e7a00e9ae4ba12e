"""The sentences that tell the user what to do next, as pure functions of the situation.

Any thread.
"""

from __future__ import annotations

from dataclasses import dataclass

OPEN_AN_IMAGE = (
    "Open an image stack to begin. To try it out: File ▸ Open Sample ▸ SAM 2 for stacks."
)
GET_THE_MODEL = "Download the model, or choose the bundled one."
REACH_THE_SERVER = "Connect to the server, or compute on this computer."
FETCHING = "The model is on its way. With the bundled one you can begin at once."
PRESS_START = "Press Start, then click an object in the image."
DRAW_THE_PART = "Draw a rectangle in the image: the part to work in. Without one it is all of it."
CLICK = "Click an object in the image. Shift-click marks what does not belong to it."
GO_ON = "Propagate to fill the other frames, or press N and click the next object."
CLICK_THE_NEXT = "Click the next object, or propagate to fill the other frames."
CLICK_THE_NEXT_ALONE = "Click the next object."
GO_ON_ALONE = "Press N and click the next object."
RUNNING = "Carrying the objects through the stack. You may scroll meanwhile."
CANCELLING = "Stopping after this frame…"
ADAPT = (
    "Scores are low. With Adapt the model learns from the masks that you have accepted, and undo "
    "brings the former one back."
)
READING_MASKS = "Reading the masks to learn from"
ADAPT_WAITS = "Adapted: taken into use after the propagation"
FIND_CANCELLED = "Cancelled; nothing was added."
ADAPT_CANCELLED = "Cancelled; the model is as it was."
ADAPT_NO_MODEL = "Start first, with a model that is on this computer."
TILTED = (
    "The image is tilted against the sliders (affine, rotate or shear): a click can be up to {off} "
    "{frames} away from the slice that is shown. Set the elements between sliders and displayed "
    "axes of its affine to 0 and press Restart; the labels can have the affine back afterwards."
)
NO_PROMPT_IN_3D = (
    "A click in the 3D view is in no slice, so it is no prompt. Go back to the 2D view (Ctrl-Y) "
    "and click there. Ctrl-click selects an object in 3D too."
)
OUTSIDE = "The sliders are outside this image: move them to one of its frames."


@dataclass(frozen=True, slots=True)
class Situation:
    """What the hint depends on.

    Attributes
    ----------
    has_image, has_model, awaits_server, fetching, awaits_part, started, running, outside : bool
        Where the user is.
    n_prompted : int
        Objects with prompts in the stack in view.
    fresh : bool
        The object that the next prompts are for is none of these.
    n_frames : int
        Length of the stack.
    ignored : int
        Marks that are no prompts.
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
    ignored: int = 0
    outcome: str = ""
    teaches: bool = False


def hint(now: Situation) -> str:
    """Return what to do next."""
    if not now.has_image:
        return OPEN_AN_IMAGE
    if now.awaits_server:
        return REACH_THE_SERVER
    if not now.has_model:
        return FETCHING if now.fetching else GET_THE_MODEL
    if now.running:
        return RUNNING
    if now.awaits_part:
        return DRAW_THE_PART
    if not now.started:
        return PRESS_START
    if now.outside:
        return OUTSIDE
    return " ".join(filter(None, (_ignored(now.ignored), _next_step(now))))


def _next_step(now: Situation) -> str:
    if now.teaches:
        return ADAPT
    if now.outcome:
        return now.outcome
    if not now.n_prompted:
        return CLICK
    alone = now.n_frames == 1
    if now.fresh:
        return CLICK_THE_NEXT_ALONE if alone else CLICK_THE_NEXT
    return GO_ON_ALONE if alone else GO_ON


def _ignored(count: int) -> str:
    if not count:
        return ""
    marks = "1 mark is" if count == 1 else f"{count} marks are"
    return (
        f"{marks} ignored: outside the image or its part, too small, across several frames, or of "
        "no object."
    )


def outcome(done: int, total: int, *, cancelled: bool, skipped: int = 0) -> str:
    """Say how a run ended; `skipped` of the frames that are done could not be read."""
    if cancelled:
        return f"Cancelled after {done} of {total} frames; these are kept."
    left_out = f", {skipped} of them skipped" if skipped else ""
    count = "1 frame" if done == 1 else f"{done} frames"
    return f"Done: {count}{left_out}. Where a mask is wrong, click there and propagate again."


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
