"""A story in which every part of every document of the control socket has a value."""

from fakes.story import Story

from agent.model.message import Condition, Note, Publish
from agent.model.rule import Assignment, GroupRule, Match, Monitoring, QosClass, Unit, UnitKind, canonical, pod_key
from agent.model.timebase import S
from supervisor.core.effect import Exited, Respond
from supervisor.core.rulebook import Rulebook
from supervisor.shell.control_socket import answer_of

WORKERS = {
    "writer": "writer",
    "control-plane": "control-plane",
    "gateway": "gateway",
    "sampler/process": "sampler",
    "workloads": "on-demand",
}


def story_of_everything() -> Story:
    """Rules, pods in several states, a condition, notes, a worker that died twice and waits, one that holds older rules."""
    rules = (GroupRule(name="web", match=Match(qos=QosClass.BURSTABLE)), GroupRule(name="all", priority=3))
    story = Story(WORKERS, book=Rulebook(4, rules))
    for number, name in enumerate(WORKERS):
        story.bring_up(name, pid=100 + number)
    story.advance(1 * S)
    told = story.say("control-plane", Publish(_pods(), complete=True))
    story.acknowledge("writer", told)
    story.say("writer", Condition(kind="disk", active=True, detail="nearly full", blocks_ready=True))
    story.say("writer", Note(kind="sealed", severity="info", fields={"rows": 7, "table": "process"}))
    for _ in range(3):
        story.tell(Exited("sampler/process", story.child("sampler/process").epoch, -9, ("one", "two")))
        if story.child("sampler/process").has_process:
            story.bring_up("sampler/process", pid=200)
    return story


def _pods() -> list[tuple[str, bytes | None]]:
    pod = Unit(
        "u1",
        UnitKind.POD,
        "/kubepods/podu1",
        containers=2,
        namespace="shop",
        name="cart",
        qos=QosClass.BURSTABLE,
        labels={"app": "cart"},
        container_names={"c1": "server", "c2": "proxy"},
    )
    monitoring = Monitoring(("/r/mon_groups/pod_u1",), "", "detail", 2, 1)
    failed = Monitoring((), "capacity", "Out of RMIDs", 1, 0)
    assignments = (
        Assignment(pod, "web", "web", 1_700_000_000 * S, 0, monitoring),
        Assignment(Unit("u2", UnitKind.POD, "/kubepods/podu2", containers=1), None, "quiet", 0),
        Assignment(Unit("u3", UnitKind.POD, "/kubepods/podu3", containers=1), "u3", None, 0, 0, failed),
    )
    return [(pod_key(each.unit.uid), canonical(each)) for each in assignments]


def wire_line(answer: Respond) -> bytes:
    """The answer as it goes over the socket."""
    return answer_of(answer.result, answer.problem)
