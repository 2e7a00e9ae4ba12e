"""`SessionRegistry`: the sessions of all clients, few and dropped when idle.

The event loop's thread only. What is dropped is made again from the client's next request.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from napari_sam2.errors import RemoteError
from napari_sam2.remote.limits import ServerLimits
from napari_sam2.remote.server.served_session import ServedSession
from napari_sam2.remote.session_spec import StackSpec


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
    used : float
        When it was used last, in seconds of a monotonic clock.
    """

    spec: StackSpec
    session: ServedSession | None = None
    busy: bool = False
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

    @contextmanager
    def use(self, client: str, spec: StackSpec) -> Iterator[SessionPlace]:
        """Hold the session of a request; a new one if it is not known, or is another by now.

        Raises
        ------
        BusyError
            It is in use by another request, or all places are.
        """
        self.drop_idle()
        sessions = self._clients.setdefault(client, OrderedDict())
        self._clients.move_to_end(client)
        place = sessions.get(spec.session)
        if place is not None and place.busy:
            raise BusyError("The session is in use by another request.")
        if place is None or place.spec != spec:
            sessions.pop(spec.session, None)
            _make_room(sessions, self._limits.sessions - 1)
            place = sessions[spec.session] = SessionPlace(spec)
            self._drop_clients()
        sessions.move_to_end(spec.session)
        place.busy = True
        try:
            yield place
        finally:
            place.busy = False
            place.used = self._clock()

    def drop(self, client: str, session: str) -> None:
        """Drop a session that its client needs no longer."""
        sessions = self._clients.get(client, OrderedDict())
        if session in sessions and not sessions[session].busy:
            del sessions[session]

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
