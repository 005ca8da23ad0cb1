"""What other users than root and the agent's own may do on the control socket, and how much of it at once. PURE.

They only look. Whatever they do, the operator's next question finds a connection and is answered as ever: each of them,
and all of them together, have so many connections and so many requests under way; beyond that they wait their turn.
"""

from collections import deque

from msgspec import Struct

from agent.model.control import READ_OPERATIONS
from agent.model.errors import ExitCode
from supervisor.core.effect import Problem

CONNECTIONS_MAX = 64
# Root's and our own are never fewer than a quarter of all connections.
_SHARE_OF_ALL = (3, 4)
# An answer about 10,000 rules takes some MiB until it is read; a question to a worker that hangs takes seconds.
# These many are the most that one turn of the supervisor's loop answers to a visitor.
REQUESTS_MAX = 2
# Of 256 questions that may be open (`supervisor.core.desk`).
REQUESTS_OF_ALL_MAX = 16


class Peer(Struct, frozen=True):
    """Who is at the other end, as the kernel says: the user, and all groups of the process when it connected."""

    uid: int
    gids: frozenset[int] = frozenset()


class House(Struct, frozen=True):
    """Whose control socket it is, and which group may look (None: every user that the mode of the socket lets in)."""

    uid: int
    reader_gid: int | None = None

    def is_own(self, uid: int) -> bool:
        """Whether a user may do everything."""
        return uid in (0, self.uid)

    def refusal(self, peer: Peer, operation: str) -> Problem | None:
        """Why somebody may not do an operation; None: it may."""
        if self.is_own(peer.uid):
            return None
        if self.reader_gid is not None and self.reader_gid not in peer.gids:
            sentence = f"user {peer.uid} may ask nothing: it is not in group {self.reader_gid} of those who may look"
        elif operation not in READ_OPERATIONS:
            # Not even whether there is such an operation is the business of who may only look.
            sentence = f"user {peer.uid} may not do {operation}; root and user {self.uid} may"
        else:
            return None
        return Problem("not_permitted", sentence, int(ExitCode.NO_PERMISSION))


class Visitors:
    """Counts the connections and requests of other users. A client that must wait is named by `end` when its turn has come."""

    def __init__(self, clients_max: int) -> None:
        self._connections_of_all_max = clients_max * _SHARE_OF_ALL[0] // _SHARE_OF_ALL[1]
        self._connections: dict[int, int] = {}
        self._requests: dict[int, int] = {}
        # Clients that wait for a turn, the longest waiting first; each stands here once.
        self._held: deque[tuple[int, int]] = deque()

    def come(self, uid: int) -> bool:
        """Count one more connection of a user; False, and nothing is counted: there are too many."""
        count = self._connections.get(uid, 0)
        if count >= CONNECTIONS_MAX or sum(self._connections.values()) >= self._connections_of_all_max:
            return False
        self._connections[uid] = count + 1
        return True

    def go(self, client: int, uid: int) -> None:
        """A connection has ended; it waits for no turn any more."""
        _take_one(self._connections, uid)
        if (client, uid) in self._held:
            self._held.remove((client, uid))

    def begin(self, client: int, uid: int) -> bool:
        """Count a request that is begun; False: it waits until `end` names its client."""
        if not self._has_room(uid):
            if (client, uid) not in self._held:
                self._held.append((client, uid))
            return False
        self._count(uid)
        return True

    def end(self, uid: int) -> int | None:
        """A request is answered and its answer taken: the client whose turn has come, already counted; None: nobody waits."""
        _take_one(self._requests, uid)
        for held in self._held:
            if self._has_room(held[1]):
                self._held.remove(held)
                self._count(held[1])
                return held[0]
        return None

    def _count(self, uid: int) -> None:
        self._requests[uid] = self._requests.get(uid, 0) + 1

    def _has_room(self, uid: int) -> bool:
        return self._requests.get(uid, 0) < REQUESTS_MAX and sum(self._requests.values()) < REQUESTS_OF_ALL_MAX


def _take_one(counts: dict[int, int], uid: int) -> None:
    assert counts.get(uid, 0) > 0, f"user {uid} has none"
    counts[uid] -= 1
    if not counts[uid]:
        del counts[uid]
