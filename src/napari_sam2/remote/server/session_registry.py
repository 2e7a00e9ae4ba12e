"""`SessionRegistry`: the sessions of all clients, few and dropped when idle.

The event loop's thread only. What is dropped is made again from the client's next request.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import anyio

from napari_sam2.errors import RemoteError
from napari_sam2.remote.limits import ServerLimits
from napari_sam2.remote.server.served_session import ServedSession
from napari_sam2.remote.session_spec import StackSpec

_LOOK_EVERY_S = 0.005


class BusyError(RemoteError):
    """The server has too much to do; the request can be made again."""


@dataclass(slots=True, eq=False)
class SessionPlace:
    """A session of a client; open from its first request on.

    Attributes
    ----------
    spec : StackSpec
    session : ServedSession or None
    busy : bool
        Whether a request is being answered.
    leave : threading.Event
        Set when the answer is not waited for any more.
    used : float
        When it was used last, in seconds of a monotonic clock.
    """

    spec: StackSpec
    session: ServedSession | None = None
    busy: bool = False
    leave: threading.Event = field(default_factory=threading.Event)
    used: float = field(default_factory=time.monotonic)


class SessionRegistry:
    """Gives requests their sessions, one request at a time for each.

    Parameters
    ----------
    limits : ServerLimits
    clock : callable
        Seconds of a monotonic clock.
    """

    def __init__(self, limits: ServerLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._clients: OrderedDict[str, OrderedDict[str, SessionPlace]] = OrderedDict()
        self._requests: dict[str, int] = {}

    def __len__(self) -> int:
        return sum(len(sessions) for sessions in self._clients.values())

    @contextmanager
    def request(self, client: str) -> Iterator[None]:
        """Count a request of a client while it lasts.

        Raises
        ------
        BusyError
            The client has too many requests at once.
        """
        count = self._requests.get(client, 0)
        if count >= self._limits.waiting:
            raise BusyError(f"A client may have {self._limits.waiting} requests at a time.")
        self._requests[client] = count + 1
        try:
            yield
        finally:
            left = self._requests[client] - 1
            if left:
                self._requests[client] = left
            else:
                del self._requests[client]

    @asynccontextmanager
    async def use(self, client: str, spec: StackSpec) -> AsyncIterator[SessionPlace]:
        """Hold the session of a request; a new one if it is not known, or is another by now.

        A client asks for one thing after the other: of a session that is in use, the former
        answer is not waited for any more, and ends as soon as its frame is done.

        Raises
        ------
        BusyError
            That takes too long, or all places are in use.
        """
        self.drop_idle()
        sessions = self._clients.setdefault(client, OrderedDict())
        self._clients.move_to_end(client)
        place = sessions.get(spec.session)
        if place is not None and place.busy:
            await self._ended(place)
        if place is None or place.spec != spec or spec.session not in sessions:
            sessions.pop(spec.session, None)
            _make_room(sessions, self._limits.sessions - 1)
            place = sessions[spec.session] = SessionPlace(spec)
            self._clients[client] = sessions
            self._drop_clients()
        sessions.move_to_end(spec.session)
        place.busy = True
        place.leave.clear()
        try:
            yield place
        finally:
            place.busy = False
            place.used = self._clock()

    async def _ended(self, place: SessionPlace) -> None:
        """End the present answer, and wait until it has ended."""
        with anyio.move_on_after(self._limits.work_s):
            while place.busy:
                place.leave.set()
                await anyio.sleep(_LOOK_EVERY_S)
        if place.busy:
            raise BusyError("The session is in use by another request.")

    def drop_idle(self) -> None:
        """Drop the sessions that nobody has used for long."""
        before = self._clock() - self._limits.idle_s
        for client, sessions in list(self._clients.items()):
            for name, place in list(sessions.items()):
                if not place.busy and place.used < before:
                    del sessions[name]
            if not sessions:
                del self._clients[client]

    def _drop_clients(self) -> None:
        for client, sessions in list(self._clients.items())[:-1]:
            if len(self._clients) <= self._limits.clients:
                return
            if not any(place.busy for place in sessions.values()):
                del self._clients[client]
        if len(self._clients) > self._limits.clients:
            self._clients.popitem()
            raise BusyError("The server has as many clients as it can serve.")


def _make_room(sessions: OrderedDict[str, SessionPlace], count: int) -> None:
    for name, place in list(sessions.items()):
        if len(sessions) <= count:
            return
        if not place.busy:
            del sessions[name]
    if len(sessions) > count:
        raise BusyError(f"A client may have {count + 1} sessions at a time.")
