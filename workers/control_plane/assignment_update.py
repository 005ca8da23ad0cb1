"""Compares what is assigned with what is observed: what to publish, which intervals open and close. PURE."""

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from agent.model.errors import FormatError
from agent.model.heartbeat import beating
from agent.model.json_text import json_bytes
from agent.model.rule import Assignment, Unit, canonical, decode_assignment, pod_key
from agent.model.rule_state import Change
from agent.model.table import Row
from workers.control_plane.binding import Binder

POD_PREFIX = pod_key("")


class AssignmentUpdate(Struct, frozen=True):
    """What follows from one comparison: changes to publish, rows of table `pod_group`, the assignments from now on.

    The rows lack the last column, the run, which only the worker knows.
    """

    changes: list[Change]
    rows: list[Row]
    assignments: dict[str, Assignment]


def update_assignments(
    present: Mapping[str, Assignment],
    units: Mapping[str, Unit],
    binder: Binder,
    wall_ns: int,
    *,
    rebind: bool = True,
    heartbeat: Callable[[], None] | None = None,
) -> AssignmentUpdate:
    """The step from the present assignments to those of the observed units.

    An interval goes on (`valid_from` is kept) while unit, group and rule are the same; a new number of containers is
    published but opens none. Other labels open none either, but are written: a row of the same interval. With `rebind`
    false the rules are those of the last step and are asked only about units that are new or changed. `heartbeat` is given
    all along. *Shape:* changes and rows of what ended come first.
    """
    update = AssignmentUpdate([], [], {})
    for uid, held in beating(present.items(), heartbeat):
        if uid not in units:
            update.changes.append((pod_key(uid), None))
            update.rows.append(closing_row(held, wall_ns))
    for uid, unit in beating(units.items(), heartbeat):
        _step(update, present.get(uid), unit, binder, wall_ns, rebind=rebind)
    return update


def update_changed(
    present: dict[str, Assignment], changed: Mapping[str, Unit | None], binder: Binder, wall_ns: int
) -> AssignmentUpdate:
    """As `update_assignments`, where only these units are others than before (None: ended). `present` itself is changed."""
    update = AssignmentUpdate([], [], present)
    for uid, unit in changed.items():
        held = present.get(uid)
        if unit is not None:
            _step(update, held, unit, binder, wall_ns, rebind=False)
        elif held is not None:
            del present[uid]
            update.changes.append((pod_key(uid), None))
            update.rows.append(closing_row(held, wall_ns))
    return update


def _step(update: AssignmentUpdate, held: Assignment | None, unit: Unit, binder: Binder, wall_ns: int, *, rebind: bool) -> None:
    if held is not None and held.unit == unit and not rebind:
        update.assignments[unit.uid] = held
        return
    goes_on = held is not None and _who(held.unit) == _who(unit)
    if held is not None and goes_on and not rebind and held.unit.labels == unit.labels:
        group, rule, priority = held.group, held.rule, held.priority
    else:
        group, rule = binder.bind(unit)
        priority = binder.priority(rule)
    # The group controller says how its group stands; until then the state is unchanged.
    monitoring = held.monitoring if held is not None and held.group == group else None
    if held is None or not goes_on or (held.group, held.rule) != (group, rule):
        if held is not None:
            update.rows.append(closing_row(held, wall_ns))
        new = Assignment(unit, group, rule, wall_ns, priority, monitoring)
        update.rows.append(opening_row(new, wall_ns))
    else:
        new = Assignment(unit, group, rule, held.valid_from_wall_ns, priority, monitoring)
        if held.unit.labels != unit.labels:
            update.rows.append(opening_row(new, wall_ns))
    update.assignments[unit.uid] = new
    if new != held:
        update.changes.append((pod_key(unit.uid), canonical(new)))


def _who(unit: Unit) -> tuple[object, ...]:
    """What a row says about a unit and what stays the same during an interval; labels and containers may come and go."""
    return unit.kind, unit.cgroup, unit.namespace, unit.name, unit.qos


def opening_row(assignment: Assignment, wall_ns: int) -> Row:
    """The row of `pod_group` for an interval that begins."""
    return _row(assignment, wall_ns, None)


def closing_row(assignment: Assignment, wall_ns: int) -> Row:
    """The row for an interval that ends; a wall clock that was set back does not make it end before it began."""
    return _row(assignment, wall_ns, max(wall_ns, assignment.valid_from_wall_ns))


def _row(assignment: Assignment, wall_ns: int, valid_until_wall_ns: int | None) -> Row:
    unit = assignment.unit
    return (
        wall_ns,
        unit.uid,
        unit.kind.value,
        unit.namespace,
        unit.name,
        None if unit.qos is None else unit.qos.value,
        unit.cgroup,
        unit.containers,
        assignment.group,
        assignment.rule,
        assignment.valid_from_wall_ns,
        valid_until_wall_ns,
        labels_text(unit),
    )


def labels_text(unit: Unit) -> str | None:
    """A unit's labels as a JSON object, equal for equal labels. *Absent:* None where no runtime has reported the unit."""
    if unit.namespace is None and not unit.labels:
        return None
    return json_bytes(dict(sorted(unit.labels.items()))).decode()


def adopt(entries: Iterable[Change], heartbeat: Callable[[], None] | None = None) -> dict[str, Assignment]:
    """The assignments that a predecessor published, from the entries `pod/...`; what cannot be read is left out.

    What is left out is observed again, and `repairs` replaces or removes its entry.
    """
    adopted: dict[str, Assignment] = {}
    for key, content in beating(entries, heartbeat):
        assignment = None if content is None else _decoded(content)
        if assignment is not None and pod_key(assignment.unit.uid) == key:
            adopted[assignment.unit.uid] = assignment
    return adopted


def _decoded(content: bytes) -> Assignment | None:
    try:
        return decode_assignment(content)
    except FormatError:
        return None


def repairs(
    assignments: Mapping[str, Assignment], entries: Iterable[tuple[str, bytes]], heartbeat: Callable[[], None] | None = None
) -> list[Change]:
    """What makes the entries `pod/...` of the supervisor equal to the assignments; empty when they are."""
    wanted = {pod_key(uid): assignment for uid, assignment in assignments.items()}
    changes: list[Change] = []
    for key, content in beating(entries, heartbeat):
        assignment = wanted.pop(key, None)
        right = None if assignment is None else canonical(assignment)
        if right != content:
            changes.append((key, right))
    changes.extend((key, canonical(assignment)) for key, assignment in beating(wanted.items(), heartbeat))
    return changes
