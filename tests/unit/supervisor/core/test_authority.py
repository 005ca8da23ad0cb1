"""Rules reach every worker, and drift is repaired."""

import time

from fakes.story import Story

from agent.model.control.result import RuleChange, RuleList
from agent.model.heartbeat_page import Beat
from agent.model.message import Ack, Delta, Hello, Nack, Ready, Resync, Snapshot
from agent.model.rule import GroupRule, Match
from agent.model.timebase import MS
from supervisor.core.child import ChildState
from supervisor.core.effect import (
    Commanded,
    Effect,
    Persist,
    Persisted,
    Respond,
    Send,
    SendRefused,
    WorkerObservation,
    WorkersObserved,
)
from supervisor.core.rulebook import Rulebook
from supervisor.core.watchdog import ProcessState


def _story() -> Story:
    story = Story({"writer": "writer"})
    story.bring_up("writer")
    return story


def _add(story: Story, name: str) -> list[Effect]:
    (order,) = [effect for effect in story.command("add-rule", rule={"name": name}) if isinstance(effect, Persist)]
    return story.tell(Persisted(order.token))


def _look(story: Story, beat: Beat | None = None) -> list[object]:
    story.now_ns += 500 * MS
    held = beat or Beat(story.now_ns, story.now_ns, 0, b"")
    effects = story.tell(WorkersObserved((WorkerObservation("writer", story.child("writer").epoch, held, ProcessState("S", 0)),)))
    return [effect.message for effect in effects if isinstance(effect, Send)]


def test_a_rule_is_in_force_only_after_it_is_durable() -> None:
    """The delta and the answer follow the disk, not the request."""
    story = _story()
    effects = story.command("add-rule", rule={"name": "a"})
    assert [type(effect) for effect in effects] == [Persist]
    after = story.tell(Persisted(effects[0].token))  # type: ignore[union-attr]
    assert [type(effect.message) for effect in after if isinstance(effect, Send)] == [Delta]
    assert [effect.result for effect in after if isinstance(effect, Respond)] == [RuleChange(revision=1, changed=True)]


def test_a_full_disk_refuses_the_rule_and_changes_nothing() -> None:
    """The answer says so and the revision stays."""
    story = _story()
    story.command("add-rule", rule={"name": "a"})
    (answer,) = [effect for effect in story.tell(Persisted(1, "no space left")) if isinstance(effect, Respond)]
    assert answer.problem is not None
    assert "no space left" in answer.problem.sentence
    assert story.supervisor_state.authority.revision == 0


def test_adding_the_same_rule_twice_changes_nothing() -> None:
    """Idempotent, without a write."""
    story = _story()
    _add(story, "a")
    answer = story.ask("add-rule", rule={"name": "a"})
    assert answer.result == RuleChange(revision=1, changed=False)


def test_rule_changes_that_wait_for_the_disk_are_written_together() -> None:
    """While the first is written two more come: the second document holds all three, and each client is answered."""
    story = _story()
    (first,) = [effect for effect in story.command("add-rule", rule={"name": "a"}) if isinstance(effect, Persist)]
    assert story.command("add-rule", rule={"name": "b"}) == []
    assert story.command("add-rule", rule={"name": "c"}) == []
    (second,) = [effect for effect in story.tell(Persisted(first.token)) if isinstance(effect, Persist)]
    assert [rule.name for rule in second.book.rules] == ["a", "b", "c"]
    answers = [effect.result for effect in story.tell(Persisted(second.token)) if isinstance(effect, Respond)]
    assert answers == [RuleChange(revision=2, changed=True)] * 2


def test_a_worker_is_in_sync_only_after_its_acknowledgement() -> None:
    """Sent is not held."""
    story = _story()
    effects = _add(story, "a")
    assert not story.supervisor_state.authority.is_in_sync("writer")
    story.acknowledge("writer", effects)
    assert story.supervisor_state.authority.is_in_sync("writer")


def test_an_acknowledgement_of_an_older_message_is_not_taken_for_the_last() -> None:
    """The number in the acknowledgement counts."""
    story = _story()
    one, two = _add(story, "a"), _add(story, "b")
    story.acknowledge("writer", one)
    assert not story.supervisor_state.authority.is_in_sync("writer")
    story.acknowledge("writer", two)
    assert story.supervisor_state.authority.is_in_sync("writer")


def test_a_restarted_worker_gets_exactly_the_rules_in_force() -> None:
    """The snapshot after the hello holds everything."""
    story = _story()
    _add(story, "a")
    _add(story, "b")
    story.die("writer")
    story.spawned("writer")
    (effect,) = [effect for effect in story.say("writer", Hello(1)) if isinstance(effect, Send)]
    assert isinstance(effect.message, Snapshot)
    assert [key for key, _content in effect.message.entries] == ["rule/a", "rule/b"]
    assert effect.message.digest == story.supervisor_state.authority.state.digest


def test_drift_in_the_workers_own_page_is_repaired_at_the_next_look() -> None:
    """Same revision, another digest: a snapshot within two heartbeats, counted."""
    story = _story()
    story.acknowledge("writer", _add(story, "a"))
    wrong = Beat(1, story.now_ns, 1, b"\1" * 32)
    messages = _look(story, wrong) + _look(story, wrong)
    assert [type(message) for message in messages] == [Snapshot]
    assert story.supervisor_state.authority.drifts == 1


def test_a_refused_send_ends_in_a_snapshot() -> None:
    """A worker that did not drain its socket is not left with a hole."""
    story = _story()
    _add(story, "a")
    story.tell(SendRefused("writer", 1))
    assert [type(message) for message in _look(story)] == [Snapshot]


def test_a_nack_is_answered_by_one_snapshot_per_look_and_not_at_once() -> None:
    """Two stubborn sides do not spin."""
    story = _story()
    _add(story, "a")
    assert story.say("writer", Nack(2, "no")) == []
    assert [type(message) for message in _look(story)] == [Snapshot]


def test_a_worker_that_missed_a_message_gets_a_snapshot() -> None:
    """Resync is heard."""
    story = _story()
    story.say("writer", Resync(2))
    assert [type(message) for message in _look(story)] == [Snapshot]


def test_a_lost_acknowledgement_is_repaired_after_some_looks() -> None:
    """A worker that does not answer is sent everything again, not waited for."""
    story = _story()
    _add(story, "a")
    messages = [message for _ in range(6) for message in _look(story)]
    assert [type(message) for message in messages] == [Snapshot]


def test_a_wrong_digest_in_an_acknowledgement_is_drift() -> None:
    """Same number, other contents."""
    story = _story()
    (effect,) = [effect for effect in _add(story, "a") if isinstance(effect, Send)]
    assert isinstance(effect.message, Delta)
    story.say("writer", Ack(effect.message.sequence, effect.message.revision, b"\2" * 32))
    assert story.supervisor_state.authority.drifts == 1


def test_rules_of_a_former_supervisor_are_in_force_from_the_start() -> None:
    """The revision goes on where it was."""
    story = Story({"writer": "writer"}, book=Rulebook(17, (GroupRule("kept"),)))
    answer = story.ask("list-rules")
    assert isinstance(answer.result, RuleList)
    assert answer.result.revision == 17
    assert [rule["name"] for rule in answer.result.rules] == ["kept"]


def test_a_worker_is_up_although_rules_change_while_its_snapshot_is_on_its_way() -> None:
    """Its acknowledgement of the snapshot is not of the last message, but it says that the snapshot is loaded."""
    story = Story({"writer": "writer"})
    story.spawned("writer")
    hello = story.say("writer", Hello(100))
    delta = _add(story, "a")
    story.acknowledge("writer", hello)
    story.say("writer", Ready())
    assert story.state("writer") is ChildState.UP
    story.acknowledge("writer", delta)
    assert story.supervisor_state.authority.is_in_sync("writer")


def test_rules_have_a_size_and_the_sum_of_them_too() -> None:
    """What could not be sent in one snapshot is not accepted."""
    story = _story()
    assert story.ask("add-rule", rule={"name": "a", "match": {"labels": {"k": "v" * 64}}}).problem is not None
    assert story.ask("add-rule", rule={"name": "a", "match": {"pod": "p" * 254}}).problem is not None
    labels = {"k" * 300 + str(number): "v" * 63 for number in range(32)}
    book = Rulebook(1, tuple(GroupRule(f"r{number}", match=Match(labels=labels)) for number in range(720)))
    problem = Story({"writer": "writer"}, book=book).ask("add-rule", rule={"name": "a"}).problem
    assert problem is not None
    assert problem.code == "too_many_rules"


def test_a_removal_of_a_rule_that_is_only_about_to_be_there_waits_for_it() -> None:
    """add and remove in one breath: the second is judged after the first."""
    story = _story()
    (first,) = [effect for effect in story.command("add-rule", rule={"name": "a"}) if isinstance(effect, Persist)]
    assert story.command("remove-rule", name="a") == []
    (second,) = [effect for effect in story.tell(Persisted(first.token)) if isinstance(effect, Persist)]
    story.tell(Persisted(second.token))
    assert story.supervisor_state.authority.rules == {}


def test_many_changes_beside_many_rules_cost_little_each() -> None:
    """A thousand beside 8,500: what a change costs must not grow with the rules that there are; the loop answers others between."""
    # Measured: 5 ms; it was 1.65 s. CPU time of this thread, and the best of three: what a virtual machine is kept from counts too.
    assert any(_longest_change_ns() < 100 * MS for _ in range(3))


def _longest_change_ns() -> int:
    """Of a thousand changes, the CPU time of the one that costs most."""
    story = Story({"a": "sampler"}, book=Rulebook(1, tuple(GroupRule(f"old-{number}") for number in range(8_500))))
    story.bring_up("a")
    longest_ns = 0
    orders: list[Persist] = []
    events: list[object] = [Commanded(client, "add-rule", {"rule": {"name": f"new-{client}"}}) for client in range(1_000)]
    while events:
        before_ns = time.thread_time_ns()
        orders += [effect for effect in story.machine.handle(events.pop(0), 0) if isinstance(effect, Persist)]  # type: ignore[arg-type]
        longest_ns = max(longest_ns, time.thread_time_ns() - before_ns)
        if not events:
            events += [Persisted(order.token) for order in orders]
            orders.clear()
    assert len(story.supervisor_state.authority.rules) == 9_500
    return longest_ns
