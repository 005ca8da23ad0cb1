"""Minutes of the batches that a sink passes by: each told once when it is over, whatever clocks and processes do."""

from typing import Any

import msgspec
import pytest
from fakes.stored_batch import RUN, stored, stored_bytes
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.model.errors import FormatError
from agent.model.fleet_tables import HOST_MINUTE, UNIT_MINUTE
from agent.model.tables import DIAG
from agent.model.timebase import MINUTE, S
from agent.ports import FORWARD_BYTES_MAX
from agent.store.batch import StoredBatch
from agent.store.record import TableForm, form_of
from workers.export.hub.minutes import SENDER_SUFFIX, Minutes
from workers.export.hub.parcel import MadeRows, ParcelMaker
from workers.export.hub.rollup import ENTITIES_MAX, FORGET_NS
from workers.host.schema import HOST
from workers.samplers.host import SAMPLER as HOST_SAMPLER
from workers.samplers.unit import SAMPLER as UNIT_SAMPLER
from workers.unit.schema import UNIT
from workers.writer.foreign import WORKER_CHARACTERS_MAX

BEGIN = 1_700_000_040 * S
BOTH = (UNIT_MINUTE.name, HOST_MINUTE.name)
# As batches of one segment share them.
UNIT_FORM = form_of(UNIT)


def unit(seq: int, second: float, *units: str, **values: Any) -> StoredBatch:
    """One row of each unit."""
    head: dict[str, Any] = {"timestamp": BEGIN + round(second * S), "kind": "service", "cgroup": "/", "elapsed_ns": S}
    head |= {"is_final": False, "cpu_ns": S // 2} | values
    batch = stored(UNIT, [head | {"unit": name} for name in units or ("/a",)], seq=seq, worker="sampler/unit", stamp_ns=seq)
    return replace(batch, form=UNIT_FORM)


def host(seq: int, second: float) -> StoredBatch:
    """One row of the host."""
    row: dict[str, Any] = {"timestamp": BEGIN + round(second * S), "elapsed_ns": S, "cpu_ns": 2 * S}
    return stored(HOST, [row], seq=seq, worker="sampler/host", stamp_ns=seq)


def named(made: MadeRows | None) -> list[dict[str, Any]]:
    """The made rows by column."""
    return [] if made is None else [dict(zip(made.table.column_names, row, strict=True)) for row in made.rows]


def test_a_minute_is_told_once_by_the_batch_that_completes_it() -> None:
    """With its number, stamp, run and epoch, under the sampler's name with a suffix."""
    minutes = Minutes(BOTH)
    assert [minutes.take(unit(seq, 20 * seq)) for seq in (0, 1, 2)] == [None] * 3
    made = minutes.take(unit(3, 60))
    assert made is not None
    assert (made.run, made.worker, made.epoch, made.seq, made.stamp_wall_ns) == (RUN, "sampler/unit/minutes", 1, 3, 3)
    assert made.table is UNIT_MINUTE
    assert [(row["timestamp"], row["unit"], row["rows"]) for row in named(made)] == [(BEGIN, "/a", 3)]
    assert minutes.take(unit(4, 61)) is None


def test_minutes_of_two_tables_do_not_wait_for_each_other() -> None:
    """Each is closed by a row of its own."""
    minutes = Minutes(BOTH)
    assert minutes.take(unit(1, 0)) is None
    assert minutes.take(host(1, 0)) is None
    assert [row["rows"] for row in named(minutes.take(host(2, 60)))] == [1]
    assert minutes.take(host(3, 61)) is None
    made = minutes.take(unit(2, 60))
    assert made is not None
    assert made.table is UNIT_MINUTE


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ((), ()),
        (("diag", "unit"), ()),
        (("unit_minute",), ("unit",)),
        (("host_minute",), ("host",)),
        (BOTH, ("unit", "host")),
    ],
)
def test_only_minutes_that_are_wanted_are_made(wanted: tuple[str, ...], told: tuple[str, ...]) -> None:
    """Rows of other tables are not even looked at; where no minutes are wanted, nothing is kept."""
    minutes = Minutes(wanted)
    assert minutes.sources == told
    batches = [unit(1, 0), host(1, 0), unit(2, 60), host(2, 60)]
    assert [made.table.name for batch in batches if (made := minutes.take(batch))] == [f"{name}_minute" for name in told]
    assert minutes.take(stored_bytes("diag", form_of(DIAG), b"\xff no rows", 1)) is None
    assert (minutes.snapshot() == b"") is (not told)
    minutes.restore(b"" if told else b"nonsense")
    assert minutes.take(unit(3, 120)) is None


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        # A gap of an hour: the minute before it is told by the first row behind it, and none in between.
        ([0, 30, 3600, 3660], [(0, 2, 0), (60, 1, 0)]),
        # The clock is set forward by a day, and back: minutes are told in the order of their closing, and none waits.
        ([0, 86400, 30, 60], [(0, 1, 0), (1440, 1, 0), (0, 1, 0)]),
        # Set back by five minutes, which is no more than lateness: the open minute takes the rows, and says so.
        ([600, 300, 359, 660], [(10, 3, 2)]),
        # Back and forth over the edge of a minute.
        ([59, 61, 59, 61, 59, 121], [(0, 1, 0), (1, 4, 2)]),
        # Exactly at the edge: the first moment of the next minute is the next one's.
        ([59.999999999, 60, 120], [(0, 1, 0), (1, 1, 0)]),
    ],
    ids=["gap", "a day forward and back", "five minutes back", "over the edge", "at the edge"],
)
def test_a_minute_is_told_once_over_gaps_and_clocks_that_jump(seconds: list[float], told: list[tuple[int, int, int]]) -> None:
    """Minute, rows, late rows. Every row but those of the open minute is in one of them."""
    minutes = Minutes(BOTH)
    found = [row for seq, second in enumerate(seconds, 1) for row in named(minutes.take(unit(seq, second)))]
    assert [((row["timestamp"] - BEGIN) // MINUTE, row["rows"], row["late_rows"]) for row in found] == told
    assert [row["sequence"] for row in found] == list(range(1, len(told) + 1))
    assert sum(row["rows"] for row in found) == len(seconds) - 1


def test_a_unit_that_appears_in_the_middle() -> None:
    """Its first minute is no whole one and has its rows alone; the next one is like all others."""
    minutes = Minutes(BOTH)
    for second in range(60):
        assert minutes.take(unit(second, second, *(("/a", "/b") if second >= 30 else ("/a",)))) is None
    first = {row["unit"]: row for row in named(minutes.take(unit(60, 60, "/a", "/b")))}
    assert {name: (row["rows"], row["cpu_ns"], row["is_whole"]) for name, row in first.items()} == {
        "/a": (60, 30 * S, True),
        "/b": (30, 15 * S, False),
    }
    for second in range(61, 120):
        assert minutes.take(unit(second, second, "/a", "/b")) is None
    assert [(row["unit"], row["rows"], row["is_whole"]) for row in named(minutes.take(unit(120, 120, "/a", "/b")))] == [
        ("/a", 60, True),
        ("/b", 60, True),
    ]


@pytest.mark.parametrize(
    ("rows", "sum_ns", "mean", "most"),
    [
        # Half a core in the seconds that are known; the others are not taken for idle ones.
        ([(S, S // 2), (S, None), (2 * S, None)], S // 2, 0.5, 0.5),
        ([(S, None), (S, S), (3 * S, S)], 2 * S, 0.5, 1.0),
        # A known zero is one.
        ([(S, 0), (S, None)], 0, 0.0, 0.0),
        # Nothing is known of the CPU, or of the time that it was used in.
        ([(S, None), (S, None)], None, None, None),
        ([(None, S)], S, None, None),
        ([(0, S)], S, None, None),
    ],
)
def test_what_is_unknown_stays_unknown_in_a_mean(
    rows: list[tuple[int | None, int | None]], sum_ns: int | None, mean: float | None, most: float | None
) -> None:
    """Pairs of elapsed time and CPU time: the mean is over the time whose CPU time is known."""
    minutes = Minutes(BOTH)
    for second, (elapsed_ns, cpu_ns) in enumerate(rows):
        minutes.take(unit(second + 1, 10 * second, elapsed_ns=elapsed_ns, cpu_ns=cpu_ns))
    (row,) = named(minutes.take(unit(60, 60)))
    assert (row["cpu_ns"], row["cpu_cores"], row["cpu_cores_max"]) == (sum_ns, mean, most)
    assert row["covered_ns"] == sum(elapsed_ns or 0 for elapsed_ns, _ in rows)


def test_rows_of_another_version_in_the_middle() -> None:
    """Behind an upgrade a segment declares other columns; a sum is over what there is of both."""
    minutes = Minutes(BOTH)
    old = TableForm(1, ("cpu_ns", "timestamp", "unit", "elapsed_ns"), ("int64", "int64", "utf8", "int64"), "unit-")
    rows = [[S // 4, BEGIN + 59 * S, "/a", S]]
    minutes.take(unit(1, 58, io_read_bytes=7))
    minutes.take(stored_bytes("unit", old, msgspec.msgpack.encode(rows), 1, seq=2))
    # Of the next segment, which describes the same columns once more.
    minutes.take(replace(unit(3, 59.5), form=form_of(UNIT)))
    (row,) = named(minutes.take(unit(4, 60)))
    assert (row["rows"], row["cpu_ns"], row["io_read_bytes"], row["kind"]) == (3, S + S // 4, 7, "service")


def test_rows_that_cannot_be_read_are_counted_and_change_no_minute() -> None:
    """Neither bytes that are none, nor columns of a version to come; what follows goes on, also in another process."""
    minutes = Minutes(BOTH)
    minutes.take(unit(1, 0))
    to_come = TableForm(99, ("timestamp", "unit", "shape"), ("int64", "utf8", "tensor"), "unit-")
    for broken in (replace(unit(2, 60), rows=b"\xff"), stored_bytes("unit", to_come, b"\x92\x90\x90", 2, seq=2)):
        with pytest.raises(FormatError):
            minutes.take(broken)
    assert minutes.left_out_rows == 3
    minutes.restore(minutes.snapshot())
    assert minutes.left_out_rows == 3
    assert [row["rows"] for row in named(minutes.take(unit(3, 60)))] == [1]


@pytest.mark.parametrize("content", [b"nonsense", b"\x90", b"\xff"])
def test_a_snapshot_that_is_none_begins_from_nothing(content: bytes) -> None:
    """And says so; also where minutes were open before. An empty one is no mistake."""
    minutes = Minutes(BOTH)
    minutes.take(unit(1, 0))
    with pytest.raises(FormatError):
        minutes.restore(content)
    assert minutes.snapshot() == Minutes(BOTH).snapshot()
    minutes.take(unit(1, 0))
    minutes.restore(b"")
    assert minutes.snapshot() == Minutes(BOTH).snapshot()


def test_the_sender_fits_what_a_hub_stores() -> None:
    """A hub refuses rows of a worker with a longer name."""
    for sampler in (UNIT_SAMPLER, HOST_SAMPLER):
        assert len(f"sampler/{sampler.name}{SENDER_SUFFIX}") <= WORKER_CHARACTERS_MAX


def test_the_minute_of_as_many_units_as_there_may_be_is_one_batch_of_a_hub() -> None:
    """Of pods with containers, and numbers of the size of gigabytes and seconds; a hub refuses a larger batch."""
    minutes = Minutes(BOTH)
    numbers: dict[str, int] = {
        column.name: 5 * 10**9
        for column in UNIT.columns
        if column.dtype == "int64" and column.name not in ("timestamp", "elapsed_ns")
    }
    row: dict[str, Any] = {"timestamp": BEGIN, "kind": "pod", "cgroup": "/", "elapsed_ns": S, "is_final": False} | numbers
    rows = [row | {"unit": f"{number:036x}", "container": f"{number:064x}"} for number in range(ENTITIES_MAX)]
    minutes.take(stored(UNIT, rows, seq=1))
    made = minutes.take(unit(2, 60))
    assert made is not None
    assert len(made.rows) == ENTITIES_MAX
    maker = ParcelMaker()
    maker.add_made(made)
    parcel = maker.parcel()
    assert parcel is not None
    assert parcel.size_bytes <= FORWARD_BYTES_MAX


def test_units_that_come_and_go_take_no_more_and_more_room() -> None:
    """A hundred new ones each minute for half an hour: what is kept is of those of the last minutes."""
    minutes = Minutes(BOTH)
    sizes = []
    for minute in range(30):
        made = minutes.take(unit(minute + 1, 60 * minute, *(f"/{minute:02}/{number:02}" for number in range(100))))
        assert len(named(made)) == (100 if minute else 0)
        sizes.append(len(minutes.snapshot()))
    settled = FORGET_NS // MINUTE + 2
    assert max(sizes[settled:]) < 1.01 * sizes[settled]


# ---- restarts anywhere -------------------------------------------------------------------------------

_BATCHES = st.lists(
    st.tuples(
        st.booleans(),
        # Mostly forward by seconds; sometimes a jump of the clock.
        st.integers(0, 40) | st.sampled_from([-2, -30, -700, 3600]),
        st.lists(st.sampled_from(["/a", "/b", "/c"]), min_size=1, max_size=3, unique=True),
        st.none() | st.integers(0, 10**12),
    ),
    max_size=40,
)


@given(_BATCHES, st.integers(0, 40), st.integers(0, 40))
def test_a_restart_anywhere_tells_each_minute_once_and_the_same(
    parts: list[tuple[bool, int, list[str], int | None]], kept: int, settled: int
) -> None:
    """A snapshot behind some batches; those up to a later one are passed by again, and what is made of the rest is the same."""
    batches, second = [], 0
    for seq, (of_host, step, units, cpu_ns) in enumerate(parts, 1):
        second += step
        batches.append(host(seq, second) if of_host else unit(seq, second, *units, cpu_ns=cpu_ns))
    whole = Minutes(BOTH)
    expected = [whole.take(batch) for batch in batches]
    first, again = Minutes(BOTH), Minutes(BOTH)
    for batch in batches[:kept]:
        first.take(batch)
    again.restore(first.snapshot())
    for batch in batches[kept : max(kept, settled)]:
        again.take(batch)
    assert [again.take(batch) for batch in batches[max(kept, settled) :]] == expected[max(kept, settled) :]
    assert again.snapshot() == whole.snapshot()
    # A row that is told is of rows that came, so what travels is no more than what was read.
    counts = [row["rows"] for made in expected for row in named(made)]
    assert all(counts)
    assert sum(counts) <= sum(batch.entry.rows for batch in batches)
    # Each minute that was told has a number of its own in its table.
    told = [(made.table.name, row["sequence"], row.get("unit")) for made in expected if made for row in named(made)]
    assert len(told) == len(set(told))
