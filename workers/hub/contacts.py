"""The connections that have said hello, how many are greeted a second, and how much each may say. PURE."""

from random import Random

from msgspec import Struct

from agent.model.timebase import S

# A node sends one beat or update a second, and some more when units come and go.
FRAMES_PER_SECOND = 60
FRAMES_BURST = 240
# A node has one connection for each purpose; those before it end by themselves.
CONTACTS_PER_PURPOSE_MAX = 2
HOLD_LEAST_MS, HOLD_MOST_MS = 500, 3000


class Contact(Struct):
    """One connection: whose it is by its key, what for, and of which life of the node's agent."""

    install: str
    purpose: str
    run: str
    credit: float
    credit_at_ns: int


class Contacts:
    """All of them. *Range:* CONTACTS_PER_PURPOSE_MAX of each purpose for each node; the oldest goes first."""

    def __init__(self, admissions_per_second: int, chance: Random, now_ns: int) -> None:
        self._chance = chance
        self._rate = admissions_per_second
        self._credit = float(admissions_per_second)
        self._credit_at_ns = now_ns
        self._by_connection: dict[bytes, Contact] = {}
        self._by_owner: dict[tuple[str, str], list[bytes]] = {}

    def __len__(self) -> int:
        return len(self._by_connection)

    def get(self, connection: bytes) -> Contact | None:
        """*Absent:* None for a connection that has not said hello."""
        return self._by_connection.get(connection)

    def put(self, connection: bytes, install: str, purpose: str, run: str, now_ns: int) -> None:
        """It has said hello."""
        self.drop(connection)
        self._by_connection[connection] = Contact(install, purpose, run, float(FRAMES_BURST), now_ns)
        own = self._by_owner.setdefault((install, purpose), [])
        own.append(connection)
        if len(own) > CONTACTS_PER_PURPOSE_MAX:
            del self._by_connection[own.pop(0)]

    def drop(self, connection: bytes) -> None:
        """What comes on it next must be a hello."""
        contact = self._by_connection.pop(connection, None)
        if contact is not None:
            own = self._by_owner[contact.install, contact.purpose]
            own.remove(connection)
            if not own:
                del self._by_owner[contact.install, contact.purpose]

    def drop_node(self, install: str) -> list[bytes]:
        """All connections of a node; they are given back."""
        found = [connection for (owner, _), own in self._by_owner.items() if owner == install for connection in own]
        for connection in found:
            self.drop(connection)
        return found

    def admission_wait_ms(self, now_ns: int, *, is_beat: bool) -> int | None:
        """How long one who says hello must wait; None: it is greeted now. Beats go first: they say who is there."""
        self._credit = min(self._rate, self._credit + (now_ns - self._credit_at_ns) * self._rate / S)
        self._credit_at_ns = now_ns
        if self._credit < (1 if is_beat else min(self._rate, 1 + self._rate / 2)):
            return self._chance.randrange(HOLD_LEAST_MS, HOLD_MOST_MS)
        self._credit -= 1
        return None


def is_flooding(contact: Contact, now_ns: int) -> bool:
    """Whether a connection says more than a node has to say."""
    contact.credit = min(FRAMES_BURST, contact.credit + (now_ns - contact.credit_at_ns) * FRAMES_PER_SECOND / S)
    contact.credit_at_ns = now_ns
    if contact.credit < 1:
        return True
    contact.credit -= 1
    return False
