"""When a collector is started, asked, given up and tried again: its life as the sampler sees it. PURE.

    WAITING --start--> IDLE --ask--> ASKED --answer--> IDLE
                                       |
                                       +--patience over--> ABANDONED --answer--> IDLE
    any of them --end of the process--> WAITING, for longer each time that it follows no answer

An abandoned collector is not killed: docs/decisions/0057-an-abandoned-collector.md. So there is never a second one beside it.
"""

from enum import Enum

from agent.model.timebase import S

RETRY_LEAST_NS = 1 * S
# With persistence mode off the driver is loaded at the first call, which takes seconds for each GPU.
FIRST_ANSWER_FACTOR = 6


class CollectorPhase(Enum):
    """What is known of a collector now."""

    WAITING = "waiting"
    IDLE = "idle"
    ASKED = "asked"
    ABANDONED = "abandoned"


class CollectorWatch:
    """Of one set of GPUs. `patience_ns` bounds an answer, `retry_most_ns` the wait before a further start."""

    def __init__(self, *, patience_ns: int, retry_most_ns: int) -> None:
        self.phase = CollectorPhase.WAITING
        self.abandoned = 0
        self.starts = 0
        # Since when nothing is answered; None while that is not known to be so.
        self.stuck_since_wall_ns: int | None = None
        self._patience_ns = patience_ns
        self._retry_most_ns = retry_most_ns
        self._failures = 0
        self._start_at_ns = 0
        self._asked_at_ns = 0
        self._asked_wall_ns = 0
        self._ask_at_ns: int | None = None
        self._has_answered = False
        # By both clocks: since when another one is in the way.
        self._blocked_since: tuple[int, int] | None = None

    @property
    def start_at_ns(self) -> int | None:
        """When to start one. *Absent:* there is one."""
        return self._start_at_ns if self.phase is CollectorPhase.WAITING else None

    @property
    def ask_at_ns(self) -> int | None:
        """When to ask it. *Absent:* it cannot be asked now."""
        return self._ask_at_ns if self.phase is CollectorPhase.IDLE else None

    def on_started(self, now_ns: int) -> None:
        """There is one now; its first answer takes longest, so it is asked at once."""
        assert self.phase is CollectorPhase.WAITING
        self.phase, self._ask_at_ns, self._has_answered = CollectorPhase.IDLE, now_ns, False
        self._blocked_since = self.stuck_since_wall_ns = None
        self.starts += 1

    def on_asked(self, now_ns: int, wall_ns: int) -> None:
        """It was asked."""
        assert self.phase is CollectorPhase.IDLE
        self.phase, self._asked_at_ns, self._asked_wall_ns = CollectorPhase.ASKED, now_ns, wall_ns

    def on_answer(self, ask_at_ns: int) -> None:
        """It answered, perhaps after it was given up; the next question is due at `ask_at_ns`."""
        self.phase, self._ask_at_ns = CollectorPhase.IDLE, ask_at_ns
        self._failures, self._has_answered, self.stuck_since_wall_ns = 0, True, None

    def on_refused(self) -> None:
        """It said why there is nothing, and ends."""
        self.phase, self._ask_at_ns, self.stuck_since_wall_ns = CollectorPhase.IDLE, None, None

    def on_time(self, now_ns: int) -> bool:
        """Whether it is given up now."""
        patience_ns = self._patience_ns if self._has_answered else FIRST_ANSWER_FACTOR * self._patience_ns
        if self.phase is not CollectorPhase.ASKED or now_ns - self._asked_at_ns < patience_ns:
            return False
        self.phase, self.stuck_since_wall_ns = CollectorPhase.ABANDONED, self._asked_wall_ns
        self.abandoned += 1
        return True

    def on_ended(self, now_ns: int) -> None:
        """Its process is gone, or could not be started."""
        self.phase, self.stuck_since_wall_ns = CollectorPhase.WAITING, None
        self._back_off(now_ns)

    def on_blocked(self, now_ns: int, wall_ns: int, stuck_since_wall_ns: int | None) -> None:
        """None can be started: one of an earlier worker is still there, given up since that moment.

        *Absent:* that worker did not give it up. It may just be ending, for so long as an answer may take.
        """
        if self._blocked_since is None:
            self._blocked_since = (now_ns, wall_ns)
        since_ns, since_wall_ns = self._blocked_since
        if stuck_since_wall_ns is None and now_ns - since_ns >= self._patience_ns:
            stuck_since_wall_ns = since_wall_ns
        self.stuck_since_wall_ns = stuck_since_wall_ns
        self._back_off(now_ns)

    def _back_off(self, now_ns: int) -> None:
        # Of 64 doublings no bound is left to be reached.
        delay_ns = min(RETRY_LEAST_NS << min(self._failures, 32), self._retry_most_ns)
        self._failures += 1
        self._start_at_ns = now_ns + delay_ns
