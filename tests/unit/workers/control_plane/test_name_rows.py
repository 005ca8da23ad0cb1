"""Which rows of names are due: once when a name is new, and once in every day."""

from fakes.row_problem import problem_of_row
from msgspec.structs import replace

from agent.model.rule import Assignment, Unit, UnitKind
from agent.model.tables import CONTAINER_NAME, POD_GROUP
from agent.model.timebase import DAY, S
from workers.control_plane.name_rows import NameRows

POD = Unit("p1", UnitKind.POD, "/kubepods/podp1", 2, "shop", "web-0", None, {"app": "web"}, {"c1": "nginx", "c2": "log"})
HELD = Assignment(POD, "p1", None, 5)
NOON = DAY // 2


def _assignments(assignment: Assignment = HELD) -> dict[str, Assignment]:
    return {assignment.unit.uid: assignment}


def test_a_name_is_written_once_when_it_becomes_known() -> None:
    """Looks come every few seconds; a later container of the pod has a row of its own."""
    rows = NameRows()

    assert rows.due(_assignments(), NOON).containers == [(NOON, "c1", "nginx", "p1"), (NOON, "c2", "log", "p1")]
    assert ((again := rows.due(_assignments(), NOON + S)).containers, again.pods) == ([], [])
    more = replace(HELD, unit=replace(POD, container_names={"c1": "nginx", "c3": "debug"}))
    assert rows.due(_assignments(more), NOON + S).containers == [(NOON + S, "c3", "debug", "p1")]


def test_a_day_begins_with_everything_that_goes_on() -> None:
    """A reader of this day alone finds the interval with its true beginning, and every name."""
    rows = NameRows()
    rows.due(_assignments(), NOON)

    due = rows.due(_assignments(), DAY + 1)

    assert due.containers == [(DAY + 1, "c1", "nginx", "p1"), (DAY + 1, "c2", "log", "p1")]
    (pod,) = [dict(zip(POD_GROUP.column_names, (*row, "run-1"), strict=True)) for row in due.pods]
    assert (
        pod["timestamp"], pod["pod_uid"], pod["valid_from"], pod["valid_until"], pod["labels"],
    ) == (DAY + 1, "p1", 5, None, '{"app":"web"}')  # fmt: skip
    assert [problem_of_row(CONTAINER_NAME, (*row, "run-1")) for row in due.containers] == [None] * 2
    assert ((again := rows.due(_assignments(), DAY + 2)).containers, again.pods) == ([], [])


def test_what_opens_as_a_day_begins_has_one_row() -> None:
    """The opening row and the day's would be one row twice."""
    rows = NameRows()
    rows.due({}, NOON)

    assert rows.due(_assignments(replace(HELD, valid_from_wall_ns=DAY)), DAY).pods == []


def test_what_is_gone_is_forgotten() -> None:
    """A pod that comes back, as after a look that could not read its folder, is written again."""
    rows = NameRows()
    rows.due(_assignments(), NOON)
    rows.due({}, NOON + 1)

    assert [row[1] for row in rows.due(_assignments(), NOON + 2).containers] == ["c1", "c2"]


def test_units_without_names_have_no_rows() -> None:
    """No container runtime reported them."""
    assert NameRows().due(_assignments(replace(HELD, unit=replace(POD, container_names={}))), NOON).containers == []


def test_names_of_a_few_units_are_written_like_those_of_all() -> None:
    """A report of the runtime concerns some pods; what it said is not said again by the next look."""
    rows = NameRows()
    assert rows.due_of(["p1", "ended"], _assignments(), NOON).containers == [(NOON, "c1", "nginx", "p1"), (NOON, "c2", "log", "p1")]
    assert rows.due(_assignments(), NOON + S).containers == []
    assert rows.due_of(["p1"], {}, NOON + S).containers == []
    assert len(rows.due_of(["p1"], _assignments(), NOON + S).containers) == 2
