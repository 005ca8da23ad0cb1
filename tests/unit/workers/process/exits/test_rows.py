"""Rows of `process_exit`: what has one of its own, what is summed, and that nothing is lost from the sums."""

import random

from fakes.dying_world import POD, record, tracked

from agent.model.timebase import MS, S
from workers.process.exits.connector_event import ConnectorExit
from workers.process.exits.deaths import Deaths, TickTimes
from workers.process.exits.ledger import DeadProcess
from workers.process.exits.reaped import Remainder
from workers.process.exits.rows import PARTS_MAX, SINGLE_ROWS_MAX, SUM_ROWS_MAX, deaths_of
from workers.process.schema import PROCESS_EXIT
from workers.process.unit_command import UnitCommand

TIMES = TickTimes(wall_ns=5, now_ns=7, boot_ns=7, elapsed_ns=S)
KEY = UnitCommand(POD, "job")


def dead(pid: int, cpu_ns: int | None = MS, *, key: UnitCommand = KEY, code: int = 0, life_us: int = 1_000) -> DeadProcess:
    """One that was never seen."""
    return DeadProcess(cpu_ns, 0, key, "parent", None, record(pid, exit_code=code, elapsed_us=life_us), 10, 20, None)


def named(deaths: Deaths) -> list[dict[str, object]]:
    """The rows by column."""
    assert all(len(row) == len(PROCESS_EXIT.columns) for row in deaths.rows)
    return [dict(zip(PROCESS_EXIT.column_names, row, strict=True)) for row in deaths.rows]


def test_a_few_deaths_have_a_row_each() -> None:
    """With its code or its signal, its life and what it used."""
    process = tracked(8, ppid=3)
    seen = DeadProcess(2 * MS, MS, KEY, "seen", process, record(8, exit_code=9, ppid=3), None, None, "several_threads")
    first, second = named(deaths_of([dead(7, code=0x300), seen], {}, "taskstats", TIMES))
    assert (first["pid"], first["exit_code"], first["signal"], first["unseen"], first["lifetime_ns"]) == (7, 3, None, 1, MS)
    assert (first["source"], first["command"], first["pod_uid"], first["unit_from"]) == ("taskstats", "job", POD, "parent")
    assert (first["rss_max_bytes"], first["read_bytes"], first["write_bytes"]) == (102_400, 10, 20)
    assert (second["start_ticks"], second["exit_code"], second["signal"], second["unseen"]) == (0, None, 9, 0)
    assert (second["cpu_ns"], second["cpu_share"], second["cpu_tail_ns"], second["absent"]) == (
        2 * MS, 0.002, MS, "several_threads",
    )  # fmt: skip


def test_the_life_of_another_thread_is_not_the_life_of_its_process() -> None:
    """The first thread ended before; how long the process lived is not in the last record."""
    other = DeadProcess(MS, 0, KEY, "parent", None, record(9, tgid=7, elapsed_us=5), None, None, "several_threads")
    (row,) = named(deaths_of([other], {}, "taskstats", TIMES))
    assert (row["pid"], row["lifetime_ns"]) == (7, None)


def test_sums_over_all_rows_are_those_over_all_deaths() -> None:
    """Of 5,000 deaths of 600 commands, whatever is folded."""
    rng = random.Random(3)
    keys = [UnitCommand(POD, f"c{number}") for number in range(600)]
    found = [dead(pid, rng.randrange(5 * MS), key=rng.choice(keys)) for pid in range(5_000)]
    beats: list[int] = []
    deaths = deaths_of(found, {}, "taskstats", TIMES, lambda: beats.append(1))
    rows = named(deaths)
    total_ns = sum(each.cpu_ns or 0 for each in found)
    assert len(rows) <= SINGLE_ROWS_MAX + SUM_ROWS_MAX
    assert sum(int(str(row["cpu_ns"])) for row in rows) == total_ns == deaths.cpu_ns == sum(deaths.by_key.values())
    assert sum(int(str(row["deaths"])) for row in rows) == 5_000 == deaths.count == deaths.unseen == len(deaths.parts)
    assert sum(int(str(row["write_bytes"])) for row in rows) == 100_000 == deaths.write_bytes
    assert len({(row["pid"], row["start_ticks"], row["pod_uid"], row["command"]) for row in rows}) == len(rows)
    assert beats


def test_deaths_by_signal_and_late_failures_have_rows_before_those_of_much_cpu() -> None:
    """A job that fails again and again does not take the room."""
    busy = [dead(pid, 50 * MS) for pid in range(1_000)]
    killed, failed = dead(2_001, 0, code=9), dead(2_002, 0, code=0x100, life_us=60_000_000)
    short = [dead(pid, 0, code=0x100) for pid in range(3_000, 3_100)]
    rows = named(deaths_of([*busy, killed, failed, *short], {}, "taskstats", TIMES))
    pids = {row["pid"] for row in rows}
    assert {2_001, 2_002} <= pids
    assert pids.isdisjoint(range(3_000, 3_100))
    assert len(pids - {None}) == SINGLE_ROWS_MAX


def test_cpu_that_is_known_of_all_together_stands_in_a_sum() -> None:
    """What parents' counters show is nobody's alone; the row says that it is not complete."""
    other = UnitCommand(None, "sh")
    unknown = [DeadProcess(None, 0, KEY, "seen", tracked(7), ConnectorExit(7, 9, 3), None, None, "unsupported")]
    deaths = deaths_of(unknown, {KEY: Remainder(20 * MS, "seen"), other: Remainder(10 * MS, "parent")}, "connector", TIMES)
    single, summed, alone = named(deaths)
    assert (single["pid"], single["ppid"], single["signal"], single["cpu_ns"], single["cpu_tail_ns"]) == (7, 3, 9, None, None)
    assert (single["lifetime_ns"], single["rss_max_bytes"], single["absent"]) == (None, None, "unsupported")
    assert (summed["command"], summed["deaths"], summed["cpu_ns"], summed["absent"]) == ("job", 0, 20 * MS, "incomplete")
    assert (alone["command"], alone["pod_uid"], alone["cpu_ns"], alone["unit_from"]) == ("sh", None, 10 * MS, "parent")
    assert (deaths.cpu_ns, deaths.by_key, deaths.parts) == (30 * MS, {KEY: 20 * MS, other: 10 * MS}, [])


def test_a_death_without_a_record_says_only_what_was_seen() -> None:
    """And the first tick has no share."""
    lost = DeadProcess(None, 0, KEY, "seen", tracked(7, ppid=3), None, None, None, "record_lost")
    (row,) = named(deaths_of([lost], {}, "taskstats", TickTimes(5, 7, 7, None)))
    assert (row["pid"], row["ppid"], row["exit_code"], row["signal"], row["cpu_share"]) == (7, 3, None, None, None)
    many = deaths_of([lost._replace(process=tracked(pid)) for pid in range(100)], {}, "taskstats", TickTimes(5, 7, 7, None))
    assert sum(int(str(row["deaths"])) for row in named(many)) == 100
    assert {row["absent"] for row in named(many) if row["pid"] is None} == {"incomplete,record_lost"}


def test_a_sum_of_seen_and_unseen_says_no_way_of_both() -> None:
    """How the unit is known differs among them."""
    found = [dead(pid, 0) for pid in range(200)]
    found += [DeadProcess(0, 0, KEY, "seen", tracked(pid), record(pid), 0, 0, None) for pid in range(300, 400)]
    (summed,) = [row for row in named(deaths_of(found, {}, "taskstats", TIMES)) if row["pid"] is None]
    assert summed["unit_from"] is None


def test_parts_for_the_sketches_are_bounded() -> None:
    """The sums have all of them."""
    deaths = deaths_of([dead(pid, 1) for pid in range(PARTS_MAX + 1)], {}, "taskstats", TIMES)
    assert (len(deaths.parts), deaths.cpu_ns) == (PARTS_MAX, PARTS_MAX + 1)


def test_a_death_of_which_no_unit_is_known_is_counted_under_none() -> None:
    """Neither as seen nor as its parent's."""
    unknown = DeadProcess(MS, 0, UnitCommand(None, None), None, None, record(9), None, None, None)
    (row,) = named(deaths_of([unknown], {}, "taskstats", TIMES))
    assert (row["pod_uid"], row["unit_from"]) == (None, None)
