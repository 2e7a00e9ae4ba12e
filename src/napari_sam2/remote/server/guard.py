"""`Guard`: refuses requests without the token, of another version, or too large, before all else.

It wraps the whole application, so that no route can be forgotten. The event loop's thread only.
"""

from __future__ import annotations

import hashlib
import hmac

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from napari_sam2.remote.messages import PROTOCOL_HEADER, PROTOCOL_VERSION

_SCHEME = "bearer "
_LEAST_TOKEN = 16  # characters


class Guard:
    """An ASGI application around another one.

    Parameters
    ----------
    app : ASGIApp
    token : str
        At least 16 characters.
    body_bytes : int
        What a request may announce.
    """

    def __init__(self, app: ASGIApp, token: str, body_bytes: int) -> None:
        if len(token) < _LEAST_TOKEN:
            raise ValueError(f"A token has at least {_LEAST_TOKEN} characters.")
        self._app = app
        self._digest = hashlib.sha256(token.encode()).digest()
        self._most = body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or refuse it."""
        if scope["type"] != "http":
            return  # there is nothing else here
        headers = Headers(scope=scope)
        if not self._knows(headers.get("authorization", "")):
            refusal = PlainTextResponse(
                "The token is missing or wrong.", 401, {"WWW-Authenticate": "Bearer"}
            )
        elif headers.get(PROTOCOL_HEADER) != str(PROTOCOL_VERSION):
            refusal = PlainTextResponse(
                "Client and server are of different versions.",
                426,
                {PROTOCOL_HEADER: str(PROTOCOL_VERSION), "Upgrade": "napari-sam2"},
            )
        elif not _is_within(headers.get("content-length"), self._most):
            refusal = PlainTextResponse("The request is too large.", 413)
        else:
            await self._app(scope, receive, send)
            return
        refusal.headers["Connection"] = "close"  # nobody reads its body
        await refusal(scope, receive, send)

    def _knows(self, authorization: str) -> bool:
        """Compare in constant time, whatever the length."""
        given = ""
        if authorization[: len(_SCHEME)].lower() == _SCHEME:
            given = authorization[len(_SCHEME) :]
        digest = hashlib.sha256(given.encode("latin-1", "replace")).digest()
        return hmac.compare_digest(digest, self._digest)


def _is_within(length: str | None, most: int) -> bool:
    return length is None or (length.isascii() and length.isdigit() and int(length) <= most)
