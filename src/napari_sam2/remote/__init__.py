"""Sessions whose network runs on another machine: the server, and the client's engine.

`connect` gives a `Connection`; its sessions are ordinary `TrackingSession`s and wait for the server
on their caller's thread. The server has one event loop, and computes in threads.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_sam2.remote.channel import ServerInfo
    from napari_sam2.remote.connection import Connection, connect
    from napari_sam2.remote.server.run import ServerOptions, serve

__all__ = ["Connection", "ServerInfo", "ServerOptions", "connect", "serve"]

_LAZY = {
    "Connection": "connection",
    "ServerInfo": "channel",
    "ServerOptions": "server.run",
    "connect": "connection",
    "serve": "server.run",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"napari_sam2.remote.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
