"""`serve`: runs a session server until it is stopped, and says how to reach it.

It runs on the main thread.
"""

from __future__ import annotations

import getpass
import ipaddress
import os
import secrets
import socket
import ssl
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam2.errors import RemoteError
from napari_sam2.remote.limits import ServerLimits

if TYPE_CHECKING:
    import uvicorn

PORT = 1528
"""The port that a server listens on unless told."""

_LEAST_TOKEN, _MOST_TOKEN = 16, 4096
_CONNECTIONS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """How a server runs.

    Attributes
    ----------
    models : tuple of str
        Names of registered models that are on this machine, and paths of checkpoint files.
    device : str
    host : str
        Address to listen on. Others than this machine reach it at another than the default.
    port : int
    token_file : Path, optional
        File with the token; made with a new one if it is not there. None: a token for this run.
    certificate, key : Path, optional
        PEM files for TLS.
    data_root : Path, optional
        Folder whose images the server may read.
    limits : ServerLimits
    """

    models: tuple[str, ...]
    device: str = "auto"
    host: str = "127.0.0.1"
    port: int = PORT
    token_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    data_root: Path | None = None
    limits: ServerLimits = field(default_factory=ServerLimits)

    @property
    def url(self) -> str:
        """The address of the server."""
        scheme = "http" if self.certificate is None else "https"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"


def serve(options: ServerOptions, say: Callable[[str], None], warn: Callable[[str], None]) -> None:
    """Run a server until it is interrupted.

    Parameters
    ----------
    options : ServerOptions
    say : callable
        Shows a line about how to reach it.
    warn : callable
        Shows a line about what is unsafe.

    Raises
    ------
    RemoteError
        The options are unsafe or impossible, or the port is in use.
    """
    server, token = prepare(options, warn)
    sockets = [_listening(options)]
    for line in start_message(options, token):
        say(line)
    with sockets[0], suppress(KeyboardInterrupt):  # the usual way to end it
        server.run(sockets=sockets)


def prepare(options: ServerOptions, warn: Callable[[str], None]) -> tuple[uvicorn.Server, str]:
    """Check the options, load the models and return the server and its token.

    Raises
    ------
    RemoteError
        The options are unsafe or impossible, or the extra "server" is not installed.
    """
    try:
        import uvicorn

        from napari_sam2.remote.server.app import create_app
    except ImportError as error:
        raise RemoteError(
            f"The server cannot run: {error}.",
            remedy='Install what it needs: python -m pip install "napari-sam2[server]".',
        ) from error
    from napari_sam2.remote.server.data_root import DataRoot
    from napari_sam2.remote.server.served_models import ServedModels, offered_name
    from napari_sam2.remote.session_spec import ModelSpec

    check_address(options, warn)
    _check_certificate(options)
    token = token_of(options.token_file, warn)
    root = None
    if options.data_root is not None:
        if not options.data_root.is_dir():
            raise RemoteError(f"There is no folder {options.data_root} to read images from.")
        root = DataRoot(options.data_root)
    models = ServedModels.of_registry(options.models, options.device)
    for model in options.models:
        name = offered_name(model)
        if model == options.models[0] or name != model:
            models.get(ModelSpec(name))  # errors in it are raised before the server starts
    config = uvicorn.Config(
        create_app(models, token, options.limits, root),
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        http="h11",
        server_header=False,
        headers=[("X-Content-Type-Options", "nosniff")],
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=2,
        ssl_certfile=options.certificate,
        ssl_keyfile=options.key,
    )
    return uvicorn.Server(config), token


def check_address(options: ServerOptions, warn: Callable[[str], None]) -> None:
    """Refuse addresses that are unsafe with the other options, and warn of what is not private.

    Raises
    ------
    RemoteError
        Others could reach it, and there is no token that was made on purpose; or TLS has only
        one of its two files.
    """
    if (options.certificate is None) != (options.key is None):
        raise RemoteError(
            "TLS needs both a certificate and a key.",
            remedy="Give --ssl-certfile and --ssl-keyfile, or neither.",
        )
    if is_loopback(options.host):
        return
    if options.token_file is None:
        raise RemoteError(
            f"At the address {options.host} other machines reach the server.",
            remedy="Give --token-file FILE: it is made with a new token if it is not there. Or "
            "leave --host out, and come through ssh.",
        )
    if options.certificate is None:
        warn(
            f"Without TLS, whoever sees the traffic of {options.host} can read the images and the "
            "token. Give --ssl-certfile and --ssl-keyfile, or leave --host out and come through "
            "ssh."
        )


def _check_certificate(options: ServerOptions) -> None:
    """Find before the work that TLS cannot be had with these files.

    Raises
    ------
    RemoteError
        They cannot be read, or do not belong together.
    """
    if options.certificate is None:
        return

    def no_password() -> str:  # nobody is asked in the middle of a start
        raise ssl.SSLError("the key has a password")

    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate, options.key, no_password)
    except (OSError, ssl.SSLError) as error:
        raise RemoteError(
            f"TLS cannot be had with the certificate {options.certificate} and the key "
            f"{options.key}: {error.strerror or error}.",
            remedy="Give PEM files that belong together, the key without a password.",
        ) from error


def is_loopback(host: str) -> bool:
    """Return whether an address is reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def token_of(file: Path | None, warn: Callable[[str], None]) -> str:
    """Return the token of a file, which is made if it is not there; without a file, a new one.

    Raises
    ------
    RemoteError
        The file cannot be read or written, or holds no token.
    """
    if file is None:
        return secrets.token_urlsafe(32)
    try:
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            token = _read_token(file, warn)
        else:
            token = secrets.token_urlsafe(32)
            with os.fdopen(descriptor, "w", encoding="ascii") as opened:
                opened.write(token + "\n")
    except OSError as error:
        raise RemoteError(f"The token file {file} cannot be used: {error.strerror}.") from error
    if not _LEAST_TOKEN <= len(token) <= _MOST_TOKEN or not token.isascii() or " " in token:
        raise RemoteError(
            f"{file} holds no token of at least {_LEAST_TOKEN} characters.",
            remedy="Delete it, and a new one is made.",
        )
    return token


def _read_token(file: Path, warn: Callable[[str], None]) -> str:
    with file.open(encoding="utf-8", errors="replace") as opened:
        mode = os.fstat(opened.fileno()).st_mode
        if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
            warn(f"Other users may read {file}: chmod 600 {file}.")
        return opened.read(_MOST_TOKEN + 1).strip()


def start_message(options: ServerOptions, token: str) -> list[str]:
    """Return the lines that the server prints at its start: address, token and ssh command."""
    from napari_sam2.remote.server.served_models import offered_name

    port, user, host = options.port, _user(), socket.gethostname()
    lines = [f"Serving {', '.join(map(offered_name, options.models))} at {options.url}"]
    if options.token_file is None:
        lines.append(f"Token (for this run): {token}")
    else:
        lines.append(f"Token: in {options.token_file}")
    if is_loopback(options.host):
        lines += [
            "On your own computer, type this and leave it open:",
            f"    ssh -N -o ServerAliveInterval=10 -L {port}:{options.host}:{port} {user}@{host}",
            f"then choose in the panel: Compute on: a server, {options.url}",
        ]
    return [*lines, "Ctrl-C ends the server. Prompts and labels are with the clients."]


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "USER"


def _listening(options: ServerOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    # Of the protocol by name: asyncio then lets short answers leave at once (TCP_NODELAY).
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((options.host.strip("[]"), options.port))
    except OSError as error:
        listening.close()
        raise RemoteError(
            f"The server cannot listen at {options.url}: {error.strerror}.",
            remedy="Choose another --port, or stop what listens there.",
        ) from error
    return listening
