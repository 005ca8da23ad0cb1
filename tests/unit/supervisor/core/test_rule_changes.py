"""Changes of rules, many in a document."""

from agent.model.errors import ExitCode
from agent.model.message import Delta
from agent.model.rule import RULES_MAX, GroupRule, Match
from supervisor.core.authority import Authority
from supervisor.core.effect import ClientAsker, Effect, Log, Persist, Persisted, Respond, Send
from supervisor.core.event_history import EventHistory
from supervisor.core.rule_changes import CHANGES_PER_DOCUMENT_MAX, CONDITION, RULES_BYTES_MAX, WAITING_MAX, Mutation, RuleChanges
from supervisor.core.rulebook import Rulebook


class Disk:
    """Changes, and a disk that answers when it is told to."""

    def __init__(self, *held: str) -> None:
        self.authority = Authority(Rulebook(0, tuple(GroupRule(name) for name in held)))
        self.history = EventHistory()
        self.changes = RuleChanges(self.authority, self.history)
        self.orders: list[Persist] = []
        self.asked = 0

    def add(self, name: str, priority: int = 0, labels: dict[str, str] | None = None) -> list[Effect]:
        """Ask for a rule."""
        return self._ask(name, GroupRule(name, priority, Match(labels=labels or {})))

    def remove(self, name: str) -> list[Effect]:
        """Ask for its removal."""
        return self._ask(name, None)

    def answer(self, problem: str = "", *, is_in_place: bool = False, weakness: str = "") -> list[Effect]:
        """The disk answers for the last document."""
        return self._keep(self.changes.on_persisted(Persisted(self.orders[-1].token, problem, is_in_place, weakness), 5))

    def _ask(self, name: str, rule: GroupRule | None) -> list[Effect]:
        self.asked += 1
        return self._keep(self.changes.ask(Mutation(ClientAsker(self.asked), name, rule)))

    def _keep(self, effects: list[Effect]) -> list[Effect]:
        self.orders += [each for each in effects if isinstance(each, Persist)]
        return effects


def answers(effects: list[Effect]) -> list[str]:
    """Of each client: the code of its problem, or `done`."""
    return ["done" if each.problem is None else each.problem.code for each in effects if isinstance(each, Respond)]


def kinds(effects: list[Effect]) -> list[str]:
    """Of what is logged."""
    return [each.kind for each in effects if isinstance(each, Log)]


def test_a_rule_is_in_force_after_it_is_on_the_disk() -> None:
    """Workers hear of it then; the same again is written nowhere, and a removal is a change too."""
    disk = Disk()
    disk.authority.on_hello("writer", 1)
    assert answers(disk.add("a")) == []
    effects = disk.answer()
    assert answers(effects) == ["done"]
    assert [type(each.message) for each in effects if isinstance(each, Send)] == [Delta]
    assert answers(disk.add("a")) == ["done"]
    assert len(disk.orders) == 1
    disk.remove("a")
    assert answers(disk.answer()) == ["done"]
    assert disk.authority.rules == {}


def test_what_was_never_written_changes_nothing() -> None:
    """Every client of the document is told so."""
    disk = Disk()
    disk.add("a")
    effects = disk.answer("no space left on device")
    assert answers(effects) == ["not_durable"]
    assert disk.authority.rules == {}


def test_a_document_that_may_not_outlive_a_power_failure_is_in_force_and_told() -> None:
    """A condition stands until a later document is durable, and the same rule again is written then."""
    disk = Disk()
    disk.add("a")
    effects = disk.answer("the folder cannot be synced", is_in_place=True)
    assert (answers(effects), list(disk.authority.rules)) == (["durability_unknown"], ["a"])
    assert ("supervisor", CONDITION) in disk.history.conditions
    disk.add("a")
    effects = disk.answer("the folder cannot be synced", is_in_place=True)
    assert (answers(effects), kinds(effects)) == (["durability_unknown"], [])
    disk.add("a")
    effects = disk.answer()
    assert answers(effects) == ["done"]
    assert "rules_durable" in kinds(effects)
    assert disk.history.conditions == {}


def test_a_file_system_that_promises_nothing_is_told_once() -> None:
    """It is the same for every document."""
    disk = Disk()
    disk.add("a")
    assert kinds(disk.answer(weakness="a file system in memory")) == ["rules_durability_limited"]
    disk.add("b")
    assert kinds(disk.answer(weakness="a file system in memory")) == []


def test_changes_that_wait_go_into_one_document_up_to_its_bound() -> None:
    """A second change of one name waits for the first, because its answer must not come before."""
    disk = Disk()
    disk.add("first")
    for number in range(CHANGES_PER_DOCUMENT_MAX + 1):
        disk.add(f"r{number:04}")
    disk.add("r0000", priority=5)
    disk.answer()
    assert len(disk.orders[-1].book.rules) == 1 + CHANGES_PER_DOCUMENT_MAX
    assert len(answers(disk.answer())) == CHANGES_PER_DOCUMENT_MAX
    assert len(disk.orders[-1].book.rules) == 2 + CHANGES_PER_DOCUMENT_MAX
    assert answers(disk.answer()) == ["done", "done"]
    disk.add("x")
    disk.add("y")
    disk.add("y", priority=5)
    disk.answer()
    assert answers(disk.answer()) == ["done"]
    assert [rule.priority for rule in disk.orders[-1].book.rules if rule.name == "y"] == [5]


def test_too_many_that_wait_are_refused_at_once() -> None:
    """A disk that does not answer costs a bounded memory."""
    disk = Disk()
    disk.add("first")
    for number in range(WAITING_MAX):
        assert disk.add(f"r{number}") == []
    assert answers(disk.add("last")) == ["too_busy"]


def test_an_answer_for_another_document_is_none() -> None:
    """Nothing is under way, or something else is."""
    disk = Disk()
    assert disk.changes.on_persisted(Persisted(0), 0) == []
    disk.add("a")
    assert disk.changes.on_persisted(Persisted(9), 0) == []


def test_what_cannot_be_done_is_refused_without_a_document() -> None:
    """A rule that is not there, one too many, and more bytes than a snapshot carries."""
    disk = Disk()
    (answer,) = disk.remove("a")
    assert isinstance(answer, Respond)
    assert answer.problem is not None
    assert (answer.problem.code, answer.problem.exit) == ("no_such_rule", int(ExitCode.MISUSE))
    full = Disk(*(f"r{number}" for number in range(RULES_MAX)))
    assert answers(full.add("one more")) == ["too_many_rules"]
    assert answers(full.add("r0", priority=1)) == []
    large = {f"{number}".rjust(300, "k"): "v" * 60 for number in range(32)}
    heavy = Disk()
    heavy.authority.rule_bytes = RULES_BYTES_MAX - 5_000
    assert answers(heavy.add("a", labels=large)) == ["too_many_rules"]
