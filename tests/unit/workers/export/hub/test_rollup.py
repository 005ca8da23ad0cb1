"""Minutes of units and of the host: sums that are those of the rows, restarts anywhere, holes, clocks that are set, bounds."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from fakes.row_problem import problem_of_row
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import FormatError
from agent.model.fleet_tables import FLEET_TABLES, HOST_MINUTE, UNIT_MINUTE
from agent.model.row_check import INT64_MAX
from agent.model.table import Row, Table
from agent.model.timebase import MINUTE, MS, S
from agent.store.record import TableForm, form_of
from workers.export.hub.minute_form import MINUTE_FORMS
from workers.export.hub.rollup import ABSENT_MAX, FORGET_NS, LATE_NS_MAX, MinuteRollup
from workers.host.schema import HOST
from workers.unit.schema import UNIT

BEGIN = 1_700_000_040 * S - 1_700_000_040 * S % MINUTE
SOURCES = {"unit": UNIT, "host": HOST}
WEB = "/web.service"


def stored(table: Table, at_ns: int, **values: Any) -> Row:
    """A row of a source; what is not said is null."""
    named = {"timestamp": at_ns, "unit": WEB, "kind": "service", "is_final": False, "elapsed_ns": S, **values}
    return tuple(named.get(name) for name in table.column_names)


def unit(second: float, **values: Any) -> Row:
    return stored(UNIT, BEGIN + round(second * S), **{"cpu_ns": S // 2, "cgroup": WEB, **values})


class Story:
    """Rows go in, rows of minutes by column come out; each fits its table and its key is its own."""

    def __init__(self, **bounds: int) -> None:
        self.rollup = MinuteRollup(**bounds)
        self.keys: set[tuple[Any, ...]] = set()

    def take(self, *rows: Row, table: str = "unit", form: TableForm | None = None) -> list[dict[str, Any]]:
        source, target = SOURCES[table], MINUTE_FORMS[table].table
        found = self.rollup.take(table, form or form_of(source), rows)
        for row in found:
            assert problem_of_row(target, row) is None
        named = [dict(zip(target.column_names, row, strict=True)) for row in found]
        for each in named:
            key = tuple(each[name] for name in target.key)
            assert key not in self.keys
            self.keys.add(key)
        return named

    def minute(self, *rows: Row, table: str = "unit") -> dict[str, Any]:
        """That of these rows, closed by one far behind."""
        closed = self.take(*rows, table=table)
        closed += self.take(stored(SOURCES[table], BEGIN + 50 * MINUTE, unit="/closing"), table=table)
        assert len(closed) == 1, closed
        return closed[0]


def test_a_minute_of_a_unit() -> None:
    """Sums, mean and most, last values; closed by the first row of the next one and not before."""
    story = Story()
    rows = [
        unit(
            second, io_read_bytes=10, pressure_cpu_some_ns=second, oom_kills=1 if second == 7 else 0, net_sent_bytes=None,
            memory_current_bytes=100 + second, memory_working_set_bytes=200 - second,
            memory_limit_bytes=None if second == 59 else 1,
            cpu_ns=S if second == 30 else S // 2, cpu_throttled_ns=2,
            absent="host_network" if second % 2 else "no_controller,host_network",
        )
        for second in range(60)
    ]  # fmt: skip
    assert story.take(*rows) == []
    (row,) = story.take(unit(60))
    assert row == {
        "timestamp": BEGIN, "unit": WEB, "kind": "service", "container": None, "sequence": 1, "rows": 60, "late_rows": 0,
        "covered_ns": 60 * S, "is_whole": True, "is_final": False, "cpu_ns": 59 * S // 2 + S,
        "cpu_periods": None,
        "cpu_throttled_periods": None, "cpu_throttled_ns": 120, "io_read_bytes": 600, "io_write_bytes": None,
        "pressure_cpu_some_ns": 59 * 30, "pressure_cpu_full_ns": None,
        "pressure_memory_some_ns": None, "pressure_memory_full_ns": None,
        "pressure_io_some_ns": None, "pressure_io_full_ns": None,
        "oom_kills": 1, "net_received_bytes": None, "net_sent_bytes": None,
        "cpu_cores": 30.5 / 60, "cpu_cores_max": 1.0, "memory_current_bytes": 159, "memory_working_set_bytes": 141,
        "memory_limit_bytes": None, "cpu_limit_cores": None, "memory_current_max_bytes": 159, "memory_working_set_max_bytes": 200,
        "absent": "host_network,no_controller",
    }  # fmt: skip
    (row,) = story.take(unit(120.5, elapsed_ns=60_500 * MS))
    assert (row["timestamp"], row["sequence"], row["rows"]) == (BEGIN + MINUTE, 2, 1)


def test_a_minute_of_the_host() -> None:
    """The least of what is left of memory; CPUs used of its CPU time."""
    story = Story()
    rows = [
        stored(
            HOST, BEGIN + second * S, cpu_ns=2 * S, cores=4, memory_available_bytes=1000 - second % 7, load_1=second / 10,
            memory_total_bytes=5000, oom_kills=0, written_out_bytes=3,
        )
        for second in range(60)
    ]  # fmt: skip
    row = story.minute(*rows, table="host")
    expected = {
        "timestamp": BEGIN, "rows": 60, "is_whole": False, "cpu_ns": 120 * S, "cpu_cores": 2.0, "cpu_cores_max": 2.0, "cores": 4,
        "memory_available_bytes": 997, "memory_available_min_bytes": 994, "load_1": 5.9, "load_1_max": 5.9, "oom_kills": 0,
        "written_out_bytes": 180, "read_in_bytes": None, "memory_total_bytes": 5000, "absent": None,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected


def test_units_and_their_containers_in_their_order() -> None:
    """By unit, the whole before its containers, however they came."""
    story = Story()
    names = [("b", "2"), ("a", "9"), ("b", None), ("a", None), ("b", "1")]
    story.take(*(unit(1, unit=name, container=container) for name, container in names))
    closed = story.take(unit(61))
    assert [(row["unit"], row["container"]) for row in closed] == [("a", None), ("a", "9"), ("b", None), ("b", "1"), ("b", "2")]


@pytest.mark.parametrize(
    ("seconds", "elapsed", "is_whole"),
    [
        # All of it; and one tick late, as ticks are.
        (range(60), 1, True),
        ([second + 0.1 for second in range(60)], 1, True),
        # Idle: one row for all the time.
        ([59], 60, True),
        # It begins within the minute.
        (range(20, 60), 1, False),
        # A row is missing, or the last ones.
        ([second for second in range(60) if second != 30], 1, False),
        (range(40), 1, False),
    ],
)
def test_whether_a_minute_is_whole(seconds: Sequence[float], elapsed: int, is_whole: bool) -> None:
    """A row counts from the end of the one before it."""
    story = Story()
    story.take(*(unit(second, elapsed_ns=elapsed * S) for second in seconds))
    (row, *_) = story.take(unit(60.1, elapsed_ns=1100 * MS if elapsed == 1 and len(seconds) == 60 else S))
    assert row["is_whole"] is is_whole


def test_rows_that_are_idle_for_long_are_no_hole() -> None:
    """Their next row covers the time; of a start of the sampler it does not."""
    story = Story()
    story.take(*(unit(second) for second in range(30)), *(unit(second, unit="/other") for second in range(60)))
    first = story.take(unit(60, unit="/other"))
    assert [(row["unit"], row["is_whole"]) for row in first] == [("/other", True), (WEB, True)]
    story.take(unit(89, elapsed_ns=60 * S), *(unit(second, unit="/other") for second in range(61, 120)))
    second = {row["unit"]: row for row in story.take(unit(120, unit="/other"))}
    assert (second[WEB]["is_whole"], second[WEB]["covered_ns"], second[WEB]["rows"]) == (True, 60 * S, 1)
    story.take(unit(125, elapsed_ns=None, cpu_ns=None, absent="first_tick"), unit(130, unit="/other", elapsed_ns=3 * S))
    third = {row["unit"]: row for row in story.take(unit(180, unit="/other", elapsed_ns=50 * S))}
    assert (third[WEB]["is_whole"], third[WEB]["cpu_ns"], third[WEB]["cpu_cores"], third[WEB]["covered_ns"]) == (
        False,
        None,
        None,
        0,
    )
    assert third["/other"]["is_whole"] is False


def test_the_end_of_a_unit() -> None:
    """Nothing is missed behind its last row; what begins in its place belongs to the same minute, and to no hole."""
    story = Story()
    story.take(*(unit(second) for second in range(20)), unit(20, is_final=True))
    (row,) = story.take(unit(90, unit="/other"))
    assert (row["is_final"], row["is_whole"], row["rows"]) == (True, True, 21)
    story = Story()
    story.take(*(unit(second) for second in range(20)), unit(20, is_final=True), *(unit(second) for second in range(30, 60)))
    (row,) = story.take(unit(60))
    assert (row["is_final"], row["is_whole"], row["rows"]) == (False, True, 51)


def test_a_unit_without_rows_for_long_begins_again() -> None:
    """And takes no room."""
    story = Story(entities_max=2)
    story.take(unit(0), unit(0, unit="/a"))
    for minute in range(1, FORGET_NS // MINUTE + 3):
        assert [row["unit"] for row in story.take(unit(60 * minute))] == ([WEB] if minute > 1 else ["/a", WEB])
    assert story.rollup.left_out_rows == 0
    assert story.take(unit(60 * minute, unit="/b")) == []
    assert story.rollup.left_out_rows == 0


def test_more_units_than_there_is_room_for() -> None:
    """Their rows are counted and left out; those that are known go on."""
    story = Story(entities_max=3)
    story.take(*(unit(1, unit=f"/{number}") for number in range(5)))
    story.take(*(unit(2, unit=f"/{number}") for number in range(5)))
    assert story.rollup.left_out_rows == 4
    assert [(row["unit"], row["rows"]) for row in story.take(unit(61, unit="/4"))] == [("/0", 2), ("/1", 2), ("/2", 2)]


def test_late_rows_are_in_a_later_minute() -> None:
    """Where the clock was set back by a little; counted, and no sum lacks them."""
    story = Story()
    story.take(unit(59), unit(61), unit(59.5), unit(60.5))
    (row,) = story.take(unit(121, elapsed_ns=60 * S))
    assert (row["timestamp"], row["rows"], row["late_rows"], row["cpu_ns"]) == (BEGIN + MINUTE, 3, 1, 3 * S // 2)
    assert story.rollup.late_rows == 1


def test_a_clock_that_is_set_back_by_much() -> None:
    """The minutes come again, with other numbers; nothing waits for the time that was."""
    story = Story()
    story.take(unit(0), unit(0, unit="/a"))
    later = LATE_NS_MAX // S + 60
    assert len(story.take(unit(later))) == 2
    (row,) = story.take(unit(0))
    assert (row["timestamp"], row["sequence"]) == (BEGIN + later * S, 2)
    (row,) = story.take(unit(60))
    assert (row["timestamp"], row["sequence"], row["rows"], row["unit"]) == (BEGIN, 3, 1, WEB)
    assert story.rollup.late_rows == 0


def test_a_minute_in_which_the_clock_was_set_back_is_not_whole() -> None:
    """Its end never came: twenty seconds are not the sum of a minute, although no row is missing."""
    story = Story()
    story.take(*(unit(second) for second in range(20)))
    (row,) = story.take(unit(-LATE_NS_MAX // S - 60))
    assert (row["rows"], row["covered_ns"], row["is_whole"]) == (20, 20 * S, False)
    story = Story()
    story.take(*(unit(second) for second in range(20)), unit(20, is_final=True))
    (row,) = story.take(unit(-LATE_NS_MAX // S - 60))
    assert (row["rows"], row["is_final"], row["is_whole"]) == (21, True, True)


def test_sums_that_no_column_holds() -> None:
    """They are null with the reason, also after a snapshot, and the others stand."""
    story = Story()
    story.take(unit(1, io_read_bytes=INT64_MAX - 1, io_write_bytes=1, elapsed_ns=INT64_MAX - 1))
    for second in range(2, 5):
        story.take(unit(second, io_read_bytes=INT64_MAX, io_write_bytes=1, elapsed_ns=INT64_MAX))
        story.rollup = MinuteRollup.restore(story.rollup.snapshot())
    (row,) = story.take(unit(61))
    assert (row["io_read_bytes"], row["io_write_bytes"], row["absent"]) == (None, 4, "out_of_range")
    assert row["covered_ns"] == INT64_MAX


def test_rows_of_other_versions() -> None:
    """A column that is not there yet, or has another type, is null; a time or unit that is none makes no row."""
    story = Story()
    form = TableForm(1, ("unit", "cpu_ns", "timestamp", "oom_kills"), ("utf8", "int64", "int64", "utf8"), "unit-")
    assert story.take((WEB, 5, BEGIN, "7"), (None, 5, BEGIN, "7"), form=form) == []
    assert story.rollup.left_out_rows == 1
    (row,) = story.take((WEB, 5, BEGIN + MINUTE, "7"), form=form)
    assert (row["cpu_ns"], row["oom_kills"], row["cpu_cores"], row["is_final"], row["kind"]) == (5, None, None, False, None)
    form = TableForm(1, ("unit", "cpu_limit_cores"), ("utf8", "int64"), "unit-")
    assert story.take((WEB, 5), form=form) == []
    assert story.rollup.left_out_rows == 2


def test_reasons_are_bounded() -> None:
    """Whatever a file of somebody else has."""
    story = Story()
    row = story.minute(*(unit(1, absent=f"reason{number}") for number in range(2 * ABSENT_MAX)))
    assert len(row["absent"].split(",")) == ABSENT_MAX


@pytest.mark.parametrize(
    "content", [b"", b"\xc1", b"\x90", msgspec.msgpack.encode((1, 0, 0, {})), msgspec.msgpack.encode([None] * 4)]
)
def test_what_is_no_snapshot(content: bytes) -> None:
    """One sentence; the caller begins again without it."""
    with pytest.raises(FormatError, match="snapshot"):
        MinuteRollup.restore(content)


def test_a_snapshot_cut_anywhere() -> None:
    """None of it is taken."""
    rollup = MinuteRollup()
    rollup.take("unit", form_of(UNIT), [unit(1, absent="x")])
    content = rollup.snapshot()
    assert MinuteRollup.restore(content).snapshot() == content
    for end in range(len(content)):
        with pytest.raises(FormatError):
            MinuteRollup.restore(content[:end])


def test_the_forms_are_those_of_the_tables() -> None:
    """Every source is a column of its table, and every column of the minute is filled."""
    for name, form in MINUTE_FORMS.items():
        head = {"unit", "container", "kind", "is_final"}
        assert set(form.sources) - head <= set(SOURCES[name].column_names)
        assert form.table in FLEET_TABLES
        assert all(column in form.table.column_names for column in (*form.sums, *form.lasts))
    assert {table.name for table in FLEET_TABLES} == {UNIT_MINUTE.name, HOST_MINUTE.name}


# ---- any rows ----------------------------------------------------------------------------------------

_COUNT = st.none() | st.integers(0, 10**12)
_ROWS = st.lists(
    st.builds(
        lambda step, name, container, elapsed, cpu, read, current, is_final, absent: (
            step, name, container, elapsed, cpu, read, current, is_final, absent,
        ),
        # Mostly forward by seconds; sometimes a jump of the clock.
        st.integers(0, 40) | st.sampled_from([-2, -30, -700, 3600]),
        st.sampled_from(["/a", "/b", "/c"]), st.sampled_from([None, None, "c1"]), st.none() | st.integers(1, 70 * S),
        _COUNT, _COUNT, _COUNT, st.booleans(), st.sampled_from([None, "first_tick", "host_network,no_controller"]),
    ),
    max_size=60,
)  # fmt: skip


def rows_of(parts: list[tuple[Any, ...]]) -> list[tuple[str, Row]]:
    """Rows of both tables, in the order of their making."""
    at_ns, rows = BEGIN, []
    for step, name, container, elapsed, cpu, read, current, is_final, absent in parts:
        at_ns += step * S
        shared = {"elapsed_ns": elapsed, "cpu_ns": cpu, "absent": absent}
        rows.append(("host", stored(HOST, at_ns, read_in_bytes=read, memory_available_bytes=current, load_1=step / 8, **shared)))
        of_unit = {
            "unit": name,
            "container": container,
            "io_read_bytes": read,
            "memory_current_bytes": current,
            "is_final": is_final,
        }
        rows.append(("unit", stored(UNIT, at_ns, cgroup=name, **of_unit, **shared)))
    return rows


def rolled(rollup: MinuteRollup, rows: list[tuple[str, Row]]) -> list[tuple[str, Row]]:
    return [(table, row) for table, source in rows for row in rollup.take(table, form_of(SOURCES[table]), [source])]


CLOSING = [(table, stored(SOURCES[table], BEGIN + 10**6 * S, unit="/closing", elapsed_ns=1)) for table in SOURCES]


def totals(table: Table, rows: list[Row], columns: Sequence[str]) -> dict[Any, list[int]]:
    """The sums of columns for each unit and container."""
    found: dict[Any, list[int]] = {}
    for row in rows:
        named: dict[str, Any] = dict(zip(table.column_names, row, strict=True))
        who = named.get("unit"), named.get("container")
        parts = [1 if column == "rows" and column not in named else named[column] or 0 for column in columns]
        found[who] = [held + part for held, part in zip(found.get(who, [0] * len(parts)), parts, strict=True)]
    return found


@given(_ROWS)
def test_sums_over_minutes_are_sums_over_rows(parts: list[tuple[Any, ...]]) -> None:
    """Of every unit, whatever clocks do: of each column that is added up, of the time covered and of the rows themselves."""
    rows = rows_of(parts)
    minutes = rolled(MinuteRollup(), [*rows, *CLOSING])
    for name, form in MINUTE_FORMS.items():
        before = totals(SOURCES[name], [row for table, row in rows if table == name], ("rows", "elapsed_ns", *form.sums))
        after = totals(form.table, [row for table, row in minutes if table == name], ("rows", "covered_ns", *form.sums))
        assert before == after


@given(_ROWS, st.lists(st.integers(0, 130), max_size=5), st.integers(1, 20))
def test_a_restart_anywhere_gives_the_same_bytes(parts: list[tuple[Any, ...]], places: list[int], group: int) -> None:
    """From a snapshot and the rows behind it; in whatever groups they come."""
    rows = [*rows_of(parts), *CLOSING]
    whole = MinuteRollup()
    expected = rolled(whole, rows)
    rollup, found = MinuteRollup(), []
    for place, row in enumerate(rows):
        if place in places:
            rollup = MinuteRollup.restore(rollup.snapshot())
        found += rolled(rollup, [row])
    assert msgspec.msgpack.encode(found) == msgspec.msgpack.encode(expected)
    assert rollup.snapshot() == whole.snapshot()
    assert (rollup.late_rows, rollup.left_out_rows) == (whole.late_rows, whole.left_out_rows)
    for table in SOURCES:
        own = [row for each, row in rows if each == table]
        grouped = MinuteRollup()
        taken = [
            row
            for start in range(0, len(own), group)
            for row in grouped.take(table, form_of(SOURCES[table]), own[start : start + group])
        ]
        assert taken == [row for each, row in expected if each == table]
