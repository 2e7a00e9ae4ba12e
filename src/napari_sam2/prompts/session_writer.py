"""The writer of session files: versioned JSON, one prompt per line, masks as run lengths."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, astuple
from functools import partial

from napari_sam2.prompts.book import PromptBook
from napari_sam2.prompts.frame_prompt import FramePrompt
from napari_sam2.prompts.run_length_masks import encode_run_lengths
from napari_sam2.prompts.session_file import FORMAT, VERSION, SessionFile
from napari_sam2.types import ObjectFrame

_OF_ONE_STACK = 3  # version of a file that holds one session


def prompts_to_json(book: PromptBook) -> str:
    """Return the prompts as the text of a session file."""
    return session_to_json(SessionFile(book))


def session_to_json(session: SessionFile) -> str:
    """Return the text of a session file; blocks that are empty are left out."""
    return sessions_to_json([session])


def sessions_to_json(sessions: Sequence[SessionFile]) -> str:
    """Return the text of a session file that holds the sessions of one or more stacks.

    That of one stack is of the version that holds no more, which earlier releases read.
    """
    if len(sessions) == 1:
        head = {"format": _text(FORMAT), "version": _text(_OF_ONE_STACK)}
        return f"{_joined({**head, **_blocks(sessions[0])})}\n"
    head = {"format": _text(FORMAT), "version": _text(VERSION)}
    stacks = "[\n" + ",\n".join(_joined(_blocks(session)) for session in sessions) + "\n ]"
    return f"{_joined({**head, 'stacks': stacks})}\n"


def _blocks(session: SessionFile) -> dict[str, str]:
    """Return the blocks of one stack by name."""
    blocks = {"shape": _text(session.book.shape)}
    if session.axis is not None:
        blocks["axis"] = _text(session.axis)
    if session.at:
        blocks["at"] = _text({str(axis): where for axis, where in session.at.items()})
    if session.region is not None:
        blocks["region"] = _text(astuple(session.region))
    if session.contrast:
        blocks["contrast"] = _text(session.contrast)
    if session.settings:
        blocks["settings"] = _text(dict(session.settings))
    if session.names:
        blocks["names"] = _text({str(number): name for number, name in session.names.items()})
    if session.found:
        blocks["found"] = _text(sorted(session.found))
    blocks["prompts"] = _lines([_prompt_text(*entry, session) for entry in session.book])
    if session.accepted:
        blocks["accepted"] = _lines([_accepted_text(pair, session) for pair in session.accepted])
    if session.divisions:
        blocks["divisions"] = _lines([_text(asdict(each)) for each in session.divisions])
    return blocks


def _joined(blocks: dict[str, str]) -> str:
    body = ",\n".join([f" {_text(name)}: {text}" for name, text in blocks.items()])
    return f"{{\n{body}\n}}"


_text = partial(json.dumps, allow_nan=False)


def _lines(entries: list[str]) -> str:
    body = ",\n".join(["  " + entry for entry in entries])
    return f"[\n{body}\n ]" if body else "[]"


def _prompt_text(object_id: int, frame: int, prompt: FramePrompt, session: SessionFile) -> str:
    entry: dict[str, object] = {"object": object_id, "frame": frame}
    if prompt.points:
        entry |= {"points": prompt.points, "positive": prompt.positive}
    if len(prompt.rounds) > 1:
        entry["rounds"] = prompt.rounds
    if prompt.box is not None:
        entry["box"] = prompt.box
    if prompt.mask is not None:
        entry["mask"] = encode_run_lengths(prompt.mask)
    pair = ObjectFrame(object_id, frame)
    if pair in session.results:
        entry["result"] = session.results.lengths(pair)
    if pair in session.handed_over:
        entry["handed_over"] = True
    return _text(entry)


def _accepted_text(pair: ObjectFrame, session: SessionFile) -> str:
    entry: dict[str, object] = {"frame": pair.frame, "object": pair.object_id}
    if pair in session.accepted_masks:
        entry["mask"] = session.accepted_masks.lengths(pair)
    return _text(entry)
