"""The command list-pods."""

from agent.cli.call import Call
from agent.cli.option import Command
from agent.cli.render import ABSENT, TextColumn, text_of
from agent.model.control.document import members
from agent.model.control.result import PodList

POD_COLUMNS = (
    TextColumn("KIND"),
    TextColumn("POD", yields=True),
    TextColumn("QOS"),
    TextColumn("CONTAINERS", right=True),
    TextColumn("GROUP", yields=True),
    TextColumn("GROUP STATE"),
    TextColumn("RULE", yields=True),
)


def pod_name(namespace: object, name: object) -> str | None:
    """`namespace/name`. *Absent:* None where no container runtime has reported them."""
    if not isinstance(name, str) or not name:
        return None
    return f"{namespace}/{name}" if isinstance(namespace, str) and namespace else name


def flat(pod: dict[str, object]) -> dict[str, object]:
    """A pod with its assignment in one object: `worker-state` nests the pod in a `unit`, `list-pods` does not."""
    unit = pod.get("unit")
    return {**pod, **unit} if isinstance(unit, dict) else pod


def _cells(pod: dict[str, object]) -> tuple[str, ...]:
    return (
        text_of(pod.get("kind")),
        text_of(pod_name(pod.get("namespace"), pod.get("name")) or pod.get("uid")),
        text_of(pod.get("qos")),
        _containers(pod),
        text_of(pod.get("group")),
        _group_state(pod),
        text_of(pod.get("rule")),
    )


def _containers(pod: dict[str, object]) -> str:
    """Their number; where threads of some are not in the group yet, how many are whole, of how many."""
    whole, total = pod.get("reconciled_containers"), pod.get("total_containers")
    return text_of(pod.get("containers")) if whole == total else f"{text_of(whole)} of {text_of(total)} whole"


def _group_state(pod: dict[str, object]) -> str:
    problem = pod.get("group_problem")
    return f"{text_of(pod.get('group_state'))}: {text_of(problem)}" if problem else text_of(pod.get("group_state"))


def show_pods(call: Call, pods: list[dict[str, object]]) -> None:
    """Print pods as a table without the columns in which no pod has a value, or a sentence where there are no pods."""
    if not pods:
        call.show(["no pods or units seen"])
        return
    rows = sorted(_cells(flat(pod)) for pod in pods)
    kept = [index for index in range(len(POD_COLUMNS)) if index < 2 or any(row[index] != ABSENT for row in rows)]
    call.show_table([POD_COLUMNS[index] for index in kept], [[row[index] for index in kept] for row in rows])


def list_pods(call: Call) -> int:
    """`agentctl list-pods`."""
    answer = call.ask("list-pods")
    if call.wants_json:
        call.show_json(answer)
        return 0
    listed = call.read(PodList, answer)
    if not listed.complete:
        call.warn("list-pods: the agent's first look at the host is not complete; try again in a few seconds")
    show_pods(call, [members(pod) for pod in listed.pods])
    return 0


COMMANDS = (
    Command(
        "list-pods",
        list_pods,
        about="the observed pods, services and scopes, each with its group and rule",
        details="A pod without a rule has a group of its own. A group of `-` means that a rule ignores the pod.\n"
        "A group's state is assigned (no monitoring groups in use), pending, exists, or failed with the reason; --json shows more.",
        examples=("agentctl list-pods", "agentctl list-pods --json | jq '.pods[].uid'"),
    ),
)
