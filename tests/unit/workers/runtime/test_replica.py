"""A worker's copy of the rules: whole or not at all, and one with the supervisor's in the end, whatever the pipe loses."""

from collections import deque

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.model.heartbeat_page import Beat
from agent.model.message import Ack, Delta, FromWorker, Nack, Resync, Snapshot, ToWorker
from agent.model.rule import GroupRule, canonical, pod_key, rule_key
from agent.model.rule_state import Change, RuleState
from supervisor.core.authority import Authority
from supervisor.core.effect import Effect, Send
from supervisor.core.rulebook import Rulebook
from workers.runtime.replica import RulesReplica

A, B = ("rule/a", b"1"), ("rule/b", b"2")
# The digest of no entries is all zeros, so this must be something else.
WRONG = b"\1" * 32


def _digest(*entries: tuple[str, bytes]) -> bytes:
    return RuleState(entries).digest


def _snapshot(sequence: int, *entries: tuple[str, bytes], revision: int = 7) -> Snapshot:
    return Snapshot(sequence, revision, _digest(*entries), list(entries))


def _loaded(*entries: tuple[str, bytes]) -> RulesReplica:
    replica = RulesReplica()
    replica.take(_snapshot(1, *entries))
    return replica


def test_it_begins_with_nothing() -> None:
    """Not loaded, and the digest of no entries."""
    replica = RulesReplica()
    assert (replica.is_loaded, replica.revision, replica.state.digest) == (False, 0, _digest())


def test_a_snapshot_is_taken_and_acknowledged_by_number_revision_and_digest() -> None:
    """The number may be any: a worker born late hears the fifth message first."""
    replica = RulesReplica()
    assert replica.take(_snapshot(5, A, B)) == Ack(5, 7, _digest(A, B))
    assert replica.is_loaded
    assert list(replica.state.items()) == [A, B]


def test_a_snapshot_replaces_all_that_was_held() -> None:
    """What it does not name is gone."""
    replica = _loaded(A)
    assert replica.take(_snapshot(2, B, revision=8)) == Ack(2, 8, _digest(B))
    assert list(replica.state.items()) == [B]


def test_an_empty_snapshot_is_a_snapshot() -> None:
    """A host without rules has workers anyway."""
    replica = RulesReplica()
    assert replica.take(_snapshot(1, revision=0)) == Ack(1, 0, _digest())
    assert replica.is_loaded


def test_a_delta_adds_changes_and_removes() -> None:
    """In the order given."""
    replica = _loaded(A, B)
    result = [("rule/a", b"3"), ("rule/c", b"4")]
    changes: list[Change] = [("rule/a", b"3"), ("rule/b", None), ("rule/c", b"4")]
    assert replica.take(Delta(2, 8, _digest(*result), changes)) == Ack(2, 8, _digest(*result))
    assert list(replica.state.items()) == result
    assert replica.revision == 8


def test_deltas_count_on_from_the_snapshot() -> None:
    """Whatever its number was: a worker born late begins in the middle."""
    replica = RulesReplica()
    replica.take(_snapshot(5, A))
    assert replica.take(Delta(6, 8, _digest(A, B), [B])) == Ack(6, 8, _digest(A, B))
    replica.take(_snapshot(9, A))
    assert replica.take(Delta(10, 9, _digest(A, B), [B])) == Ack(10, 9, _digest(A, B))


@pytest.mark.parametrize("sequence", [1, 3, 0])
def test_a_delta_out_of_order_is_a_hole(sequence: int) -> None:
    """Older, repeated or too new: nothing changes and a snapshot is asked for."""
    replica = _loaded(A)
    assert replica.take(Delta(sequence, 8, _digest(A, B), [B])) == Resync(sequence)
    assert list(replica.state.items()) == [A]
    assert replica.revision == 7


def test_a_delta_before_any_snapshot_is_a_hole() -> None:
    """Even the one whose number would be the first."""
    assert RulesReplica().take(Delta(1, 1, _digest(A), [A])) == Resync(1)


def test_a_wrong_digest_leaves_what_was_held_untouched() -> None:
    """Of a delta that adds, changes, removes and names a key twice, and of a snapshot."""
    replica = _loaded(A, B)
    changes: list[Change] = [("rule/a", b"9"), ("rule/b", None), ("rule/c", b"4"), ("rule/a", None), ("rule/c", b"5")]
    assert isinstance(replica.take(Delta(2, 8, WRONG, changes)), Nack)
    assert isinstance(replica.take(Snapshot(3, 8, WRONG, [A])), Nack)
    assert (list(replica.state.items()), replica.state.digest, replica.revision) == ([A, B], _digest(A, B), 7)


def test_a_refused_first_snapshot_loads_nothing() -> None:
    """The work must not begin with rules that nobody meant."""
    replica = RulesReplica()
    assert replica.take(Snapshot(1, 1, WRONG, [A])) == Nack(1, "the digest of the snapshot is not that of its entries")
    assert not replica.is_loaded


def test_after_a_refused_delta_the_next_one_is_a_hole() -> None:
    """It is based on what was refused."""
    replica = _loaded(A)
    replica.take(Delta(2, 8, WRONG, [B]))
    assert replica.take(Delta(3, 9, _digest(A, B), [B])) == Resync(3)


NAME = "writer"
rule_changes = st.builds(
    lambda name, priority: (rule_key(name), None if priority is None else canonical(GroupRule(name, priority))),
    st.sampled_from("ab"),
    st.none() | st.integers(min_value=0, max_value=3),
)
pod_changes = st.tuples(st.sampled_from([pod_key("x"), pod_key("y")]), st.none() | st.binary(max_size=2))
change_lists = st.lists(rule_changes | pod_changes, min_size=1, max_size=4)
indexes = st.integers(min_value=0, max_value=5)


class LossyPipeStory(RuleBasedStateMachine):
    """The supervisor's authority and a worker's replica over two pipes that keep order and lose what they like."""

    def __init__(self) -> None:
        super().__init__()
        self.authority = Authority(Rulebook())
        self.history = {0: self.authority.state.digest}
        self.epoch = 0
        self.replica = RulesReplica()
        self.down: deque[ToWorker] = deque()
        self.up: deque[FromWorker] = deque()
        self.restart()

    def _carry_out(self, effects: list[Effect]) -> None:
        self.down += [effect.message for effect in effects if isinstance(effect, Send)]

    @rule(changes=change_lists)
    def change(self, changes: list[Change]) -> None:
        """An operator's command, or a look at the host."""
        self._carry_out(self.authority.apply(changes))
        self.history[self.authority.revision] = self.authority.state.digest

    @rule(changes=change_lists)
    def change_without_being_able_to_send(self, changes: list[Change]) -> None:
        """The worker's socket is full."""
        if any(isinstance(effect, Send) for effect in self.authority.apply(changes)):
            self.authority.on_send_refused(self.authority.replicas[NAME])
        self.history[self.authority.revision] = self.authority.state.digest

    @rule()
    def restart(self) -> None:
        """The worker dies with its sockets; its successor says hello."""
        self.down.clear()
        self.up.clear()
        self.replica = RulesReplica()
        self.epoch += 1
        self.authority.on_gone(NAME)
        self._carry_out(self.authority.on_hello(NAME, self.epoch))

    @precondition(lambda self: self.down)
    @rule()
    def deliver_down(self) -> None:
        """The worker takes the next message in and answers."""
        message = self.down.popleft()
        assert isinstance(message, Snapshot | Delta)
        before = (self.replica.state.digest, self.replica.revision)
        answer = self.replica.take(message)
        self.up.append(answer)
        assert isinstance(answer, Ack) or before == (self.replica.state.digest, self.replica.revision)

    @precondition(lambda self: self.up)
    @rule()
    def deliver_up(self) -> None:
        """The supervisor hears the next answer."""
        held = self.authority.replicas[NAME]
        match self.up.popleft():
            case Ack() as ack:
                self._carry_out(self.authority.on_ack(held, ack))
            case Nack() as nack:
                self._carry_out(self.authority.on_nack(held, nack))
            case Resync() as resync:
                self._carry_out(self.authority.on_resync(held, resync))

    @precondition(lambda self: self.down)
    @rule(index=indexes)
    def lose_down(self, index: int) -> None:
        """One message never arrives."""
        del self.down[index % len(self.down)]

    @precondition(lambda self: self.up)
    @rule(index=indexes)
    def lose_up(self, index: int) -> None:
        """One answer never arrives."""
        del self.up[index % len(self.up)]

    @precondition(lambda self: self.down)
    @rule(index=indexes)
    def garble(self, index: int) -> None:
        """One message arrives with other contents than were meant."""
        place = index % len(self.down)
        message = self.down[place]
        field = "entries" if isinstance(message, Snapshot) else "changes"
        self.down[place] = msgspec.structs.replace(message, **{field: [*getattr(message, field), ("rule/garbled", b"!")]})

    @rule()
    def look(self) -> None:
        """The supervisor compares the worker's page with what it should hold."""
        beat = Beat(1, 1, self.replica.revision, self.replica.state.digest)
        self._carry_out(self.authority.on_observed(self.authority.replicas[NAME], beat))

    @invariant()
    def the_worker_holds_what_was_once_in_force(self) -> None:
        """Old perhaps, never a mixture."""
        if self.replica.is_loaded:
            assert self.replica.state.digest == self.history[self.replica.revision]

    @invariant()
    def in_sync_is_never_said_of_a_worker_that_is_not(self) -> None:
        """What operators are shown is true."""
        if self.authority.is_in_sync(NAME):
            assert list(self.replica.state.items()) == list(self.authority.state.items())
            assert self.replica.revision == self.authority.revision

    def teardown(self) -> None:
        """Once nothing is lost any more, both hold the same after a few looks, and then nothing is sent."""
        for _ in range(12):
            while self.down or self.up:
                if self.down:
                    self.deliver_down()
                if self.up:
                    self.deliver_up()
            self.look()
        assert self.authority.is_in_sync(NAME)
        assert not self.down
        self.in_sync_is_never_said_of_a_worker_that_is_not()


TestLossyPipeStory = LossyPipeStory.TestCase
TestLossyPipeStory.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
