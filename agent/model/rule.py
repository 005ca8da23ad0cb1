"""Operator rules, observed pods and the assignment of one to the other. PURE."""

from enum import StrEnum
from typing import Literal

import msgspec
from msgspec import Struct

from agent.model.errors import FormatError
from agent.model.foreign import all_encodable
from agent.model.glob import STARS_MAX, prepared, stars

NAME_BYTES_MAX = 63
# 1,000 rules are the measured case of the specification; ten times that bounds a runaway script.
RULES_MAX = 10_000
RULE_PREFIX = "rule/"
# Kubernetes: a name has at most 253 bytes, a label's key 253 + 1 + 63, its value 63.
PATTERN_BYTES_MAX = 253
LABELS_MAX = 32
LABEL_KEY_BYTES_MAX = 317
LABEL_VALUE_BYTES_MAX = 63


class QosClass(StrEnum):
    """The kubelet's quality-of-service classes."""

    GUARANTEED = "guaranteed"
    BURSTABLE = "burstable"
    BESTEFFORT = "besteffort"


class UnitKind(StrEnum):
    """What a monitored part of the cgroup tree is."""

    POD = "pod"
    SERVICE = "service"
    SCOPE = "scope"
    SLICE = "slice"
    WORKLOAD = "workload"


class Match(Struct, frozen=True, forbid_unknown_fields=True):
    """Which pods a rule takes: all that is given must hold; nothing given takes every pod.

    A pod whose namespace or name is not known (no container runtime reported it) matches only the glob `*`.
    """

    namespace: str = "*"
    pod: str = "*"
    labels: dict[str, str] = {}
    qos: QosClass | None = None


class Action(Struct, frozen=True, forbid_unknown_fields=True):
    """What a rule does with a pod: a group of its own, one shared with others (`group` names it), or none."""

    kind: Literal["own", "shared", "ignore"] = "own"
    group: str = ""


class GroupRule(Struct, frozen=True, forbid_unknown_fields=True):
    """One operator rule. The highest `priority` that matches wins; if priorities are equal, the first by name."""

    name: str
    priority: int = 0
    match: Match = Match()
    action: Action = Action()


class Unit(Struct, frozen=True):
    """A pod, service, scope, slice or workload as observed. `uid` is its identity; absent names are None, never empty.

    `container_names` has the names of a pod's containers by their ids, as far as a container runtime reported them.
    """

    uid: str
    kind: UnitKind
    cgroup: str
    containers: int = 0
    namespace: str | None = None
    name: str | None = None
    qos: QosClass | None = None
    labels: dict[str, str] = {}
    container_names: dict[str, str] = {}


class Monitoring(Struct, frozen=True):
    """The state of a unit's monitoring group.

    `paths` are the absolute directories of the group, the one in the root's `mon_groups` first; there are more if threads are in
    control groups of other tools. Empty: there is no group; `problem` has the reason (a word of `workers.resctrl.problem`), or is
    empty while the group is being made. `reconciled_containers` counts containers for which a whole pass found no thread outside;
    a unit without containers counts as one.
    """

    paths: tuple[str, ...] = ()
    problem: str = ""
    detail: str = ""
    total_containers: int = 0
    reconciled_containers: int = 0


class Assignment(Struct, frozen=True):
    """A unit bound to a monitoring group: `group` is None when a rule ignores it, `rule` when none matched.

    `monitoring` is None where nothing is measured by groups: the unit is ignored, or resctrl is not in use.
    """

    unit: Unit
    group: str | None
    rule: str | None
    valid_from_wall_ns: int
    priority: int = 0
    monitoring: Monitoring | None = None


def problem_of_rule(rule: GroupRule) -> str | None:
    """What is wrong with a rule, as the end of a sentence about it. *Absent:* None when nothing is."""
    if (problem := _problem_of_name(rule.name)) is not None:
        return f"a rule's name {problem}"
    if not -1_000_000 <= rule.priority <= 1_000_000:
        return "a priority lies between -1000000 and 1000000"
    if (rule.action.kind == "shared") != bool(rule.action.group):
        return "a shared group needs a name, the other actions take none"
    if rule.action.group and (problem := _problem_of_name(rule.action.group)) is not None:
        return f"a shared group's name {problem}"
    return _problem_of_match(rule.match)


def problem_of_new_rule(rule: GroupRule) -> str | None:
    """As `problem_of_rule`, with checks for new rules only: rules that are already in force must stay readable."""
    if max(stars(rule.match.namespace), stars(rule.match.pod)) > STARS_MAX:
        return f"a pattern has at most {STARS_MAX} stars"
    if "" in (rule.match.namespace, rule.match.pod):
        # Most often an unset shell variable.
        return "an empty pattern matches no pod, `*` matches every one"
    return problem_of_rule(rule)


def _problem_of_match(match: Match) -> str | None:
    if max(len(match.namespace.encode()), len(match.pod.encode())) > PATTERN_BYTES_MAX:
        return f"a pattern has at most {PATTERN_BYTES_MAX} bytes"
    if len(match.labels) > LABELS_MAX:
        return f"a rule names at most {LABELS_MAX} labels"
    for key, value in match.labels.items():
        if len(key.encode()) > LABEL_KEY_BYTES_MAX or len(value.encode()) > LABEL_VALUE_BYTES_MAX:
            return f"a label's key has at most {LABEL_KEY_BYTES_MAX} bytes, its value {LABEL_VALUE_BYTES_MAX}"
    return None


def _problem_of_name(name: str) -> str | None:
    if not name or len(name.encode()) > NAME_BYTES_MAX or not name.isprintable():
        return f"has 1 to {NAME_BYTES_MAX} printable bytes"
    return "holds no slash" if "/" in name else None


def matches(rule: GroupRule, unit: Unit) -> bool:
    """Whether every part of the rule's match holds for the unit."""
    want = rule.match
    return (
        _glob(want.namespace, unit.namespace)
        and _glob(want.pod, unit.name)
        and all(unit.labels.get(key) == value for key, value in want.labels.items())
        and (want.qos is None or want.qos is unit.qos)
    )


def _glob(pattern: str, value: str | None) -> bool:
    return pattern == "*" or (value is not None and prepared(pattern).matches(value))


def in_order(rules: list[GroupRule]) -> list[GroupRule]:
    """The rules in the order in which they are tried."""
    return sorted(rules, key=lambda rule: (-rule.priority, rule.name))


def bind(unit: Unit, ordered_rules: list[GroupRule]) -> tuple[str | None, str | None]:
    """The group and the rule for a unit: `(group, rule)`; the unit's own group is named by its uid."""
    for rule in ordered_rules:
        if matches(rule, unit):
            if rule.action.kind == "ignore":
                return None, rule.name
            return (rule.action.group if rule.action.kind == "shared" else unit.uid), rule.name
    return unit.uid, None


def rule_key(name: str) -> str:
    """The key of an operator rule in the rule state."""
    return RULE_PREFIX + name


def pod_key(uid: str) -> str:
    """The key of an assignment in the rule state."""
    return f"pod/{uid}"


def canonical(content: GroupRule | Assignment) -> bytes:
    """The one encoding of a content: equal contents give equal bytes on every machine.

    Defaults are written out: msgspec leaves them out by identity, not by value, so a rule that spells a default would
    differ from one that does not.
    """
    try:
        return msgspec.json.encode(content, order="deterministic")
    except UnicodeEncodeError:
        # A foreign name that was not made readable. Converted back to its type, because a dict would be written in another order.
        plain = all_encodable(msgspec.to_builtins(content))
        return msgspec.json.encode(msgspec.convert(plain, type(content)), order="deterministic")


def decode_rule(content: bytes) -> GroupRule:
    """*Raises:* FormatError."""
    try:
        return msgspec.json.decode(content, type=GroupRule)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise FormatError("rule", str(cause)) from cause


def decode_assignment(content: bytes) -> Assignment:
    """*Raises:* FormatError."""
    try:
        return msgspec.json.decode(content, type=Assignment)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise FormatError("assignment", str(cause)) from cause
