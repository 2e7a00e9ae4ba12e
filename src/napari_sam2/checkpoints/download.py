"""Download of a registered model into the cache folder, verified by its hash.

Downloads run on the caller's thread, which may not be the window's main thread.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from napari_sam2._limits import MOST_MODEL_BYTES
from napari_sam2.checkpoints.cache import is_there, model_path
from napari_sam2.checkpoints.download_target import Order
from napari_sam2.checkpoints.http_transfer import Cancelled, Progress, Transfer, TransferPolicy
from napari_sam2.checkpoints.provenance import TrustRecord, Voucher, now, read_record, write_record
from napari_sam2.checkpoints.registry import ModelInfo, get_model_info
from napari_sam2.errors import CheckpointError, DownloadError

_LOCK_POLL = 0.2
_MARGIN_BYTES = 1_000_000  # a file of another size may still be the one whose hash is listed


def download_model(
    name: str,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    allow_unknown_hash: bool = False,
    base_url: str | None = None,
    policy: TransferPolicy | None = None,
) -> Path:
    """Fetch the file of a model, unless it is there already.

    A download that was interrupted goes on where it stopped. The file appears under its own name
    only when it is whole and its SHA-256 is the one listed, or one that the user allowed before.
    Two processes that want the same file share one download.

    Parameters
    ----------
    name : str
        One of `model_names()`; the bundled model is always there.
    folder : Path, optional
        Folder for the file; by default `cache_folder()`.
    progress : callable, optional
        Called with the bytes that are there and the bytes of the whole file (None if not known).
    cancelled : callable, optional
        Called between chunks; True stops.
    allow_unknown_hash : bool, optional
        Accept a file whose hash is not the one listed, and remember it. A file that was set aside
        for its hash is taken without another download.
    base_url : str, optional
        Folder of a mirror that holds the file under its usual name.
    policy : TransferPolicy, optional
        Timeouts and number of attempts.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    CheckpointError
        If there is no model of that name.
    DownloadError
        If the file cannot be fetched, stored or verified; the message names the URL and the path
        where a file fetched by hand is found.
    DownloadCancelledError
        If `cancelled` returned True.
    """
    return fetch_model(
        get_model_info(name),
        folder=folder,
        progress=progress,
        cancelled=cancelled,
        allow_unknown_hash=allow_unknown_hash,
        base_url=base_url,
        policy=policy,
    )


def fetch_model(
    info: ModelInfo,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    allow_unknown_hash: bool = False,
    base_url: str | None = None,
    policy: TransferPolicy | None = None,
) -> Path:
    """Fetch the file of a model that need not be in the registry: see `download_model`."""
    target = model_path(info, folder)
    if is_there(target):
        return target
    if info.url is None:
        raise CheckpointError(
            f"The {info.name} model is missing from this installation: {target} is not there.",
            remedy="Install napari-sam2 again.",
        )
    url = f"{base_url.rstrip('/')}/{info.file_name}" if base_url else info.url
    listed = None if allow_unknown_hash else info.size_bytes
    most = MOST_MODEL_BYTES if listed is None else listed + _MARGIN_BYTES
    order = Order(info.title, url, target, most)
    with _disk_errors(order), _alone(order, cancelled):
        if target.is_file():
            return target
        if allow_unknown_hash and order.aside.is_file():
            _accept(order, order.aside, _vouch(order, info, order.aside, allow_unknown_hash))
            return target
        Transfer(order, policy or TransferPolicy(), progress, cancelled).run()
        _accept(order, order.part, _vouch(order, info, order.part, allow_unknown_hash))
    return target


@contextmanager
def _disk_errors(order: Order) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise order.disk_error(error) from error


@contextmanager
def _alone(order: Order, cancelled: Cancelled | None) -> Iterator[None]:
    """Hold the order's lock; wait while another process fetches the same file."""
    order.target.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(order.lock)
    while not lock.is_locked:
        try:
            lock.acquire(timeout=_LOCK_POLL)
        except filelock.Timeout:
            if cancelled is not None and cancelled():
                raise order.cancelled() from None
    try:
        yield
    finally:
        lock.release()


def _vouch(order: Order, info: ModelInfo, path: Path, allow_unknown_hash: bool) -> TrustRecord:
    """Find the source that vouches for a downloaded file; set the file aside if there is none."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    size = path.stat().st_size
    pinned = read_record(order.target)
    if sha256 == info.sha256:
        voucher = Voucher.REGISTRY
    elif allow_unknown_hash or (pinned and pinned.sha256 == sha256):
        voucher = pinned.voucher if pinned and pinned.sha256 == sha256 else Voucher.USER
    elif info.sha256 is None and pinned is None and info.size_bytes in {None, size}:
        voucher = Voucher.FIRST_DOWNLOAD
    else:
        path.replace(order.aside)
        raise _nobody_vouches(order, info, pinned, sha256, size)
    return TrustRecord(sha256, size, voucher, order.url, now())


def _accept(order: Order, path: Path, record: TrustRecord) -> None:
    write_record(order.target, record)
    path.replace(order.target)
    order.aside.unlink(missing_ok=True)


def _nobody_vouches(
    order: Order, info: ModelInfo, pinned: TrustRecord | None, sha256: str, size: int
) -> DownloadError:
    expected = info.sha256 or (pinned.sha256 if pinned else None)
    wanted = f"SHA-256 {expected}" if expected else f"{info.size_bytes} bytes"
    sizes = f"{size} bytes"
    if info.size_bytes not in {None, size}:
        sizes += f" where {info.size_bytes} were expected"
    return DownloadError(
        f"{order.title} arrived from {order.url}, but it is not the file that is listed: "
        f"it has SHA-256 {sha256} and {sizes}; listed is {wanted}.",
        safe=f"It was set aside as {order.aside} and is not used.",
        remedy="Download again in case it was damaged on the way. If you trust that server, "
        "accept the file with --allow-unknown-hash (allow_unknown_hash=True): "
        "nothing is downloaded twice and the decision is remembered.",
    )
