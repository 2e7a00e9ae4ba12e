"""Files of prompts by their suffix, and reading of session files. Any thread may use it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from napari_sam2._atomic import writing
from napari_sam2._limits import MOST_TEXT_BYTES, check_file
from napari_sam2.errors import PromptError
from napari_sam2.prompts.book import PromptBook
from napari_sam2.prompts.csv_format import prompts_from_csv, prompts_to_csv
from napari_sam2.prompts.napari_csv import TablePlaces, is_napari_table, prompts_from_napari_csv
from napari_sam2.prompts.session_file import SessionFile, write_session
from napari_sam2.prompts.session_reader import session_from_json, sessions_from_json

_DELIMITERS = {".csv": ",", ".tsv": "\t"}


def read_prompts(
    path: str | PathLike[str],
    shape: Sequence[int],
    places: Mapping[int, TablePlaces] | None = None,
) -> PromptBook:
    """Return the prompts of a session file (.json) or a table (.csv, .tsv).

    A table is our own (see `prompts_from_csv`), or points or shapes that napari saved.

    Parameters
    ----------
    path : path
    shape : (T, Y, X)
        The stack on which the prompts are to be used. A session made for another stack is read
        as long as its prompts lie inside this one. The prompts of a session of a part of an image
        are put in their place, unless the frames are of the size of that part.
    places : mapping of int to TablePlaces, optional
        For napari's tables; see `prompts_from_napari_csv`.

    Raises
    ------
    PromptError
        The file cannot be read or a prompt is wrong; the error names file and place.
    """
    path = Path(path)
    if _is_table(path):
        with _naming(path):
            text = _read_text(path)
            if is_napari_table(text):
                return prompts_from_napari_csv(text, shape, places)
            return prompts_from_csv(text, shape)
    return read_session(path, shape).book


def write_prompts(book: PromptBook, path: str | PathLike[str]) -> None:
    """Write prompts as a session file (.json) or, without masks, as a table (.csv), atomically."""
    path = Path(path)
    if not _is_table(path):
        write_session(SessionFile(book), path)
        return
    text = prompts_to_csv(book, _DELIMITERS[path.suffix.lower()])
    with (
        writing(path, "The prompts", PromptError) as temporary,
        temporary.open("x", encoding="utf-8", newline="\n") as file,
    ):
        file.write(text)


def read_session(
    path: str | PathLike[str],
    shape: Sequence[int] | None = None,
    *,
    image: Sequence[int] | None = None,
    at: Mapping[int, int] | None = None,
) -> SessionFile:
    """Return a session file, for the stack of `shape` (T, Y, X) or the one it was made for.

    Parameters
    ----------
    path : path
    shape : (T, Y, X), optional
        The stack on which the session is to be used; see `session_from_json`.
    image : sequence of int, optional
        Shape (..., Y, X) of the image that it is for: a session of larger frames is
        refused before its masks are unpacked.
    at : mapping of int to int, optional
        Which session is meant where the file holds those of several stacks: the positions of
        its stack, axis to index.

    Raises
    ------
    PromptError
        The file cannot be read, is of a later version, or holds a wrong value; or it holds
        several sessions, and none is at these positions.
    """
    path = Path(path)
    with _naming(path):
        return session_from_json(_read_text(path), shape, image=image, at=at)


def read_sessions(
    path: str | PathLike[str], *, image: Sequence[int] | None = None
) -> tuple[SessionFile, ...]:
    """Return the sessions of all stacks of an image that a session file holds; at least one.

    Parameters
    ----------
    path, image
        As in `read_session`.

    Raises
    ------
    PromptError
        The file cannot be read, is of a later version, or holds a wrong value.
    """
    path = Path(path)
    with _naming(path):
        return sessions_from_json(_read_text(path), image=image)


def _is_table(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix in _DELIMITERS or suffix == ".json":
        return suffix in _DELIMITERS
    raise PromptError(
        f"{path.name} is neither .json nor .csv.",
        remedy="Name a session file .json and a table of prompts .csv.",
    )


def _read_text(path: Path) -> str:
    """Return the UTF-8 text of a file, without a byte-order mark."""
    try:
        check_file(path, MOST_TEXT_BYTES)
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise PromptError(
            f"{path} cannot be read: {error.strerror or error}.",
            remedy="Check the path and that the file may be read.",
        ) from error
    except UnicodeDecodeError as error:
        raise PromptError(
            f"{path} is not a text file (byte {error.start} is not UTF-8).",
            remedy="Choose a session file (.json) or a table of prompts (.csv), saved as UTF-8.",
        ) from error


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Add the name of the file to errors raised inside."""
    try:
        yield
    except PromptError as error:
        if str(path) in error.happened:
            raise
        raise PromptError(
            f"{path.name}: {error.happened}", safe=error.safe, remedy=error.remedy
        ) from error
