"""Binds units to groups by many rules, quickly. PURE.

It gives what `agent.model.rule.bind` gives. That one tries every rule's globs for every unit; with 1,000 rules and 1,000
units the loop of this worker would stand still for seconds, so here rules are prepared once and answers are remembered.
"""

from collections.abc import Callable

from agent.model.glob import Glob
from agent.model.heartbeat import beating
from agent.model.rule import GroupRule, QosClass, Unit

# What a rule can ask about a unit, and what comes of it: `(group, rule)`; the unit's own group stands as OWN_GROUP.
_Question = tuple[str | None, str | None, QosClass | None, tuple[tuple[str, str], ...]]
_Test = Callable[[str], object]
_Candidate = tuple[GroupRule, _Test | None, _Test | None]

# Services of one kind and pods without names ask the same question; more different ones than this are no host's.
ANSWERS_MAX = 20_000
# Preparing a glob takes up to a millisecond; trying one takes a microsecond, or for the longest globs and names a hundred.
_RULES_PER_BEAT = 16
_TRIES_PER_BEAT = 64


class _Unanswered:
    """Stands where there is no answer yet: None is one."""


_UNANSWERED = _Unanswered()


class Binder:
    """The rules in the order in which they are tried (`agent.model.rule.in_order`), ready to be asked."""

    def __init__(self, ordered_rules: list[GroupRule], heartbeat: Callable[[], None] | None = None) -> None:
        """`heartbeat` is called while rules are prepared and in `bind`: either may take longer than a worker may be silent."""
        self._heartbeat = heartbeat
        self._all: list[_Candidate] = [
            (rule, _test(rule.match.namespace), _test(rule.match.pod))
            for rule in beating(ordered_rules, heartbeat, _RULES_PER_BEAT)
        ]
        # Without a container runtime no unit has a namespace: every rule that names one is out at once.
        self._without_namespace = [candidate for candidate in self._all if candidate[1] is None]
        self._answers: dict[_Question, GroupRule | None] = {}
        self._priorities = {rule.name: rule.priority for rule in ordered_rules}

    def priority(self, rule: str | None) -> int:
        """The priority that a rule gives to what it binds; 0 without a rule."""
        return 0 if rule is None else self._priorities.get(rule, 0)

    @property
    def answers_count(self) -> int:
        """How many answers are remembered; at most ANSWERS_MAX."""
        return len(self._answers)

    def bind(self, unit: Unit) -> tuple[str | None, str | None]:
        """The group and the rule for a unit, as `agent.model.rule.bind` gives them."""
        return self._bound(unit, self._heartbeat)

    def bind_quietly(self, unit: Unit) -> tuple[str | None, str | None]:
        """The same for another thread than the one that the heartbeat speaks for; both may ask at once."""
        return self._bound(unit, None)

    def _bound(self, unit: Unit, heartbeat: Callable[[], None] | None) -> tuple[str | None, str | None]:
        question = (unit.namespace, unit.name, unit.qos, tuple(sorted(unit.labels.items())))
        # Each of these is one step for every thread. Whatever another does in between, an answer is only missing and found again.
        rule = self._answers.get(question, _UNANSWERED)
        if isinstance(rule, _Unanswered):
            rule = self._first_match(unit, heartbeat)
            if len(self._answers) >= ANSWERS_MAX:
                self._answers.clear()
            self._answers[question] = rule
        if rule is None:
            return unit.uid, None
        if rule.action.kind == "ignore":
            return None, rule.name
        return (rule.action.group if rule.action.kind == "shared" else unit.uid), rule.name

    def _first_match(self, unit: Unit, heartbeat: Callable[[], None] | None) -> GroupRule | None:
        candidates = self._without_namespace if unit.namespace is None else self._all
        for rule, namespace, pod in beating(candidates, heartbeat, _TRIES_PER_BEAT):
            want = rule.match
            if (
                (want.qos is None or want.qos is unit.qos)
                and (namespace is None or (unit.namespace is not None and namespace(unit.namespace)))
                and (pod is None or (unit.name is not None and pod(unit.name)))
                and all(unit.labels.get(key) == value for key, value in want.labels.items())
            ):
                return rule
        return None


def _test(pattern: str) -> _Test | None:
    """The test of a glob, None for the one that takes everything, absent names included."""
    if pattern == "*":
        return None
    if not any(letter in pattern for letter in "*?["):
        return pattern.__eq__
    return Glob(pattern).matches
