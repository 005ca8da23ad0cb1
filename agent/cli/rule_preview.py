"""Which of the pods and units that there are a new rule matches."""

from collections.abc import Collection, Sequence

import msgspec

from agent.cli.call import Call
from agent.cli.render import escape
from agent.cli.width import cut
from agent.model.control.result import PodList, PodRow
from agent.model.errors import EvergaugeError
from agent.model.glob import Glob
from agent.model.rule import GroupRule, QosClass, Unit, UnitKind, matches

# What a misspelt name is compared with; all of them are in list-pods.
_NAMES_MAX, _NAME_COLUMNS_MAX = 5, 40


def preview(call: Call, rule: dict[str, object]) -> None:
    """Say how many pods and units a rule matches that is in force now, and why none if none does.

    Where the agent does not give its pods in time, nothing is said: the rule is in force in any case.
    """
    try:
        listed = call.read(PodList, call.ask("list-pods"))
        wanted = msgspec.convert(rule, GroupRule)
    except (EvergaugeError, msgspec.ValidationError):
        return
    units = [unit_of(pod) for pod in listed.pods]
    matched = sum(matches(wanted, unit) for unit in units)
    call.show([f"it matches {matched} of {len(units)} pods and units now"])
    if not matched and (reason := why_none(wanted, units)):
        call.warn(f"add-rule: rule {wanted.name} takes no pod yet: {reason}")


def why_none(rule: GroupRule, units: Sequence[Unit]) -> str:
    """The first condition that no pod meets, and what there is instead: a name may be misspelt. Empty where each is met."""
    want = rule.match
    namespaces = {unit.namespace for unit in units if unit.namespace is not None}
    if _asks_for_names(rule) and not namespaces:
        return "no container runtime has reported a namespace or label of any pod; `agentctl doctor` says why"
    for part, pattern, known in (
        ("namespace", want.namespace, namespaces),
        ("name", want.pod, {unit.name for unit in units if unit.name is not None}),
    ):
        if pattern != "*" and known and not any(Glob(pattern).matches(name) for name in known):
            return f"no pod has {part} {escape(pattern)}; there are {_listed(known)}"
    for key, value in want.labels.items():
        values = {unit.labels[key] for unit in units if key in unit.labels}
        if not values:
            return f"no pod has label {escape(key)}; `agentctl list-pods --wide` shows labels"
        if value not in values:
            return f"no pod has label {escape(key)}={escape(value)}; its values are {_listed(values)}"
    return ""


def _listed(names: Collection[str]) -> str:
    first = sorted(names)[:_NAMES_MAX]
    more = f" and {len(names) - len(first)} more" if len(names) > len(first) else ""
    return ", ".join(escape(cut(name, _NAME_COLUMNS_MAX)) for name in first) + more


def unit_of(pod: PodRow) -> Unit:
    """A pod of `list-pods` as rules see it; a kind or class of a later version is none that a rule asks for."""
    kind = UnitKind(pod.kind) if pod.kind in set(UnitKind) else UnitKind.SCOPE
    qos = QosClass(pod.qos) if pod.qos in set(QosClass) else None
    return Unit(pod.uid, kind, pod.cgroup, pod.containers, pod.namespace, pod.name, qos, pod.labels)


def _asks_for_names(rule: GroupRule) -> bool:
    """Whether a rule asks for what only a container runtime knows; a name may also be that of a service or scope."""
    return rule.match.namespace != "*" or bool(rule.match.labels)
