# SPDX-License-Identifier: GPL-2.0-only
"""The four deadlines of a machine: first byte, plan, silence, total. See lkltest.deadline."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from lkltest.deadline import Deadlines

from .verdict import Decision

LimitCause = Literal["first_byte", "plan", "silence", "total", "quiet", "settle", "ask"]
SETTLE_SECONDS = 0.5
"""Silence after which a result that has no YAML block is taken as it is."""
ASK_SECONDS = 4.0
"""Silence after which a machine that could tell is asked whether anything is left in it."""
_MOST_ASKED = 3
_SETTLE_LIMIT = 1.0
"""Seconds after which a machine that goes on printing is ended although it goes on printing."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A moment, what it is the limit of, and how many seconds that was."""

    moment: float
    cause: LimitCause
    seconds: float

    def remaining(self) -> float:
        return max(0.0, self.moment - time.monotonic())

    @property
    def expired(self) -> bool:
        return self.remaining() == 0.0


def with_overrides(deadlines: Deadlines, overrides: Mapping[str, float]) -> Deadlines:
    """`deadlines` with what an image says of its own."""
    return replace(deadlines, **{name: float(value) for name, value in overrides.items()})


class RunDeadlines:
    """The deadlines of a machine that runs; `limit` is the next one."""

    def __init__(self, deadlines: Deadlines, drain: float = 0.0) -> None:
        """`drain`: the image's own seconds of silence when all is there; 0: it has none."""
        self._deadlines = deadlines
        self._drain = drain
        self._started = self._last = time.monotonic()
        self._anything = False
        self._settled = True
        self._asked = 0.0
        self._times_asked = 0
        self._settling_since: float | None = None

    def start(self) -> None:
        """The machine runs from now on."""
        self._started = self._last = time.monotonic()

    def lift(self) -> None:
        """No limit from now on."""
        self._deadlines = Deadlines.none()

    def heard(self) -> None:
        """Bytes have come."""
        self._last = time.monotonic()
        self._anything = True
        self._settled = False

    def settled(self) -> None:
        """A silence of SETTLE_SECONDS was made use of."""
        self._settled = True

    def asked(self) -> None:
        """The machine was asked in this silence, by which a program's sleep may begin anew."""
        self._last = self._asked = time.monotonic()
        self._times_asked += 1

    def limit(
        self,
        *,
        plan_seen: bool,
        settling: bool,
        drain: float,
        decision: Decision | None,
        ask: bool = False,
    ) -> Limit:
        """The next limit.

        ask: the machine can be asked. settling: all is there. drain: the silence that is waited for
        then, unless the image says another. decision: the run is over already.
        """
        limits = [self._absolute("total")]
        if not self._settled:
            limits.append(Limit(self._last + SETTLE_SECONDS, "settle", SETTLE_SECONDS))
        if not self._anything:
            limits.append(self._absolute("first_byte"))
        else:
            seconds = self._deadlines.silence
            limits.append(Limit(self._last + seconds, "silence", seconds))
        if not plan_seen:
            limits.append(self._absolute("plan"))
        may_ask = ask and self._times_asked < _MOST_ASKED and self._asked != self._last
        if may_ask and self._anything and not settling and decision is None:
            limits.append(Limit(self._last + ASK_SECONDS, "ask", ASK_SECONDS))
        if settling or decision is not None:
            limits.append(self._quiet(decision.listen if decision else self._drain or drain))
        else:
            self._settling_since = None
        return min(limits, key=lambda limit: limit.moment)

    def _quiet(self, seconds: float) -> Limit:
        now = time.monotonic()
        if self._settling_since is None:
            self._settling_since = now
        moment = max(self._last, self._settling_since) + seconds
        latest = self._settling_since + max(_SETTLE_LIMIT, 3 * seconds)
        return Limit(min(moment, latest), "quiet", seconds)

    def _absolute(self, name: Literal["first_byte", "plan", "total"]) -> Limit:
        seconds = float(getattr(self._deadlines, name))
        return Limit(self._started + seconds, name, seconds)
