"""Reads the operator's rules as the supervisor hands them out."""

from collections.abc import Callable, Sequence

from agent.model.errors import FormatError
from agent.model.heartbeat import beating
from agent.model.message import Note
from agent.model.rule import GroupRule, decode_rule, in_order
from agent.model.rule_state import Change
from agent.ports import Bus


def read_rules(entries: Sequence[Change], bus: Bus, heartbeat: Callable[[], None]) -> list[GroupRule]:
    """The rules in the order in which they are tried; one that cannot be read is noted and left out."""
    rules: list[GroupRule] = []
    for key, content in beating(entries, heartbeat):
        try:
            rules.append(decode_rule(content or b""))
        except FormatError as problem:
            # The supervisor checked it before it was durable: a rule of a newer version, most likely.
            bus.note(Note("rule_unreadable", "error", {"key": key, "problem": problem.sentence}))
    return in_order(rules)
