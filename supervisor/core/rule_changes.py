"""Changes of the operator's rules, from the request to the answer. PURE.

A change is in force only after it is on the disk. While one document is being written, further changes wait; then many of
them go into the next document together, so a thousand of them cost a few writes and not a thousand. Their number has a
maximum: their answers are given in one turn of the loop, and every other client waits for that.

Where it is not known whether a document in place would outlive a power failure, the rules in force are those of the
document, and the client is told that it is not known.
"""

from msgspec import Struct

from agent.model.control.result import RuleChange
from agent.model.errors import ExitCode
from agent.model.rule import RULES_MAX, GroupRule, canonical, rule_key
from agent.model.rule_state import Change
from supervisor.core.authority import Authority
from supervisor.core.effect import Asker, Effect, Log, Persist, Persisted, Problem, Respond
from supervisor.core.event_history import EventHistory
from supervisor.core.rulebook import Rulebook

CONDITION = "rules_not_durable"
WAITING_MAX = 1024
# An answer costs some 50 us.
CHANGES_PER_DOCUMENT_MAX = 128
# All rules together: beside the pods they must fit into one snapshot (`agent.model.message.FRAME_BYTES_MAX`).
RULES_BYTES_MAX = 8 << 20


class Mutation(Struct, frozen=True):
    """One requested change: the rule to add or replace. *Absent:* None removes the rule of that name."""

    asker: Asker
    name: str
    rule: GroupRule | None


class RuleChanges:
    """The changes that wait for the disk."""

    def __init__(self, authority: Authority, history: EventHistory) -> None:
        self._authority = authority
        self._history = history
        self._waiting: list[Mutation] = []
        self._under_way: list[Mutation] = []
        self._under_way_bytes = 0
        self._last_token = 0
        # The document in place may not outlive a power failure: the next one is written even if it holds the same.
        self._is_unsure = False
        self._weakness = ""

    def ask(self, mutation: Mutation) -> list[Effect]:
        """Queue a change, and write it if no document is being written."""
        if len(self._waiting) >= WAITING_MAX:
            problem = Problem("too_busy", "too many rule changes wait for the disk; try again", int(ExitCode.TRY_AGAIN))
            return [Respond(mutation.asker, None, problem)]
        self._waiting.append(mutation)
        return [] if self._under_way else self._write_waiting()

    def on_persisted(self, outcome: Persisted, now_ns: int) -> list[Effect]:
        """The disk has answered for the document being written."""
        if outcome.token != self._last_token or not self._under_way:
            return []
        done, self._under_way, self._under_way_bytes = self._under_way, [], 0
        effects = self._note_weakness(outcome.weakness)
        if outcome.problem and not outcome.is_in_place:
            sentence = f"{outcome.problem}; the rules are as before; make room or mend the state folder, then try again"
            effects += _refuse(done, Problem("not_durable", sentence, int(ExitCode.IO)))
        else:
            changes: list[Change] = [(rule_key(each.name), None if each.rule is None else canonical(each.rule)) for each in done]
            effects += self._authority.apply(changes)
            effects += self._answer_in_place(done, outcome.problem, now_ns)
        return effects + self._write_waiting()

    def _answer_in_place(self, done: list[Mutation], problem: str, now_ns: int) -> list[Effect]:
        """The document with these changes is what the next start reads, unless (`problem`) a power failure takes it away."""
        self._is_unsure = bool(problem)
        if not problem:
            effects: list[Effect] = []
            if (ended := self._history.end_own(CONDITION, now_ns)) is not None:
                effects += [ended.log(), Log("rules_durable", "info", {})]
            return [*effects, *(Respond(each.asker, RuleChange(revision=self._authority.revision, changed=True)) for each in done)]
        begun = self._history.begin_own(CONDITION, problem, now_ns)
        sentence = f"{problem}; the change is in force, but until a later one is durable a power failure may undo it"
        noted: list[Effect] = [] if begun is None else [begun.log()]
        return [*noted, *_refuse(done, Problem("durability_unknown", sentence, int(ExitCode.IO)))]

    def _note_weakness(self, weakness: str) -> list[Effect]:
        """Once: it is the same for every document."""
        if not weakness or self._weakness:
            return []
        self._weakness = weakness
        return [Log("rules_durability_limited", "warning", {"reason": weakness})]

    def _write_waiting(self) -> list[Effect]:
        """Order the next document, with as many waiting changes as it may hold; answer those that change nothing or are refused."""
        rules = dict(self._authority.rules)
        effects: list[Effect] = []
        later: list[Mutation] = []
        names: set[str] = set()
        for number, mutation in enumerate(self._waiting):
            if len(self._under_way) >= CHANGES_PER_DOCUMENT_MAX:
                later += self._waiting[number:]
                break
            if mutation.name in names:
                # The rule that it finds is not on the disk yet; its answer must not come before that.
                later.append(mutation)
            elif (problem := self._problem(mutation, rules)) is not None:
                effects.append(Respond(mutation.asker, None, problem))
            elif rules.get(mutation.name) == mutation.rule and not self._is_unsure:
                effects.append(Respond(mutation.asker, RuleChange(revision=self._authority.revision, changed=False)))
            else:
                rules.pop(mutation.name, None)
                if mutation.rule is not None:
                    rules[mutation.name] = mutation.rule
                    self._under_way_bytes += len(canonical(mutation.rule))
                self._under_way.append(mutation)
                names.add(mutation.name)
        self._waiting = later
        if self._under_way:
            self._last_token += 1
            effects.append(Persist(self._last_token, Rulebook(self._authority.revision + 1, tuple(rules.values()))))
        return effects

    def _problem(self, mutation: Mutation, rules: dict[str, GroupRule]) -> Problem | None:
        if mutation.rule is None:
            if mutation.name in rules:
                return None
            sentence = f"there is no rule {mutation.name!r}; `agentctl list-rules` shows them"
            return Problem("no_such_rule", sentence, int(ExitCode.MISUSE))
        if mutation.name not in rules and len(rules) >= RULES_MAX:
            return Problem("too_many_rules", f"{RULES_MAX} rules are the most; remove some", int(ExitCode.MISUSE))
        if self._authority.rule_bytes + self._under_way_bytes + len(canonical(mutation.rule)) > RULES_BYTES_MAX:
            return Problem("too_many_rules", f"all rules together have at most {RULES_BYTES_MAX} bytes", int(ExitCode.MISUSE))
        return None


def _refuse(done: list[Mutation], problem: Problem) -> list[Effect]:
    return [Respond(each.asker, None, problem) for each in done]
