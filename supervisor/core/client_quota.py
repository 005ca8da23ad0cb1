"""How many connections and requests readers may have at once: users who may read and change nothing. PURE.

Each reader, and all of them together, have a maximum of connections and of requests under way; further requests wait
their turn. So the owner's next request always finds a connection and is answered without delay.
"""

from collections import deque

CONNECTIONS_MAX = 64
# Root and the agent's own user keep a quarter of all connections.
_SHARE_OF_ALL = (3, 4)
# An answer about 10,000 rules takes some MiB until it is read; a question to a hung worker takes seconds.
# One turn of the supervisor's loop answers at most this many requests of one reader.
REQUESTS_MAX = 2
# Of 256 questions that may be open (`supervisor.core.control_operations`).
REQUESTS_OF_ALL_MAX = 16


class ClientQuota:
    """Counts the connections and requests of readers. `end_request` names the client whose turn comes next."""

    def __init__(self, clients_max: int) -> None:
        assert clients_max > 0, clients_max
        self._connections_of_all_max = clients_max * _SHARE_OF_ALL[0] // _SHARE_OF_ALL[1]
        self._connections: dict[int, int] = {}
        self._requests: dict[int, int] = {}
        # Clients that wait for a turn, the longest waiting first; each only once.
        self._waiting: deque[tuple[int, int]] = deque()

    def connect(self, uid: int) -> bool:
        """Count one more connection of a user; False, and nothing is counted: there are too many."""
        count = self._connections.get(uid, 0)
        if count >= CONNECTIONS_MAX or sum(self._connections.values()) >= self._connections_of_all_max:
            return False
        self._connections[uid] = count + 1
        return True

    def disconnect(self, client: int, uid: int) -> None:
        """A connection has ended; it no longer waits for a turn."""
        _take_one(self._connections, uid)
        if (client, uid) in self._waiting:
            self._waiting.remove((client, uid))

    def begin_request(self, client: int, uid: int) -> bool:
        """Count a request that begins; False: it waits until `end_request` names its client."""
        if not self._has_room(uid):
            if (client, uid) not in self._waiting:
                self._waiting.append((client, uid))
            return False
        self._count(uid)
        return True

    def end_request(self, uid: int) -> int | None:
        """Count a request whose answer has been taken, and give the client whose turn comes, already counted.

        *Absent:* None where no client waits that may begin.
        """
        _take_one(self._requests, uid)
        for waiting in self._waiting:
            if self._has_room(waiting[1]):
                self._waiting.remove(waiting)
                self._count(waiting[1])
                return waiting[0]
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
