"""HTTP transfer into a part file, which resumes after interruptions and retries after faults."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from napari_sam2.checkpoints.download_target import Order

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there and the bytes of the whole file, if known."""

Cancelled = Callable[[], bool]
"""Asked between chunks whether to stop."""

_PARTIAL = 206
_RANGE_UNSATISFIABLE = 416
_PASSING_STATUSES = {408, 425, 429, 500, 502, 503, 504}
_CANCEL_POLL = 0.1
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_CONTENT_RANGE = re.compile(r"bytes\s+(?:(\d+)-\d+|\*)/(\d+|\*)")


@dataclass(frozen=True, slots=True)
class TransferPolicy:
    """Timeouts and number of retries of a download.

    Attributes
    ----------
    connect_timeout : float
        Seconds to wait for a connection.
    stall_timeout : float
        Seconds to wait for the next bytes.
    attempts : int
        Number of consecutive connections that may bring no bytes.
    backoff : float
        Seconds before the second attempt; doubled before each further one.
    least_rate : float
        Bytes per second: a connection that brings fewer over `stall_timeout` seconds is given up.
    """

    connect_timeout: float = 10.0
    stall_timeout: float = 20.0
    attempts: int = 4
    backoff: float = 0.5
    least_rate: float = 1000.0


class _PassingFaultError(Exception):
    """Something that another attempt may cure."""


@dataclass(frozen=True, slots=True)
class _Span:
    """The bytes of one response: from `start` on, of `total` (None if unknown)."""

    start: int
    total: int | None


class _RateWatch:
    """Raises if a connection brings bytes, but too few to ever end."""

    def __init__(self, policy: TransferPolicy, size: int) -> None:
        self._policy = policy
        self._since, self._size = time.monotonic(), size

    def check(self, size: int) -> None:
        seconds = time.monotonic() - self._since
        if seconds < self._policy.stall_timeout:
            return
        if size - self._size < self._policy.least_rate * seconds:
            raise _PassingFaultError(f"only {size - self._size} bytes arrived in {seconds:.1f} s")
        self._since, self._size = time.monotonic(), size


class Transfer:
    """The transfer of one file from the server to its part file.

    A part file that is already there is continued by a range request; a server that ignores
    ranges starts it over. The part file stays if anything goes wrong.

    Parameters
    ----------
    order : Order
        The file to download.
    policy : TransferPolicy
        Timeouts and number of retries.
    progress : callable, optional
        Called after each chunk.
    cancelled : callable, optional
        Called before each chunk and while waiting between attempts. A server that sends nothing
        is noticed after `policy.stall_timeout` seconds.
    """

    def __init__(
        self,
        order: Order,
        policy: TransferPolicy,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
    ) -> None:
        self._order = order
        self._policy = policy
        self._progress = progress
        self._cancelled = cancelled

    def run(self) -> None:
        """Fetch until the part file is whole.

        Raises
        ------
        DownloadError
            If the server cannot be reached, answers that the file is not there, or fails
            `policy.attempts` times in a row; if there is no space or the folder is not writable.
        DownloadCancelledError
            If `cancelled` returned True.
        """
        with self._client() as client:
            failures, started = 0, time.monotonic()
            farthest = self._order.part_size()
            while (fault := self._attempt(client)) is not None:
                # A server that ignores ranges brings the same bytes again: only new ones count,
                # and only if they come at more than a trickle.
                size = self._order.part_size()
                least = self._policy.least_rate * (time.monotonic() - started)
                failures = 0 if size > farthest + least else failures + 1
                started = time.monotonic()
                farthest = max(farthest, size)
                if failures >= self._policy.attempts:
                    raise self._order.unreachable(fault)
                self._pause(self._policy.backoff * 2**failures)
                started = time.monotonic()

    def _client(self) -> httpx.Client:
        timeout = httpx.Timeout(self._policy.stall_timeout, connect=self._policy.connect_timeout)
        try:
            return httpx.Client(timeout=timeout, follow_redirects=True)
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            # A proxy from the environment that httpx cannot use.
            raise self._order.refused(f"the proxy settings cannot be used, {error}") from error
        except OSError as error:  # ssl.SSLError is one too
            where = " or ".join(
                f"{name} ({os.environ[name]})" for name in _CERTIFICATES if os.environ.get(name)
            )
            raise self._order.refused(
                f"the certificates cannot be read, {error.strerror or error}; see {where}"
                if where
                else f"the certificates cannot be read, {error.strerror or error}"
            ) from error

    def _attempt(self, client: httpx.Client) -> str | None:
        """Try once; return None if the file is whole, else the fault that may pass."""
        self._stop_if_cancelled()
        try:
            self._receive(client, self._order.part_size())
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.TooManyRedirects) as error:
            raise self._order.refused(str(error)) from error
        except httpx.ConnectTimeout:
            return "the server did not answer"
        except httpx.TimeoutException:
            return f"nothing arrived for {self._policy.stall_timeout:g} s"
        except (httpx.TransportError, _PassingFaultError) as error:
            return str(error) or type(error).__name__
        except OSError as error:
            raise self._order.disk_error(error) from error
        return None

    def _receive(self, client: httpx.Client, offset: int) -> None:
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        with client.stream("GET", self._order.url, headers=headers) as response:
            span = self._span(response, offset)
            if span.total is not None and span.start == span.total:
                return
            if span.total is not None and span.total > self._order.most_bytes:
                self._order.part.unlink(missing_ok=True)
                raise self._order.too_large(span.total)
            self._check_space(span)
            size = self._write(response, span)
        if span.total is not None and size != span.total:
            raise _PassingFaultError(f"the connection ended after {size} of {span.total} bytes")

    def _span(self, response: httpx.Response, offset: int) -> _Span:
        """Read from the answer's head which bytes will come, or why none will."""
        status = response.status_code
        if status == _PARTIAL or (status == _RANGE_UNSATISFIABLE and offset):
            return self._ranged_span(response, offset)
        if status in _PASSING_STATUSES:
            raise _PassingFaultError(f"the server answered {status} {response.reason_phrase}")
        if not response.is_success:
            raise self._order.refused(f"the server answered {status} {response.reason_phrase}")
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise self._order.refused("a web page came instead, perhaps a network's login page")
        length = response.headers.get("Content-Length", "")
        return _Span(0, int(length) if length.isdecimal() else None)

    def _ranged_span(self, response: httpx.Response, offset: int) -> _Span:
        """Read the span of an answer to a range request; drop a part that does not fit it."""
        match = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
        start, total = match.groups() if match else (None, None)
        whole = int(total) if total is not None and total.isdecimal() else None
        fits = whole == offset if start is None else int(start) == offset
        if match is None or not fits:
            self._order.part.unlink(missing_ok=True)
            raise _PassingFaultError("the server's answer does not continue the partial file")
        return _Span(offset, whole)

    def _check_space(self, span: _Span) -> None:
        if span.total is None:
            return
        freed = self._order.part_size() - span.start
        missing = span.total - span.start - freed - shutil.disk_usage(self._order.part.parent).free
        if missing > 0:
            raise self._order.no_space(missing)

    def _write(self, response: httpx.Response, span: _Span) -> int:
        """Append the body to the part file; return the size that it then has."""
        size = span.start
        self._report(size, span.total)
        watch = _RateWatch(self._policy, size)
        with self._order.part.open("ab" if span.start else "wb") as file:
            # As they come: gathering larger chunks would lose the last one with the connection.
            for chunk in response.iter_raw():
                self._stop_if_cancelled()
                size += len(chunk)
                if size > self._order.most_bytes:
                    file.truncate(0)
                    raise self._order.too_large(size)
                file.write(chunk)
                self._report(size, span.total)
                watch.check(size)
        return size

    def _report(self, size: int, total: int | None) -> None:
        if self._progress is not None:
            self._progress(size, total)

    def _stop_if_cancelled(self) -> None:
        if self._cancelled is not None and self._cancelled():
            raise self._order.cancelled()

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._stop_if_cancelled()
            time.sleep(min(left, _CANCEL_POLL))
