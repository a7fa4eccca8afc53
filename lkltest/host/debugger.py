# SPDX-License-Identifier: GPL-2.0-only
"""gdb on a program that is dying or hangs: its threads, the one that matters first."""

from __future__ import annotations

import os
import re
import shutil
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lkltest.host.ptrace import threads_of
from lkltest.host.tracer import Tracer
from lkltest.sandbox.scope import Child, Scope

_SECONDS = 20.0
# Patterns are compiled where they are used: that is 5 ms, and few runs have anything to look at.
_THREAD = r"(?m)^Thread \d+ \(.*?\b(?:LWP |process |Thread \d+\.)(\d+)\)?.*\):$"
_FRAME = (
    r"(?m)^#\d+ +(?:0x[0-9a-f]+ (?:\[PAC\] )?in )?(?P<function>[^ (]+)(?: <[^>\n]*>)? \([^\n]*\)"
    r"(?: (?:at|from) (?P<place>\S+))?$"
)
_BEGIN = r"(?m)^held log begins at (\d+)$"
_WAITS = (
    r"(?:__)?(?:GI_+)?(?:_*futex|_*nanosleep|_*clock_nanosleep|_*sem_|_*new_sem|do_futex|do_sigwait"
    r"|_*sigwait|_*sigtimedwait|_*poll|ppoll|_*epoll|_*select|_*read$|_*internal_syscall_cancel"
    r"|_*syscall_cancel|_*pthread_cond|___pthread_cond|_*lll_lock|timer_helper_thread)"
)
"""Functions of the C library in which a thread that has nothing to do waits."""
_LEAVES = (
    r"sem_down|__switch_to|context_switch|__schedule"
    r"|(?:__)?(?:GI_+)?(?:__pthread_kill\w*|raise|abort|__assert_\w+|_*pause|__libc_pause)"
)
"""Functions by which the kernel waits and a program ends; who called them matters."""
_OUTLINE_FRAMES = 11
_GONE = "ptrace: No such process"
_UNREADABLE = "<error reading variable: value has been optimized out>"


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread's backtrace: its number as the programs of the scope see it, and gdb's text."""

    number: int
    text: str

    @property
    def waits(self) -> bool:
        """Whether its innermost function is one in which idle threads wait."""
        frame = re.search(_FRAME, self.text)
        return frame is not None and re.match(_WAITS, frame["function"]) is not None

    def outline(self) -> str:
        """Its place, in a few short lines that begin where it left the program's own code."""
        frames = list(re.finditer(_FRAME, self.text))
        begin = 0
        for frame in frames:
            name = frame["function"]
            if not (name == "??" or re.match(_WAITS, name) or re.fullmatch(_LEAVES, name)):
                break
            begin += 1
        named = [one for one in frames[begin:] or frames if one["function"] != "??"]
        return "\n".join(
            f"{one['function']} {one['place'] or ''}".rstrip() for one in named[:_OUTLINE_FRAMES]
        )


@dataclass(frozen=True, slots=True)
class HeldLog:
    """The buffer of a program for what it has not printed yet, in words of gdb.

    Attributes:
        buffer: its text, up to the first NUL; an expression of type char[].
        begin: where in it the text begins that has not been printed; of type char *.
    """

    buffer: str
    begin: str


class Debugger:
    """Looks at a program with gdb when it is dying of a fault, or when it is asked to.

    Args:
        held_log: afterwards the attribute of this name has the text that was found there.
        wrapper: the words before it, whose program may stay in its place: there is no stack then.
    """

    def __init__(
        self,
        program: Path,
        scope: Scope,
        held_log: HeldLog | None = None,
        wrapper: Sequence[str] = (),
    ) -> None:
        self.report = ""
        """The backtraces; "" before anything has happened."""
        self.held_log = b""
        self._program, self._scope, self._wrapper = program, scope, wrapper
        self._held_log = held_log
        self._lock = threading.Lock()
        self._process = 0
        self._tracer: Tracer | None = None

    def spawn(self, start: Callable[[Callable[[int], object] | None], Child]) -> Child:
        """Start the program and watch it from its first instruction on.

        `start` takes what is to be called before exec(2). A program with privileges of its own
        would not get them while it is traced: it is watched as soon as it has them.
        """
        early = not _has_privileges(self._program)
        child = start(self._watch if early else None)
        if not early:
            self._watch(child.pid)
        return child

    def _watch(self, process: int) -> None:
        self._process = process
        self._tracer = Tracer(process, self._on_fault)

    def look(self) -> str:
        """The backtraces of a program that hangs; says why when there are none."""
        if self._tracer is not None:
            self._tracer.release()
        return self._look(0)

    def join_if_dying(self) -> bool:
        """Whether a fault was seen, after which the end is near and silence no stall."""
        if self._tracer is None or not self._tracer.dying:
            return False
        self._tracer.join()
        return True

    def settle(self) -> Iterator[bytes]:
        """Wait for the look at a program that has died; yield what it had not printed."""
        if self._tracer is not None:
            self._tracer.join()
        if self.held_log:
            yield b"\n" + self.held_log + b"\n"

    def _on_fault(self, thread: int, number: int) -> None:
        del number
        self._look(_inner_number(thread))

    def _look(self, dying: int) -> str:
        with self._lock:
            if not self.report and self._wrapper and not self._is_itself():
                self.report = f"no backtrace: {self._wrapper[0]} runs in the program's place"
            if not self.report:
                file = self._scope.folder / "held-log"
                commands = save_commands(self._held_log, file) if self._held_log else []
                process = _inner_number(_living_thread(self._process))
                text = run_gdb(process, self._program, self._scope, commands)
                if _GONE in text:
                    # A thread that waits for what has long come looks again when it is stopped.
                    text = "no backtrace: being looked at woke it up, and it ended"
                self.report = arrange(text, dying)
                self.held_log = take_saved(file, text)
            return self.report

    def _is_itself(self) -> bool:
        """Whether the process is the program, and not what was put before it."""
        try:
            return Path(f"/proc/{self._process}/exe").samefile(self._program)
        except OSError:
            return False


_UNWINDER = Path(__file__).with_name("frame_pointers.py")
_SETTINGS = (
    "set pagination off",
    "set debuginfod enabled off",
    "set max-value-size unlimited",
    "set print thread-events off",
)


def save_commands(held: HeldLog, file: Path) -> list[str]:
    """Commands for gdb that write a buffer to a file and say where in it to begin."""
    return [
        f"dump binary value {file} {held.buffer}",
        f'printf "held log begins at %ld\\n", (long)({held.begin} - {held.buffer})',
    ]


def take_saved(file: Path, text: str) -> bytes:
    """The held log that `save_commands` have left in a file, which is removed; `text` is gdb's."""
    if not file.exists():
        return b""
    begin = re.search(_BEGIN, text)
    rest = file.read_bytes()[int(begin[1]) if begin else 0 :]
    file.unlink()
    return rest.partition(b"\0")[0].strip()


def run_gdb(process: int, program: Path, scope: Scope, commands: Sequence[str] = ()) -> str:
    """The output of gdb after `commands` and of every thread; or why there is none.

    process: its number in the scope, inside of which gdb runs, so that it dies with the runner; it
    needs a /proc that shows the scope's own process numbers.
    """
    gdb = shutil.which("gdb")
    if gdb is None:
        return "no backtrace: gdb is missing: apt-get install gdb"
    # The files that the program sees: gdb stands where it does. Through the program's own mount
    # namespace, gdb's default, an ordinary user's gdb 16 gets an I/O error.
    first = ("set sysroot /", f"source {_UNWINDER}")
    words = [gdb, *batch_words(first, commands), "-p", str(process), str(program)]
    return output_of(scope, ["unshare", "--mount", "--mount-proc", *words])


def batch_words(first: Sequence[str], commands: Sequence[str]) -> list[str]:
    """The options of a gdb that ends by itself: commands before it reads files, and after that.

    The backtrace of every thread comes last.
    """
    words = [word for one in (*first, *_SETTINGS) for word in ("-iex", one)]
    words += [word for one in (*commands, "thread apply all backtrace 50") for word in ("-ex", one)]
    return ["--batch", "-nx", *words]


def arrange(text: str, dying: int = 0) -> str:
    """Return gdb's backtraces with the thread that matters first, its outline before all.

    That is the thread `dying`, or else those that do not wait; of threads of one kind, the
    program's first comes first. What is no backtrace (why there is none) is returned as it is.
    """
    starts = [(match.start(), int(match[1])) for match in re.finditer(_THREAD, text)]
    if not starts:
        return text.strip()
    ends = [start for start, _ in starts[1:]] + [len(text)]
    threads = [
        Thread(number, _without_end(text[start:end]))
        for (start, number), end in zip(starts, ends, strict=True)
    ]
    threads.sort(key=lambda thread: (thread.number != dying, thread.waits, thread.number))
    texts = [thread.text for thread in threads]
    return "\n\n".join([threads[0].outline(), *texts] if threads[0].outline() else texts)


def _without_end(text: str) -> str:
    """The stack without gdb's words after the last frame, and without arguments that are lost."""
    lines = text.strip().replace(_UNREADABLE, "<optimized out>").splitlines()
    return "\n".join(line for line in lines if not line.startswith("[Inferior "))


def output_of(scope: Scope, command: Sequence[str]) -> str:
    """The output of a gdb that ends by itself, or why there is none."""
    # No pipe: nobody reads while it runs, and a pipe holds less than a hundred stacks.
    with open(os.memfd_create("gdb", os.MFD_CLOEXEC), "rb") as output:
        try:
            debugger = scope.spawn(command, stdout=output.fileno(), stderr=output.fileno())
        except OSError as error:
            return f"no backtrace: {command[0]}: {error.strerror}"
        if debugger.wait(_SECONDS) is None:
            debugger.kill()
            return f"no backtrace: gdb did not end within {_SECONDS:g} s"
        output.seek(0)
        return output.read().decode("utf-8", "backslashreplace")


def _has_privileges(program: Path) -> bool:
    """Whether a program runs with more rights than who starts it (execve(2), capabilities(7))."""
    try:
        if program.stat().st_mode & (stat.S_ISUID | stat.S_ISGID):
            return True
        return bool(os.getxattr(program, "security.capability"))
    except OSError:  # ENODATA: it has none
        return False


def _living_thread(process: int) -> int:
    """The first thread of a process; where that has ended, one that runs, or else any.

    By another than the first gdb sees that one alone.
    """
    threads = threads_of(process)
    if process in threads or not threads:
        return process
    return next((thread for thread, state in threads.items() if state == "R"), min(threads))


def _inner_number(thread: int) -> int:
    """A thread's number in the innermost PID namespace that it is in (proc(5), NSpid)."""
    try:
        text = Path(f"/proc/{thread}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    numbers = re.search(r"^NSpid:\s*(.*)$", text, re.MULTILINE)
    return int(numbers[1].split()[-1]) if numbers else thread
