"""Changes of the operator's rules, from the request to the answer. PURE.

A change is in force only after it is on the disk. While one document is being written, further changes wait; then all
that wait go into the next document together, so a thousand of them cost a few writes and not a thousand.
"""

from msgspec import Struct

from agent.model.errors import ExitCode
from agent.model.rule import RULES_MAX, GroupRule, canonical, rule_key
from agent.model.rule_state import Change
from supervisor.core.authority import Authority
from supervisor.core.effect import Asker, Effect, Persist, Problem, Respond
from supervisor.core.rulebook import Rulebook, encode_rulebook

WAITING_MAX = 1024
# All rules together: beside the pods they must fit into one snapshot (`agent.model.message.FRAME_BYTES_MAX`).
RULES_BYTES_MAX = 8 << 20


class Mutation(Struct, frozen=True):
    """One asked-for change: the rule to add or replace, or None to remove the one of that name."""

    asker: Asker
    name: str
    rule: GroupRule | None


class RuleChanges:
    """The changes that wait for the disk."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._waiting: list[Mutation] = []
        self._under_way: list[Mutation] = []
        self._last_token = 0

    def ask(self, mutation: Mutation) -> list[Effect]:
        """Put a change in line."""
        if len(self._waiting) >= WAITING_MAX:
            problem = Problem("too_busy", "too many rule changes wait for the disk; try again", int(ExitCode.TRY_AGAIN))
            return [Respond(mutation.asker, None, problem)]
        self._waiting.append(mutation)
        return [] if self._under_way else self._write_waiting()

    def on_persisted(self, token: int, problem: str) -> list[Effect]:
        """The disk has answered for what is under way."""
        if token != self._last_token or not self._under_way:
            return []
        done, self._under_way = self._under_way, []
        effects: list[Effect] = []
        if problem:
            sentence = f"{problem}; the rules are as before; make room or mend the state folder, then try again"
            effects += [Respond(each.asker, None, Problem("not_durable", sentence, int(ExitCode.IO))) for each in done]
        else:
            changes: list[Change] = [(rule_key(each.name), None if each.rule is None else canonical(each.rule)) for each in done]
            effects += self._authority.apply(changes)
            effects += [Respond(each.asker, {"revision": self._authority.revision, "changed": True}) for each in done]
        return effects + self._write_waiting()

    def _write_waiting(self) -> list[Effect]:
        """Order the document that holds everything in line; answer at once what changes nothing or cannot be."""
        rules = dict(self._authority.rules)
        effects: list[Effect] = []
        later: list[Mutation] = []
        names: set[str] = set()
        for mutation in self._waiting:
            if mutation.name in names:
                # What it finds there is not on the disk yet; its answer must not come before that.
                later.append(mutation)
            elif (problem := self._problem(mutation, rules)) is not None:
                effects.append(Respond(mutation.asker, None, problem))
            elif rules.get(mutation.name) == mutation.rule:
                effects.append(Respond(mutation.asker, {"revision": self._authority.revision, "changed": False}))
            else:
                rules.pop(mutation.name, None)
                if mutation.rule is not None:
                    rules[mutation.name] = mutation.rule
                self._under_way.append(mutation)
                names.add(mutation.name)
        self._waiting = later
        if self._under_way:
            self._last_token += 1
            document = encode_rulebook(Rulebook(self._authority.revision + 1, tuple(rules.values())))
            effects.append(Persist(self._last_token, document))
        return effects

    def _problem(self, mutation: Mutation, rules: dict[str, GroupRule]) -> Problem | None:
        if mutation.rule is None:
            if mutation.name in rules:
                return None
            sentence = f"there is no rule {mutation.name!r}; `agentctl list-rules` shows them"
            return Problem("no_such_rule", sentence, int(ExitCode.MISUSE))
        if mutation.name not in rules and len(rules) >= RULES_MAX:
            return Problem("too_many_rules", f"{RULES_MAX} rules are the most; remove some", int(ExitCode.MISUSE))
        under_way = sum(len(canonical(each.rule)) for each in self._under_way if each.rule is not None)
        if self._authority.rule_bytes + under_way + len(canonical(mutation.rule)) > RULES_BYTES_MAX:
            return Problem("too_many_rules", f"all rules together have at most {RULES_BYTES_MAX} bytes", int(ExitCode.MISUSE))
        return None
