"""Who is silent, by the hub's monotonic clock. PURE.

After its own start or a stall the hub gives no verdicts for as long as a node may be silent: it was the hub that did not listen.
And if many become stale at once, it is rather the hub or its network that is at fault: it says so.
"""

from collections import OrderedDict

from agent.model.timebase import S

LATE_BEATS = 3
MASS_SHARE = 0.3
MASS_WINDOW_NS = 10 * S
MASS_NODES_MIN = 4
# A turn that comes so much later than it should: the process was stopped, or had no processor.
STALL_NS = 1 * S


class Silence:
    """*Units:* ns. `late_ns` and `stale_ns` are the silences after which a node is late and stale."""

    def __init__(self, beat_ns: int, stale_ns: int, now_ns: int) -> None:
        self.late_ns = LATE_BEATS * beat_ns
        self.stale_ns = stale_ns
        self.suspicion = ""
        self._beat_ns = beat_ns
        self._begun_ns = now_ns
        self._turn_ns = now_ns
        self._grace_until_ns = now_ns + stale_ns
        # By the time at which they were heard, the longest silent first.
        self._beating: OrderedDict[str, int] = OrderedDict()
        self._late: OrderedDict[str, int] = OrderedDict()
        self._stale_at_ns: list[int] = []

    def on_beat(self, install: str, now_ns: int) -> None:
        """It was heard now."""
        self._late.pop(install, None)
        self._beating[install] = now_ns
        self._beating.move_to_end(install)

    def expect(self, install: str) -> None:
        """It reported before this life of the hub, which has to hear it within the same time as any other."""
        self._late[install] = self._begun_ns

    def forget(self, install: str) -> None:
        """Nothing is expected of it."""
        self._beating.pop(install, None)
        self._late.pop(install, None)

    def is_alive(self, install: str, now_ns: int) -> bool:
        """Whether it was heard within the last three beats."""
        heard_ns = self._beating.get(install)
        return heard_ns is not None and now_ns - heard_ns <= self.late_ns

    @property
    def is_in_grace(self) -> bool:
        """Whether no verdicts are given yet."""
        return self._turn_ns < self._grace_until_ns

    def on_turn(self, now_ns: int) -> float | None:
        """The loop turns, at least once a beat. *Units:* seconds of a stall that is noticed now; None: there was none."""
        late_ns = now_ns - self._turn_ns - self._beat_ns
        self._turn_ns = now_ns
        if late_ns <= max(STALL_NS, self._beat_ns):
            return None
        self._grace_until_ns = now_ns + self.stale_ns
        return late_ns / S

    def verdicts(self) -> tuple[list[str], list[str]]:
        """Those that have become late since the last turn, and stale; nobody while there is grace."""
        now_ns = self._turn_ns
        late: list[str] = []
        stale: list[str] = []
        if not self.is_in_grace:
            while self._beating and now_ns - next(iter(self._beating.values())) > self.late_ns:
                install, heard_ns = self._beating.popitem(last=False)
                self._late[install] = heard_ns
                late.append(install)
            while self._late and now_ns - next(iter(self._late.values())) >= self.stale_ns:
                stale.append(self._late.popitem(last=False)[0])
        self._suspect(len(stale), now_ns)
        return late, stale

    def next_deadline_ns(self, now_ns: int) -> int:
        """When there may be a verdict: within a beat."""
        wanted = now_ns + self._beat_ns
        if now_ns < self._grace_until_ns:
            return min(wanted, self._grace_until_ns)
        if self._late:
            wanted = min(wanted, next(iter(self._late.values())) + self.stale_ns)
        return max(now_ns, wanted)

    def _suspect(self, gone_stale: int, now_ns: int) -> None:
        recent = [at_ns for at_ns in self._stale_at_ns if now_ns - at_ns < MASS_WINDOW_NS]
        self._stale_at_ns = recent + [now_ns] * gone_stale
        at_once, present = len(self._stale_at_ns), len(self._beating) + len(self._late)
        if at_once >= MASS_NODES_MIN and at_once > MASS_SHARE * (present + at_once):
            self.suspicion = (
                f"{at_once} of {present + at_once} nodes became silent at once: look at this host and its network first"
            )
        elif present and (not self._stale_at_ns or present > 2 * at_once):
            # Where nobody is heard at all the doubt stays until somebody is.
            self.suspicion = ""
