"""When to try to reach a container runtime again. PURE: the caller hands in the time, the randomness and what is at the path."""

from random import Random

from agent.model.timebase import MS, S

# A runtime that restarts is back within a second. One that refuses this plugin is asked thirty times a minute, which costs both
# nothing; what it starts once it works again is known within two seconds.
BASE_NS = 100 * MS
CEILING_NS = 2 * S
# Many agents' runtimes may have been restarted by one tool at one time.
JITTER_PERCENT = 25
# A connection that stood for so long was a good one, and the count begins again.
STABLE_NS = 5 * S
# How often to look whether the socket is there, or another one: one stat(2).
LOOK_NS = 250 * MS
# The same where no socket was ever there: most hosts without containers never have one.
FIRST_LOOK_NS = 1 * S
_DOUBLINGS_MAX = 10

# Device, inode and time of change of a socket; None: there is none.
SocketIdentity = tuple[int, int, int]


class Reconnect:
    """The tries of one plugin."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._failures = 0
        self._at_ns: int | None = None
        self._seen: SocketIdentity | None = None
        self._has_seen = False
        self._since_ns: int | None = None

    def is_due(self, seen: SocketIdentity | None, now_ns: int) -> bool:
        """Whether to try now. A socket that has appeared is tried at once; without one there is nothing to try."""
        if seen != self._seen:
            self._seen = seen
            self._has_seen = True
            self._failures, self._at_ns = 0, None
        return seen is not None and (self._at_ns is None or now_ns >= self._at_ns)

    def next_look_ns(self, now_ns: int) -> int:
        """When to ask `is_due` again: at the next try, or when a socket may have appeared."""
        look_ns = now_ns + (LOOK_NS if self._has_seen else FIRST_LOOK_NS)
        return look_ns if self._at_ns is None else max(now_ns, min(self._at_ns, look_ns))

    def on_connected(self, now_ns: int) -> None:
        """The runtime has reported everything: from now on the connection counts as one."""
        self._since_ns = now_ns

    def on_ended(self, now_ns: int) -> None:
        """A try failed, or a connection ended."""
        since_ns, self._since_ns = self._since_ns, None
        if since_ns is not None and now_ns - since_ns >= STABLE_NS:
            self._failures = 0
        self._at_ns = now_ns + self._delay_ns()
        self._failures = min(self._failures + 1, _DOUBLINGS_MAX)

    def _delay_ns(self) -> int:
        full_ns = min(CEILING_NS, BASE_NS << self._failures)
        return full_ns - self._rng.randint(0, full_ns * JITTER_PERCENT // 100)
