"""The work of worker `workloads`: carries out what the core decides, over a connection to the keeper.

It holds nothing that is lost with it: records and outputs are the keeper's, and the little else is in a file.
"""

from collections.abc import Callable, Sequence
from typing import Any

from agent.model.control.document import plain
from agent.model.message import Note
from agent.model.table import Row
from agent.model.timebase import S
from agent.ports import Bus, Clock, Interest, KernelTree, Operation, Outbox
from workers.framework.condition import Conditions
from workers.framework.work import BaseWork
from workers.keeper.client import KeeperClient
from workers.unit.schema import UNIT_EVENT
from workers.workloads.core import WorkloadsCore
from workers.workloads.effect import EndingSeen, KeeperOrder, ListingDue, OperationDone, Remember, Say, StartSeen, WorkloadEffect
from workers.workloads.event_row import ending_row, starting_row
from workers.workloads.listing import CgroupUse, ListingTime, ended_how, listing
from workers.workloads.remembered_file import RememberedFile

FILE_BYTES_MAX = 64 << 10
# A keeper that is just being started is no news.
KEEPER_SILENCE_NS = 3 * S
# Cgroups that are read for one listing: each costs two files.
USES_MAX = 1_000


class WorkloadsWork(BaseWork):
    """The `agent.ports.Work` of the worker."""

    def __init__(
        self,
        core: WorkloadsCore,
        keeper: KeeperClient,
        file: RememberedFile,
        *,
        clock: Clock,
        bus: Bus,
        outbox: Outbox,
        tree: Callable[[], KernelTree],
    ) -> None:
        super().__init__()
        self._core = core
        self._keeper = keeper
        self._file = file
        self._clock = clock
        self._bus = bus
        self._outbox = outbox
        self._tree = tree
        self._conditions = Conditions(bus)
        self._connections = 0
        self._silent_since_ns: int | None = None
        self._answers: list[tuple[int, dict[str, Any]]] = []
        self._is_remembering_due = False
        self._lost_rows = 0

    # ---- the loop --------------------------------------------------------------------------------

    def on_start(self, now_ns: int) -> None:
        """Look for the keeper; the worker is up whether there is one or not."""
        self._silent_since_ns = now_ns
        self._turn(now_ns)

    def next_deadline_ns(self) -> int | None:
        """What comes first: a start, a try to connect, the time to say that the keeper is silent."""
        if self.is_stopped:
            return None
        silence_ns = None if self._silent_since_ns is None else self._silent_since_ns + KEEPER_SILENCE_NS
        is_told = "keeper" in self._conditions
        waits = (self._core.next_deadline_ns(), self._keeper.next_deadline_ns(), None if is_told else silence_ns)
        return min((each for each in waits if each is not None), default=None)

    def on_timer(self, now_ns: int) -> None:
        """Something is due."""
        self._turn(now_ns)

    def interests(self) -> tuple[Interest, ...]:
        """The keeper's connection."""
        return () if self.is_stopped else self._keeper.interests()

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """The keeper says something, or has gone."""
        self._keeper.on_readable(descriptor, now_ns)
        self._turn(now_ns)

    def on_writable(self, descriptor: int, now_ns: int) -> None:
        """The keeper takes more."""
        self._keeper.on_writable(descriptor, now_ns)

    def on_operation(self, operation: Operation, now_ns: int) -> dict[str, Any] | None:
        """Begin it; the answer comes through `take_answers`."""
        self._carry_out(self._core.on_operation(operation, now_ns))
        self._tell()
        return None

    def take_answers(self) -> Sequence[tuple[int, dict[str, Any]]]:
        """The answers that are there."""
        taken, self._answers = self._answers, []
        return taken

    def stats(self) -> dict[str, Any]:
        """How many workloads there are in which state, and whether the keeper is there."""
        states: dict[str, int] = {}
        for tracked in self._core.table.workloads():
            states[tracked.state] = states.get(tracked.state, 0) + 1
        return {
            "keeper": self._keeper.is_connected,
            "keeper_problem": self._keeper.problem or None,
            "keeper_notes": list(self._core.notes),
            "states": states,
            "starts": self._core.starts,
            "endings": self._core.table.endings,
            "lost_rows": self._lost_rows,
        }

    def on_stop(self, now_ns: int, *, for_good: bool) -> None:
        """Let the keeper go: workloads live on."""
        super().on_stop(now_ns, for_good=for_good)
        self._keeper.close()

    # ---- parts -----------------------------------------------------------------------------------

    def _turn(self, now_ns: int) -> None:
        if self.is_stopped:
            return
        self._keeper.on_timer(now_ns)
        self._follow_connection(now_ns)
        for message in self._keeper.take():
            self._carry_out(self._core.on_message(message, now_ns))
        self._carry_out(self._core.on_timer(now_ns, self._keeper.problem))
        self._tell()

    def _follow_connection(self, now_ns: int) -> None:
        if self._keeper.connections != self._connections:
            # What came on an earlier connection is older than what the listing will say.
            self._connections = self._keeper.connections
            self._carry_out(self._core.on_connected())
        elif not self._keeper.is_connected and self._core.is_listed:
            self._core.on_lost()
        if self._keeper.is_connected:
            self._silent_since_ns = None
            self._conditions.end("keeper", "the keeper of workloads answers")
        elif self._silent_since_ns is None:
            self._silent_since_ns = now_ns
        elif now_ns - self._silent_since_ns >= KEEPER_SILENCE_NS:
            self._conditions.begin(
                "keeper", f"workloads are neither started nor stopped: {self._keeper.problem or 'no keeper answers'}"
            )

    def _tell(self) -> None:
        self._conditions.tell("workload_refused", self._core.refused())
        self._conditions.tell("workload_changed", self._core.changed())

    def _carry_out(self, effects: Sequence[WorkloadEffect]) -> None:
        for effect in effects:
            match effect:
                case KeeperOrder(order=order):
                    # What an order relies on is written before it.
                    self._remember()
                    self._keeper.send(order)
                case OperationDone(number=number, body=body):
                    self._remember()
                    self._answers.append((number, body))
                case ListingDue(number=number):
                    self._answers.append((number, self._listing()))
                case StartSeen(record=record):
                    self._offer(starting_row(record), record.started_wall_ns)
                case EndingSeen():
                    self._store(effect)
                case Say(note=note):
                    self._bus.note(note)
                case Remember():
                    self._is_remembering_due = True
        self._remember()

    def _remember(self) -> None:
        if not self._is_remembering_due:
            return
        self._is_remembering_due = False
        problem = self._file.write(self._core.table.remembered)
        self._conditions.tell("workloads_not_remembered", problem)

    def _store(self, seen: EndingSeen) -> None:
        record, ending = seen.record, seen.record.ending
        assert ending is not None
        self._offer(ending_row(record), ending.at_wall_ns)
        fields: dict[str, str | int | float | bool | None] = {"workload": record.spec.name, "start": record.incarnation}
        severity = "info" if ending.stopped or ending.code == 0 else "warning"
        self._bus.note(Note("workload_ended", severity, {**fields, "how": ended_how(ending)}))

    def _offer(self, row: Row, at_wall_ns: int) -> None:
        if not self._outbox.offer(UNIT_EVENT, [row], at_wall_ns):
            self._lost_rows += 1

    def _listing(self) -> dict[str, Any]:
        running = [each for each in self._core.table.workloads() if each.is_running][:USES_MAX]
        uses = {each.name: self._use(each.record.cgroup) for each in running if each.record is not None and each.record.cgroup}
        at = ListingTime(self._clock.now_ns(), self._clock.wall_ns())
        return plain(listing(self._core, uses, at, self._keeper.problem))

    def _use(self, cgroup: str) -> CgroupUse:
        cpu = self._number(f"{cgroup}/cpu.stat", b"usage_usec")
        memory = self._number(f"{cgroup}/memory.current", b"")
        return CgroupUse(None if cpu is None else cpu * 1000, memory)

    def _number(self, path: str, key: bytes) -> int | None:
        """The number behind a key, or of a file that has only one. *Absent:* None where it cannot be read: it may just end."""
        try:
            words = self._tree().read(path.lstrip("/"), FILE_BYTES_MAX).split()
            return int(words[words.index(key) + 1] if key else words[0])
        except (OSError, ValueError, IndexError):
            return None
