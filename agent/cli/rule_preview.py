"""Which of the pods and units that there are a new rule matches."""

import msgspec

from agent.cli.call import Call
from agent.model.control.result import PodList, PodRow
from agent.model.errors import EvergaugeError
from agent.model.rule import GroupRule, QosClass, Unit, UnitKind, matches


def preview(call: Call, rule: dict[str, object]) -> None:
    """Say how many pods and units a rule matches that is in force now, and why none if no name is known.

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
    if not matched and _asks_for_names(wanted) and not any(unit.namespace for unit in units):
        problem = "no container runtime has reported a namespace or label of any pod"
        call.warn(f"add-rule: rule {wanted.name} takes no pod yet: {problem}; `agentctl doctor` says why")


def unit_of(pod: PodRow) -> Unit:
    """A pod of `list-pods` as rules see it; a kind or class of a later version is none that a rule asks for."""
    kind = UnitKind(pod.kind) if pod.kind in set(UnitKind) else UnitKind.SCOPE
    qos = QosClass(pod.qos) if pod.qos in set(QosClass) else None
    return Unit(pod.uid, kind, pod.cgroup, pod.containers, pod.namespace, pod.name, qos, pod.labels)


def _asks_for_names(rule: GroupRule) -> bool:
    """Whether a rule asks for what only a container runtime knows; a name may also be that of a service or scope."""
    return rule.match.namespace != "*" or bool(rule.match.labels)
