"""`create_app`: the ASGI application of a session server.

Its handlers run on the event loop; whatever computes or decompresses runs in threads.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from importlib.metadata import version
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from napari_sam2.errors import RemoteError, Sam2Error
from napari_sam2.remote.frame_data import FrameData, FrameHead
from napari_sam2.remote.limits import ServerLimits
from napari_sam2.remote.messages import (
    CLIENT_HEADER,
    MEDIA_TYPE,
    PROTOCOL_HEADER,
    PROTOCOL_VERSION,
    Fields,
    Message,
    MessageError,
    framed,
    hash_bytes,
)
from napari_sam2.remote.server.data_root import DataRoot
from napari_sam2.remote.server.device_turns import DeviceTurns
from napari_sam2.remote.server.frame_cache import FrameCache, NeededError
from napari_sam2.remote.server.guard import Guard
from napari_sam2.remote.server.served_models import ServedModels
from napari_sam2.remote.server.served_session import ServedSession
from napari_sam2.remote.server.session_registry import (
    BusyError,
    SessionPlace,
    SessionRegistry,
)
from napari_sam2.remote.server.state_cache import StateCache
from napari_sam2.remote.session_spec import ModelSpec, StackSpec
from napari_sam2.remote.values import error_values

_LOG = logging.getLogger("napari_sam2.server")
_CLIENT = re.compile(r"[0-9a-f]{32}")
_MOST_KEYS = 100_000
_PROGRESS_EVERY_S = 0.1

_Result = TypeVar("_Result")


class _GoneError(Exception):
    """The client does not wait for the answer any more."""


class _TooLargeError(Exception):
    """A request has more bytes than it may."""


class _TooSlowError(Exception):
    """A request takes longer to arrive than it may."""


class SessionServer:
    """The handlers of the routes, and what they share.

    Parameters
    ----------
    models : ServedModels
    limits : ServerLimits
    data_root : DataRoot, optional
    """

    def __init__(
        self, models: ServedModels, limits: ServerLimits, data_root: DataRoot | None = None
    ) -> None:
        self._models = models
        self._limits = limits
        self._data_root = data_root
        self._turns = DeviceTurns()
        self.frames = FrameCache(limits.frame_cache_bytes)
        self._states: StateCache[Any] = StateCache(limits.state_cache_bytes)
        self.registry = SessionRegistry(limits)

    def routes(self) -> list[Route]:
        """Return all routes."""
        return [
            Route("/v1/about", self._answering(self.about), methods=["GET"]),
            Route("/v1/model", self._answering(self.model), methods=["POST"]),
            Route("/v1/frames", self._answering(self.put_frame), methods=["POST"]),
            Route("/v1/frames/missing", self._answering(self.missing_frames), methods=["POST"]),
            Route("/v1/frames/read", self._answering(self.read_frame), methods=["POST"]),
            Route("/v1/decide", self._answering(self.decide), methods=["POST"]),
            Route("/v1/logits", self._answering(self.logits), methods=["POST"]),
            Route("/v1/objectness", self._answering(self.objectness), methods=["POST"]),
            Route(
                "/v1/remaining_contrast",
                self._answering(self.remaining_contrast),
                methods=["POST"],
            ),
            Route("/v1/follow", self._answering(self.follow), methods=["POST"]),
            Route("/v1/propose", self._answering(self.propose), methods=["POST"]),
        ]

    async def about(self, _request: Request) -> Response:
        """Answer which models and versions there are."""
        return _answer(
            Message(
                {
                    "version": version("napari-sam2"),
                    "protocol": PROTOCOL_VERSION,
                    "models": list(self._models.names),
                    "data_root": self._data_root is not None,
                    "planned_frames": self._limits.planned_frames,
                    "frame_pixels": self._limits.frame_pixels,
                }
            )
        )

    async def model(self, request: Request) -> Response:
        """Answer what a client has to know of a model, loading it if it is not."""
        spec = ModelSpec.of(Fields((await self._message(request)).head))
        return _answer(await self._computed(lambda: self._models.describe(spec)))

    async def put_frame(self, request: Request) -> Response:
        """Add a frame to the cache after its pixels are checked against its hash."""
        message = await self._message(request)
        fields = Fields(message.head)
        head = FrameHead.of(fields.fields("frame"), self._limits.frame_pixels)
        if head.nbytes > self._limits.frame_bytes:
            raise _TooLargeError
        if len(message.blocks) != 1:
            raise MessageError("A frame is one block.")
        frame = FrameData(hash_bytes(fields.text("key", 64)), head, message.blocks[0])

        def take() -> Message:
            frame.pixels()
            self.frames.put(frame)
            return Message({})

        return _answer(await anyio.to_thread.run_sync(take))

    async def missing_frames(self, request: Request) -> Response:
        """Answer which of some frames are not in the cache."""
        fields = Fields((await self._message(request)).head)
        keys = fields.items("keys", _MOST_KEYS)
        missing = set(self.frames.missing(hash_bytes(key) for key in keys))
        return _answer(Message({"missing": [key for key in keys if hash_bytes(key) in missing]}))

    async def read_frame(self, request: Request) -> Response:
        """Read a frame from a file that both sides see, if it has the hash that the client has."""
        fields = Fields((await self._message(request)).head)
        key, root = hash_bytes(fields.text("key", 64)), self._data_root
        if root is None:
            return _answer(Message({"found": False}))
        most = min(self._limits.frame_pixels, self._limits.frame_bytes)
        frame = await anyio.to_thread.run_sync(partial(root.read, fields, most))
        found = frame is not None and frame.key == key
        if frame is not None and found:
            self.frames.put(frame)
        return _answer(Message({"found": found}))

    async def decide(self, request: Request) -> Response:
        """Decide a frame from its prompts."""
        return await self._step(request, ServedSession.decide)

    async def logits(self, request: Request) -> Response:
        """Answer the logits of a decided frame."""
        return await self._step(request, ServedSession.logits)

    async def objectness(self, request: Request) -> Response:
        """Answer how probable any object is in a mask."""
        return await self._step(request, ServedSession.objectness)

    async def remaining_contrast(self, request: Request) -> Response:
        """Answer what is left of an object's contrast under a mask."""
        return await self._step(request, ServedSession.remaining_contrast)

    async def follow(self, request: Request) -> Response:
        """Track objects through frames; the answer is a stream with one message for each."""
        message = await self._message(request)
        async with AsyncExitStack() as held:
            place = await self._hold(held, request, message)
            ends = time.monotonic() + self._limits.work_s

            def start() -> Iterator[Message]:
                session = self._opened(place)
                session.begin(message)
                return session.follow(message)

            events = await self._computed(start)

            first = await self._computed(lambda: next(events, None))

            async def following(_gone: Callable[[], bool]) -> Message | None:
                if time.monotonic() > ends:
                    return None
                return await self._computed(lambda: next(events, None))

            return _Stream(first, following, place.leave, held.pop_all())

    async def propose(self, request: Request) -> Response:
        """Search for objects; the answer is a stream of progress and then of proposals."""
        message = await self._message(request)
        async with AsyncExitStack() as held:
            place = await self._hold(held, request, message)

            def start() -> ServedSession:
                session = self._opened(place)
                session.begin(message)
                return session

            session = await self._computed(start)
            search = _Search(session, message, self._turns, self._limits.work_s)
            held.push_async_callback(search.stop)
            first = await search.next(place.leave.is_set)
            return _Stream(first, search.next, place.leave, held.pop_all())

    async def _step(
        self, request: Request, step: Callable[[ServedSession, Message], Message]
    ) -> Response:
        message = await self._message(request)
        async with AsyncExitStack() as held:
            place = await self._hold(held, request, message)

            def compute() -> Message:
                session = self._opened(place)
                session.begin(message)
                return step(session, message)

            return _answer(await self._computed(compute))

    async def _hold(self, held: AsyncExitStack, request: Request, message: Message) -> SessionPlace:
        spec = StackSpec.of(Fields(message.head).fields("spec"), self._limits)
        client = _client(request)
        held.enter_context(self.registry.request(client))
        return await held.enter_async_context(self.registry.use(client, spec))

    def _opened(self, place: SessionPlace) -> ServedSession:
        """Return the session of a place, opened now if it is not; the turn is held."""
        if place.session is None:
            model = self._models.get(place.spec.model)
            if model.weights_digest != place.spec.weights:
                raise RemoteError(
                    f"The server has other weights for {place.spec.model.name} than before.",
                    remedy="Connect again, and propagate again.",
                )
            place.session = ServedSession(
                place.spec, model, self.frames, self._states, self._limits
            )
        return place.session

    async def _computed(self, step: Callable[[], _Result]) -> _Result:
        """Run a step in a thread that has the turn on the device."""

        def compute() -> _Result | NeededError:
            try:
                with self._turns.turn(self._limits.work_s):
                    return step()
            except NeededError as needed:  # no thread pool hands it on
                return needed

        found = await anyio.to_thread.run_sync(compute)
        if isinstance(found, NeededError):
            raise _LackingError(found)
        return found

    async def _message(self, request: Request) -> Message:
        """Receive a request, within the limits of bytes and time."""
        data = bytearray()
        with anyio.move_on_after(self._limits.read_s) as waiting:
            async for chunk in request.stream():
                data += chunk
                if len(data) > self._limits.body_bytes:
                    raise _TooLargeError
        if waiting.cancelled_caught:
            raise _TooSlowError
        return await anyio.to_thread.run_sync(Message.decode, bytes(data))

    def _answering(
        self, handler: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return a handler whose errors are answers."""

        async def handle(request: Request) -> Response:
            try:
                response = await handler(request)
            except Exception as error:
                response = _refusal(error)
            response.headers[PROTOCOL_HEADER] = str(PROTOCOL_VERSION)
            return response

        return handle


class _LackingError(Exception):
    """A `NeededError` on its way through the event loop."""

    def __init__(self, needed: NeededError) -> None:
        super().__init__()
        self.needed = needed


class _Search:
    """A search for objects in a thread; others have their turns between its steps."""

    def __init__(
        self, session: ServedSession, message: Message, turns: DeviceTurns, patience_s: float
    ) -> None:
        self._session, self._message = session, message
        self._turns, self._patience = turns, patience_s
        self._thread: threading.Thread | None = None
        self._gone = threading.Event()
        self._news = threading.Condition()
        self._progress = 0.0
        self._result: Message | BaseException | None = None
        self._told = False

    async def next(self, gone: Callable[[], bool]) -> Message | None:
        """Return the progress, or at last what was found; then None."""
        if self._told:
            return None
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="napari-sam2-search")
            self._thread.start()
        result = await anyio.to_thread.run_sync(partial(self._wait, gone))
        if result is None:
            return Message({"progress": self._progress})
        self._told = True
        await anyio.to_thread.run_sync(self._thread.join)
        if isinstance(result, NeededError):
            raise _LackingError(result)
        if isinstance(result, BaseException):
            raise result
        return result

    def _wait(self, gone: Callable[[], bool]) -> Message | BaseException | None:
        with self._news:
            if self._result is None:
                self._news.wait(_PROGRESS_EVERY_S)
        if gone():
            self._gone.set()
        return self._result

    async def stop(self) -> None:
        """End the search, and wait until the session is free."""
        self._gone.set()
        if self._thread is not None:
            await anyio.to_thread.run_sync(self._thread.join)

    def _work(self) -> None:
        def advance(done: float) -> None:
            if self._gone.is_set():
                raise _GoneError
            self._progress = done
            self._turns.yield_turn()

        result: Message | BaseException
        try:
            with self._turns.turn(self._patience):
                result = self._session.propose(self._message, advance)
        except BaseException as error:
            result = error
        with self._news:
            self._result = result
            self._news.notify_all()


class _Stream(Response):
    """Messages one after the other, as they come; they end when the client has gone.

    Parameters
    ----------
    first : Message or None
        Known already; None: there is none.
    following : callable
        Returns the next one; can ask whether the client has gone.
    leave : threading.Event
        Set when the client has gone, or asks for something else.
    held : AsyncExitStack
        Closed at the end.
    """

    def __init__(
        self,
        first: Message | None,
        following: Callable[[Callable[[], bool]], Awaitable[Message | None]],
        leave: threading.Event,
        held: AsyncExitStack,
    ) -> None:
        super().__init__(media_type=MEDIA_TYPE)
        del self.headers["content-length"]
        self._first, self._following = first, following
        self._leave, self._held = leave, held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all messages."""

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            self._leave.set()

        try:
            async with anyio.create_task_group() as group:
                group.start_soon(watch)
                await self._send_all(send)
                group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await self._held.aclose()

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        message = self._first
        while message is not None and not self._leave.is_set():
            await send({"type": "http.response.body", "body": framed(message), "more_body": True})
            try:
                message = await self._following(self._leave.is_set)
            except _GoneError:
                return
            except Exception as error:
                last = framed(_failure(error))
                await send({"type": "http.response.body", "body": last, "more_body": True})
                break
        if not self._leave.is_set():
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def create_app(
    models: ServedModels,
    token: str,
    limits: ServerLimits | None = None,
    data_root: DataRoot | None = None,
) -> ASGIApp:
    """Return the application; every request to it needs the token.

    Parameters
    ----------
    models : ServedModels
    token : str
        At least 16 characters.
    limits : ServerLimits, optional
    data_root : DataRoot, optional
        The folder whose images it may read.
    """
    limits = limits or ServerLimits()
    server = SessionServer(models, limits, data_root)
    app = Starlette(
        routes=server.routes(),
        exception_handlers={HTTPException: _plain_refusal, Exception: _plain_failure},
    )
    return Guard(app, token, limits.body_bytes)


def _plain_refusal(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return PlainTextResponse("There is nothing here.", error.status_code)


def _plain_failure(_request: Request, _error: Exception) -> Response:
    return PlainTextResponse("The server failed; its log says why.", 500)


def _answer(message: Message, status: int = 200) -> Response:
    return Response(message.encode(), status, media_type=MEDIA_TYPE)


def _refusal(error: Exception) -> Response:
    """Return the answer for an error; what it says never comes from a traceback."""
    if isinstance(error, ClientDisconnect):
        return PlainTextResponse("", 400)
    if isinstance(error, _TooLargeError):
        response: Response = PlainTextResponse("The request is too large.", 413)
        response.headers["Connection"] = "close"
        return response
    if isinstance(error, _TooSlowError):
        slow: Response = PlainTextResponse("The request came too slowly.", 408)
        slow.headers["Connection"] = "close"
        return slow
    if isinstance(error, _LackingError):
        return _answer(_failure(error), 409)
    if isinstance(error, MessageError):
        return _answer(_failure(error), 400)
    if isinstance(error, BusyError | TimeoutError):
        return _answer(_failure(error), 503)
    return _answer(_failure(error), 422 if isinstance(error, Sam2Error) else 500)


def _failure(error: Exception) -> Message:
    """Return an error as a message."""
    if isinstance(error, _LackingError):
        return Message({"need": error.needed.values()})
    if isinstance(error, BusyError | TimeoutError):
        return Message({"busy": str(error)})
    if isinstance(error, Sam2Error):
        return Message({"error": error_values(error)})
    if isinstance(error, MessageError):
        text = f"The server does not understand a request: {error}"
    else:
        _LOG.error("A request failed", exc_info=error)
        text = "The server failed; its log says why."
    return Message({"error": error_values(RemoteError(text))})


def _client(request: Request) -> str:
    name = request.headers.get(CLIENT_HEADER, "")
    if not _CLIENT.fullmatch(name):
        raise MessageError("A client is named by 32 hexadecimal digits.")
    return name
