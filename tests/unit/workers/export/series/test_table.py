"""Series from stored rows: totals, present values, names, beginnings and ends."""

import time
from typing import Any

import pytest
from fakes.known_names import KnownNames
from fakes.series_rows import BEGIN_NS, at, made, process_batch, shown, sketch_batch, unit_batch
from fakes.stored_batch import stored, stored_bytes

from agent.model.errors import FormatError
from agent.model.sketch import SketchColumns
from agent.model.tables import GAP
from agent.model.timebase import S
from agent.store.record import form_of
from workers.export.series.table import SeriesTable
from workers.host.schema import HOST, HOST_DISK, HOST_NETWORK
from workers.process.schema import PROCESS_TAIL
from workers.unit.schema import UNIT, UNIT_EVENT

CPU = "evergauge_unit_cpu_seconds_total"
SERVICE = 'kind="service",unit="/a"'


def test_what_was_added_is_summed_up() -> None:
    """A counter is the sum of its rows, exact in nanoseconds, and in seconds."""
    table = made()
    for second in range(10):
        table.take(unit_batch(second, "/a", cpu_user_ns=300_000_001, cpu_system_ns=2))
    assert shown(table, CPU) == {f'mode="user",{SERVICE}': 3.00000001, f'mode="system",{SERVICE}': 2e-08}


def test_a_value_is_that_of_the_last_row() -> None:
    """Memory is what it is now."""
    table = made()
    for second, size in enumerate((5, 9, 7)):
        table.take(unit_batch(second, "/a", memory_current_bytes=size))
    assert shown(table, "evergauge_unit_memory_current_bytes") == {SERVICE: 7}


def test_an_absent_value_gives_no_sample() -> None:
    """Null is not zero; a counter that could not be read for a while goes on where it stood."""
    table = made()
    table.take(unit_batch(0, "/a", cpu_user_ns=None, memory_current_bytes=1))
    assert shown(table, CPU) == {}
    table.take(unit_batch(1, "/a", cpu_user_ns=S))
    table.take(unit_batch(2, "/a", cpu_user_ns=None))
    assert shown(table, CPU) == {f'mode="user",{SERVICE}': 1.0}
    assert shown(table, "evergauge_unit_memory_current_bytes") == {}


def test_a_counter_begins_where_its_first_row_began() -> None:
    """The start time is the beginning of what the first row covers."""
    table = made()
    table.take(unit_batch(100, "/a", cpu_user_ns=S, elapsed_ns=60 * S))
    table.take(stored(HOST_DISK, [{"timestamp": at(1), "device": "sda", "devices": 1, "reads": 1}]))
    table.take(stored(HOST_DISK, [{"timestamp": at(2), "device": name, "devices": 1, "reads": 1} for name in ("sda", "sdb")]))
    created = {
        tracked.labels.text: tracked.created_ns - BEGIN_NS
        for family in table.families()
        for tracked, metric, _ in family.samples
        if metric.name in (CPU, "evergauge_disk_reads_total")
    }
    assert created == {SERVICE: 40 * S, 'device="sda"': 1 * S, 'device="sdb"': 1 * S}


def test_whole_units_and_containers_have_names_of_their_own() -> None:
    """A sum over units counts nothing twice."""
    names = KnownNames()
    names.learn("uid-1", "shop", "web-0", c1="nginx")
    table = made(names=names)
    for container in (None, "c1", "c2"):
        table.take(unit_batch(0, "uid-1", kind="pod", container=container, pids=3))
    pod = 'kind="pod",namespace="shop",pod="web-0",unit="uid-1"'
    assert shown(table, "evergauge_unit_pids") == {pod: 3}
    assert shown(table, "evergauge_container_pids") == {
        f'container="nginx",container_id="c1",{pod}': 3,
        f'container_id="c2",{pod}': 3,
    }


def test_a_name_that_becomes_known_is_shown() -> None:
    """A pod's first rows come before the runtime's report."""
    names = KnownNames()
    table = made(names=names)
    table.take(unit_batch(0, "uid-1", kind="pod", pids=3))
    names.learn("uid-1", "shop", "web-0")
    table.settle(at(0))
    assert shown(table, "evergauge_unit_pids") == {'kind="pod",namespace="shop",pod="web-0",unit="uid-1"': 3}


def test_a_unit_ends_with_its_last_row_or_without_rows() -> None:
    """A unit that does nothing has a row a minute."""
    table = made()
    table.take(unit_batch(0, "/a", "/b", "/c", pids=1))
    table.take(unit_batch(1, "/a", pids=1, is_final=True))
    table.take(unit_batch(60, "/b", pids=1))
    table.settle(at(65))
    assert len(shown(table, "evergauge_unit_pids")) == 2
    table.settle(at(66))
    assert shown(table, "evergauge_unit_pids") == {'kind="service",unit="/b"': 1}
    assert table.count_by_table() == {"unit": 1}


def test_rows_that_are_far_apart_do_not_end_their_series() -> None:
    """A sampler may be told to sample every five minutes."""
    table = made()
    for minutes in range(0, 30, 5):
        table.take(unit_batch(60 * minutes, "/a", pids=minutes, elapsed_ns=300 * S))
    table.settle(at(30 * 60))
    assert len(shown(table, "evergauge_unit_pids")) == 1


def test_counts_of_events_stay() -> None:
    """A kill is a row once; its count does not go away."""
    table = made()
    event: dict[str, Any] = {"timestamp": at(0), "unit": "/a", "kind": "service", "cgroup": "/a", "sequence": 1, "event": "oom"}
    table.take(stored(UNIT_EVENT, [event | {"verdict": "own_limit", "kills": 2}]))
    gap: dict[str, Any] = {"timestamp": at(0), "worker": "w", "run": "r", "epoch": 1, "reason": "frozen", "ticks": 4}
    table.take(stored(GAP, [gap, gap | {"ticks": 1}]))
    table.settle(at(100_000))
    assert shown(table, "evergauge_units_oom_kills_total") == {'limit="own_limit"': 2}
    assert shown(table, "evergauge_gap_ticks_total") == {'reason="frozen",worker="w"': 5}


def test_rows_of_one_unit_add_up_where_they_are_parts_of_it() -> None:
    """The tail has a row for each command of a unit."""
    table = made()
    for second in range(2):
        rows = [
            {
                "timestamp": at(second),
                "pod_uid": unit,
                "command": command,
                "commands": 1,
                "processes": 2,
                "rss_bytes": 5,
                "cpu_ns": S,
            }
            for unit in ("/a", None)
            for command in ("x", "y")
        ]
        table.take(stored(PROCESS_TAIL, rows))
    assert shown(table, "evergauge_tail_processes") == {'unit="/a"': 4, 'unit="(none)"': 4}
    assert shown(table, "evergauge_tail_cpu_seconds_total") == {'unit="/a"': 4.0, 'unit="(none)"': 4.0}


def test_a_yes_is_1_and_a_no_is_0() -> None:
    """Null is neither."""
    table = made()
    up = (("eth0", True), ("eth1", False), ("lo", None))
    table.take(
        stored(HOST_NETWORK, [{"timestamp": at(0), "interface": name, "interfaces": 1, "is_up": is_up} for name, is_up in up])
    )
    found = shown(table, "evergauge_network_up")
    assert found == {'interface="eth0"': 1, 'interface="eth1"': 0}
    assert not any(isinstance(value, bool) for value in found.values())


def test_commands_are_ranked_over_the_time_since_the_last_reading() -> None:
    """CPU and bytes are means, memory is what it is now; processes of one name are one command."""
    table = made()
    table.take(process_batch(0, ("a", 1, S // 2, 100, 0), ("a", 2, S // 2, 100, 0), ("b", 3, S // 10, 900, 0)))
    table.take(process_batch(1, ("a", 1, 0, 100, 0), ("b", 3, S // 10, 100, 3_000)))
    table.read()
    assert shown(table, "evergauge_top_command_cpu_cores") == {'command="a",rank="1"': 0.5, 'command="b",rank="2"': 0.1}
    assert shown(table, "evergauge_top_command_memory_bytes") == {'command="a",rank="1"': 100, 'command="b",rank="2"': 100}
    assert shown(table, "evergauge_top_command_io_bytes_per_second") == {'command="b",rank="1"': 1500.0}
    table.read()
    assert len(shown(table, "evergauge_top_command_cpu_cores")) == 2
    table.take(process_batch(5, *((f"c{number}", number, number * S, 1, 0) for number in range(1, 9))))
    table.read()
    assert list(shown(table, "evergauge_top_command_cpu_cores")) == [
        f'command="c{8 - rank}",rank="{rank + 1}"' for rank in range(5)
    ]
    assert shown(table, "evergauge_top_command_cpu_cores")['command="c8",rank="1"'] == 2.0


def test_a_pid_is_a_label_only_where_it_is_wanted() -> None:
    """Processes of one name are then apart."""
    table = made(has_pids=True)
    table.take(process_batch(0, ("a", 7, S // 2, 100, 0), ("a", 8, S // 4, 100, 0)))
    table.read()
    expected = {'command="a",pid="7",rank="1"': 0.5, 'command="a",pid="8",rank="2"': 0.25}
    assert shown(table, "evergauge_top_command_cpu_cores") == expected


def test_the_newest_sketch_of_each_command_is_shown() -> None:
    """It is the row, bucket for bucket."""
    table = made()
    table.take(sketch_batch(60, "/a", "x", "rss", [1, 2, 3]))
    table.take(sketch_batch(120, "/a", "x", "rss", [100, 200]))
    table.take(sketch_batch(120, None, None, "cpu", [5]))
    found = shown(table, "evergauge_process_memory_bytes")
    assert list(found) == ['command="x",unit="/a"']
    sketch = found['command="x",unit="/a"']
    assert isinstance(sketch, SketchColumns)
    assert (sketch.count, sketch.sum) == (2, 300)
    assert list(shown(table, "evergauge_process_cpu_nanoseconds")) == [""]


def test_tables_without_metrics_and_columns_of_earlier_versions_are_no_obstacle() -> None:
    """A spool may hold rows of another version of the agent."""
    table = made()
    whole = form_of(UNIT)
    short = type(whole)(1, whole.names[:9], whole.dtypes[:9], whole.prefix, whole.nullable[:9])
    row = b"\x91\x99\x00\xa1u\xa7service\xc0\xa1c\xc0\xc0\xc0\xc2"
    table.take(stored_bytes("unit", short, row, 1))
    table.take(stored_bytes("other", short, row, 1))
    assert list(table.families()) == []
    with pytest.raises(FormatError):
        table.take(stored_bytes("unit", whole, b"\xff", 1))


def filled_table() -> SeriesTable:
    """A table with something of everything."""
    names = KnownNames()
    names.learn("uid-1", "shop", "web-0")
    table = made(names=names, interval_ns=15 * S)
    for second in range(40):
        table.take(unit_batch(second, "uid-1", "/b", cpu_user_ns=second, memory_current_bytes=second))
        table.take(process_batch(second, ("a", 1, second, 100, 0)))
        table.take(stored(HOST, [{"timestamp": at(second), "load_1": 0.5, "cpu_user_ns": 1}]))
    table.take(sketch_batch(60, "/b", "x", "rss", [1, 2, 3]))
    return table


def test_a_restart_changes_nothing() -> None:
    """What is restored goes on as if it had never ended: same totals, same points, same bytes."""
    table, again = filled_table(), filled_table()
    names = KnownNames()
    names.learn("uid-1", "shop", "web-0")
    restored = made(names=names, interval_ns=15 * S)
    restored.restore(again.snapshot())
    assert restored.snapshot() == table.snapshot()
    table.take_points()
    for each in (table, restored):
        each.take(unit_batch(61, "/b", cpu_user_ns=7))
        each.take(process_batch(62, ("a", 1, 5, 100, 0)))
        each.settle(at(200))
    ours, theirs = ([(point.labels.pairs, *point[2:]) for point in each.take_points()] for each in (table, restored))
    assert ours == theirs
    assert len(ours) > 3
    assert restored.snapshot() == table.snapshot()


@pytest.mark.parametrize("bytes_", [b"", b"\xc1", b"\x90", b"\x99\x00\x00\x80\x90\x00\x00\xc0\x90\x07"])
def test_what_is_no_snapshot_is_refused(bytes_: bytes) -> None:
    """Its totals begin again."""
    with pytest.raises(FormatError):
        made().restore(bytes_)


def test_the_cost_is_linear() -> None:
    """Twice as many rows take about twice the time, not four times."""

    def seconds(units: int) -> float:
        table = made(series_max=1_000_000)
        batches = [unit_batch(second, *(f"/u{number}" for number in range(units)), cpu_user_ns=1) for second in range(3)]
        begun = time.process_time()
        for batch in batches:
            table.take(batch)
        table.settle(at(3))
        return time.process_time() - begun

    seconds(100)
    ratio = min(seconds(2000) / seconds(1000) for _ in range(3))
    assert ratio < 3.2
