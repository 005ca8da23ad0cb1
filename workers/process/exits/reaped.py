"""The CPU of dead processes without their records: what their parents' counters grew by when they waited for them. PURE.

A parent's `cutime` and `cstime` take in everything of a child and of the child's own children. What was counted of them while they
lived is taken off; what remains is theirs, in steps of 10 ms. A child that nobody waits for is not in it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from agent.model.absence import Absence
from agent.model.timebase import MS
from workers.process.exits.connector_event import ConnectorExit
from workers.process.exits.ledger import PARENT, SEEN, DeadProcess
from workers.process.process_table import Scan, TrackedProcess
from workers.process.unit_command import UnitCommand

PARENTS_MAX = 4_096
# Two counters in steps of 10 ms.
STEP_NS = 20 * MS


class Remainder(NamedTuple):
    """CPU of the dead of one unit and command, and how the unit is known."""

    cpu_ns: int
    unit_from: str


class _Children(Struct):
    """Of one parent: what was counted of its vanished children, and who they were; None: several."""

    counted_ns: int = 0
    key: UnitCommand | None = None
    several: bool = False


class ReapedLedger:
    """Keeps by parent what is owed: a counter in steps may lag behind what was counted already."""

    def __init__(self) -> None:
        self._owed: dict[TrackedProcess, int] = {}

    def remainders(self, scan: Scan, processes: Mapping[str, TrackedProcess]) -> dict[UnitCommand, Remainder]:
        """The CPU that this tick's dead used after their last sample, and that of children that were never seen.

        It stands under the vanished children where all of a parent's are of one unit and command, else under the parent.
        """
        children: dict[int, _Children] = {}
        for process in scan.gone:
            if process.stat.ppid is not None:
                _note(children.setdefault(process.stat.ppid, _Children()), process)
        found: dict[UnitCommand, Remainder] = {}
        for parent in _parents(scan.touched, children, processes):
            vanished = children.get(parent.pid)
            cpu_ns = self._remainder_ns(parent, vanished)
            if cpu_ns:
                is_known = vanished is not None and vanished.key is not None
                key = vanished.key if vanished is not None and vanished.key is not None else parent.key
                before = found.get(key)
                found[key] = Remainder(cpu_ns + (0 if before is None else before.cpu_ns), SEEN if is_known else PARENT)
        for parent in [parent for parent in self._owed if processes.get(parent.name) is not parent]:
            del self._owed[parent]
        return found

    def _remainder_ns(self, parent: TrackedProcess, found: _Children | None) -> int:
        remainder_ns = parent.interval_reaped_ns - self._owed.pop(parent, 0) - (0 if found is None else found.counted_ns)
        if remainder_ns < 0 and len(self._owed) < PARENTS_MAX:
            self._owed[parent] = -remainder_ns
        return max(0, remainder_ns)


def lost_remainders(
    scan: Scan, processes: Mapping[str, TrackedProcess], counted: Mapping[int, int]
) -> dict[UnitCommand, Remainder]:
    """How much CPU the dead of lost records had: what parents' counters grew by beyond what the records of this tick say."""
    children: dict[int, _Children] = {}
    for process in scan.gone:
        if process.stat.ppid is not None and not process.has_died:
            _note(children.setdefault(process.stat.ppid, _Children()), process)
    found: dict[UnitCommand, Remainder] = {}
    for parent in scan.touched:
        vanished = children.get(parent.pid)
        lost_ns = parent.interval_reaped_ns - counted.get(parent.pid, 0) - (0 if vanished is None else vanished.counted_ns)
        if parent.interval_reaped_ns and lost_ns > STEP_NS:
            before = found.get(parent.key)
            found[parent.key] = Remainder(lost_ns + (0 if before is None else before.cpu_ns), PARENT)
    return found


def vanished(scan: Scan) -> list[DeadProcess]:
    """The deaths that a scan shows by itself."""
    reason = Absence.UNSUPPORTED.value
    return [DeadProcess(None, 0, process.key, SEEN, process, None, None, None, reason) for process in scan.gone]


class EventLedger:
    """Deaths by exit events, which say who ended and how, and nothing of its CPU."""

    def __init__(self) -> None:
        # Ended, and still listed: their death is counted when they vanish, and their last reading has all of their CPU.
        self._ended: dict[int, ConnectorExit] = {}

    def settle(self, scan: Scan, processes: Mapping[str, TrackedProcess], events: Sequence[ConnectorExit]) -> list[DeadProcess]:
        """The deaths of one tick."""
        gone = {process.pid: process for process in scan.gone}
        known = {pid: event for pid, event in self._ended.items() if str(pid) in processes or pid in gone}
        dead: list[DeadProcess] = []
        for event in events:
            if event.pid in gone and event.pid not in known:
                known[event.pid] = event
            elif str(event.pid) in processes and event.pid not in gone:
                if len(known) < PARENTS_MAX:
                    known[event.pid] = event
            else:
                dead.append(_unseen(event, processes.get(str(event.ppid)) or gone.get(event.ppid)))
        for pid, process in gone.items():
            reason = Absence.UNSUPPORTED.value if pid in known else Absence.RECORD_LOST.value
            dead.append(DeadProcess(None, 0, process.key, SEEN, process, known.pop(pid, None), None, None, reason))
        self._ended = known
        return dead


def _unseen(event: ConnectorExit, parent: TrackedProcess | None) -> DeadProcess:
    """Neither its name nor its unit was ever seen: it stands under its parent, like the CPU that the parent's counters show."""
    key = UnitCommand(None, None) if parent is None else parent.key
    unit_from = None if parent is None else PARENT
    return DeadProcess(None, 0, key, unit_from, None, event, None, None, Absence.UNSUPPORTED.value)


def _note(children: _Children, process: TrackedProcess) -> None:
    children.counted_ns += (process.cpu_ns or 0) + process.reaped_ns
    children.several |= children.key is not None and children.key != process.key
    children.key = None if children.several else process.key


def _parents(
    touched: Iterable[TrackedProcess], children: Mapping[int, _Children], processes: Mapping[str, TrackedProcess]
) -> list[TrackedProcess]:
    """Those whose counters grew, and those that lost a child."""
    found = {process: None for process in touched if process.interval_reaped_ns}
    for pid in children:
        parent = processes.get(str(pid))
        if parent is not None:
            found[parent] = None
    return list(found)
