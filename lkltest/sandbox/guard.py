# SPDX-License-Identifier: GPL-2.0-only
"""The guard of a scope: a process server that outlives its runner only long enough to clean up.

`lkltest.sandbox.scope` starts it as a process of its own, as PID 1 of a new PID namespace (see
pid_namespaces(7)) or, where there is none, as a child subreaper (prctl(2)). The guard starts the
scope's programs, hands a pidfd for each to the runner, reports their raw wait statuses, and watches
one socket whose other end only the runner holds. When that end closes, for whatever reason, it
kills everything in the scope, removes the run folder and exits; a PID namespace dies with its
PID 1, so nothing can survive it.

Start-up time is paid by every run, so imports are few: `_socket`, `_signal` and marshal are the
cores of socket, signal and a codec without their Python halves (6 ms instead of 17 ms); pathlib,
contextlib and typing would cost as much again.

Messages are marshalled dicts in SOCK_SEQPACKET packets, file descriptors travel by SCM_RIGHTS.
"""
# ruff: noqa: PTH101, PTH102, PTH106, PTH108, PTH115, PTH208, SIM105

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # has no stub
import _socket
import fcntl
import marshal
import os
import select
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NoReturn

MAX_DESCRIPTORS = 253  # SCM_MAX_FD, unix(7)
INT = 4  # bytes of a C int in SCM_RIGHTS
EMFILE = 24
PR_SET_CHILD_SUBREAPER = 36
MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MS_REC, MS_PRIVATE = 1 << 14, 1 << 18
MNT_DETACH = 2
CLONE_NEWNS = 0x20000


class RunnerGoneError(Exception):
    """The runner died or closed the scope."""


class Guard:
    """Serves one runner until it is gone."""

    def __init__(self, control: _socket.socket, runner: int) -> None:
        self.control = control
        self.runner = runner  # a pidfd: also right when a fork of the runner kept the socket open
        self.programs: set[int] = set()
        self.folder = ""
        self.mounted: list[str] = []
        self.namespace = self.daemons = False
        self.wake, wake_up = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        # Only SIGKILL may end a guard; SIGCHLD wakes it.
        _signal.pthread_sigmask(_signal.SIG_BLOCK, set(range(1, 65)) - {_signal.SIGCHLD})
        _signal.set_wakeup_fd(wake_up, warn_on_full_buffer=False)
        _signal.signal(_signal.SIGCHLD, lambda *_: None)

    def send(self, message: dict[str, Any], descriptors: Iterable[int] = ()) -> None:
        """Send a message to the runner. Raises RunnerGoneError."""
        rights = b"".join(fd.to_bytes(INT, sys.byteorder) for fd in descriptors)
        ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)] if rights else []
        try:
            self.control.sendmsg([marshal.dumps(message)], ancillary)
        except OSError as error:
            raise RunnerGoneError from error

    def receive(self) -> tuple[dict[str, Any], list[int]]:
        """Wait for a request; `cut` in it: descriptors are missing. Raises RunnerGoneError."""
        space = _socket.CMSG_SPACE(MAX_DESCRIPTORS * INT)
        try:
            data, ancillary, flags, _ = self.control.recvmsg(65536, space, _socket.MSG_CMSG_CLOEXEC)
        except OSError as error:
            raise RunnerGoneError from error
        if not data:
            raise RunnerGoneError
        rights = b"".join(item[2] for item in ancillary)
        descriptors = [
            int.from_bytes(rights[at : at + INT], sys.byteorder)
            for at in range(0, len(rights) - INT + 1, INT)
        ]
        message = marshal.loads(data)  # noqa: S302  # from the runner that started us, nobody else
        message["cut"] = bool(flags & _socket.MSG_CTRUNC)
        return message, descriptors

    def begin(self, settings: dict[str, Any]) -> None:
        """Make the run folder and its mounts, and say hello."""
        self.namespace, self.daemons = settings["namespace"], settings["daemons"]
        if not self.namespace and libc().prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError(0, "prctl(PR_SET_CHILD_SUBREAPER) failed")
        self.folder = make_folder(settings["parents"])
        os.chdir(self.folder)  # tells those who join us where to make theirs
        unmounted = self.mount(settings["network"]) if settings["mounts"] else {}
        pidfd = os.pidfd_open(os.getpid())
        self.send({"kind": "hello", "folder": self.folder, "unmounted": unmounted}, [pidfd])
        os.close(pidfd)

    def mount(self, network: bool) -> dict[str, str]:
        """Mount what is private to the scope; returns what could not be, with the reason."""
        if self.namespace:  # else it is another scope's, and private already
            make_mounts_private()
        wanted = [("tmpfs", f"{self.folder}/dev", MS_NOSUID, b"mode=0700")]
        if network:  # sysfs shows the network namespace of whoever mounts it
            wanted.append(("sysfs", f"{self.folder}/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, b""))
        if self.namespace:  # /proc shows the PID namespace of whoever mounts it
            wanted.append(("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, b""))
        failed = {}
        for kind, target, flags, data in wanted:
            if target != "/proc":
                os.mkdir(target, 0o700)
            error = mount(kind, target, flags, data)
            if error:
                failed[kind] = os.strerror(error)
            else:
                self.mounted.append(target)
        return failed

    def serve(self) -> NoReturn:
        """Serve requests until the runner is gone."""
        poller = select.poll()
        for descriptor in (self.control.fileno(), self.runner, self.wake):
            poller.register(descriptor, select.POLLIN)
        while True:
            ready = [descriptor for descriptor, _ in poller.poll()]
            if self.wake in ready:
                os.read(self.wake, 4096)
                self.reap()
            if self.runner in ready:
                raise RunnerGoneError
            if self.control.fileno() in ready:
                self.answer(*self.receive())

    def answer(self, message: dict[str, Any], descriptors: list[int]) -> None:
        """Do what a request asks for, close its descriptors, tell the runner what came of it."""
        try:
            if message["cut"]:
                raise OSError(EMFILE, "too many open files in the guard")
            if message["kind"] == "spawn":
                self.spawn(read_all(descriptors[0]), descriptors[1:])
            elif message["kind"] == "node":
                os.mknod(message["path"], message["mode"], os.makedev(*message["device"]))
                self.send({"kind": "done"})
        except OSError as error:
            self.send({"kind": "failed", "errno": error.errno, "where": ""})
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def spawn(self, request: dict[str, Any], descriptors: list[int]) -> None:
        """Start a program; returns when exec(2) has succeeded or failed and the runner knows.

        With `gate`, the last descriptor holds it back before exec(2) until somebody closes that.
        """
        report, answer = os.pipe2(os.O_CLOEXEC)
        pid, pidfd = 0, -1
        try:
            try:
                pid = os.fork()
                if pid == 0:
                    if request["gate"]:
                        os.read(descriptors.pop(), 1)
                    become(request, descriptors, answer)
            finally:
                os.close(answer)
            pidfd = os.pidfd_open(pid)
            if request["gate"]:
                self.send({"kind": "forked"}, [pidfd])
            self.wait_for(report)
            failure = os.read(report, 4096).decode()
            if failure:
                os.waitpid(pid, 0)
                number, _, where = failure.partition(" ")
                self.send({"kind": "failed", "errno": int(number), "where": where})
                return
            self.programs.add(pid)
            self.send({"kind": "spawned", "child": pid}, [pidfd])
        except OSError:
            if pid:
                os.kill(pid, _signal.SIGKILL)
            raise
        finally:
            os.close(report)
            if pidfd >= 0:
                os.close(pidfd)
        # The runner reads the outer pid from the pidfd, which a reaped process does not have.
        self.receive()

    def wait_for(self, descriptor: int) -> None:
        """Wait until `descriptor` can be read, but not longer than the runner lives."""
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        poller.register(self.runner, select.POLLIN)
        poller.register(self.control.fileno(), 0)  # hang-up only
        if all(ready != descriptor for ready, _ in poller.poll()):
            raise RunnerGoneError

    def reap(self) -> None:
        """Collect every child that ended; report programs; sweep up after the last one."""
        reaped = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                break
            reaped = True
            if pid in self.programs:
                self.programs.discard(pid)
                if not self.programs and not self.daemons:
                    self.kill_all()  # daemons would keep the console open
                self.send({"kind": "exited", "child": pid, "status": status})
        if reaped and not (self.namespace or self.programs or self.daemons):
            self.kill_all()  # one that was killed may have forked while the others were looked for

    def kill_all(self) -> None:
        """Send SIGKILL to all in the scope but the guard."""
        if self.namespace:
            try:
                os.kill(-1, _signal.SIGKILL)
            except ProcessLookupError:
                pass
            return
        for pid in descendants():
            try:
                os.kill(pid, _signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass

    def finish(self) -> None:
        """Kill all, wait until all are gone, remove the run folder."""
        while True:
            self.kill_all()
            try:
                pid, status = os.waitpid(-1, 0 if self.namespace else os.WNOHANG)
            except ChildProcessError:
                break
            if pid in self.programs:
                try:
                    self.send({"kind": "exited", "child": pid, "status": status})
                except RunnerGoneError:
                    pass
            elif pid == 0:
                select.select([], [], [], 0.001)  # killed, not dead yet
        for target in [*reversed(self.mounted), *reversed(self.mounted_by_others())]:
            libc().umount2(target.encode(), MNT_DETACH)
        if self.folder:
            remove_tree(self.folder)

    def mounted_by_others(self) -> list[str]:
        """The mounts that programs made in the run folder and left: they would be in the way."""
        if not self.mounted:
            return []
        with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as mounts:
            places = [line.split(" ")[1] for line in mounts]
        return [place for place in places if place.startswith(f"{self.folder}/")]


def become(request: dict[str, Any], descriptors: list[int], report: int) -> NoReturn:
    """In the forked child: turn into the program, or write why not to `report` and end."""
    where = "session"
    try:
        os.setsid()
        for number in range(1, 65):
            try:
                _signal.signal(number, _signal.SIG_DFL)
            except (OSError, ValueError):
                pass  # SIGKILL, SIGSTOP and those that belong to the C library
        _signal.set_wakeup_fd(-1)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
        where = "descriptors"
        above = max(request["numbers"]) + 1
        report = fcntl.fcntl(report, fcntl.F_DUPFD_CLOEXEC, above)
        copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for fd in descriptors]
        for copy, number in zip(copies, request["numbers"], strict=True):
            os.dup2(copy, number, inheritable=True)
        if request["terminal"]:
            where = "terminal"
            import termios  # not every program has a terminal

            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        where = "directory"
        if request["directory"] is not None:
            os.chdir(request["directory"])
        where = "program"
        os.execvpe(request["argv"][0], request["argv"], request["env"])  # noqa: S606
    except OSError as error:
        os.write(report, f"{error.errno} {where}".encode())
    finally:
        os._exit(127)


def read_all(descriptor: int) -> dict[str, Any]:
    """The request in a memfd: argument lists may be longer than a packet."""
    with open(descriptor, "rb", closefd=False) as file:
        file.seek(0)
        request: dict[str, Any] = marshal.load(file)  # noqa: S302
    return request


def descendants() -> list[int]:
    """Pids, in our own PID namespace, of all that descend from us, from proc(5)'s status files.

    /proc may belong to an outer PID namespace: NSpid holds a process's pid in each.
    """
    parents: dict[str, list[str]] = {}
    inner: dict[str, list[str]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/status", encoding="utf-8", errors="replace") as file:
                fields = dict(line.partition(":")[::2] for line in file)
        except OSError:
            continue  # it has just gone
        parents.setdefault(fields["PPid"].strip(), []).append(name)
        inner[name] = fields["NSpid"].split()
    myself = os.readlink("/proc/self")
    depth = len(inner.get(myself, [""])) - 1
    found: list[int] = []
    left = parents.get(myself, [])
    while left:
        name = left.pop()
        found.append(int(inner[name][depth]))
        left.extend(parents.get(name, []))
    return found


def make_folder(parents: list[str]) -> str:
    """A new private folder in the first of the parents that takes it.

    Raises OSError, that of the first parent, if none does.
    """
    errors = []
    for parent in parents:
        folder = f"{parent}/lkltest-{os.urandom(8).hex()}"
        try:
            os.mkdir(folder, 0o700)
        except OSError as error:
            errors.append(error)
        else:
            return folder
    raise errors[0]


def remove_tree(folder: str) -> None:
    """Remove a folder of any depth whose users are all dead."""

    def files_removed() -> list[str]:
        folders = []
        for entry in os.scandir():
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
                os.chmod(entry.name, 0o700)
            else:
                os.unlink(entry.name)
        return folders

    os.chdir(folder)
    levels = [files_removed()]
    while True:
        if levels[-1]:
            os.chdir(levels[-1][-1])
            levels.append(files_removed())
        elif len(levels) > 1:
            levels.pop()
            os.chdir("..")
            os.rmdir(levels[-1].pop())
        else:
            break
    os.chdir("/")
    os.rmdir(folder)


def libc() -> Any:
    """The C library, for the few scopes that need a call Python does not have."""
    import ctypes  # costs 3 ms

    return ctypes.CDLL(None, use_errno=True)


def make_mounts_private() -> None:
    """Keep in our own mount namespace what is mounted from now on. Raises OSError.

    In a chroot `/` is no mount point and cannot be made private. Entering the namespace that we are
    in already leads out of the chroot, to the root of all mounts, which can be; then we go back.
    """
    if _make_root_private():
        return
    root, folder = (os.open(path, os.O_PATH | os.O_CLOEXEC) for path in ("/", "."))
    namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc().setns(namespace, CLONE_NEWNS) != 0:
            raise OSError(0, "/ is no mount point here, and the mounts cannot be made private")
        private = _make_root_private()
        os.fchdir(root)
        os.chroot(".")
        os.fchdir(folder)
    finally:
        for descriptor in (root, folder, namespace):
            os.close(descriptor)
    if not private:
        raise OSError(0, "the mounts of this machine cannot be made private")


def _make_root_private() -> bool:
    import ctypes

    flags = ctypes.c_ulong(MS_REC | MS_PRIVATE)
    return bool(libc().mount(None, b"/", None, flags, None) == 0)


def mount(kind: str, target: str, flags: int, data: bytes) -> int:
    """mount(2); returns 0 or an errno."""
    import ctypes

    name = kind.encode()
    failed = libc().mount(name, target.encode(), name, ctypes.c_ulong(flags), data)
    return ctypes.get_errno() if failed else 0


def main() -> NoReturn:
    """Arguments: the package's path, socket, runner's pidfd. The first message has the settings."""
    descriptor, runner = int(sys.argv[2]), int(sys.argv[3])
    os.set_inheritable(descriptor, False)
    os.set_inheritable(runner, False)
    guard = Guard(_socket.socket(fileno=descriptor), runner)
    try:
        try:
            guard.begin(guard.receive()[0])
        except OSError as error:
            guard.send({"kind": "failed", "errno": error.errno, "where": str(error)})
        else:
            guard.serve()
    except RunnerGoneError:
        pass
    finally:
        guard.finish()
        os._exit(0)
