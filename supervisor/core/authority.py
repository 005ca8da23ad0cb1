"""The rules in force, and what each worker is known to hold of them. PURE.

One state, one revision that grows by one with every change, one digest. A worker gets a snapshot when it says
hello and deltas after that, each with its own sequence number; only its acknowledgement of that number makes it
`in sync`. Every mismatch (a refused send, a refusal, a gap, a wrong digest, a late acknowledgement) is answered with a
fresh snapshot at the next observation, never with guessing.
"""

from collections.abc import Sequence

from agent.model.heartbeat_page import Beat
from agent.model.message import Ack, Delta, Nack, Resync, Snapshot
from agent.model.rule import RULE_PREFIX, canonical, decode_rule, rule_key
from agent.model.rule_state import Change, RuleState
from supervisor.core.effect import Effect, Log, Send
from supervisor.core.rulebook import Rulebook


class WorkerReplica:
    """What one generation of one worker was sent and has acknowledged."""

    def __init__(self, child: str, epoch: int, first_sequence: int) -> None:
        self.child = child
        self.epoch = epoch
        self.first_sequence = first_sequence
        self.sequence = first_sequence
        self.acked_sequence: int | None = None
        self.acked_revision: int | None = None
        self.acked_digest = b""
        self.needs_snapshot = False
        # It works with the complete rules of a dead supervisor, and keeps them until ours are complete too.
        self.is_held = False
        # Observations in which nothing more was acknowledged: a worker that loses a message must not wait for ever.
        self.unanswered_observations = 0
        self.answered_sequence = first_sequence
        # The turn of its loop at which its page first showed another revision than it acknowledged.
        self.odd_turns: int | None = None
        self.is_loaded = False


class Authority:
    """The one holder of the rules."""

    def __init__(self, book: Rulebook, *, first_sequence: int = 0) -> None:
        """`first_sequence` is higher than any that a dead supervisor of the same workers has used."""
        assert first_sequence >= 0, first_sequence
        self.revision = book.revision
        self._first_sequence = first_sequence
        # The operator's rules by name: the same as the entries `rule/…` of the state, decoded once.
        self.rules = {rule.name: rule for rule in book.rules}
        self.state = RuleState((rule_key(rule.name), canonical(rule)) for rule in book.rules)
        # What the operator's rules take in a snapshot.
        self.rule_bytes = sum(len(content) for _key, content in self.state.items())
        self.replicas: dict[str, WorkerReplica] = {}
        # The entries in order, as the last snapshot had them: fifty workers that start together get the same.
        self._ordered: tuple[int, list[tuple[str, bytes]]] | None = None
        self.drifts = 0
        self.snapshots = 0

    # ---- contents --------------------------------------------------------------------------------

    def apply(self, changes: Sequence[Change]) -> list[Effect]:
        """Change the state and tell every worker; nothing happens when the changes change nothing."""
        effective = [change for change in changes if self._put(*change)]
        if not effective:
            return []
        for key, content in effective:
            self._keep_rule(key, content)
        self.revision += 1
        return [effect for replica in self.replicas.values() for effect in self._delta(replica, effective)]

    # ---- workers ---------------------------------------------------------------------------------

    def on_hello(self, child: str, epoch: int, *, is_held: bool = False) -> list[Effect]:
        """A new generation holds nothing: it gets a snapshot. One that is held gets it with `release`."""
        earlier = self.replicas.get(child)
        replica = self.replicas[child] = WorkerReplica(child, epoch, self._first_sequence)
        if earlier is not None and earlier.epoch == epoch:
            # It says hello again: it may still answer what it was sent before, and such an answer is true.
            replica.sequence = earlier.sequence
        replica.is_held = replica.needs_snapshot = is_held
        return [] if is_held else self._snapshot(replica)

    def release(self) -> list[Effect]:
        """The state is complete: workers that were held get a snapshot."""
        held = [replica for replica in self.replicas.values() if replica.is_held]
        for replica in held:
            replica.is_held = False
        return [effect for replica in held for effect in self._snapshot(replica)]

    def continue_after(self, revision: int) -> None:
        """Go on after the highest revision that workers of a dead supervisor hold."""
        self.revision = max(self.revision, revision + 1)
        self._ordered = None

    def on_gone(self, child: str) -> None:
        """A dead worker gets nothing more."""
        self.replicas.pop(child, None)

    def on_ack(self, replica: WorkerReplica, ack: Ack) -> list[Effect]:
        """The worker took the message with this number; it must then hold what we hold."""
        assert self.replicas.get(replica.child) is replica, replica.child
        if ack.sequence <= replica.first_sequence:
            # It answers what another supervisor sent.
            return []
        # A worker that acknowledges anything has its snapshot, even when a later change is already on its way.
        replica.is_loaded = True
        if ack.sequence > replica.answered_sequence:
            # It is behind, but it moves: there may always be something newer on its way to it.
            replica.answered_sequence = ack.sequence
            replica.unanswered_observations = 0
        if ack.sequence != replica.sequence or replica.needs_snapshot:
            # It acknowledges an older message: true, but not what was sent last.
            return []
        if ack.revision == self.revision and ack.digest != self.state.digest:
            return self._drifted(replica, "acknowledged another digest")
        replica.acked_sequence = ack.sequence
        replica.acked_revision = ack.revision
        replica.acked_digest = ack.digest
        return []

    def on_nack(self, replica: WorkerReplica, nack: Nack) -> list[Effect]:
        """The worker refused a message. It gets a snapshot at the next observation, not at once: a second refusal must not spin."""
        return self._drifted(replica, f"refused: {nack.problem}")

    def on_resync(self, replica: WorkerReplica, resync: Resync) -> list[Effect]:
        """The worker missed a message."""
        return self._drifted(replica, f"missed a message before {resync.sequence}")

    def on_send_refused(self, replica: WorkerReplica) -> list[Effect]:
        """A message did not reach the worker's socket."""
        replica.needs_snapshot = True
        return []

    def on_observed(self, replica: WorkerReplica, beat: Beat | None) -> list[Effect]:
        """Compare what the worker's own page says with what it should hold; repair it with a snapshot."""
        if replica.needs_snapshot:
            return [] if replica.is_held else self._snapshot(replica)
        if self._is_acknowledged(replica):
            return self._compare(replica, beat)
        replica.unanswered_observations += 1
        if replica.unanswered_observations >= 4:
            return self._drifted(replica, "did not acknowledge")
        return []

    def _compare(self, replica: WorkerReplica, beat: Beat | None) -> list[Effect]:
        """Compare the page of a worker that acknowledged everything with the state."""
        if beat is None or (beat.revision, beat.digest) == (self.revision, self.state.digest):
            replica.odd_turns = None
            return []
        if beat.revision == self.revision:
            return [*self._drifted(replica, "holds another digest"), *self._snapshot(replica)]
        # Another revision than it acknowledged: the page may be older than the acknowledgement, but not after a further turn.
        if replica.odd_turns is None or beat.turns <= replica.odd_turns:
            replica.odd_turns = beat.turns
            return []
        return [*self._drifted(replica, "fell back to another revision"), *self._snapshot(replica)]

    def is_in_sync(self, child: str) -> bool:
        """Whether the worker acknowledged exactly what is in force."""
        replica = self.replicas.get(child)
        return replica is not None and self._is_acknowledged(replica)

    def _put(self, key: str, content: bytes | None) -> bool:
        """Change one entry. Returns whether that changed anything."""
        before = self.state.get(key)
        if not self.state.put(key, content):
            return False
        if key.startswith(RULE_PREFIX):
            self.rule_bytes += len(content or b"") - len(before or b"")
        return True

    def _keep_rule(self, key: str, content: bytes | None) -> None:
        if not key.startswith(RULE_PREFIX):
            return
        if content is None:
            del self.rules[key.removeprefix(RULE_PREFIX)]
        else:
            rule = decode_rule(content)
            self.rules[rule.name] = rule

    def _is_acknowledged(self, replica: WorkerReplica) -> bool:
        # The acknowledgement of the last message, not of one that held the same: what was sent since may not have arrived.
        if replica.needs_snapshot or replica.acked_sequence != replica.sequence:
            return False
        return replica.acked_revision == self.revision and replica.acked_digest == self.state.digest

    def _drifted(self, replica: WorkerReplica, problem: str) -> list[Effect]:
        if replica.needs_snapshot:
            # One gap is one drift, however many later messages are refused before the snapshot is sent.
            return []
        self.drifts += 1
        replica.needs_snapshot = True
        return [Log("rules_drift", "warning", {"worker": replica.child, "epoch": replica.epoch, "problem": problem})]

    def _snapshot(self, replica: WorkerReplica) -> list[Effect]:
        self.snapshots += 1
        replica.sequence += 1
        replica.needs_snapshot = False
        replica.unanswered_observations = 0
        replica.odd_turns = None
        if self._ordered is None or self._ordered[0] != self.revision:
            self._ordered = (self.revision, list(self.state.items()))
        message = Snapshot(replica.sequence, self.revision, self.state.digest, self._ordered[1])
        return [Send(replica.child, replica.epoch, message)]

    def _delta(self, replica: WorkerReplica, changes: list[Change]) -> list[Effect]:
        if replica.needs_snapshot:
            return []
        replica.sequence += 1
        return [Send(replica.child, replica.epoch, Delta(replica.sequence, self.revision, self.state.digest, changes))]
