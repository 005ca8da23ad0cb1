"""Which users may do what on the control socket. PURE."""

from msgspec import Struct

from agent.model.control import READ_OPERATIONS
from agent.model.errors import ExitCode
from supervisor.core.effect import Problem


class Peer(Struct, frozen=True):
    """The process at the other end, as the kernel reports it: its user, and all its groups at the time it connected."""

    uid: int
    gids: frozenset[int] = frozenset()


class AccessRules(Struct, frozen=True):
    """The user who owns the control socket, and the group that may read (None: every user that the socket's mode lets in)."""

    uid: int
    reader_gid: int | None = None

    def is_owner(self, uid: int) -> bool:
        """Whether a user may do everything: root and the agent's own user."""
        return uid in (0, self.uid)

    def refusal(self, peer: Peer, operation: str) -> Problem | None:
        """Why this peer may not do an operation. *Absent:* None where it may."""
        if self.is_owner(peer.uid):
            return None
        if self.reader_gid is not None and self.reader_gid not in peer.gids:
            sentence = f"user {peer.uid} may ask nothing: it is not in group {self.reader_gid} of those who may look"
        elif operation not in READ_OPERATIONS:
            # The answer does not reveal whether such an operation exists.
            sentence = f"user {peer.uid} may not do {operation}; root and user {self.uid} may"
        else:
            return None
        return Problem("not_permitted", sentence, int(ExitCode.NO_PERMISSION))
