# SPDX-License-Identifier: GPL-2.0-only
"""Two ways into a scope's network namespace: a thread (root), a helper process (everybody else).

A thread can enter a namespace alone with setns(2), without a fork. Entering a user namespace is
forbidden to a process with threads, so a user's devices are made by a helper behind nsenter(1),
which ends when its socket does, that is, with the runner.
"""

import contextlib
import ctypes
import marshal
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from lkltest.sandbox.devices import Devices

CLONE_NEWNET = 0x40000000
SECONDS = 30.0
START = "import sys; from lkltest.sandbox.netns import serve; serve(int(sys.argv[1]))"


class Netns(Protocol):
    """`Devices` in the network namespace of another process."""

    def call(self, name: str, *arguments: Any) -> Any:
        """Call the method `name`. Raises what it raises: OSError."""

    def close(self) -> None:
        """Leave the namespace. Safe when repeated."""


class NetnsThread:
    """A thread that has entered the network namespace of process `pid`."""

    def __init__(self, pid: int) -> None:
        """Raises OSError when the namespace cannot be entered."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"netns-{pid}")
        self._devices: Devices | None = None
        try:
            self._devices = self._run(_enter, pid)
        except BaseException:
            self.close()
            raise

    def call(self, name: str, *arguments: Any) -> Any:
        return self._run(getattr(self._devices, name), *arguments)

    def close(self) -> None:
        devices, self._devices = self._devices, None
        if devices is not None:
            self._run(devices.close)
        self._thread.shutdown()

    def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return self._thread.submit(function, *arguments).result(SECONDS)


def _enter(pid: int) -> Devices:
    """Move this thread into the network namespace of a process (os.setns is Python 3.12)."""
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), "setns")
    finally:
        os.close(namespace)
    return Devices()


class NetnsHelper:
    """A helper process in the user and network namespaces of process `pid`."""

    def __init__(self, pid: int) -> None:
        """Raises OSError when it cannot be started."""
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._said = os.memfd_create("stderr", os.MFD_CLOEXEC)
        command = ["nsenter", "--target", str(pid), "--user", "--net", "--preserve-credentials"]
        paths = [os.fspath(Path(path).absolute()) for path in sys.path]
        try:
            self._process = subprocess.Popen(
                [*command, "--", sys.executable, "-c", START, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                pass_fds=(theirs.fileno(),),
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                start_new_session=True,
            )
        except BaseException:
            self._control.close()
            os.close(self._said)
            raise
        finally:
            theirs.close()

    def call(self, name: str, *arguments: Any) -> Any:
        self._control.settimeout(SECONDS)
        with contextlib.suppress(ConnectionError):  # the reason follows as an end of file
            self._control.send(marshal.dumps((name, arguments)))
        try:
            data, descriptors, _, _ = socket.recv_fds(
                self._control, 65536, 1, socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionError:
            data, descriptors = b"", []
        if not data:
            said = os.pread(self._said, 4000, 0).decode(errors="backslashreplace").split("\n")
            reason = next((line for line in reversed(said) if line.strip()), "no reason given")
            raise OSError(0, f"the helper in the network namespace ended: {reason}")
        failed, result = marshal.loads(data)  # noqa: S302  # from our own helper
        if failed:
            raise OSError(*result)
        return descriptors[0] if descriptors else result

    def close(self) -> None:
        if self._control.fileno() < 0:
            return
        self._control.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        finally:
            os.close(self._said)


def serve(descriptor: int) -> None:
    """The helper's main: answer until the runner is gone."""
    control = socket.socket(fileno=descriptor)
    os.set_inheritable(descriptor, False)
    devices: Devices | None = None
    while data := control.recv(65536):
        name, arguments = marshal.loads(data)  # noqa: S302  # from the runner that started us
        descriptors: list[int] = []
        try:
            devices = devices or Devices()
            result = getattr(devices, name)(*arguments)
            answer = (False, result)
            if name in ("open_socket", "open_tap"):
                descriptors.append(result)
        except OSError as error:
            answer = (True, (error.errno or 0, error.strerror or str(error), error.filename))
        socket.send_fds(control, [marshal.dumps(answer)], descriptors)
        for opened in descriptors:
            os.close(opened)
