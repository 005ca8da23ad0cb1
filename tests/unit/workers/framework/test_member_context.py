"""A sampler that shares a process has the process's ports, and its own name on what it says and sends."""

from types import SimpleNamespace
from typing import Any, cast

from fakes.bus import RecordingBus

from agent.model.message import Condition, Note
from workers.framework.declaration import WorkerContext
from workers.framework.member_context import MemberBus, MemberContext


def test_conditions_and_notes_carry_its_name() -> None:
    """Everything else goes through unchanged."""
    bus = RecordingBus()
    own = MemberBus(bus, "sampler/a")
    own.condition(Condition("unreadable", active=True, detail="x"))
    own.note(Note("dropped", "warning", {}))
    own.publish([("pod/a", None)], complete=True)
    assert own.request("status") == 1
    assert (bus.conditions[0].member, bus.notes[0].member) == ("sampler/a", "sampler/a")
    assert (bus.published[0].changes, bus.requests) == ([("pod/a", None)], ["status"])


def test_its_outbox_has_its_name_and_all_else_is_the_processs() -> None:
    """The same clock, files, heartbeat and settings."""
    ports = {name: object() for name in ("launch", "clock", "heartbeat")}
    asked: list[tuple[Any, ...]] = []

    def answer(*words: Any, **named: Any) -> Any:
        asked.append((*words, *named.values()))
        return asked[-1]

    methods = dict.fromkeys(("tree", "outbox", "data_peer", "tables", "statistics"), answer)
    around = cast(WorkerContext, SimpleNamespace(bus=RecordingBus(), **ports, **methods))
    context = MemberContext(around, "sampler/a")
    assert [context.launch, context.clock, context.heartbeat] == list(ports.values())
    context.outbox(7)
    context.tree("/proc")
    assert asked == [(7, "sampler/a"), ("/proc",)]
    assert [context.data_peer(), context.tables(), context.statistics()] == [()] * 3
    assert isinstance(context.bus, MemberBus)
