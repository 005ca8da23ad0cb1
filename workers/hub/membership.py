"""Which nodes may report, and which invitations are open. PURE: the caller hands in time and chance, and keeps the document.

An invitation is a random token; the hub keeps its digest alone. A node that joins brings the key of its connection, and nobody
else has the secret to it: from then on the hub knows it by that key. The same installation may join again with another key, which
replaces the one before, because anybody who can read the state folder of a node can be that node.
"""

import hmac
from collections.abc import Callable

import msgspec
from msgspec import Struct

from agent.fleet.invitation import TOKEN_BYTES, to_text
from agent.model.checksum import blake2b
from agent.model.errors import FormatError, MisuseError
from agent.model.timebase import S

FORMAT = 1
INVITATIONS_MAX = 1000
USES_MAX = 100_000
_DIGEST_BYTES = 16
# Guesses at a token of 128 bits are hopeless; the bound keeps a flood of them from costing anything.
JOINS_PER_SECOND = 20
JOINS_BURST = 50


class Member(Struct, frozen=True):
    """One node. `key` is its public key as text. *Units:* times are unix time in nanoseconds; `seen_wall_ns` 0: it never
    reported."""

    install: str
    host: str
    key: str
    joined_wall_ns: int
    seen_wall_ns: int = 0


class OpenInvitation(Struct, frozen=True):
    """What is kept of an invitation."""

    digest: str
    expires_wall_ns: int
    uses: int


class MembershipDocument(Struct, frozen=True):
    """What is on the disk."""

    format: int
    members: list[Member]
    invitations: list[OpenInvitation]


class NotJoined(Struct, frozen=True):
    """Why a node does not join: a word, and a sentence for the person at the node."""

    code: str
    sentence: str


_DECODER = msgspec.json.Decoder(MembershipDocument)


class Membership:
    """The members by installation. Each change is followed by `document`, which the caller stores before it says so to anybody."""

    def __init__(self, document: MembershipDocument, nodes_max: int) -> None:
        self._nodes_max = nodes_max
        self._members = {member.install: member for member in document.members}
        self._by_key = {member.key: member for member in document.members}
        self._invitations = {each.digest: each for each in document.invitations}
        self._join_credit = float(JOINS_BURST)
        self._join_at_ns = 0
        self.joins_refused = 0

    def members(self) -> tuple[Member, ...]:
        """All of them, in the order of their hosts."""
        return tuple(sorted(self._members.values(), key=lambda member: (member.host, member.install)))

    def by_key(self, key: str) -> Member | None:
        """The member whose key it is. *Absent:* None for a stranger."""
        return self._by_key.get(key)

    def __contains__(self, install: str) -> bool:
        return install in self._members

    def open_invitations(self, wall_ns: int) -> int:
        """How many can still be used."""
        return sum(each.expires_wall_ns > wall_ns for each in self._invitations.values())

    def invite(self, token: bytes, wall_ns: int, ttl_ns: int, uses: int) -> OpenInvitation:
        """Open an invitation. *Raises:* MisuseError."""
        if not 1 <= uses <= USES_MAX:
            raise MisuseError("hub invite", f"an invitation is for 1 to {USES_MAX} nodes")
        self._invitations = {key: each for key, each in self._invitations.items() if each.expires_wall_ns > wall_ns}
        if len(self._invitations) >= INVITATIONS_MAX:
            raise MisuseError("hub invite", f"{INVITATIONS_MAX} invitations are open", "wait until some have expired")
        made = OpenInvitation(_digest(token), wall_ns + ttl_ns, uses)
        self._invitations[made.digest] = made
        return made

    def may_try(self, now_ns: int) -> bool:
        """Whether another request to join is looked at now; what comes too fast is not."""
        self._join_credit = min(JOINS_BURST, self._join_credit + (now_ns - self._join_at_ns) * JOINS_PER_SECOND / S)
        self._join_at_ns = now_ns
        if self._join_credit < 1:
            self.joins_refused += 1
            return False
        self._join_credit -= 1
        return True

    def join(self, token: bytes, install: str, host: str, key: str, wall_ns: int) -> Member | NotJoined:
        """Take a node in and use its invitation, or say why not."""
        held = self._members.get(install)
        digest = _digest(token)
        invitation = next((each for each in self._invitations.values() if hmac.compare_digest(each.digest, digest)), None)
        if invitation is None:
            self.joins_refused += 1
            if held is not None and held.key == key:
                # Its first answer was lost: the same node with the same key asks again.
                return held
            return NotJoined("unknown_token", "the hub does not know this invitation, or it was used; ask for another one")
        if invitation.expires_wall_ns <= wall_ns:
            self.joins_refused += 1
            return NotJoined("expired_token", "this invitation has expired; ask for another one")
        if key in self._by_key and self._by_key[key].install != install:
            self.joins_refused += 1
            return NotJoined("key_in_use", "another node has this key; join again to make a new one")
        if held is None and len(self._members) >= self._nodes_max:
            self.joins_refused += 1
            return NotJoined("full", f"the hub takes {self._nodes_max} nodes (hub.nodes_max)")
        if invitation.uses == 1:
            del self._invitations[invitation.digest]
        else:
            self._invitations[invitation.digest] = msgspec.structs.replace(invitation, uses=invitation.uses - 1)
        return self._put(Member(install, host, key, wall_ns, 0 if held is None else held.seen_wall_ns))

    def remove(self, named: str) -> Member:
        """Take a node out, by its id or by the name of its host. *Raises:* MisuseError where it is none, or several have the
        name."""
        # An id first: a node chooses the name of its host, and may choose another one's id.
        known = self._members.get(named)
        found = [member for member in self._members.values() if member.host == named] if known is None else [known]
        if not found:
            raise MisuseError(named, "no node has this id or host name", "`agentctl hub list` shows them")
        if len(found) > 1:
            ids = ", ".join(sorted(member.install for member in found))
            raise MisuseError(named, f"{len(found)} nodes have this host name", f"name one by its id: {ids}")
        member = found[0]
        del self._members[member.install]
        del self._by_key[member.key]
        return member

    def saw(self, install: str, host: str, wall_ns: int) -> None:
        """The node has reported, under this name."""
        if (member := self._members.get(install)) is not None:
            self._put(msgspec.structs.replace(member, host=host or member.host, seen_wall_ns=wall_ns))

    def document(self) -> MembershipDocument:
        """What has to be kept."""
        return MembershipDocument(FORMAT, list(self._members.values()), list(self._invitations.values()))

    def _put(self, member: Member) -> Member:
        before = self._members.get(member.install)
        if before is not None:
            del self._by_key[before.key]
        self._members[member.install] = member
        self._by_key[member.key] = member
        return member


EMPTY = MembershipDocument(FORMAT, [], [])


def encode_membership(document: MembershipDocument) -> bytes:
    """The content of the file."""
    return msgspec.json.encode(document) + b"\n"


def decode_membership(data: bytes, origin: str) -> MembershipDocument:
    """*Raises:* FormatError."""
    remedy = "move it away, and invite the nodes again"
    try:
        found = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise FormatError(origin, f"it cannot be read: {cause}", remedy) from cause
    if found.format != FORMAT:
        raise FormatError(origin, f"format {found.format} is not known to this version, which reads {FORMAT}", "upgrade the agent")
    return found


def new_token(chance: Callable[[int], bytes]) -> bytes:
    """A token from a source of random bytes."""
    token = chance(TOKEN_BYTES)
    assert len(token) == TOKEN_BYTES
    return token


def key_text(key: bytes) -> str:
    """A public key as the members have it."""
    return to_text(key)


def _digest(token: bytes) -> str:
    return blake2b(token, digest_size=_DIGEST_BYTES).hexdigest()
