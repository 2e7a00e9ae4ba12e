"""`DaskCluster`: lets Dask do the stacks, on this machine, a scheduler, or SLURM.

The thread that calls `run` submits the stacks and looks after them; distributed has threads of its
own for the connections. A worker does one stack at a time, on its thread for tasks.
"""

from __future__ import annotations

import logging
import queue
import re
import signal
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from napari_sam2 import __version__
from napari_sam2.batch.executors import BatchWatch
from napari_sam2.batch.stack_task import StackTask
from napari_sam2.batch.stack_worker import StackWorker, note_loss
from napari_sam2.batch.status import StackStatus
from napari_sam2.errors import BatchError
from napari_sam2.segmentation.session_runner import Watcher

if TYPE_CHECKING:
    from napari_sam2.batch.engine import BatchEngine

_RESOURCE = "GPU"  # one per worker: a stack at a time, on a device of its own
_LOOK_S = 0.1
_PATIENCE_S = 60.0
_WORKERS_S = 120.0  # until a scheduler has its first worker
_CORES, _MEMORY = 4, "16GB"  # of a job of SLURM that says neither
_OWN_LINES: Mapping[str, frozenset[str]] = {
    "-t ": frozenset({"--time", "-t"}),
    "-p ": frozenset({"--partition", "-p"}),
    "-A ": frozenset({"--account", "-A"}),
    "--cpus-per-task=": frozenset({"--cpus-per-task", "-c"}),
    "--mem=": frozenset({"--mem"}),
}
"""Lines that dask-jobqueue writes, and the options that say the same."""
_REPORT_S = 0.5  # between two reports of the progress of a stack

try:
    import dask
    from distributed import Client, LocalCluster, WorkerPlugin, get_worker
except ImportError as reason:
    raise BatchError(
        f"Dask is not installed: {reason}.",
        remedy='Install it with: python -m pip install "napari-sam2[dask]".',
    ) from reason


class DaskCluster:
    """Does stacks with the workers of Dask.

    Parameters
    ----------
    engine : BatchEngine
        With a cluster.
    run : str
        Id of the batch.
    stacks : int
        There are no more workers than stacks.

    Raises
    ------
    BatchError
        The scheduler is not reached, has no workers that fit, or these have another version.
    """

    def __init__(self, engine: BatchEngine, run: str, stacks: int) -> None:
        self._run = run
        self._retries = engine.retries
        self._reports: queue.SimpleQueue[tuple[str, int, int | None]] = queue.SimpleQueue()
        self._plugin = f"napari-sam2-{run}"
        self._cluster: Any = None
        try:
            # A scheduler elsewhere has its own number of failures that it allows.
            with dask.config.set({"distributed.scheduler.allowed-failures": engine.retries}):
                self._cluster = _cluster_of(engine, stacks)
            self._client: Any = _client_of(engine, self._cluster)
        except BaseException:
            self._close_cluster()
            raise
        try:
            self._resources = _resources_of(engine, self._client)
            self._prepare(engine)
        except BaseException:
            self.close()
            raise

    def run(self, tasks: Sequence[StackTask], watch: BatchWatch) -> None:
        """Segment stacks; see `Executor.run`."""
        futures = {
            task: self._client.submit(
                _do,
                task,
                self._plugin,
                key=f"{task.name}-{self._run}-{number}-{time.monotonic_ns()}",
                resources=self._resources,
                retries=self._retries,
                pure=False,
            )
            for number, task in enumerate(tasks)
        }
        stopping: float | None = None
        while futures:
            self._pass_reports(watch)
            for task in [task for task, future in futures.items() if future.done()]:
                self._ended(task, futures.pop(task), watch)
            self._check_scheduler()
            if watch.stopped():
                if stopping is None:
                    stopping = time.monotonic()
                self._stop_workers()  # again and again: a worker may have come meanwhile
                if time.monotonic() - stopping > _PATIENCE_S:
                    self._client.cancel(list(futures.values()), force=True)
                    return
            time.sleep(_LOOK_S)
        self._pass_reports(watch)

    def close(self) -> None:
        """End the connection, and the cluster if it was begun here."""
        with suppress(Exception):  # the scheduler may be gone: reported before
            if self._client.status == "running":
                self._client.unregister_worker_plugin(self._plugin)
            self._client.close(timeout=_LOOK_S * 20)
        self._close_cluster()

    def job_script(self) -> str:
        """Return the script of a job of SLURM; empty for other clusters."""
        script = getattr(self._cluster, "job_script", None)
        return "" if script is None else str(script())

    def _close_cluster(self) -> None:
        if self._cluster is not None:
            with suppress(Exception):
                self._cluster.close()

    def _prepare(self, engine: BatchEngine) -> None:
        """Register the plugin that segments stacks with all present and later workers."""
        devices = engine.process_devices if engine.cluster == "local" else engine.devices
        self._client.subscribe_topic(self._plugin, self._queue_report)
        plugin = _StackWorkerPlugin(self._plugin, self._run, devices, engine.cluster == "local")
        try:
            self._client.register_plugin(plugin, name=self._plugin)
        except Exception as error:  # whatever the workers raise while they load the package
            raise BatchError(
                f"The workers of Dask cannot run napari-sam2: {error}.",
                safe="Nothing has been computed yet.",
                remedy=f"Install napari-sam2 {__version__} in their environment.",
            ) from error

    def _queue_report(self, event: tuple[float, Any]) -> None:
        """Queue a report of a worker; runs on the thread of the connection."""
        name, done, planned = event[1]
        self._reports.put((name, done, planned))

    def _pass_reports(self, watch: BatchWatch) -> None:
        while True:
            try:
                watch.progress(*self._reports.get_nowait())
            except queue.Empty:
                return

    def _stop_workers(self) -> None:
        try:
            self._client.run(_stop, self._plugin, on_error="ignore")
        except (OSError, TimeoutError):
            self._check_scheduler()  # a worker that is gone has stopped

    def _ended(self, task: StackTask, future: Any, watch: BatchWatch) -> None:
        if future.status == "finished":
            status: StackStatus | None = future.result()
            if status is not None:
                watch.ended(status)
            return
        self._check_scheduler()
        lost = "Dask has given it up." if future.cancelled() else str(future.exception())
        watch.ended(note_loss(task, self._run, f"Its worker was lost: {lost}"))

    def _check_scheduler(self) -> None:
        """Raise an error if the scheduler is gone.

        Raises
        ------
        BatchError
        """
        if self._client.status != "running":
            raise BatchError(
                "The scheduler of Dask is gone.",
                safe="Stacks that are done are kept, and what was computed of the others.",
                remedy="Start it again, and go on with --resume.",
            )


def _cluster_of(engine: BatchEngine, stacks: int) -> Any:
    """Begin a cluster of this machine or of SLURM; None where there is a scheduler already."""
    if engine.cluster == "local":
        return LocalCluster(
            n_workers=min(len(engine.process_devices), stacks),
            threads_per_worker=1,
            processes=True,
            resources={_RESOURCE: 1},
            memory_limit=0,  # Dask's share of the memory says nothing about torch
            dashboard_address=None,
            silence_logs=logging.ERROR,  # of workers that are lost, the statuses speak
        )
    if engine.cluster == "slurm":
        return slurm_cluster(engine, stacks)
    return None


def slurm_cluster(engine: BatchEngine, stacks: int) -> Any:
    """Begin a cluster whose workers are jobs of SLURM.

    Raises
    ------
    BatchError
        dask-jobqueue is not installed.
    """
    try:
        from dask_jobqueue.slurm import SLURMCluster
    except ImportError as error:
        raise BatchError(
            f"dask-jobqueue is not installed: {error}.",
            remedy='Install it with: python -m pip install "napari-sam2[dask]".',
        ) from error
    cores, memory = _size_of_job(engine.directives)
    cluster = SLURMCluster(
        cores=cores,
        memory=memory,
        processes=1,
        job_extra_directives=list(engine.directives),
        job_directives_skip=_said_otherwise(engine.directives),
        worker_extra_args=["--resources", f"{_RESOURCE}=1", "--nthreads", "1"],
    )
    cluster.scale(jobs=min(engine.workers or stacks, stacks))
    return cluster


def _said_otherwise(directives: Sequence[str]) -> list[str]:
    """Return the beginnings of dask-jobqueue's own lines that the directives replace."""
    given = {re.split(r"[=\s]", each.strip(), maxsplit=1)[0] for each in directives}
    return [f"#SBATCH {own}" for own, names in _OWN_LINES.items() if given & names]


def _size_of_job(directives: Sequence[str]) -> tuple[int, str]:
    """Return cores and memory of a job: of the directives, Dask's configuration, or the usual."""
    given = {}
    for each in directives:
        found = re.fullmatch(r"(?:-c\s*|--(cpus-per-task|mem)[= ]\s*)(\S+)", each.strip())
        if found:
            given[found[1] or "cpus-per-task"] = found[2]
    cores = given.get("cpus-per-task") or dask.config.get("jobqueue.slurm.cores", None) or _CORES
    memory = given.get("mem") or dask.config.get("jobqueue.slurm.memory", None) or _MEMORY
    text = str(memory)
    return int(cores), text if text[-1] in "bB" else f"{text}{'B' if text[-1].isalpha() else 'MB'}"


def _client_of(engine: BatchEngine, cluster: Any) -> Client:
    try:
        if cluster is not None:
            return Client(cluster, set_as_default=False)
        if engine.cluster.lower().endswith(".json"):
            return Client(scheduler_file=engine.cluster, set_as_default=False)
        return Client(engine.cluster, set_as_default=False)
    except (OSError, ValueError) as error:
        raise BatchError(
            f"There is no scheduler of Dask at {engine.cluster}: {error}.",
            safe="Nothing has been computed yet.",
            remedy="Start it with: dask scheduler.",
        ) from error


def _resources_of(engine: BatchEngine, client: Client) -> Mapping[str, float] | None:
    """Return the Dask resources that a stack needs: a GPU unless the device is the CPU.

    Raises
    ------
    BatchError
        There are no workers, or none has it: stacks would wait for ever.
    """
    wanted = {_RESOURCE: 1.0}
    if engine.cluster in ("local", "slurm"):
        return wanted
    start = f"dask worker ADDRESS --resources {_RESOURCE}=1 --nthreads 1"
    try:
        client.wait_for_workers(1, timeout=_WORKERS_S)
    except TimeoutError as error:
        raise BatchError(
            f"The scheduler at {engine.cluster} has no workers.",
            safe="Nothing has been computed yet.",
            remedy=f"Start some with: {start}.",
        ) from error
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    if any(worker["resources"].get(_RESOURCE) for worker in workers):
        return wanted
    if engine.device == "cpu":
        return None
    raise BatchError(
        f"None of the {len(workers)} workers of {engine.cluster} has a GPU for a task.",
        safe="Nothing has been computed yet.",
        remedy=f"Start them with: {start}; or give --device cpu.",
    )


class _StackWorkerPlugin(WorkerPlugin):
    """What a worker of Dask has to do stacks: a `StackWorker`, and whether to stop."""

    def __init__(self, name: str, run: str, devices: Sequence[str], local: bool) -> None:
        self.name = name
        self.version = __version__
        self.run = run
        self.devices = tuple(devices)
        self.local = local

    def setup(self, worker: Any) -> None:
        """Set up the plugin; called in the worker.

        Raises
        ------
        BatchError
            Another version is installed there.
        """
        if self.version != __version__:
            raise BatchError(
                f"{socket.gethostname()} has napari-sam2 {__version__}, not {self.version}."
            )
        if self.local and threading.current_thread() is threading.main_thread():
            # Ctrl-C in a terminal reaches the workers too: the command says what they do.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        # The workers of a local cluster are numbered, and have one device each.
        number = int(worker.name) if self.local else 0
        self.stopped = threading.Event()
        self.alone = threading.Lock()  # a worker may have several threads
        self.stack_worker = StackWorker(self.devices[number % len(self.devices)], self.run)

    def teardown(self, worker: Any) -> None:
        """Stop; called when the worker ends, also because its scheduler is gone."""
        self.stopped.set()


def _do(task: StackTask, name: str) -> StackStatus | None:
    """Segment a stack unless the batch is stopping; runs in a worker."""
    worker = get_worker()
    plugin: Any = worker.plugins[name]
    last = -_REPORT_S

    def report(done: int, planned: int | None) -> None:
        nonlocal last
        if time.monotonic() - last >= _REPORT_S or done == planned:
            last = time.monotonic()
            worker.log_event(name, (task.name, done, planned))

    with plugin.alone:
        if plugin.stopped.is_set():
            return None
        status: StackStatus = plugin.stack_worker.do(task, Watcher(report, plugin.stopped.is_set))
        return status


def _stop(name: str, dask_worker: Any) -> None:
    """Stop the stack of a worker; runs in the worker."""
    plugin = dask_worker.plugins.get(name)
    if plugin is not None:
        plugin.stopped.set()
