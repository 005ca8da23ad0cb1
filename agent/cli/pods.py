"""The command list-pods."""

from collections.abc import Iterable, Mapping

from agent.cli.call import Call
from agent.cli.option import SWITCH, Command, Option
from agent.cli.pod_name import pod_name
from agent.cli.render import ABSENT, GAP, TextColumn, table, text_of
from agent.cli.rules import label_of
from agent.cli.terminal_width import width_of
from agent.cli.width import display_width
from agent.model.control.document import members
from agent.model.control.result import PodList
from agent.model.errors import MisuseError

# A pod's own group is named by its uid, which is too long for a table of many pods.
OWN_GROUP = "its own"
KINDS = ("pod", "service", "scope", "slice", "workload")
POD_COLUMNS = (
    TextColumn("KIND"),
    TextColumn("POD", yields=True),
    TextColumn("UID", yields=True),
    TextColumn("QOS"),
    TextColumn("CONTAINERS", right=True),
    TextColumn("GROUP", yields=True),
    TextColumn("GROUP STATE"),
    TextColumn("RULE", yields=True),
    TextColumn("LABELS", yields=True),
    TextColumn("CONTAINER NAMES", yields=True),
    TextColumn("REASON", yields=True),
)
_POD, _UID = 1, 2
# Only with --wide.
_WIDE = frozenset((8, 9, 10))


def flat(pod: dict[str, object]) -> dict[str, object]:
    """A pod with its assignment in one object: `worker-state` nests the pod in a `unit`, `list-pods` does not."""
    unit = pod.get("unit")
    return {**pod, **unit} if isinstance(unit, dict) else pod


def _cells(pod: dict[str, object]) -> tuple[str, ...]:
    name = pod_name(pod.get("namespace"), pod.get("name"))
    return (
        text_of(pod.get("kind")),
        text_of(name or pod.get("uid")),
        # A unit without a name, and a service, whose path ends in its name, are shown by their uid already.
        text_of(pod.get("uid")) if name and pod.get("kind") == KINDS[0] else ABSENT,
        text_of(pod.get("qos")),
        _containers(pod),
        OWN_GROUP if pod.get("group") == pod.get("uid") else text_of(pod.get("group")),
        _group_state(pod),
        text_of(pod.get("rule")),
        text_of(",".join(sorted(f"{key}={value}" for key, value in _members(pod, "labels").items()))),
        text_of(",".join(sorted(map(str, _members(pod, "container_names").values())))),
        text_of(pod.get("group_detail")),
    )


def _members(pod: dict[str, object], name: str) -> Mapping[str, object]:
    part = pod.get(name)
    return part if isinstance(part, dict) else {}


def _containers(pod: dict[str, object]) -> str:
    """Their number; where threads of some are not in the group yet, of how many all threads are."""
    whole, total = pod.get("reconciled_containers"), pod.get("total_containers")
    return text_of(pod.get("containers")) if whole == total else f"{text_of(whole)} of {text_of(total)} grouped"


def _group_state(pod: dict[str, object]) -> str:
    problem = pod.get("group_problem")
    return f"{text_of(pod.get('group_state'))}: {text_of(problem)}" if problem else text_of(pod.get("group_state"))


def show_pods(call: Call, pods: list[dict[str, object]], *, is_wide: bool = False) -> None:
    """Print pods as a table without the columns in which no pod has a value, or a sentence where there are no pods.

    The uid is shown where there is room for it; --wide and --json always have it. With --wide nothing is cut: a terminal wraps it.
    """
    if not pods:
        call.show(["no pods or units seen"])
        return
    rows = sorted(_cells(flat(pod)) for pod in pods)
    kept = [
        index
        for index in range(len(POD_COLUMNS))
        if index <= _POD or ((is_wide or index not in _WIDE) and any(row[index] != ABSENT for row in rows))
    ]
    width = width_of(call.output)
    if not is_wide and _UID in kept and width is not None and _columns_of(rows, kept) > width:
        kept.remove(_UID)
    columns, cells = [POD_COLUMNS[index] for index in kept], [[row[index] for index in kept] for row in rows]
    if is_wide:
        call.show(table(columns, cells))
    else:
        call.show_table(columns, cells)


def _columns_of(rows: list[tuple[str, ...]], kept: list[int]) -> int:
    """How wide the table is with all of its texts."""
    widths = (max(map(display_width, (POD_COLUMNS[index].title, *(row[index] for row in rows)))) for index in kept)
    return sum(widths) + len(GAP) * (len(kept) - 1)


class PodChoice:
    """Which pods are asked for: all conditions must hold, as those of a rule."""

    def __init__(self, call: Call) -> None:
        """*Raises:* MisuseError for a label that is none, and an empty pattern."""
        from agent.model.glob import Glob

        texts = {name: call.text(option) for name, option in _OPTION_OF.items()}
        for name, text in texts.items():
            if text == "":
                raise MisuseError("list-pods", f"{_OPTION_OF[name]}: an empty pattern matches no pod", "`*` matches every one")
        self._globs = {name: Glob(text) for name, text in texts.items() if text}
        self._labels = dict(map(label_of, call.texts("--label")))
        self._kind = call.text("--kind")

    def __bool__(self) -> bool:
        """Whether it leaves anything out."""
        return bool(self._globs or self._labels or self._kind)

    def of(self, pods: Iterable[dict[str, object]]) -> list[dict[str, object]]:
        """The pods that are asked for, in their order."""
        return [pod for pod in pods if self._takes(pod)]

    def _takes(self, pod: dict[str, object]) -> bool:
        labels = _members(pod, "labels")
        return (
            (self._kind is None or pod.get("kind") == self._kind)
            and all(isinstance(name := pod.get(part), str) and glob.matches(name) for part, glob in self._globs.items())
            and all(labels.get(key) == value for key, value in self._labels.items())
        )


_OPTION_OF = {"namespace": "--namespace", "name": "--pod"}


def list_pods(call: Call) -> int:
    """`agentctl list-pods`."""
    choice = PodChoice(call)
    answer = call.ask("list-pods")
    if call.wants_json and not choice:
        call.show_json(answer)
        return 0
    listed = call.read(PodList, answer)
    pods = [members(pod) for pod in listed.pods]
    chosen = choice.of(pods)
    if call.wants_json:
        call.show_json({**answer, "pods": chosen})
        return 0
    if not listed.complete:
        call.warn("list-pods: the agent's first look at the host is not complete; try again in a few seconds")
    if pods and not chosen:
        call.show([_none_of(pods)])
        return 0
    show_pods(call, chosen, is_wide=call.has("--wide"))
    return 0


def _none_of(pods: list[dict[str, object]]) -> str:
    if any(pod.get("namespace") for pod in pods):
        return f"no match among {len(pods)} pods and units"
    return f"no container runtime has reported a name of any of {len(pods)} pods and units; `agentctl doctor` says why"


COMMANDS = (
    Command(
        "list-pods",
        list_pods,
        about="the observed pods, services and scopes, each with its group and rule",
        details="A pod without a rule has a group of its own. A group of `-` means that a rule ignores the pod.\n"
        "A group's state is assigned (no monitoring groups in use), pending, exists, or failed; --wide says more.\n"
        "`1 of 2 grouped`: all threads of one container are in the group, those of the other are not yet.\n"
        "Namespace, name and labels come from the container runtime (`agentctl doctor`); without them a pod has its uid.\n"
        "If several conditions are given, all must hold; they mean what they mean in add-rule.",
        options=(
            Option("--namespace", "GLOB", "only pods of these namespaces"),
            Option("--pod", "GLOB", "only pods, services and scopes of these names"),
            Option("--label", "K=V", "only pods with this label", many=True),
            Option("--kind", "KIND", "only these: pod, service, scope, slice or workload", choices=KINDS),
            Option("--wide", "", "also uids, labels, names of containers, and why there is no group; nothing is cut", kind=SWITCH),
        ),
        examples=(
            "agentctl list-pods",
            "agentctl list-pods --namespace 'prod-*' --label app=web --wide",
            "agentctl list-pods --json | jq '.pods[].uid'",
        ),
    ),
)
