"""`Connection`: models and sessions on a server.

Any thread may use it.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from napari_sam2.errors import Sam2Error
from napari_sam2.remote.channel import Channel
from napari_sam2.remote.remote_network import remote_model
from napari_sam2.remote.stack_file import StackFile
from napari_sam2.stack import kind_along
from napari_sam2.tracking.model import Model
from napari_sam2.tracking.session import TrackingSession


class Connection(Channel):
    """A server, and what can be opened on it; parameters are those of `Channel`."""

    def model(
        self,
        name: str | None = None,
        image_size: int | None = None,
        precision: str = "auto",
        source: StackFile | None = None,
    ) -> Model:
        """Return a model of the server, for `TrackingSession` and all that takes one.

        Parameters
        ----------
        name : str, optional
            One of `info.models`; the first by default.
        image_size : int, optional
            Side of the model input in pixels.
        precision : {"auto", "float32", "bfloat16"}
            On the server's device.
        source : StackFile, optional
            The file of the stack, for a server that sees it too.

        Raises
        ------
        RemoteError
            The server does not answer, or has no such model.
        """
        return remote_model(self, name or self.info.models[0], image_size, precision, source)

    def session(
        self,
        stack: Any,
        axis: int = 0,
        *,
        model: str | None = None,
        image_size: int | None = None,
        precision: str = "auto",
        **options: Any,
    ) -> TrackingSession:
        """Open a session whose network runs on the server.

        Parameters
        ----------
        stack : array-like, FrameStack or path
            As for `TrackingSession`; or a file or folder, which a server that sees it too reads
            itself.
        axis : int
        model : str, optional
            A model that the server offers; its first by default.
        image_size, precision
            As for `model`.
        **options
            Those of `TrackingSession`.

        Returns
        -------
        TrackingSession

        Raises
        ------
        RemoteError
            The server does not answer, or has no such model.
        """
        source = None
        if isinstance(stack, str | PathLike):
            source = StackFile(Path(stack))
            opened = source.open()
            stack = opened.data
            if -len(opened.axes) <= axis < len(opened.axes):
                options.setdefault("kind", kind_along(opened.axes[axis]))
        found = self.model(model, image_size, precision, source)
        return TrackingSession(found, stack, axis, **options)


def connect(url: str, token: str, **options: Any) -> Connection:
    """Connect to a session server.

    Parameters
    ----------
    url : str
        Such as ``http://127.0.0.1:1528``.
    token : str
        That the server shows, or has in its token file.
    **options
        Those of `Connection`.

    Returns
    -------
    Connection

    Raises
    ------
    RemoteError
        The server does not answer, does not accept the token, or is of another version.
    """
    connection = Connection(url, token, **options)
    try:
        connection.info  # noqa: B018 - asked for now, so that what is wrong is said now
    except Sam2Error:
        connection.close()
        raise
    return connection
