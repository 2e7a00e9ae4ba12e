"""A file to download, and the errors that name it."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path

from napari_sam2._limits import MOST_MODEL_BYTES
from napari_sam2.checkpoints.cache import CACHE_VARIABLE
from napari_sam2.errors import DownloadError

MEGABYTE = 1_000_000

_FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class DownloadCancelledError(DownloadError):
    """The user stopped a download; the bytes that arrived are kept."""


@dataclass(frozen=True, slots=True)
class Order:
    """A file to download.

    Attributes
    ----------
    title : str
        Name of the file in messages.
    url : str
        Address of the file.
    target : Path
        Path of the complete file.
    most_bytes : int
        So many bytes the file has at most.
    """

    title: str
    url: str
    target: Path
    most_bytes: int = MOST_MODEL_BYTES

    @property
    def part(self) -> Path:
        """Path of the incomplete file."""
        return self.target.with_name(self.target.name + ".part")

    @property
    def aside(self) -> Path:
        """Path of a complete file that no source vouches for."""
        return self.target.with_name(self.target.name + ".unverified")

    @property
    def lock(self) -> Path:
        """Held by the process that fetches the file."""
        return self.target.with_name(self.target.name + ".lock")

    def part_size(self) -> int:
        """Return how many bytes have arrived so far."""
        try:
            return self.part.stat().st_size
        except FileNotFoundError:
            return 0

    def by_hand(self) -> str:
        """Describe how to get the file without this program."""
        return f"fetch {self.url} in any other way and put it at {self.target}"

    def kept(self) -> str:
        """Return a sentence for errors about the bytes that are kept."""
        size = self.part_size()
        if not size:
            return ""
        return f"The {size / MEGABYTE:.1f} MB that arrived are kept; the next try goes on there."

    def unreachable(self, cause: str) -> DownloadError:
        """Build the error for a server that does not deliver."""
        return DownloadError(
            f"{self.title} could not be downloaded from {self.url}: {cause}.",
            safe=self.kept(),
            remedy=f"Check the connection and try again, or {self.by_hand()}.",
        )

    def refused(self, cause: str) -> DownloadError:
        """Build the error for a server whose answer is final."""
        return DownloadError(
            f"{self.title} could not be downloaded from {self.url}: {cause}.",
            safe=self.kept(),
            remedy=f"Trying again will not help by itself; {self.by_hand()}.",
        )

    def too_large(self, size: int) -> DownloadError:
        """Build the error for a server that sends more than the file has."""
        return DownloadError(
            f"{self.title} was not downloaded from {self.url}: {size} bytes or more would come, "
            f"and the file that is listed has {self.most_bytes}.",
            safe="Nothing of it was kept.",
            remedy="If you trust that server, fetch it with --allow-unknown-hash "
            f"(allow_unknown_hash=True); or {self.by_hand()}.",
        )

    def cancelled(self) -> DownloadCancelledError:
        """Build the error for a download that the user stopped."""
        return DownloadCancelledError(
            f"The download of {self.title} was cancelled.", safe=self.kept()
        )

    def no_space(self, missing_bytes: int | None = None) -> DownloadError:
        """Build the error for a disk that cannot hold the file."""
        amount = f": {missing_bytes / MEGABYTE:.1f} MB more are needed" if missing_bytes else ""
        return DownloadError(
            f"There is no space for {self.title} in {self.target.parent}{amount}.",
            safe=self.kept(),
            remedy=f"Free some space, or choose another folder with {CACHE_VARIABLE}.",
        )

    def disk_error(self, error: OSError) -> DownloadError:
        """Build the error for a folder that cannot be written."""
        if error.errno in _FULL_DISK:
            return self.no_space()
        return DownloadError(
            f"{self.title} cannot be written to {self.target.parent}: {error.strerror or error}.",
            remedy=f"Make the folder writable, or choose another with {CACHE_VARIABLE}.",
        )
