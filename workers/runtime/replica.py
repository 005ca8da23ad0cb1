"""A worker's copy of the rules: loaded by a snapshot, moved on by deltas, acknowledged by number and digest. PURE."""

from agent.model.message import Ack, Delta, Nack, Resync, Snapshot
from agent.model.rule_state import RuleState


class RulesReplica:
    """What this worker holds. It is never half of anything: a message is taken in completely or rejected."""

    def __init__(self) -> None:
        self.state = RuleState()
        self.revision = 0
        self.is_loaded = False
        self._sequence = 0

    def take(self, message: Snapshot | Delta) -> Ack | Nack | Resync:
        """Apply a message and give the answer to it."""
        if isinstance(message, Snapshot):
            return self._take_snapshot(message)
        if not self.is_loaded or message.sequence != self._sequence + 1:
            return Resync(message.sequence)
        return self._take_delta(message)

    def _take_snapshot(self, message: Snapshot) -> Ack | Nack:
        fresh = RuleState(message.entries)
        if fresh.digest != message.digest:
            return Nack(message.sequence, "the digest of the snapshot is not that of its entries")
        self.state = fresh
        self.is_loaded = True
        return self._taken(message)

    def _take_delta(self, message: Delta) -> Ack | Nack:
        before = [(key, self.state.get(key)) for key, _content in message.changes]
        for key, content in message.changes:
            self.state.put(key, content)
        if self.state.digest != message.digest:
            for key, content in reversed(before):
                self.state.put(key, content)
            return Nack(message.sequence, "the digest after the changes is not the announced one")
        return self._taken(message)

    def _taken(self, message: Snapshot | Delta) -> Ack:
        self._sequence = message.sequence
        self.revision = message.revision
        return Ack(message.sequence, message.revision, self.state.digest)
