"""The command ``napari-sam2 serve``, and the options of commands that compute on a server."""

from __future__ import annotations

import sys
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_sam2.cli.common import DeviceOption
from napari_sam2.errors import RemoteError

if TYPE_CHECKING:
    from napari_sam2.tracking import Model

ServerOption = Annotated[
    str,
    typer.Option(
        "--server",
        metavar="URL",
        help="Compute on a server that `napari-sam2 serve` runs, such as http://127.0.0.1:1528. "
        "Its token comes from --token-file, NAPARI_SAM2_TOKEN or the system's keyring, or is "
        "asked for.",
        show_default=False,
    ),
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option("--token-file", metavar="FILE", help="With --server: a file with its token."),
]


class SentPixels(StrEnum):
    """How frames travel to a server."""

    STORED = "stored"
    UINT16 = "uint16"
    UINT8 = "uint8"


SendOption = Annotated[
    SentPixels,
    typer.Option(
        "--send",
        help="With --server: frames travel as they are stored, or in 16 or 8 bits after contrast, "
        "which is less to send and changes masks a little.",
    ),
]


def serve(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME",
            help="A model to offer, or the path of a checkpoint file, which is offered under the "
            "file's name without suffix; may repeat. By default all that are on this machine.",
            show_default=False,
        ),
    ] = None,
    device: DeviceOption = "auto",
    host: Annotated[
        str, typer.Option(help="The address to listen on; by default only this machine.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 1528,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The file with the token; it is made with a new one if it is not there. By "
            "default a token for this run, which is printed.",
            show_default=False,
        ),
    ] = None,
    ssl_certfile: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificate for TLS, PEM.")
    ] = None,
    ssl_keyfile: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its private key, PEM.")
    ] = None,
    data_root: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A folder that clients see too: images in it need no upload. Nothing outside it "
            "is read.",
        ),
    ] = None,
) -> None:
    """Let other computers compute here: napari's panel, `segment --server`, and scripts.

    It prints its address, a token, and the line to type on the other computer to reach it through
    ssh. Ctrl-C ends it; prompts and labels are on the other computers, nothing is lost.
    """
    from napari_sam2.checkpoints import find_model_file, model_names
    from napari_sam2.remote.server.run import ServerOptions
    from napari_sam2.remote.server.run import serve as run

    offered = model or [name for name in model_names() if find_model_file(name) is not None]
    options = ServerOptions(
        models=tuple(dict.fromkeys(offered)),
        device=device,
        host=host,
        port=port,
        token_file=token_file,
        certificate=ssl_certfile,
        key=ssl_keyfile,
        data_root=data_root,
    )
    warn = partial(typer.secho, err=True, fg=typer.colors.YELLOW)
    run(options, say=typer.echo, warn=lambda text: warn(f"napari-sam2: {text}"))


def model_on_server(
    url: str,
    token_file: Path | None,
    name: str,
    image_size: int | None,
    stack: Path,
    series: str = "",
    level: int = 0,
    send: SentPixels = SentPixels.STORED,
) -> Model:
    """Return a model of a server, for work on a stack that was opened from a file.

    Raises
    ------
    RemoteError
        The server does not answer, or has no such model; or there is no token, and nobody to ask.
    """
    from napari_sam2.remote.channel import checked_url
    from napari_sam2.remote.connection import connect
    from napari_sam2.remote.stack_file import StackFile
    from napari_sam2.remote.tokens import TOKEN_VARIABLE, given_token

    url = checked_url(url)
    token = given_token(url, token_file)
    if token is None and sys.stdin.isatty():
        token = typer.prompt(f"Token of {url}", hide_input=True, err=True)
    if not token:
        raise RemoteError(
            f"There is no token for the server {url}.",
            remedy=f"Give --token-file FILE, or set {TOKEN_VARIABLE}; the server shows it.",
        )
    connection = connect(url, token, pixels=send.value)
    return connection.model(name, image_size, source=StackFile(stack, series or None, level))
