"""When the next delivery is tried, and what the state of a sink is. PURE: the caller has the clock and the chance.

A delivery that failed is tried again after a random part of a span that doubles (full jitter), so that ten thousand nodes do not
come at once; one delivery at a time, so the first one after a failure is the probe. A sink that has said when keeps its word.
"""

from enum import StrEnum
from random import Random
from typing import assert_never

from agent.model.timebase import HOUR, MS, S
from workers.export.sink import Delivered, Later, Paused, Refused, TooLarge, Verdict

FIRST_NS = 250 * MS
# One who does not know us is asked seldom; a person has to act, and may do so at any moment.
PAUSED_NS = 30 * S
# A sink that says "come back in a year" is a fault or an attack.
AFTER_MOST_NS = 1 * HOUR


class ExportState(StrEnum):
    """What an operator sees of a sink."""

    STARTING = "starting"
    UP = "up"
    DOWN = "down"
    PAUSED = "paused"


class Attempts:
    """The state, and from when on the next delivery may begin. `most_ns` bounds the span between two attempts."""

    def __init__(self, rng: Random, most_ns: int) -> None:
        self._rng = rng
        self._most_ns = most_ns
        self.state = ExportState.STARTING
        self.sentence = ""
        self.failures = 0
        self.not_before_ns = 0

    @property
    def is_up(self) -> bool:
        """The last attempt reached it."""
        return self.state is ExportState.UP

    def on_verdict(self, verdict: Verdict, now_ns: int) -> bool:
        """Take an answer; whether the state has changed, for an event."""
        before = self.state
        match verdict:
            # One that refuses a request in words is there.
            case Delivered() | Refused() | TooLarge():
                self.state, self.sentence = ExportState.UP, ""
                self.failures = 0
                self.not_before_ns = now_ns
            case Later():
                self._wait(verdict.after_ns, now_ns)
                self.state, self.sentence = ExportState.DOWN, verdict.sentence
            case Paused():
                self.failures += 1
                self.not_before_ns = now_ns + PAUSED_NS // 2 + self._rng.randint(0, PAUSED_NS // 2)
                self.state, self.sentence = ExportState.PAUSED, verdict.sentence
            case _:
                assert_never(verdict)
        return self.state != before

    def _wait(self, after_ns: int | None, now_ns: int) -> None:
        self.failures += 1
        span_ns = min(self._most_ns, FIRST_NS << min(self.failures, 20))
        jitter_ns = self._rng.randint(0, span_ns)
        self.not_before_ns = now_ns + jitter_ns + (0 if after_ns is None else min(max(0, after_ns), AFTER_MOST_NS))
