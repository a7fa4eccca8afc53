# SPDX-License-Identifier: GPL-2.0-only
"""Runs cells on the workers of a Dask cluster, one task a cell.

Dask places a cell where its host is (a resource of the worker, see worker.py) and moves the cells
of a worker that dies elsewhere, once. No more cells are handed out than there are places: Dask
counts a death against every cell that it had assigned to the dead worker, started or not.
https://distributed.dask.org/en/stable/killed.html, resources.html
"""

from __future__ import annotations

import contextlib
import logging
import queue
import time
import warnings
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lkltest.host.error_boundary import one_line
from lkltest.nightly.cluster.errors import ClusterError
from lkltest.nightly.cluster.remote_cell import WANTED, run_remote
from lkltest.nightly.cluster.sent_builds import SentBuilds
from lkltest.nightly.cluster.tls import security
from lkltest.nightly.cluster.workers import SILENCE, Workers, resource, versions_here
from lkltest.nightly.model.cell import Cell, CellRecord
from lkltest.nightly.run.runner import Listener
from lkltest.plain import from_plain, to_plain
from lkltest.text import printable

NO_PAGES = "127.0.0.1:0"
"""The place of a Dask server's web pages, of which there are none; it insists on one."""
_TICK = 1.0
_GRACE = 60.0
_CONNECT = 15.0


def run_cells(
    cells: Iterable[Cell],
    scheduler: str,
    listener: Listener,
    *,
    grace: float = _GRACE,
    machine: str = "",
    tls: Path | None = None,
) -> None:
    """Run `cells` on the workers of `scheduler`, in their order as far as places allow.

    A cell that no worker can run, or whose workers died, ends as a record with an error.
    What the listener raises, and an interruption, ends the run and is passed on.

    Args:
        cells: what to run.
        scheduler: `tcp://host:8786`, or `tls://host:8786`.
        listener: is told; a cell has started when it is handed out.
        grace: seconds without a worker that has a cell's host after which the cell is given up.
        machine: the name under which times are compared, "" for each worker's own.
        tls: directory with the cluster's certificate; with None Dask's own settings hold.

    Raises:
        ClusterError: Dask is not installed, or there is no scheduler, or no more: what it had not
            finished was not run.
    """
    client = _connect(scheduler, tls)
    try:
        _Night(client, scheduler, listener, grace, machine).run(deque(cells))
    finally:
        client.close(timeout=_CONNECT)


def _connect(scheduler: str, tls: Path | None) -> Any:
    load()
    own = security(tls, scheduler)
    from distributed import Client

    try:
        with warnings.catch_warnings():  # of Dask's table of versions: Workers tells what matters
            warnings.simplefilter("ignore")
            return Client(scheduler, timeout=_CONNECT, set_as_default=False, security=own)
    except Exception as error:  # noqa: BLE001 - for a bad address Dask raises whatever fails first
        raise ClusterError(f"no Dask scheduler at {scheduler}: {reason_of(error)}") from None


def reason_of(error: BaseException) -> str:
    """The first cause of an error of Dask's, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return printable(" ".join(str(error).split())) or type(error).__name__


def load() -> None:
    """Import Dask, and keep its log, which is chatty and has tracebacks, off the terminal.

    What becomes of workers and cells is told in other ways. Raises ClusterError.
    """
    try:
        import distributed  # noqa: F401
    except ImportError:
        message = "needs Dask's distributed: pip install 'lkltest[cluster]'"
        raise ClusterError(message) from None
    except Exception as error:  # noqa: BLE001 - Dask reads its settings, and raises what it likes
        raise ClusterError(f"Dask cannot be loaded with its settings: {one_line(error)}") from None
    # Dask gives several of its loggers levels and handlers of their own.
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).disabled = True


@dataclass(slots=True)
class _Task:
    """A cell that was handed out."""

    cell: Cell
    future: Any
    started: float = field(default_factory=time.time)


class _Night:
    """The state of one run."""

    def __init__(
        self, client: Any, scheduler: str, listener: Listener, grace: float, machine: str
    ) -> None:
        self._client = client
        self._scheduler = scheduler
        self._listener = listener
        self._machine = machine
        self._grace = grace
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._tasks: dict[str, _Task] = {}
        self._ours = versions_here()
        self._workers = Workers(self._ours)
        self._last_seen: dict[str, float] = {}
        self._builds = SentBuilds(client)

    def run(self, waiting: deque[Cell]) -> None:
        try:
            while waiting or self._tasks:
                self._look_at_workers()
                self._end_frozen()
                self._give_up(waiting)
                self._hand_out(waiting)
                self._take_one()
                self._listener.waiting()
        finally:
            if self._client.status == "running":
                with contextlib.suppress(OSError):
                    self._client.cancel([task.future for task in self._tasks.values()], force=True)
                    self._builds.withdraw()

    def _look_at_workers(self) -> None:
        """Count the places, and say what became of workers."""
        try:
            if self._client.status != "running":
                raise ConnectionError
            infos = self._client.scheduler_info(n_workers=-1)["workers"]
        except OSError:  # the scheduler has gone, or is coming back
            self._workers.places.clear()
            return
        for notice in self._workers.look(infos, time.monotonic()):
            self._listener.noticed(notice.text, trouble=notice.trouble)

    def _end_frozen(self) -> None:
        """End the cells of workers that are silent, once their own time is over."""
        silent = self._workers.silent()
        if not silent or self._client.status != "running":
            return
        late = {
            key: task
            for key, task in self._tasks.items()
            if time.time() - task.started > task.cell.limit * task.cell.repeat + SILENCE
        }
        if not late:
            return
        try:
            running = self._client.processing(list(silent))
        except OSError:
            return
        for address, keys in running.items():
            for key in set(keys) & set(late):
                task = self._tasks.pop(key)
                task.future.cancel(force=True)
                reason = f"worker {silent.get(address, address)} is frozen, or cut off"
                self._listener.finished(self._failed(task, reason))

    def _hand_out(self, waiting: deque[Cell]) -> None:
        used = Counter(self._needs(task.cell) for task in self._tasks.values())
        for _ in range(len(waiting)):
            if len(self._tasks) >= self._workers.threads:
                return
            cell = waiting.popleft()
            if used[self._needs(cell)] >= self._workers.places[self._needs(cell)]:
                waiting.append(cell)
                continue
            used[self._needs(cell)] += 1
            self._listener.started(cell)
            self._submit(cell)

    def _submit(self, cell: Cell) -> None:
        try:
            digest = self._builds.digest(cell.path)
        except OSError as error:
            reason = f"build {cell.build}: {error.strerror}: {error.filename or cell.path}"
            self._listener.finished(CellRecord(cell, error=reason, started=time.time()))
            return
        future = self._client.submit(
            run_remote,
            to_plain(cell),
            digest,
            self._builds.parts(digest),
            self._machine,
            resources={self._needs(cell): 1},
            pure=False,
            retries=0,
        )
        self._tasks[future.key] = _Task(cell, future)
        future.add_done_callback(self._done.put)

    def _take_one(self) -> None:
        try:
            future = self._done.get(timeout=_TICK)
        except queue.Empty:
            return
        task = self._tasks.pop(future.key, None)
        if task is None:
            return
        record = self._record(task)
        if record is None:
            self._submit(task.cell)
        else:
            self._listener.finished(record)

    def _record(self, task: _Task) -> CellRecord | None:
        """The record of a task that ended; None when it is to be run again, with its build."""
        if task.future.status != "finished":
            return self._failed(task, self._why(task))
        data = task.future.result()
        if WANTED in data:
            try:
                self._builds.send(Path(task.cell.path or ""), data[WANTED])
            except OSError as error:
                return self._failed(task, f"build {task.cell.build} cannot be sent: {error}")
            return None
        return from_plain(CellRecord, data)

    def _why(self, task: _Task) -> str:
        from distributed import KilledWorker

        if task.future.status != "error":
            raise self._lost()
        error = task.future.exception()
        if isinstance(error, KilledWorker):
            last = getattr(error.last_worker, "name", "") or error.last_worker.address
            return f"worker {last} died while it ran this, as did the one that had it before"
        return printable(" ".join(f"worker: {type(error).__name__}: {error}".split()))

    def _failed(self, task: _Task, reason: str) -> CellRecord:
        seconds = max(time.time() - task.started, 0.0)
        return CellRecord(task.cell, error=reason, started=task.started, seconds=seconds)

    def _give_up(self, waiting: deque[Cell]) -> None:
        """End the cells that no worker can run for `grace` seconds."""
        now = time.monotonic()
        needed = {self._needs(cell) for cell in waiting}
        needed |= {self._needs(task.cell) for task in self._tasks.values()}
        for name in needed:
            if self._workers.places[name] or name not in self._last_seen:
                self._last_seen[name] = now
        hopeless = {name for name in needed if now - self._last_seen[name] > self._grace}
        if not hopeless:
            return
        for key, task in list(self._tasks.items()):
            if self._needs(task.cell) in hopeless:
                del self._tasks[key]
                task.future.cancel(force=True)
                self._listener.finished(self._failed(task, self._no_worker(task.cell)))
        for _ in range(len(waiting)):
            cell = waiting.popleft()
            if self._needs(cell) in hopeless:
                self._listener.finished(CellRecord(cell, error=self._no_worker(cell)))
            else:
                waiting.append(cell)

    def _no_worker(self, cell: Cell) -> str:
        if self._client.status != "running":
            raise self._lost()
        what = f"host {cell.host}" + ("" if cell.path else f" and a default build for {cell.host}")
        return f"no worker of {self._scheduler} has {what}"

    def _lost(self) -> ClusterError:
        return ClusterError(
            f"lost the scheduler {self._scheduler}; --resume goes on with the night"
        )

    def _needs(self, cell: Cell) -> str:
        return resource(cell.host, self._ours, default_build=cell.path is None)
