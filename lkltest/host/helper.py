# SPDX-License-Identifier: GPL-2.0-only
"""A helper program beside the main one: run in a thread, its failures judged for the suite."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator

from lkltest.deadline import Deadline
from lkltest.host.execution import Execution
from lkltest.verdict.exit_status import exit_problem
from lkltest.verdict.results import Outcome, Problem, ProblemKind, ProgramResult

_GRACE = 10.0
"""Seconds a helper may outlive the main program before it counts as hanging."""

_ENDED_EARLY = frozenset(
    {
        ProblemKind.SIGNAL,
        ProblemKind.EXIT_STATUS,
        ProblemKind.NO_PLAN,
        ProblemKind.PLAN_NOT_MET,
        ProblemKind.NEVER_REPORTED,
        ProblemKind.OPEN_YAML,
        ProblemKind.INCOMPLETE_LINE,
    }
)
"""Problems that follow from ending a program in mid-stream."""


OF_A_STREAM = frozenset(
    {
        *(ProblemKind.NO_PLAN, ProblemKind.PLAN_NOT_MET, ProblemKind.TOO_MANY_POINTS),
        *(ProblemKind.DUPLICATE_NUMBER, ProblemKind.NEVER_REPORTED, ProblemKind.SUBTEST),
        *(ProblemKind.BAIL_OUT, ProblemKind.OPEN_YAML, ProblemKind.INCOMPLETE_LINE),
        *(ProblemKind.REPEATED, ProblemKind.EXIT_STATUS),
    }
)
"""Problems of test programs alone; the exit status of others is their suite's business."""

_POLL = 0.01


class Helper:
    """A program whose console is read in a thread while the main program runs."""

    def __init__(
        self, name: str, execution: Execution, *, ends_itself: bool = True, tap: bool = True
    ) -> None:
        self.name = name
        self._tap = tap
        self.ends_itself = ends_itself
        self._execution = execution
        self._error: BaseException | None = None
        self._hang: Problem | None = None
        self._started: set[str] = set()
        self._ended = False
        self._news = threading.Condition()
        execution.on_started = self._note
        self._thread = threading.Thread(target=self._run, name=f"lkltest {name}", daemon=True)
        self._thread.start()

    def wait_for(self, point: str, seconds: float) -> bool:
        """Wait until the helper announces this test point; return whether it did.

        One that ends before never will.
        """
        with self._news:
            self._news.wait_for(lambda: point in self._started or self._ended, seconds)
            return point in self._started

    def wait_until(self, happened: Callable[[], bool], seconds: float) -> bool:
        """Wait until something has happened; return whether it did while the helper ran."""
        limit = Deadline(seconds)
        while not happened():
            with self._news:
                if self._news.wait_for(lambda: self._ended, _POLL) or limit.expired:
                    return happened()
        return True

    def ended(self, seconds: float) -> bool:
        """Wait for its end, which is on its way; return whether it ended by itself."""
        with self._news:
            self._news.wait_for(lambda: self._ended, seconds)
        result = self._execution.result
        return result is not None and result.exit.cause == "exited"

    def told(self) -> str:
        """The end of what it printed, and the way it ended, if it has."""
        result = self._execution.result
        if result is None:
            return f"{self.name} is still running"
        problem = exit_problem(result.exit)
        how = f"{self.name}: {problem.reason}" if problem else f"{self.name} has ended"
        return f"{result.output_tail.rstrip()}\n{how}".lstrip()

    def ended_well(self, seconds: float) -> bool:
        """Wait for its end, which is on its way; return whether it came, with status 0."""
        result = self._execution.result if self.ended(seconds) else None
        return result is not None and result.exit.status == 0

    def does_not_answer(self, reason: str) -> None:
        """Look at what it does instead, and end it; that fails the suite with the reason."""
        name = f"helper {self.name}: {reason}"
        self._hang = Problem(ProblemKind.HELPER, name, detail=self._execution.process.look())
        self.stop()

    def stop(self) -> None:
        """End it: it is needed no more."""
        self.ends_itself = False
        self.join(0)

    def join(self, seconds: float) -> ProgramResult:
        """Wait for its end, kill it after `seconds`; returns its verdict. Re-raises its error."""
        if self.ends_itself:
            self._thread.join(seconds)
        if self._thread.is_alive():
            self._execution.process.kill()
            self._thread.join(5.0)
        if self._error is not None:
            raise self._error
        if self._execution.result is None:
            raise TimeoutError(f"helper {self.name} could not be ended")
        return self._execution.result

    def problems(self) -> Iterator[Problem]:
        """Wait for its end; what its failures mean for the suite. Its points are not the suite's.

        One that was ended on purpose is not blamed for what its end alone brought about.
        """
        if self._hang is not None:
            yield self._hang
        try:
            result = self.join(_GRACE)
        except Exception as error:  # noqa: BLE001 - whatever it was, it fails the suite
            yield Problem(ProblemKind.HELPER, f"helper {self.name}: {error}")
            return
        was_ended = not self.ends_itself and result.exit.signal in (None, signal.SIGKILL)
        explained = {problem.point for problem in result.problems}
        for problem in result.problems:
            if was_ended and problem.kind in _ENDED_EARLY:
                continue
            if not self._tap and problem.kind in OF_A_STREAM:
                continue
            where = f" (at its {problem.point})" if problem.point else ""
            reason = f"helper {self.name}: {problem}{where}"
            yield Problem(ProblemKind.HELPER, reason, detail=problem.detail)
        for point in result.points if self._tap else ():
            if point.outcome is Outcome.FAILED and point.name not in explained:
                reason = f"helper {self.name}: not ok {point.name} {point.reason}".rstrip()
                yield Problem(ProblemKind.HELPER, reason, detail=point.log)

    def _note(self, point: str) -> None:
        with self._news:
            self._started.add(point)
            self._news.notify_all()

    def _run(self) -> None:
        try:
            self._execution.run()
        except BaseException as error:  # noqa: BLE001 - re-raised in join
            self._error = error
        with self._news:
            self._ended = True
            self._news.notify_all()
