"""A model server on this machine that can do everything wrong."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from napari_sam2.checkpoints.http_transfer import TransferPolicy
from napari_sam2.checkpoints.registry import ModelInfo


@dataclass
class FaultyServer:
    """What the server serves, and how badly.

    `statuses` are answered first, one per request; `truncate_after` and `stall_after` count bytes
    of one answer's body, and hold for the first `faults` answers.
    """

    content: bytes
    statuses: list[int] = field(default_factory=list)
    faults: int = 10**6
    truncate_after: int | None = None
    stall_after: int | None = None
    stall_seconds: float = 1.0
    seconds_per_block: float = 0.0
    ignore_ranges: bool = False
    wrong_ranges: bool = False
    unknown_length: bool = False
    content_type: str = "application/octet-stream"
    ranges: list[str | None] = field(default_factory=list)
    url: str = ""

    @property
    def requests(self) -> int:
        return len(self.ranges)


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, server_faults: FaultyServer, *args: object) -> None:
        self.faults = server_faults
        super().__init__(*args)

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        faults = self.faults
        wanted = self.headers.get("Range")
        faults.ranges.append(wanted)
        if faults.statuses:
            self.send_response(faults.statuses.pop(0))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        total = len(faults.content)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if faults.ignore_ranges:
            wanted, start = None, 0
        if wanted and start >= total:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{total}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if wanted and faults.wrong_ranges:
            start = max(0, start - 1)
        body = faults.content[start:]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Type", faults.content_type)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if not faults.unknown_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self._send(body)

    def _send(self, body: bytes) -> None:
        faults = self.faults
        faulty = faults.faults > 0
        faults.faults -= 1
        if faulty and faults.truncate_after is not None:
            body = body[: faults.truncate_after]
        block = 8192
        try:
            for at in range(0, len(body), block):
                piece = body[at : at + block]
                if faulty and faults.stall_after is not None and at + block > faults.stall_after:
                    self.wfile.write(piece[: max(0, faults.stall_after - at)])
                    self.wfile.flush()
                    time.sleep(faults.stall_seconds)
                    return
                self.wfile.write(piece)
                self.wfile.flush()
                time.sleep(faults.seconds_per_block)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reach the server on this machine whatever the proxy settings are."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def content() -> bytes:
    """Bytes without any period, so that a piece in the wrong place is noticed."""
    return hashlib.shake_256(b"napari-sam2").digest(200_000)


@pytest.fixture
def server(content: bytes) -> Iterator[FaultyServer]:
    faults = FaultyServer(content)
    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, faults))
    http.daemon_threads = True
    faults.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=partial(http.serve_forever, poll_interval=0.02))
    thread.start()
    try:
        yield faults
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


@pytest.fixture
def info(server: FaultyServer, content: bytes) -> ModelInfo:
    """A model whose listed size and hash are right."""
    return ModelInfo(
        name="test",
        title="Test model",
        url=f"{server.url}/test.pt",
        file_name="test.pt",
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        licence="Apache-2.0",
        parameters=1,
        description="For tests.",
    )


@pytest.fixture
def policy() -> TransferPolicy:
    """So impatient that faults cost no time."""
    return TransferPolicy(connect_timeout=2, stall_timeout=0.3, attempts=3, backoff=0.01)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder that does not exist yet."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("NAPARI_SAM2_CACHE", str(folder))
    return folder
