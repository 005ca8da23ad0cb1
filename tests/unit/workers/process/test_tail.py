"""What rows leave of each unit and command; how many sums are kept apart."""

import pytest
from fakes.sleeping import sleeping, totals_of

from workers.process.exits.deaths import TickTimes
from workers.process.largest import Largest
from workers.process.schema import PROCESS_TAIL
from workers.process.tail import COMMANDS_MAX, UNITS_MAX, TailPart, tail_parts, tail_row
from workers.process.tracked_process import Totals
from workers.process.unit_command import UnitCommand

NOTHING = Largest({}, {})
TIMES = TickTimes(10**18, 5 * 10**9, 6 * 10**9, 10**9)


def _sum(parts: list[TailPart], name: str) -> int:
    return sum(int(getattr(part.totals, name)) for part in parts)


def test_what_is_shown_is_taken_away() -> None:
    """A command of which every process has a row has no tail."""
    processes = [sleeping(pid, command=name, rss_bytes=pid, interval_cpu_ns=pid) for pid, name in ((1, "a"), (2, "a"), (3, "b"))]
    parts = tail_parts(totals_of(processes), processes[1:], Largest({UnitCommand(None, "a"): 1}, {UnitCommand(None, "a"): 1}))
    (part,) = parts
    assert (part.key, part.totals.processes, part.totals.cpu_ns, part.totals.rss_bytes) == (UnitCommand(None, "a"), 1, 1, 1)
    row = dict(zip(PROCESS_TAIL.column_names, tail_row(part, TIMES), strict=True))
    assert (row["commands"], row["cpu_largest_ns"], row["rss_largest_bytes"], row["absent"]) == (1, 1, 1, None)


def test_the_cpu_of_a_sum_whose_processes_are_all_gone_stays() -> None:
    """They moved elsewhere within the tick."""
    key = UnitCommand("pod", "a")
    (part,) = tail_parts({key: Totals(cpu_ns=7), UnitCommand("pod", "b"): Totals()}, [], NOTHING)
    assert (part.key, part.totals.cpu_ns) == (key, 7)


@pytest.mark.parametrize("units", [3, UNITS_MAX + 40])
def test_further_commands_are_summed_by_unit_and_further_units_overall(units: int) -> None:
    """Nothing is lost from the sums, keys are unique, and the largest keep their names."""
    processes = [
        sleeping(pid, pod_uid=f"u{pid % units}" if pid % units else None, command=f"c{pid}", rss_bytes=pid, interval_cpu_ns=pid)
        for pid in range(1, 1001)
    ]
    totals = totals_of(processes)
    largest = Largest({p.key: p.interval_cpu_ns or 0 for p in processes}, {p.key: p.rss_bytes for p in processes})
    parts = tail_parts(totals, [], largest)
    assert len(parts) == COMMANDS_MAX + min(units, UNITS_MAX + 1)
    assert len({part.key for part in parts}) == len(parts)
    assert _sum(parts, "processes") == sum(part.commands for part in parts) == 1000
    assert _sum(parts, "cpu_ns") == _sum(parts, "rss_bytes") == 500_500
    assert {part.key.command for part in parts[:COMMANDS_MAX]} == {f"c{pid}" for pid in range(1001 - COMMANDS_MAX, 1001)}
    assert max(part.rss_largest_bytes for part in parts[COMMANDS_MAX:]) == 1000 - COMMANDS_MAX


def test_the_first_tick_has_no_cpu_and_an_incomplete_sum_says_so() -> None:
    """Both reasons stand in the row."""
    part = TailPart(UnitCommand(None, "a"), Totals(processes=2, incomplete=1))
    row = dict(zip(PROCESS_TAIL.column_names, tail_row(part, TickTimes(1, 1, 1, None)), strict=True))
    assert (row["cpu_ns"], row["cpu_largest_ns"], row["absent"]) == (None, None, "cpu:first_tick,incomplete")


def test_several_of_one_command_with_rows_are_all_taken_away() -> None:
    """The rest is that of the others."""
    processes = [sleeping(pid, command="a", rss_bytes=pid, interval_cpu_ns=pid) for pid in (1, 2, 4)]
    (part,) = tail_parts(totals_of(processes), processes[1:], NOTHING)
    assert (part.totals.processes, part.totals.rss_bytes) == (1, 1)


def test_a_sum_without_the_cpu_of_one_process_is_incomplete() -> None:
    """Also where it is folded with others; at the first tick no CPU is known, which is another reason."""
    key = UnitCommand("pod", "a")
    (part,) = tail_parts({key: Totals(processes=2, cpu_ns=5)}, [], Largest({}, {}, {key}))
    row = dict(zip(PROCESS_TAIL.column_names, tail_row(part, TIMES), strict=True))
    assert (row["cpu_ns"], row["absent"]) == (5, "incomplete")
    assert tail_row(part, TickTimes(1, 1, 1, None))[-1] == "cpu:first_tick"
    many = {UnitCommand("pod", f"c{number}"): Totals(processes=1, rss_bytes=1) for number in range(COMMANDS_MAX + 1)}
    assert tail_parts(many, [], Largest({}, {}, many.keys()))[-1].lacks_cpu
