"""The loop's view of the container runtime: its news, the state of its connections, the snapshot for starting containers."""

from collections.abc import Mapping
from typing import Any, Protocol

from agent.model.heartbeat import Heartbeat
from agent.model.message import Note
from agent.model.rule import Unit
from agent.model.timebase import MS, S
from agent.ports import Bus, Interest
from workers.control_plane.binding import Binder
from workers.control_plane.container_runtime.event import LinkState, RuntimeWire
from workers.control_plane.container_runtime.link import GroupSnapshot, RuntimeLink, RuntimeNews, RuntimeSource
from workers.control_plane.container_runtime.pod_unit import unit_of_pod
from workers.control_plane.container_runtime.yielding_heartbeat import YieldingHeartbeat
from workers.framework.condition import Conditions

# A runtime that comes and goes is reported no more often than this.
NOTE_INTERVAL_NS = 10 * S
# A pod starts with two or three reports within this time, and the loop that binds them would take processors from its start.
GATHER_NS = 200 * MS
# A start takes 2 ms; one that hangs must not hold the loop up.
PLACING_SECONDS = 0.01
_Fields = dict[str, str | int | float | bool | None]


class YieldToStart(Protocol):
    """Stands still for a moment while a container waits for its start."""

    def __call__(self, seconds_max: float = ...) -> bool:
        """Gives whether one still waits."""
        ...


class RuntimeFollower:
    """The loop's end of one link. `sources` are the threads that receive its reports; `is_required`: not ready without NRI."""

    def __init__(
        self,
        link: RuntimeLink,
        bus: Bus,
        sources: Mapping[RuntimeWire, RuntimeSource],
        *,
        is_required: bool = False,
        yield_to_start: YieldToStart | None = None,
        gather_ns: int = 0,
    ) -> None:
        """`yield_to_start` stands still for a moment while a container waits for its start, and says whether one still does.

        `gather_ns`: how long the first report may wait for those that follow it.
        """
        self._gather_ns = gather_ns
        self._due_ns: int | None = None
        self._link = link
        self._bus = bus
        self._sources = sources
        self._is_required = is_required
        self._yield_to_start = yield_to_start
        self._conditions = Conditions(bus)
        self._states: dict[RuntimeWire, LinkState] = {}
        self._noted_at_ns: dict[tuple[RuntimeWire, bool], int] = {}
        self._hidden = 0
        self._synchronizations = 0
        # How often everything was reported when the last connection went.
        self._lost_at = 0
        self._is_disconnected = True

    def start(self) -> None:
        """Begin to receive reports."""
        if self._is_required:
            self._conditions.begin("nri", "the container runtime has not reported its pods yet", blocks_ready=True)
        for source in self._sources.values():
            source.start()

    def stop(self) -> None:
        """End the threads. The link stays usable: a thread that does not end may still report to it."""
        for source in self._sources.values():
            source.stop()

    def yielding(self, heartbeat: Heartbeat) -> Heartbeat:
        """The heartbeat for long work of the loop: a container that waits for its start goes first."""
        return heartbeat if self._yield_to_start is None else YieldingHeartbeat(heartbeat, self._yield_to_start)

    @property
    def interests(self) -> tuple[Interest, ...]:
        """What wakes the loop."""
        return () if self._due_ns is not None else (Interest(self._link.descriptor, readable=True, writable=False),)

    @property
    def due_ns(self) -> int | None:
        """When the reports that wait are to be taken. *Absent:* None while none waits."""
        return self._due_ns

    def gathers(self, now_ns: int) -> bool:
        """There are reports. True: they wait until `due_ns`."""
        if not self._gather_ns:
            return False
        if self._due_ns is None:
            self._due_ns = now_ns + self._gather_ns
        return now_ns < self._due_ns

    @property
    def is_disconnected(self) -> bool:
        """Whether no runtime has reported everything since its last connection was lost."""
        return self._is_disconnected

    def take(self, now_ns: int) -> RuntimeNews:
        """What is new; what a person should know of the connections becomes conditions and events."""
        self._due_ns = None
        news = self._link.take()
        for state in news.states:
            if (before := self._states.get(state.wire)) != state:
                self._states[state.wire] = state
                self._note(before, state, now_ns)
        if news.states:
            self._tell_conditions()
        self._conditions.tell("runtime_truncated", _left_out_sentence(news.left_out))
        self._synchronizations = news.synchronizations
        if any(state.is_connected for state in self._states.values()):
            self._is_disconnected = self._is_disconnected and self._synchronizations == self._lost_at
        elif not self._is_disconnected:
            self._is_disconnected, self._lost_at = True, self._synchronizations
        return news

    def _tell_conditions(self) -> None:
        nri, cri = self._states.get(RuntimeWire.NRI), self._states.get(RuntimeWire.CRI)
        # A host without containers has no socket, and nothing is wrong; a runtime that was connected has gone with its own.
        is_gone = nri is not None and bool(nri.runtime) and not (cri is not None and cri.is_connected)
        is_told = nri is not None and not nri.is_connected and (nri.is_there or self._is_required or is_gone)
        self._conditions.tell("nri", nri.problem if nri is not None and is_told else "", blocks_ready=self._is_required)
        is_asked = cri is not None and cri.is_there and not (nri is not None and nri.is_connected)
        self._conditions.tell("cri", cri.problem if cri is not None and is_asked else "")

    def _note(self, before: LinkState | None, state: LinkState, now_ns: int) -> None:
        """A connection that was made or lost, at most once in a while."""
        if state.is_connected == (before is not None and before.is_connected):
            return
        key = state.wire, state.is_connected
        if now_ns - self._noted_at_ns.get(key, -NOTE_INTERVAL_NS) < NOTE_INTERVAL_NS:
            self._hidden += 1
            return
        self._noted_at_ns[key] = now_ns
        runtime = state.runtime or (before.runtime if before is not None else "")
        fields: _Fields = {"wire": state.wire.value, "runtime": runtime, "hidden": self._hidden}
        self._hidden = 0
        if state.is_connected:
            self._bus.note(Note("container_runtime_connected", "info", fields))
        else:
            self._bus.note(Note("container_runtime_lost", "warning", {**fields, "sentence": state.problem}))

    # ---- for the threads that receive reports -------------------------------------------------------

    def update_snapshot(self, binder: Binder, paths: Mapping[str, str], *, is_open: bool) -> None:
        """Containers that start from now on get their groups by these rules, and (`is_open`) are moved into them."""
        self._link.snapshot = GroupSnapshot(binder, paths if is_open else {}, is_measured=is_open)

    # ---- for the groups ----------------------------------------------------------------------------

    @property
    def has_news(self) -> bool:
        """Whether there are reports that were not taken in, or a container is being placed of which one will come."""
        return (self._yield_to_start is not None and self._yield_to_start()) or self._link.has_news

    def begin_removal(self) -> bool:
        """Keep containers from being placed until `end_removal`, so that a directory is not removed under their threads.

        False: one is being placed, or was and has to be heard of first; nothing is to be ended then.
        """
        if not self._link.placing.acquire(timeout=PLACING_SECONDS):
            return False
        if (self._yield_to_start is None or not self._yield_to_start(0)) and not self._link.has_news:
            return True
        self._link.placing.release()
        return False

    def end_removal(self) -> None:
        """After a `begin_removal` that was granted."""
        self._link.placing.release()

    def named_units(self) -> list[Unit]:
        """All pods that the runtime has at this moment, with what rules ask about, as the fast path binds them."""
        return [unit_of_pod(known.pod, known.containers) for known in self._link.pods().values()]

    # ---- for people --------------------------------------------------------------------------------

    def stats(self) -> dict[str, Any]:
        """The state of each connection and what came over it."""
        # A wire that has reported nothing yet is not connected.
        wires: dict[str, dict[str, Any]] = {wire.value: {"is_connected": False} for wire in self._sources}
        for wire, state in self._states.items():
            wires[wire.value] = {
                "is_connected": state.is_connected,
                "is_there": state.is_there,
                "runtime": state.runtime,
                "problem": state.problem,
            }
        runtime = next((state.runtime for state in self._states.values() if state.is_connected and state.runtime), "")
        return {
            "runtime": runtime,
            "is_connected": int(any(state.is_connected for state in self._states.values())),
            "synchronizations": self._synchronizations,
            **self._link.stats(),
            "wires": {wire: {**held, **self._source_stats(wire)} for wire, held in wires.items()},
        }

    def _source_stats(self, wire: str) -> dict[str, Any]:
        source = self._sources.get(RuntimeWire(wire))
        return {} if source is None else source.stats()


def _left_out_sentence(left_out: Mapping[str, int]) -> str:
    """What did not fit, by its first digit so that the sentence stays while pods come and go; empty: all did."""
    if not left_out:
        return ""
    counts = ", ".join(f"{10 ** (len(str(count)) - 1)} or more {what}" for what, count in sorted(left_out.items()))
    return f"the container runtime reports more than can be held; left out are {counts}: units are still found by their cgroups"
