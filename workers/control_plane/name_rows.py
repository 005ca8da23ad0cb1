"""The rows that let a reader of one day find names: of containers, and of intervals that opened long before. PURE.

A pod may run for a year. The day on which its interval opened, or its container's name became known, may be removed by age,
and a reader of one moment does not read a year. So each day has a row of everything that was there.
"""

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from agent.model.heartbeat import beating
from agent.model.rule import Assignment
from agent.model.table import Row
from agent.model.timebase import DAY
from workers.control_plane.assignment_update import opening_row


class RepeatedRows(Struct, frozen=True):
    """Rows of `pod_group` and `container_name`, without their last column, the run, which only the worker knows."""

    pods: list[Row]
    containers: list[Row]


class NameRows:
    """Remembers what was written on the day at hand; it holds no more than the assignments that it was last shown."""

    def __init__(self) -> None:
        self._day: int | None = None
        self._written: dict[str, Mapping[str, str]] = {}

    def due(self, assignments: Mapping[str, Assignment], wall_ns: int, heartbeat: Callable[[], None] | None = None) -> RepeatedRows:
        """The rows to write now: of each name that is new, and of everything that goes on where a day (UTC) has begun.

        A clock that is set to another day begins that day.
        """
        day = wall_ns // DAY
        begins = self._day is not None and day != self._day
        if begins:
            self._written = {}
        self._day = day
        due = RepeatedRows([], [])
        written: dict[str, Mapping[str, str]] = {}
        for uid, assignment in beating(assignments.items(), heartbeat):
            # What opened at this very moment has its row.
            if begins and assignment.valid_from_wall_ns != wall_ns:
                due.pods.append(opening_row(assignment, wall_ns))
            if names := assignment.unit.container_names:
                due.containers.extend(self._new_names(uid, names, wall_ns))
                written[uid] = names
        self._written = written
        return due

    def due_of(self, uids: Iterable[str], assignments: Mapping[str, Assignment], wall_ns: int) -> RepeatedRows:
        """As `due`, where only these units are others than before; whether a day has begun is seen at the next `due`."""
        due = RepeatedRows([], [])
        for uid in uids:
            held = assignments.get(uid)
            names = {} if held is None else held.unit.container_names
            due.containers.extend(self._new_names(uid, names, wall_ns))
            if names:
                self._written[uid] = names
            else:
                self._written.pop(uid, None)
        return due

    def _new_names(self, uid: str, names: Mapping[str, str], wall_ns: int) -> list[Row]:
        held = self._written.get(uid, {})
        return [(wall_ns, id_, name, uid) for id_, name in names.items() if held.get(id_) != name]
