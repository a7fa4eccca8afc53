# SPDX-License-Identifier: GPL-2.0-only
"""Cells on a real Dask scheduler and real workers, in a network namespace of the test's own."""

import contextlib
import gc
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lkltest.cli.main import main
from lkltest.nightly.cluster import scheduler
from lkltest.nightly.cluster.errors import ClusterError
from lkltest.nightly.model.cell import Cell, CellOutcome, CellRecord
from lkltest.nightly.run.runner import Quiet
from lkltest.plain import from_plain, to_plain
from lkltest.sandbox.scope import NAMESPACE, Child, Scope, ScopeError, probe
from tests.compiler import ROOT, compile_program
from tests.fake_build import environment, fake_build, lkltest
from tests.sandbox.scopes import wait_until

ADDRESS = "tcp://127.0.0.1:8786"  # of the namespace's own loopback
WAIT_FOR = ROOT / "tests" / "programs" / "wait_for.c"
LONG = 120.0  # nothing here takes that long: what does, hangs


class Stream:
    """Lines of a child's output, as they come."""

    def __init__(self, descriptor: int) -> None:
        self._file = open(descriptor, encoding="utf-8", errors="replace")  # noqa: SIM115
        self.seen: list[str] = []

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            self.seen.append(line)
            yield line

    def until(self, text: str) -> str:
        for line in self:
            if text in line:
                return line
        raise AssertionError(f"no {text!r} in {''.join(self.seen)}")


class Cluster:
    """A scheduler, and workers and nights on it, in one scope; all of it dies with the test."""

    def __init__(self, scope: Scope, folder: Path, *words: str) -> None:
        self._scope = scope
        self._folder = folder
        self._stack = contextlib.ExitStack()
        self.scheduler = self._start("lkltest", "cluster", "scheduler", *words)[0]

    def worker(self, name: str, *words: str, **settings: str) -> Child:
        """Start a worker and wait until it works."""
        child, stream = self._start(
            "lkltest", "worker", ADDRESS, f"--name={name}", *words, **settings
        )
        stream.until("working for")
        return child

    def night(self, cells: Sequence[Cell], grace: float = LONG) -> Iterator[dict[str, Any]]:
        """Run a night; yields its events."""
        file = self._folder / "cells.json"
        file.write_text(json.dumps([to_plain(cell) for cell in cells]))
        module = "tests.nightly.cluster.cluster_night"
        self.last, stream = self._start(module, ADDRESS, str(file), str(grace))
        return (json.loads(line) for line in stream)

    def close(self) -> None:
        self._stack.close()

    def _start(self, module: str, *words: str, **settings: str) -> tuple[Child, Stream]:
        reading, writing = os.pipe()
        stream = Stream(reading)
        self._stack.callback(stream._file.close)
        # What they leave when they are killed with all of the scope goes with its folder.
        settings = {"TMPDIR": os.fspath(self._scope.folder), **settings}
        try:
            child = self._scope.spawn(
                [sys.executable, "-m", module, *words],
                env=environment(PYTHONPATH=str(ROOT), PYTHONUNBUFFERED="1", **settings),
                cwd=self._folder,
                stdout=writing,
                stderr=writing,
            )
        finally:
            os.close(writing)
        return child, stream


@pytest.fixture
def cluster_(tmp_path: Path) -> Iterator[Cluster]:
    from lkltest.sandbox.netdev import Network

    if probe().kind != NAMESPACE:
        pytest.skip("no namespaces here")
    with Scope(network=True, mounts=True, daemons=True) as scope, Network(scope):
        running = Cluster(scope, tmp_path)
        try:
            yield running
        finally:
            running.close()


def cell(name: str, path: Path | str | None, host: str = "native", **other: Any) -> Cell:
    return Cell(name, host, "boot", path=None if path is None else str(path), **other)


def waiting_build(directory: Path, file: Path) -> Path:
    """A build whose boot passes once `file` is there."""
    (directory / "tests").mkdir(parents=True)
    shutil.copy2(compile_program(WAIT_FOR, f"-DFILE_NAME={file}"), directory / "tests" / "boot")
    return directory


def records(events: Iterator[dict[str, Any]]) -> dict[str, CellRecord]:
    """The record of each cell, which is told once."""
    found = [from_plain(CellRecord, event["finished"]) for event in events if "finished" in event]
    assert len({record.cell.id for record in found}) == len(found)
    return {record.cell.build: record for record in found}


def runs_below(worker: Child, program: Path) -> bool:
    """Whether a descendant of the worker runs the program."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if entry.name.isdigit() and (entry / "exe").readlink() == program:
                process = int(entry.name)
                while process > 1:
                    if process == worker.pid:
                        return True
                    status = (Path("/proc") / str(process) / "stat").read_text()
                    process = int(status.rpartition(")")[2].split()[1])
    return False


def wait_for_one(workers: Sequence[Child], program: Path) -> Child:
    """The worker that has come to run the program."""
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        for worker in workers:
            if runs_below(worker, program):
                return worker
        time.sleep(0.02)
    raise AssertionError(f"nobody runs {program}")


class TestCluster:
    def test_a_dead_workers_cell_runs_elsewhere(self, cluster_: Cluster, tmp_path: Path) -> None:
        go, passing = tmp_path / "go", fake_build(tmp_path / "pass", boot="pass")
        waiting = waiting_build(tmp_path / "wait", go)
        folders = tmp_path / "folders"
        folders.mkdir()
        workers = [cluster_.worker(name, TMPDIR=str(folders)) for name in ("one", "two")]
        cells = [cell("waits", waiting), *(cell(f"b{number}", passing) for number in range(6))]
        events = cluster_.night(cells)
        first = wait_for_one(workers, waiting / "tests" / "boot")
        first.kill()
        workers.remove(first)
        wait_for_one(workers, waiting / "tests" / "boot")
        go.touch()
        found = records(events)
        assert len(found) == 7
        assert {record.outcome for record in found.values()} == {CellOutcome.PASSED}, found
        assert found["waits"].machine in ("one", "two")
        workers[0].kill()
        wait_until(lambda: not [*folders.iterdir()])

    def test_the_second_death_is_an_error(self, cluster_: Cluster, tmp_path: Path) -> None:
        waiting = waiting_build(tmp_path / "wait", tmp_path / "never")
        passing = fake_build(tmp_path / "pass", boot="pass")
        workers = [cluster_.worker(name) for name in ("one", "two", "three")]
        events = cluster_.night([cell("killer", waiting), cell("good", passing)])
        for _ in range(2):
            worker = wait_for_one(workers, waiting / "tests" / "boot")
            worker.kill()
            workers.remove(worker)
        found = records(events)
        assert found["good"].outcome is CellOutcome.PASSED
        assert found["killer"].outcome is CellOutcome.ERROR
        assert "died while it ran this, as did the one that had it before" in found["killer"].error
        assert not runs_below(workers[0], waiting / "tests" / "boot")

    def test_cells_go_where_their_host_is(self, cluster_: Cluster, tmp_path: Path) -> None:
        from lkltest.host.registry import make_host

        missing = make_host("wine").missing()
        if missing is not None:
            pytest.skip(f"no Wine here: {missing}")
        passing = fake_build(tmp_path / "pass", boot="pass")
        cluster_.worker("wineless", WINELOADER="/nonexistent")
        cluster_.worker("wine")
        cells = [cell(f"wine{number}", passing, "wine") for number in range(3)]
        cells += [cell(f"native{number}", passing) for number in range(3)]
        found = records(cluster_.night(cells))
        # The build is no Windows one, which Wine's host says; what counts is where it says so.
        assert {found[f"wine{number}"].machine for number in range(3)} == {"wine"}
        assert {found[f"native{number}"].outcome for number in range(3)} == {CellOutcome.PASSED}

    def test_a_host_that_nobody_has_is_an_error(self, cluster_: Cluster, tmp_path: Path) -> None:
        passing = fake_build(tmp_path / "pass", boot="pass")
        cluster_.worker("one", "--host=native")
        cells = [cell("nowhere", passing, "wine"), cell("here", passing)]
        found = records(cluster_.night(cells, grace=0.5))
        assert found["here"].outcome is CellOutcome.PASSED
        assert found["nowhere"].error == f"no worker of {ADDRESS} has host wine"

    def test_a_build_travels_by_its_content(self, cluster_: Cluster, tmp_path: Path) -> None:
        # A path that means something to the night only: the worker is elsewhere.
        fake_build(tmp_path / "pass", boot="pass")
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        child, stream = cluster_._start(
            "tests.nightly.cluster.elsewhere", str(elsewhere), "worker", ADDRESS, "--name=one"
        )
        stream.until("working for")
        found = records(cluster_.night([cell("sent", "pass"), cell("again", "pass")]))
        assert {record.outcome for record in found.values()} == {CellOutcome.PASSED}, found
        assert found["sent"].cell.path == "pass"
        assert child.poll() is None

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
    def test_a_night_that_ends_takes_its_cells_along(
        self, cluster_: Cluster, tmp_path: Path, number: int
    ) -> None:
        waiting = waiting_build(tmp_path / "wait", tmp_path / "never")
        passing = fake_build(tmp_path / "pass", boot="pass")
        worker = cluster_.worker("one")
        cluster_.night([cell("waits", waiting)])
        wait_for_one([worker], waiting / "tests" / "boot")
        cluster_.last.kill(number)
        # One place, so that this night's cell has to wait for the end of the other's.
        found = records(cluster_.night([cell("next", passing)]))
        assert found["next"].outcome is CellOutcome.PASSED
        assert not runs_below(worker, waiting / "tests" / "boot")

    def test_a_whole_night(self, cluster_: Cluster, tmp_path: Path) -> None:
        passing = fake_build(tmp_path / "pass", boot="pass")
        cluster_.worker("one")
        (tmp_path / "nightly.toml").write_text(
            f"""
            [night]
            directory = "night"
            history = "night/history.sqlite"
            [builds.fake]
            path = "{passing}"
            [matrix]
            builds = ["fake"]
            hosts = ["native"]
            suites = ["boot"]
            """
        )
        child, stream = cluster_._start("lkltest", "nightly", "--scheduler", ADDRESS)
        stream.until("reports in")
        assert child.wait(LONG) == 0
        (report,) = (tmp_path / "night" / "nights").glob("*/report.json")
        (view,) = json.loads(report.read_text())["cells"]
        assert view["outcome"] == "passed" and view["id"] == "boot@native#fake"

    def test_two_workers_of_one_name(self, cluster_: Cluster) -> None:
        cluster_.worker("one")
        words = ("lkltest", "worker", ADDRESS, "--name=one", "--host=native")
        child, stream = cluster_._start(*words)
        stream.until("has a worker one already: give this one another --name")
        assert child.wait(LONG) == 2 << 8

    def test_it_listens_to_this_machine_alone(self, cluster_: Cluster) -> None:
        """Whoever reaches a scheduler or a worker can run programs, but for a certificate."""
        worker = cluster_.worker("one")
        for child in (cluster_.scheduler, worker):
            assert {place for place, _ in listening(child)} == {"0100007F"}, "127.0.0.1"

    def test_a_build_that_is_not_there(self, cluster_: Cluster, tmp_path: Path) -> None:
        cluster_.worker("one")
        found = records(cluster_.night([cell("gone", tmp_path / "gone")]))
        assert found["gone"].error == (
            f"build gone: No such file or directory: {tmp_path / 'gone'}"
        )

    def test_the_scheduler_dies(self, cluster_: Cluster, tmp_path: Path) -> None:
        waiting = waiting_build(tmp_path / "wait", tmp_path / "never")
        worker = cluster_.worker("one")
        events = cluster_.night([cell("lost", waiting), cell("waits", waiting)], grace=0.5)
        wait_for_one([worker], waiting / "tests" / "boot")
        cluster_.scheduler.kill()
        assert worker.wait(LONG) == 1 << 8, "a worker ends with its scheduler, its cells with it"
        told = [event for event in events if not {"started", "noticed"} & event.keys()]
        assert told == [{"error": f"lost the scheduler {ADDRESS}; --resume goes on with the night"}]


def listening(child: Child) -> list[tuple[str, int]]:
    """Addresses, as proc(5) writes them, and ports on which a process listens."""
    sockets = {
        os.readlink(file)  # noqa: PTH115 - "socket:[7]" is no path
        for file in Path(f"/proc/{child.pid}/fd").iterdir()
    }
    found = []
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/{child.pid}/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                address, _, port = fields[1].partition(":")
                found.append((address, int(port, 16)))
    return found


class TestTls:
    def test_only_who_has_the_certificate_takes_part(self, tmp_path: Path) -> None:
        if shutil.which("openssl") is None or probe().kind != NAMESPACE:
            pytest.skip("no openssl or no namespaces here")
        from lkltest.sandbox.netdev import Network

        ours, other = str(tmp_path / "ours"), str(tmp_path / "other")
        for directory in (ours, other):
            assert lkltest("cluster", "certificates", directory).returncode == 0
        assert (tmp_path / "ours" / "key.pem").stat().st_mode & 0o077 == 0
        passing = fake_build(tmp_path / "pass", boot="pass")
        config = f"""
            [builds.fake]
            path = "{passing}"
            [matrix]
            builds = ["fake"]
            hosts = ["native"]
            suites = ["boot"]
            """
        (tmp_path / "nightly.toml").write_text(config)
        address = ADDRESS.replace("tcp", "tls")
        with Scope(network=True, mounts=True, daemons=True) as scope, Network(scope):
            cluster = Cluster(scope, tmp_path, "--tls", ours)
            try:
                words = ("lkltest", "worker", address, "--tls", ours, "--host=native")
                cluster._start(*words)[1].until("working for")
                for certificate, status in ((ours, 0), (other, 2), ("", 2)):
                    tls = ("--tls", certificate) if certificate else ()
                    night = ("lkltest", "nightly", "--scheduler", address, *tls)
                    child, stream = cluster._start(*night)
                    said = list(stream)
                    assert child.wait(LONG) == status << 8, said
            finally:
                cluster.close()

    def test_a_directory_without_one(self, tmp_path: Path) -> None:
        done = lkltest("cluster", "scheduler", "--tls", str(tmp_path))
        assert done.returncode == 2
        assert "lkltest cluster certificates" in done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr


class TestUsedWrongly:
    @pytest.fixture(autouse=True)
    def collected(self) -> Iterator[None]:
        """A Dask client that is collected while the next one starts waits for it, and it for it."""
        yield
        gc.collect()

    def test_no_scheduler(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(scheduler, "_CONNECT", 0.5)
        with pytest.raises(ClusterError, match=r"no Dask scheduler at tcp://127.0.0.1:9"):
            scheduler.run_cells([], "tcp://127.0.0.1:9", Quiet())

    @pytest.mark.parametrize("address", ["", "nonsense://x", "tcp://127.0.0.1:port"])
    def test_no_address(self, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(scheduler, "_CONNECT", 0.5)
        with pytest.raises(ClusterError) as caught:
            scheduler.run_cells([], address, Quiet())
        assert "\n" not in str(caught.value)

    def test_no_dask(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "distributed", None)
        with pytest.raises(ClusterError, match=r"pip install 'lkltest\[cluster\]'"):
            scheduler.run_cells([], ADDRESS, Quiet())

    def test_dask_with_broken_settings(self) -> None:
        words = ("worker", ADDRESS, "--host=native")
        done = lkltest(*words, env=environment(DASK_LOGGING="1"))
        assert done.returncode == 2
        assert done.stderr.startswith("lkltest worker: Dask cannot be loaded with its settings: ")
        assert len(done.stderr.splitlines()) == 1, done.stderr

    def test_a_worker_of_an_unknown_host(self) -> None:
        done = lkltest("worker", ADDRESS, "--host=nohost")
        assert done.returncode == 2
        assert done.stderr.startswith("lkltest worker: unknown host 'nohost'; there are: ")

    def test_a_worker_that_can_have_no_scope(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def refused() -> Scope:
            raise ScopeError("no room for a run folder")

        monkeypatch.setattr("lkltest.nightly.cluster.worker.Scope", refused)
        assert main(["worker", ADDRESS, "--host=native"]) == 2
        assert capsys.readouterr().err == "lkltest worker: no room for a run folder\n"

    def test_a_worker_of_nonsense(self) -> None:
        done = lkltest("worker", "nonsense://x", "--host=native")
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1, done.stderr
