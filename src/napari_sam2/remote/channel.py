"""`Channel`: a client's requests to one server, repeated when the connection is lost.

Any thread may use it. The token is in a header only: not in an address, a message or an error.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
import time
import warnings
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx

from napari_sam2.errors import RemoteError
from napari_sam2.remote.messages import (
    CLIENT_HEADER,
    MEDIA_TYPE,
    PROTOCOL_HEADER,
    PROTOCOL_VERSION,
    Fields,
    Message,
    MessageError,
    unframed,
)

Pixels = Literal["stored", "uint16", "uint8"]
"""How frames travel: as they are stored, or in 16 or 8 bits after their contrast."""

PATIENCE_S = 60.0
"""How long a lost connection is tried again."""

_PAUSES_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_TIMEOUT = httpx.Timeout(connect=10.0, read=360.0, write=60.0, pool=360.0)
_MOST_ANSWER_BYTES = 2**31
_BUSY = (408, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a server says of itself.

    Attributes
    ----------
    version : str
    models : tuple of str
        Names of the models that it offers.
    data_root : bool
        Whether it can read images from a folder of its own.
    planned_frames : int
        Frames that a request may ask for.
    """

    version: str
    models: tuple[str, ...]
    data_root: bool
    planned_frames: int


@dataclass(frozen=True, slots=True)
class Need:
    """What a server lacks to answer a request.

    Attributes
    ----------
    frames : tuple of int
    items : tuple of bytes
    memories : tuple of int
    """

    frames: tuple[int, ...]
    items: tuple[bytes, ...]
    memories: tuple[int, ...]

    @classmethod
    def of(cls, value: object) -> Need:
        """Read it from JSON values."""
        fields = Fields(value)
        numbers = [fields.items(name, 2**20) for name in ("frames", "memories")]
        if not all(type(each) is int for each in [*numbers[0], *numbers[1]]):
            raise MessageError("The server needs what is no number.")
        items = tuple(bytes.fromhex(str(key)) for key in fields.items("items", 2**20))
        return cls(tuple(numbers[0]), items, tuple(numbers[1]))


class NeededByServerError(Exception):
    """A request cannot be answered before the server has more.

    Attributes
    ----------
    need : Need
    """

    def __init__(self, need: Need) -> None:
        super().__init__()
        self.need = need


class InterruptedWaitError(Exception):
    """Waiting for the server was given up on request."""


class _LostError(Exception):
    """The connection was lost, or the server has no time."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Channel:
    """The way to a server.

    Parameters
    ----------
    url : str
        Such as ``http://127.0.0.1:1528``.
    token : str
    patience_s : float
        How long a lost connection, or a server that restarts, is tried again.
    certificate : path, optional
        PEM file of the authority that signed the server's certificate, where the system does not
        know it.
    data_root : path, optional
        The folder that the server has as its ``--data-root``, where it is seen here.
    pixels : {"stored", "uint16", "uint8"}
        How frames travel. As they are stored, results are those of this computer, bit for bit;
        in 16 or 8 bits after contrast they take less time on a slow line.

    Raises
    ------
    RemoteError
        The address is none, or contains a password.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        patience_s: float = PATIENCE_S,
        certificate: str | PathLike[str] | None = None,
        data_root: str | PathLike[str] | None = None,
        pixels: Pixels = "stored",
    ) -> None:
        self.url = checked_url(url)
        self.data_root = None if data_root is None else Path(data_root)
        self.pixels: Pixels = pixels
        if pixels not in ("stored", "uint16", "uint8"):
            raise RemoteError(f"Frames cannot travel as {pixels!r}.", remedy="Choose stored.")
        self._patience = patience_s
        self._http = httpx.Client(
            base_url=self.url,
            headers={
                "Authorization": f"Bearer {_checked_token(token)}",
                PROTOCOL_HEADER: str(PROTOCOL_VERSION),
                CLIENT_HEADER: secrets.token_hex(16),
                "Content-Type": MEDIA_TYPE,
            },
            timeout=_TIMEOUT,
            transport=httpx.HTTPTransport(
                verify=_verification(certificate),
                trust_env=False,
                socket_options=_keep_alive(),
            ),
            follow_redirects=False,
            trust_env=False,  # no proxy of the environment sees the token
        )
        self._info: ServerInfo | None = None
        weakref.finalize(self, self._http.close)  # sockets do not outlive the last session

    def __repr__(self) -> str:
        return f"<{type(self).__name__} to {self.url}>"

    def __reduce__(self) -> Any:
        """Refuse to be pickled: the token would be written down."""
        raise RemoteError("A connection cannot be sent to another process; connect there.")

    @property
    def info(self) -> ServerInfo:
        """What the server says of itself.

        Raises
        ------
        RemoteError
            It does not answer, the token is wrong, or the versions differ.
        """
        if self._info is None:
            fields = Fields(self.request("GET", "/v1/about").head)
            self._info = ServerInfo(
                fields.text("version", 100),
                tuple(str(name) for name in fields.items("models", 1000)),
                fields.truth("data_root"),
                fields.whole("planned_frames", 1, 10_000),
            )
        return self._info

    def close(self) -> None:
        """Close the connection; its sessions cannot compute any more."""
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        message: Message | None = None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Message:
        """Send a request, again if the connection is lost, and return the answer.

        Parameters
        ----------
        method, path : str
        message : Message, optional
        stopped : callable
            Asked between two attempts whether to give up.

        Raises
        ------
        RemoteError
            The server does not answer, refuses, or says what went wrong.
        Sam2Error
            What went wrong on the server.
        NeededByServerError
            The server lacks something.
        InterruptedWaitError
            It was stopped.
        """
        body = None if message is None else message.encode()

        def attempt() -> Message:
            with self._answer(method, path, body) as answer:
                return _decoded(b"".join(_limited(answer)))

        answer: Message = self.retry(attempt, stopped)
        return answer

    def stream(self, path: str, message: Message) -> Generator[Message]:
        """Send a request once, and yield the messages of its answer.

        Raises
        ------
        ConnectionError
            The connection was lost, or the server has no time.
        Sam2Error, NeededByServerError
            As in `request`.
        """
        try:
            with self._answer("POST", path, message.encode()) as answer:
                for found in unframed(_limited(answer), _MOST_ANSWER_BYTES):
                    yield _checked(found)
        except _LostError as error:
            raise ConnectionError(error.reason) from error
        except (httpx.TransportError, EOFError) as error:
            raise ConnectionError(_reason(error)) from error
        except MessageError as error:
            raise _strange(error) from error

    def retry(self, attempt: Callable[[], Any], stopped: Callable[[], bool] = lambda: False) -> Any:
        """Repeat an attempt until it succeeds or the time limit has passed.

        Raises
        ------
        RemoteError
            The server did not answer for as long as the connection is patient.
        InterruptedWaitError
            It was stopped.
        """
        began, count = time.monotonic(), 0
        while True:
            try:
                return attempt()
            except (httpx.TransportError, EOFError, ConnectionError, _LostError) as error:
                reason = _reason(error)
            except MessageError as error:
                raise _strange(error) from error
            pause = _PAUSES_S[min(count, len(_PAUSES_S) - 1)]
            if time.monotonic() - began + pause > self._patience:
                raise RemoteError(
                    f"The server {self.url} does not answer: {reason}.",
                    safe="Prompts and labels are here, nothing is lost.",
                    remedy="See whether it runs and whether the ssh tunnel is open, then try "
                    "again: a propagation goes on from the last frame.",
                )
            ends = time.monotonic() + pause
            while time.monotonic() < ends:
                if stopped():
                    raise InterruptedWaitError
                time.sleep(min(0.05, pause))
            count += 1

    @contextmanager
    def checked_answer(self) -> Iterator[None]:
        """Raise a `RemoteError` for an answer that is not a valid message."""
        try:
            yield
        except MessageError as error:
            raise _strange(error) from error

    @contextmanager
    def _answer(self, method: str, path: str, body: bytes | None) -> Iterator[httpx.Response]:
        """Send a request; give its answer if it is a good one."""
        with self._http.stream(method, path, content=body) as answer:
            if answer.status_code == 200:
                yield answer
                return
            answer.read()
            self._refuse(answer)

    def _refuse(self, answer: httpx.Response) -> None:
        """Raise the error that an answer stands for."""
        status, kind = answer.status_code, answer.headers.get("content-type", "")
        if status == 401:
            raise RemoteError(
                f"The server {self.url} does not accept the token.",
                safe="Prompts and labels are here, nothing is lost.",
                remedy="Copy the token that the server shows; without --token-file it is a new "
                "one whenever the server starts.",
            )
        if status == 426 or answer.headers.get(PROTOCOL_HEADER, "") not in (
            "",
            str(PROTOCOL_VERSION),
        ):
            raise RemoteError(
                f"The server {self.url} speaks another version of the protocol.",
                safe="Prompts and labels are here, nothing is lost.",
                remedy="Install the same version of napari-sam2 on both sides.",
            )
        if status in _BUSY:
            raise _LostError(f"it is busy ({status})")
        if status == 413:
            raise RemoteError(
                "A request is larger than the server accepts.",
                remedy="Work on a part of the image, or raise the server's limits.",
            )
        if not kind.startswith(MEDIA_TYPE):
            raise RemoteError(
                f"What answers at {self.url} is no napari-sam2 server (status {status}).",
                remedy="Check the address and the port.",
            )
        try:
            _checked(Message.decode(answer.content))
        except MessageError as error:
            raise _strange(error) from error
        raise RemoteError(f"The server refused a request (status {status}).")


def checked_url(url: str) -> str:
    """Return the address of a server without a trailing slash.

    Raises
    ------
    RemoteError
        It is none, or holds more than scheme, host and port.
    """
    parts = urlsplit(url.strip())
    try:
        port_is_good = parts.port is None or parts.port > 0
    except ValueError:
        port_is_good = False
    plain = not (parts.username or parts.password or parts.query or parts.fragment)
    if not plain or parts.path not in ("", "/"):
        raise RemoteError(
            "The address of a server is scheme, host and port only.",
            remedy="Write it like http://127.0.0.1:1528, and give the token apart.",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_good:
        raise RemoteError(
            f"{url.strip()[:200]!r} is no address of a server.",
            remedy="Write it like http://127.0.0.1:1528.",
        )
    if parts.scheme == "http" and not _is_here(parts.hostname):
        warnings.warn(
            f"Without TLS, whoever sees the traffic to {parts.hostname} can read the images and "
            "the token. Use an ssh tunnel, or https.",
            stacklevel=3,
        )
    return f"{parts.scheme}://{parts.netloc}"


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _checked_token(token: str) -> str:
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise RemoteError(
            "That is no token.", remedy="Copy the token that the server shows when it starts."
        )
    return token


def _verification(certificate: str | PathLike[str] | None) -> Any:
    if certificate is None:
        return True
    import ssl

    try:
        return ssl.create_default_context(cafile=str(certificate))
    except (OSError, ssl.SSLError) as error:
        raise RemoteError(f"{certificate} is no certificate: {error}.") from error


def _keep_alive() -> list[tuple[int, int, int]]:
    """Return the options of a socket that notices within half a minute that nobody is there."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):  # not on every system
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options


def _limited(answer: httpx.Response) -> Iterator[bytes]:
    """Yield the chunks of an answer; raise an error if it becomes too long for memory."""
    total = 0
    for chunk in answer.iter_raw():
        total += len(chunk)
        if total > _MOST_ANSWER_BYTES:
            raise MessageError("It has no end.")
        yield chunk


def _decoded(data: bytes) -> Message:
    return _checked(Message.decode(data))


def _checked(message: Message) -> Message:
    """Return an answer, or raise what it says."""
    if "busy" in message.head:
        raise _LostError(str(message.head["busy"])[:1000])
    if "need" in message.head:
        raise NeededByServerError(Need.of(message.head["need"]))
    if "error" in message.head and "frame" not in message.head:
        from napari_sam2.remote.values import read_error

        raise read_error(message.head["error"])
    return message


def _strange(error: MessageError) -> RemoteError:
    return RemoteError(
        f"The server's answer cannot be understood: {error}",
        safe="Prompts and labels are here, nothing is lost.",
        remedy="Install the same version of napari-sam2 on both sides.",
    )


def _reason(error: Exception) -> str:
    if isinstance(error, _LostError):
        return error.reason
    return str(error) or type(error).__name__
