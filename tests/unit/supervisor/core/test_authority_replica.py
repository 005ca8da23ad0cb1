"""What one worker is sent, message by message, and what its answers mean."""

from agent.model.heartbeat_page import Beat
from agent.model.message import Ack, Delta, Nack, Resync, Snapshot
from agent.model.rule import GroupRule, canonical, rule_key
from supervisor.core.authority import Authority, WorkerReplica
from supervisor.core.effect import Effect, Log, Send
from supervisor.core.rulebook import Rulebook

RULE = (rule_key("a"), canonical(GroupRule("a")))
POD = ("pod/u", b"{}")


def authority() -> Authority:
    """One rule in force, as its revision 5."""
    return Authority(Rulebook(5, (GroupRule("kept"),)), first_sequence=100)


def connected(rules: Authority) -> WorkerReplica:
    """A worker that has acknowledged its snapshot."""
    (effect,) = rules.on_hello("writer", 1)
    assert isinstance(effect, Send)
    answer(rules, effect)
    return rules.replicas["writer"]


def answer(rules: Authority, effect: Effect) -> list[Effect]:
    """It takes what it was sent."""
    assert isinstance(effect, Send)
    assert isinstance(effect.message, Snapshot | Delta)
    return rules.on_ack(rules.replicas["writer"], Ack(effect.message.sequence, effect.message.revision, effect.message.digest))


def kinds(effects: list[Effect]) -> list[type]:
    """Of what is sent and logged."""
    return [type(effect.message if isinstance(effect, Send) else effect) for effect in effects]


def test_a_change_that_changes_nothing_is_sent_to_nobody() -> None:
    """The revision stays; what is no rule of the operator is in the state alone."""
    rules = authority()
    connected(rules)
    assert kinds(rules.apply([RULE, POD])) == [Delta]
    assert (rules.revision, sorted(rules.rules)) == (6, ["a", "kept"])
    assert rules.apply([RULE, POD]) == []
    assert rules.revision == 6
    assert kinds(rules.apply([(rule_key("a"), None), (POD[0], None)])) == [Delta]
    assert (rules.revision, sorted(rules.rules)) == (7, ["kept"])


def test_a_worker_that_says_hello_twice_is_counted_on() -> None:
    """An answer to what it was sent before is still true; another generation begins again."""
    rules = authority()
    replica = connected(rules)
    sent = replica.sequence
    (effect,) = rules.on_hello("writer", 1)
    assert isinstance(effect, Send)
    assert isinstance(effect.message, Snapshot)
    assert effect.message.sequence == sent + 1
    (other,) = rules.on_hello("writer", 2)
    assert isinstance(other, Send)
    assert isinstance(other.message, Snapshot)
    assert other.message.sequence == 101


def test_a_held_worker_gets_its_snapshot_when_the_state_is_complete() -> None:
    """Once, and no change before."""
    rules = authority()
    assert rules.on_hello("writer", 1, is_held=True) == []
    assert rules.apply([POD]) == []
    assert rules.on_observed(rules.replicas["writer"], None) == []
    assert kinds(rules.release()) == [Snapshot]
    assert rules.release() == []


def test_revisions_go_on_after_those_that_workers_hold() -> None:
    """Never back: one revision has one content for ever."""
    rules = authority()
    rules.continue_after(9)
    assert rules.revision == 10
    rules.continue_after(3)
    assert rules.revision == 10


def test_what_another_supervisor_sent_is_not_acknowledged_to_this_one() -> None:
    """Its numbers are lower than any of ours."""
    rules = authority()
    (effect,) = rules.on_hello("writer", 1)
    replica = rules.replicas["writer"]
    assert rules.on_ack(replica, Ack(100, 5, rules.state.digest)) == []
    assert not rules.is_in_sync("writer")
    answer(rules, effect)
    assert rules.is_in_sync("writer")


def test_the_same_acknowledgement_again_is_no_progress() -> None:
    """A worker that repeats itself is still asked to answer in time."""
    rules = authority()
    (snapshot,) = rules.on_hello("writer", 1)
    replica = rules.replicas["writer"]
    answer(rules, snapshot)
    rules.apply([POD])
    for _ in range(3):
        assert rules.on_observed(replica, None) == []
        assert answer(rules, snapshot) == []
    assert kinds(rules.on_observed(replica, None)) == [Log]


def test_a_page_that_falls_back_is_drift_after_another_turn() -> None:
    """The page may be older than the acknowledgement, but not after the loop has turned again."""
    rules = authority()
    replica = connected(rules)
    old = Beat(7, 0, 4, b"old")
    assert rules.on_observed(replica, None) == []
    assert rules.on_observed(replica, old) == []
    assert rules.on_observed(replica, old) == []
    assert rules.on_observed(replica, Beat(8, 0, rules.revision, rules.state.digest)) == []
    assert rules.on_observed(replica, Beat(9, 0, 4, b"old")) == []
    assert kinds(rules.on_observed(replica, Beat(10, 0, 4, b"old"))) == [Log, Snapshot]
    assert rules.drifts == 1


def test_one_gap_is_one_drift_and_is_mended_by_one_snapshot() -> None:
    """However many messages are refused before it; no delta is sent into a gap."""
    rules = authority()
    replica = connected(rules)
    assert kinds(rules.on_nack(replica, Nack(1, "no"))) == [Log]
    assert rules.on_nack(replica, Nack(1, "no")) == []
    assert rules.on_resync(replica, Resync(1)) == []
    assert rules.apply([POD]) == []
    assert kinds(rules.on_observed(replica, None)) == [Snapshot]
    assert rules.drifts == 1
