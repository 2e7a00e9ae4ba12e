"""What a session file says of how an image is looked at, and of its prompts there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_sam2.cli.frames import Frames, Seeing, read_region
from napari_sam2.prompts import PromptBook, SessionFile, moved_book, read_prompts, read_session
from napari_sam2.types import Region


def seeing_of(
    saved: SessionFile | None,
    *,
    axis: str,
    at: Sequence[str],
    channels: str,
    region: str,
    through: str,
) -> Seeing:
    """Say how to look at an image: as asked for, else as a session was saved."""
    asked = read_region(region) if region else None
    if saved is None:
        return Seeing(axis, tuple(at), None, channels, asked, through=through)
    known = str(saved.settings.get("channels", ""))
    same_channels = not channels or channels == known
    return Seeing(
        axis,
        tuple(at),
        saved,
        channels or known,
        asked or saved.region,
        saved.contrast if same_channels else (),
        through,
    )


def replays_on(saved: SessionFile | None, frames: Frames) -> bool:
    """Tell whether a session was made for these very frames."""
    stack = frames.stack
    return (
        saved is not None
        and saved.book.shape == stack.shape
        and _corner(saved) == _at(stack.region)
    )


def given_prompts(path: Path, saved: SessionFile | None, frames: Frames) -> PromptBook:
    """Read prompts for frames that may be a part of the image.

    Raises
    ------
    PromptError
        The file cannot be read, or a prompt is not inside the frames.
    """
    stack = frames.stack
    if saved is None:
        book = read_prompts(path, frames.shape)
        return book if stack.region is None else moved_book(book, _at(stack.region), stack.shape)
    if saved.region is None and stack.region is None:
        return read_session(path, stack.shape).elsewhere()
    (y, x), (before_y, before_x) = _at(stack.region), _corner(saved)
    return moved_book(saved.elsewhere(), (y - before_y, x - before_x), stack.shape)


def _corner(saved: SessionFile) -> tuple[int, int]:
    return _at(saved.region)


def _at(region: Region | None) -> tuple[int, int]:
    return (0, 0) if region is None else (region.y0, region.x0)
