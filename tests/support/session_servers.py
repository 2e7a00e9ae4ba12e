"""Session servers on this machine, and proxies that make the way to them as bad as any."""

from __future__ import annotations

import random
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import forked
import torch
import uvicorn

from napari_sam2.remote.limits import ServerLimits
from napari_sam2.remote.server.app import create_app
from napari_sam2.remote.server.data_root import DataRoot
from napari_sam2.remote.server.served_models import ServedModels
from napari_sam2.tracking import Model, load_model

TOKEN = "a-token-that-only-tests-know"


@dataclass
class LocalServer:
    """A uvicorn server in a thread of this process."""

    url: str
    port: int
    server: uvicorn.Server


def _config(app: object, **options: object) -> uvicorn.Config:
    return uvicorn.Config(
        app, log_level="warning", lifespan="off", ws="none", http="h11", **options
    )


@contextmanager
def local_server(
    models: Mapping[str, Model],
    *,
    limits: ServerLimits | None = None,
    data_root: Path | None = None,
    **options: object,
) -> Iterator[LocalServer]:
    """Serve models on a free port of the loopback."""

    def loader(model: Model) -> Callable[[int | None, str], Model]:
        return lambda _size, _precision: model

    served = ServedModels({name: loader(model) for name, model in models.items()})
    root = None if data_root is None else DataRoot(data_root)
    server = uvicorn.Server(_config(create_app(served, TOKEN, limits, root), **options))
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        scheme = "https" if "ssl_certfile" in options else "http"
        yield LocalServer(f"{scheme}://127.0.0.1:{port}", port, server)
    finally:
        server.should_exit = server.force_exit = True
        thread.join()
        listening.close()


class ServerProcess:
    """A server in a process of its own, which can be killed and started again on its port.

    Parameters
    ----------
    models : callable
        Makes models by their names; a function of a module, or a `functools.partial` of one.
    limits : ServerLimits, optional
    """

    def __init__(
        self, models: Callable[[], Mapping[str, Model]], limits: ServerLimits | None = None
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._models, self._limits = models, limits
        self._process: BaseProcess | None = None
        self.starts = 0

    @property
    def pid(self) -> int:
        """Number of the process."""
        assert self._process is not None
        assert self._process.pid is not None
        return self._process.pid

    def start(self) -> None:
        """Start it; clients wait until it answers."""
        self._process = forked.start(
            _serve_in_process, self._models, self.port, self._limits, said=None
        )
        self.starts += 1

    def kill(self) -> None:
        """Kill it as nothing else can: at once."""
        assert self._process is not None
        self._process.kill()
        self._process.join()

    def wait(self) -> None:
        """Wait until it listens."""
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert self._process is not None
                assert self._process.is_alive(), "the server has not started"
                time.sleep(0.05)
            else:
                return


def tiny_models() -> dict[str, Model]:
    """Make a network of random weights."""
    from known_masks import known_masks

    return {"tiny": Model(known_masks(), "tiny", torch.device("cpu"), 64)}


def loaded_models(name: str, device: str) -> dict[str, Model]:
    """Load a model by its name."""
    return {name: load_model(name, device)}


def _serve_in_process(
    models: Callable[[], Mapping[str, Model]], port: int, limits: ServerLimits | None
) -> None:
    serve_on(models(), port, limits)


def serve_on(models: Mapping[str, Model], port: int, limits: ServerLimits | None = None) -> None:
    """Serve models on a port until the process ends."""
    served = ServedModels({n: (lambda _size, _p, m=m: m) for n, m in models.items()})
    uvicorn.run(
        create_app(served, TOKEN, limits),
        port=port,
        log_level="error",
        lifespan="off",
        ws="none",
        http="h11",
    )


class Proxy:
    """A TCP proxy on the loopback; subclasses spoil what passes.

    Parameters
    ----------
    port : int
        Of the server.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._closed = False
        self.up = self.down = 0  # bytes that have passed
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._listening.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._to))
        except OSError:
            client.close()
            return
        with client, server:
            self.carry(client, server)

    def carry(self, client: socket.socket, server: socket.socket) -> None:
        """Carry bytes both ways until one side ends."""
        while not self._closed:
            for ready in select.select([client, server], [], [], 0.2)[0]:
                try:
                    data = ready.recv(65536)
                except OSError:
                    return
                if not data or not self.passes(data, up=ready is client):
                    return
                try:
                    (server if ready is client else client).sendall(data)
                except OSError:
                    return

    def passes(self, data: bytes, *, up: bool) -> bool:
        """Count bytes; False cuts the connection."""
        if up:
            self.up += len(data)
        else:
            self.down += len(data)
        return True


class CuttingProxy(Proxy):
    """Cuts the connection after a random number of bytes, a number of times.

    Parameters
    ----------
    port : int
    cuts : int
    most : int
        Bytes until a cut, at most.
    seed : int
    """

    def __init__(self, port: int, cuts: int, most: int, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._most = most
        self.left, self.cut = cuts, 0
        self._next = self._random.randint(1, most)
        super().__init__(port)

    def passes(self, data: bytes, *, up: bool) -> bool:
        """Let bytes pass until the next cut."""
        super().passes(data, up=up)
        if not self.left:
            return True
        self._next -= len(data)
        if self._next > 0:
            return True
        self.left -= 1
        self.cut += 1
        self._next = self._random.randint(1, self._most)
        return False


class SlowProxy(Proxy):
    """Delays every byte and limits how many pass per second.

    Parameters
    ----------
    port : int
    bits_per_s : float
    round_trip_s : float
    """

    def __init__(self, port: int, bits_per_s: float, round_trip_s: float) -> None:
        self._rate = bits_per_s / 8
        self._delay = round_trip_s / 2
        super().__init__(port)

    def carry(self, client: socket.socket, server: socket.socket) -> None:
        """Carry bytes both ways, each way on a thread of its own."""
        back = threading.Thread(target=self._one_way, args=(server, client, False), daemon=True)
        back.start()
        self._one_way(client, server, True)
        back.join()

    def _one_way(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        free = 0.0  # when the line has carried all before
        waiting: list[tuple[float, bytes]] = []
        done = threading.Event()
        more = threading.Condition()

        def deliver() -> None:
            while True:
                with more:
                    while not waiting and not done.is_set():
                        more.wait(0.2)
                    if not waiting:
                        break
                    due, data = waiting.pop(0)
                time.sleep(max(0.0, due - time.monotonic()))
                try:
                    target.sendall(data)
                except OSError:
                    return
            with suppress(OSError):  # the other side has ended first
                target.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=deliver, daemon=True)
        thread.start()
        while not self._closed:
            try:
                data = source.recv(16384)
            except OSError:
                break
            if not data:
                break
            self.passes(data, up=up)
            free = max(free, time.monotonic()) + len(data) / self._rate
            with more:
                waiting.append((free + self._delay, data))
                more.notify()
        done.set()
        thread.join()
