"""`StackClaim`: the right of one process to work on a stack, among all that share a file system.

A claim is a file that is created exclusively, in a folder of its own for each stack. It says who
holds it, and a thread of the holder touches it as long as the process lives. A claim that nobody
has touched for some minutes is stale, and so is one whose process is known to be gone. The next
process then creates the file with the next higher number: again only one of several succeeds,
whereas deleting and creating a file again could succeed twice. The highest number counts.

Ages are measured with the clock of the file system, so that those of the machines may differ.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from napari_sam2._atomic import short_name
from napari_sam2._limits import read_note
from napari_sam2.errors import BatchError

STALE_S = 180.0
"""Seconds without a heartbeat after which a claim does not count any more."""

_HEARTBEAT_S = 15.0
_ATTEMPTS = 100
_LONGEST_NAME = 200  # bytes


@dataclass(frozen=True, slots=True)
class ClaimOwner:
    """Who holds a claim.

    Attributes
    ----------
    host : str
    pid : int
    space : str
        In which process numbers are counted: containers on one machine have their own.
    run : str
        Id of the batch that works on the stack, of which there may be several processes.
    """

    host: str = ""
    pid: int = 0
    space: str = ""
    run: str = ""

    @classmethod
    def here(cls, run: str) -> ClaimOwner:
        """Return this process."""
        return cls(socket.gethostname(), os.getpid(), _process_space(), run)

    def is_gone(self) -> bool:
        """Return whether the process is known to have ended; False where that cannot be known."""
        return (
            (self.host, self.space) == (socket.gethostname(), _process_space())
            and self.pid > 0
            and not _is_running(self.pid)
        )

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}" if self.host else "another process"


class StackClaim:
    """A claim that this process holds, until the body of ``with`` ends.

    Parameters
    ----------
    folder : Path
        Of all claims on this stack.
    number : int
        Of the file, which has been created.
    heartbeat_s : float

    Attributes
    ----------
    lost : bool
        Whether another process holds it now: this one was asleep for too long.
    """

    def __init__(self, folder: Path, number: int, heartbeat_s: float = _HEARTBEAT_S) -> None:
        self.lost = False
        self._folder = folder
        self._number = number
        self._ended = threading.Event()
        self._heartbeat_s = heartbeat_s
        self._thread = threading.Thread(target=self._refresh, name="napari-sam2-claim", daemon=True)
        self._thread.start()

    def __enter__(self) -> StackClaim:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        # The highest goes last: until then nobody takes a lower, stale one for the one that counts.
        for number in sorted(_numbers(self._folder)):
            if number <= self._number:
                with suppress(OSError):  # a file system that vanished: the claim becomes stale
                    _file(self._folder, number).unlink()
        with suppress(OSError):  # another process may have come meanwhile
            self._folder.rmdir()

    def check(self) -> bool:
        """Return whether this process still holds the claim, and note if it does not."""
        with suppress(OSError):  # what cannot be read now says nothing
            self.lost = self.lost or max(_numbers(self._folder), default=0) != self._number
        return not self.lost

    def _refresh(self) -> None:
        """Update the time of the file at every heartbeat; runs on a thread of its own."""
        while not self._ended.wait(self._heartbeat_s):
            if not self.check():
                return
            with suppress(OSError):
                os.utime(_file(self._folder, self._number))


def take_claim(
    claims: Path,
    name: str,
    run: str,
    *,
    stale_s: float = STALE_S,
    heartbeat_s: float = _HEARTBEAT_S,
) -> StackClaim | ClaimOwner:
    """Claim a stack for this process.

    Parameters
    ----------
    claims : Path
        The folder of all claims; made if it is not there.
    name : str
        Of the stack.
    run : str
        See `ClaimOwner`.
    stale_s, heartbeat_s : float
        Seconds after which a claim is stale, and between two heartbeats.

    Returns
    -------
    StackClaim or ClaimOwner
        The claim, or who holds it.

    Raises
    ------
    BatchError
        The file system takes no claims.
    """
    folder = _folder(claims, name)
    text = json.dumps(asdict(ClaimOwner.here(run)))
    try:
        for _ in range(_ATTEMPTS):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                number = max(_numbers(folder), default=0)
                if number:
                    owner = _holder(_file(folder, number), stale_s)
                    if owner is not None:
                        return owner
                _create(_file(folder, number + 1), text)
            except (FileExistsError, FileNotFoundError):
                continue  # another process was faster, or has just released it
            return StackClaim(folder, number + 1, heartbeat_s)
    except OSError as error:
        raise BatchError(
            f"A claim cannot be written to {folder}: {error.strerror or error}.",
            safe="The stack is as it was.",
            remedy="Make room, or see that the folder may be written to.",
        ) from error
    raise BatchError(
        f"The claims in {folder} do not come to rest.",
        safe="The stack is as it was.",
        remedy="See whether the file system is shared correctly, or use --part i/N.",
    )


def holder_of(claims: Path, name: str) -> ClaimOwner | None:
    """Return who works on a stack; None: nobody.

    Raises
    ------
    OSError
        The claims cannot be read.
    """
    folder = _folder(claims, name)
    try:
        number = max(_numbers(folder), default=0)
        return _holder(_file(folder, number), STALE_S) if number else None
    except FileNotFoundError:
        return None


def _holder(file: Path, stale_s: float) -> ClaimOwner | None:
    """Return who holds a claim; None if it is stale."""
    touched = file.stat().st_mtime
    owner = _owner(file)
    if owner.is_gone():
        return None
    with tempfile.TemporaryFile(dir=file.parent) as clock:
        age = os.fstat(clock.fileno()).st_mtime - touched
    return owner if age < stale_s else None


def _owner(file: Path) -> ClaimOwner:
    """Read who holds a claim; an unknown process where it has not been written yet."""
    try:
        content: Any = read_note(file)
        return ClaimOwner(
            str(content["host"]), int(content["pid"]), str(content["space"]), str(content["run"])
        )
    except (ValueError, TypeError, KeyError):
        return ClaimOwner()


def _create(file: Path, text: str) -> None:
    with file.open("x", encoding="utf-8") as opened:
        try:
            opened.write(text)
            opened.flush()
        except OSError:  # the disk is full: an empty claim would keep others away
            file.unlink(missing_ok=True)
            raise


def _folder(claims: Path, name: str) -> Path:
    return claims / short_name(quote(name, safe=" ,;=()[]+-_~"), _LONGEST_NAME)


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number}.json"


def _numbers(folder: Path) -> list[int]:
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    stems = (name.removesuffix(".json") for name in names if name.endswith(".json"))
    return [int(stem) for stem in stems if stem.isascii() and stem.isdecimal()]


def _process_space() -> str:
    """Return an id of the namespace of process numbers, as every container counts its own."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # other systems have one space
        return ""


def _is_running(pid: int) -> bool:
    """Return whether a process of this machine runs; True where that cannot be asked."""
    if sys.platform == "win32":  # there os.kill would end it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True
    return not stat.rpartition(")")[2].lstrip().startswith("Z")  # ended, but not yet waited for
