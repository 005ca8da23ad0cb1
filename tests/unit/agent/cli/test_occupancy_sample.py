"""Ticks of table occupancy are put together from the batches of a spool, or from sealed rows."""

from collections.abc import Sequence

import msgspec
import pytest
from fakes.listed_pod import pod_row
from fakes.stored_occupancy import MIB, OCCUPANCY, occupancy_row

from agent.cli.occupancy_sample import (
    TICKS_KEPT,
    Occupancy,
    OccupancyTicks,
    Unmeasured,
    groups_of,
    held_now,
    occupancy_of_rows,
    unmeasured_of,
)
from agent.model.errors import FormatError
from agent.model.table import Row, Value
from agent.store.record import TableForm

GROUP_A = "/sys/fs/resctrl/mon_groups/pod_a"


def put(ticks: OccupancyTicks, stamp: int, *rows: Row) -> None:
    ticks.put("occupancy", stamp, OCCUPANCY, msgspec.msgpack.encode(rows))


def newest(ticks: OccupancyTicks) -> Occupancy:
    sample = ticks.newest("h")
    assert sample is not None
    return sample


def dicts(rows: Sequence[Row]) -> list[dict[str, Value]]:
    return [dict(zip(OCCUPANCY.names, row, strict=True)) for row in rows]


def test_a_row_is_read_by_the_names_of_its_columns() -> None:
    """Each value has its place, what is absent is None."""
    ticks = OccupancyTicks()
    row = occupancy_row(5, "a", name="shop/web", llc=None, total=3.0, local=1.0, containers=(3, 2), absent="llc_occupancy:error")
    put(ticks, 5, row)
    pod = newest(ticks).pods[0]
    assert (pod.pod_uid, pod.pod_namespace, pod.pod_name, pod.group) == ("a", "shop", "web", GROUP_A)
    assert (pod.llc_bytes, pod.llc_size_bytes, pod.total_bytes_per_second, pod.local_bytes_per_second) == (None, 32 * MIB, 3.0, 1.0)
    assert (pod.total_containers, pod.reconciled_containers, pod.absent) == (3, 2, "llc_occupancy:error")


def test_a_row_of_an_emulated_resctrl_is_known_as_such() -> None:
    """A value of another type than the column's says nothing."""
    ticks = OccupancyTicks()
    put(ticks, 5, occupancy_row(5, "a", emulated=True), occupancy_row(5, "b"))
    assert [pod.emulated for pod in newest(ticks).pods] == [True, None]


def test_a_tick_may_come_in_parts_between_two_looks() -> None:
    """Batches of one stamp are one tick, also when the second is written after the first was shown."""
    ticks = OccupancyTicks()
    put(ticks, 5, occupancy_row(5, "a"))
    assert len(newest(ticks).pods) == 1
    put(ticks, 5, occupancy_row(5, "b"))
    assert [pod.pod_uid for pod in newest(ticks).pods] == ["a", "b"]


def test_the_past_is_what_each_group_had_in_the_ticks_kept() -> None:
    """Oldest first, bounded, and with a hole where a group was not there."""
    ticks = OccupancyTicks()
    for at in range(TICKS_KEPT + 5):
        put(ticks, at, occupancy_row(at, "a" if at != 20 else "b", llc=at, total=float(at)))
    past = newest(ticks).past
    assert len(past) == TICKS_KEPT
    assert [tick.get(GROUP_A) for tick in past] == [None if at == 20 else (at, float(at)) for at in range(5, TICKS_KEPT + 5)]


def test_a_row_that_does_not_fit_costs_no_other_and_is_counted() -> None:
    """The rest of its batch is shown."""
    ticks = OccupancyTicks()
    put(ticks, 5, occupancy_row(5, "a"), occupancy_row(5, "b")[:-1], occupancy_row(5, "c"))
    sample = newest(ticks)
    assert ([pod.pod_uid for pod in sample.pods], sample.damaged, sample.bad_rows) == (["a", "c"], 0, 1)


def test_a_damaged_batch_costs_no_other_and_is_counted() -> None:
    """A batch whose rows do not fit is left out; the newest tick that can be read is shown."""
    ticks = OccupancyTicks()
    put(ticks, 5, occupancy_row(5, "a"))
    ticks.put("occupancy", 6, OCCUPANCY, msgspec.msgpack.encode([[1, 2, 3]]))
    ticks.put("occupancy", 7, OCCUPANCY, b"\xc1")
    put(ticks, 8, (None,) * len(OCCUPANCY.names))
    sample = newest(ticks)
    assert (sample.at_wall_ns, sample.damaged, len(sample.past)) == (5, 3, 1)


def test_nothing_stored_is_no_sample() -> None:
    """Neither a spool without ticks nor an empty file is shown as zero pods."""
    assert OccupancyTicks().newest("h") is None
    assert occupancy_of_rows("h", []) is None


def test_columns_of_another_version_are_absent() -> None:
    """A form that lacks columns, or has them in another order, is read anyway."""
    names = ("resctrl_group", "pod_uid", "llc_occupancy_bytes")
    ticks = OccupancyTicks()
    ticks.put("occupancy", 5, TableForm(1, names, ("utf8", "utf8", "int64"), "x-"), msgspec.msgpack.encode([["g", "u", 7]]))
    pod = newest(ticks).pods[0]
    assert (pod.group, pod.pod_uid, pod.llc_bytes, pod.llc_size_bytes) == ("g", "u", 7, None)


def test_sealed_rows_of_one_scan_are_one_tick() -> None:
    """Each pod is read at its own moment; the start of the scan holds them together."""
    rows = dicts([occupancy_row(5_000, "a", llc=1), occupancy_row(5_000, "long-uid"), occupancy_row(9_000, "a", llc=2)])
    sample = occupancy_of_rows("h", reversed(rows))
    assert sample is not None
    assert (sample.at_wall_ns, [pod.llc_bytes for pod in sample.pods]) == (9_000, [2])
    assert [(len(tick), tick[GROUP_A][0]) for tick in sample.past] == [(2, 1), (1, 2)]


def test_a_sealed_row_without_pod_is_told() -> None:
    """A file whose rows name no pod is no file of this table."""
    with pytest.raises(FormatError, match="names no pod"):
        occupancy_of_rows("h", [{"timestamp": 1}])


def test_readings_of_a_group_are_found_together() -> None:
    """Who sums over groups counts a shared one once."""
    ticks = OccupancyTicks()
    put(ticks, 5, occupancy_row(5, "a", group="s"), occupancy_row(5, "b"), occupancy_row(5, "c", group="s"))
    groups = groups_of(newest(ticks).pods)
    assert [[pod.pod_uid for pod in pods] for pods in groups.values()] == [["a", "c"], ["b"]]


def test_pods_without_a_row_have_their_reason() -> None:
    """The kind of problem where the agent tells one, else what its state means for somebody who looks for values."""
    ticks = OccupancyTicks()
    put(ticks, 5, occupancy_row(5, "a"))
    listed = [
        pod_row("a"),
        pod_row("b", group_state="failed", group_problem="capacity"),
        pod_row("c", group_state="ignored", rule="quiet"),
        pod_row("d"),
        pod_row("e", group_state="pending"),
        pod_row("no-name", group_state="assigned"),
    ]
    names = {"a": "shop/web", "b": "z/last", "c": "b", "d": "c", "e": "d"}
    assert unmeasured_of(listed, names, newest(ticks).pods) == (
        Unmeasured("b", "ignored by a rule", "c"),
        Unmeasured("c", "no row yet", "d"),
        Unmeasured("d", "pending", "e"),
        Unmeasured("no-name", "no groups in use", "no-name"),
        Unmeasured("z/last", "capacity", "b"),
    )


def test_a_row_without_any_time_belongs_to_no_tick() -> None:
    """Of an older version, or damaged: it is passed over."""
    good, bad = dicts([occupancy_row(5, "a"), occupancy_row(5, "b")])
    sample = occupancy_of_rows("h", [good, {**bad, "timestamp": None, "start_timestamp": None}])
    assert sample is not None
    assert [pod.pod_uid for pod in sample.pods] == ["a"]


def test_a_pod_that_has_no_group_now_holds_nothing_any_more() -> None:
    """Whatever the newest tick says of it; one that is not listed keeps its values."""
    sample = occupancy_of_rows("h", dicts([occupancy_row(5, uid) for uid in ("a", "b", "c", "d")]))
    assert sample is not None
    pods = [pod_row("a"), pod_row("b", group_state="failed"), pod_row("c", group_state="ignored")]
    assert [pod.pod_uid for pod in held_now(sample, pods).pods] == ["a", "d"]
