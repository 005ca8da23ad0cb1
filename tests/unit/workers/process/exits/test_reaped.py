"""The CPU of the dead by their parents' counters, and deaths by events."""

from fakes.dying_world import POD, tracked

from agent.model.timebase import MS
from workers.process.exits.connector_event import ConnectorExit
from workers.process.exits.reaped import PARENTS_MAX, EventLedger, ReapedLedger, Remainder, lost_remainders, vanished
from workers.process.process_table import Scan, TrackedProcess
from workers.process.unit_command import UnitCommand

KEY, SHELL = UnitCommand(POD, "job"), UnitCommand(POD, "sh")


def parent(pid: int, reaped_ns: int) -> TrackedProcess:
    """A shell that has waited for children with so much CPU since the last tick."""
    process = tracked(pid)
    process.key = SHELL
    process.interval_reaped_ns = reaped_ns
    return process


def test_what_was_counted_of_a_child_is_taken_off_what_its_parent_waited_for() -> None:
    """Its own time and that of its own children; the rest is what it used after its last sample."""
    shell, child = parent(5, 100 * MS), tracked(7, cpu_ns=60 * MS, ppid=5)
    child.reaped_ns = 10 * MS
    found = ReapedLedger().remainders(Scan(touched=[shell], gone=[child]), {"5": shell})
    assert found == {KEY: Remainder(30 * MS, "seen")}


def test_what_is_owed_by_coarse_counters_is_taken_off_later() -> None:
    """A counter in steps of 10 ms lags behind; the sum over all ticks is right."""
    shell, child = parent(5, 50 * MS), tracked(7, cpu_ns=57 * MS, ppid=5)
    ledger = ReapedLedger()
    assert ledger.remainders(Scan(touched=[shell], gone=[child]), {"5": shell}) == {}
    shell.interval_reaped_ns = 20 * MS
    assert ledger.remainders(Scan(touched=[shell]), {"5": shell}) == {SHELL: Remainder(13 * MS, "parent")}
    assert ledger.remainders(Scan(), {}) == {}


def test_children_of_several_commands_stand_under_their_parent() -> None:
    """Which of them used it is not known; two parents of one command are summed."""
    first, second = parent(5, 50 * MS), parent(6, 30 * MS)
    one, other = tracked(7, ppid=5), tracked(8, ppid=5)
    other.key = UnitCommand(POD, "other")
    found = ReapedLedger().remainders(Scan(touched=[first, second], gone=[one, other]), {"5": first, "6": second})
    assert found == {SHELL: Remainder(80 * MS, "parent")}


def test_lost_records_leave_a_remainder_with_the_parent() -> None:
    """What the records say is taken off; less than the counters' steps is nothing."""
    shell, quiet = parent(5, 200 * MS), parent(6, 30 * MS)
    child = tracked(7, cpu_ns=40 * MS, ppid=5)
    found = lost_remainders(Scan(touched=[shell, quiet], gone=[child]), {}, {5: 60 * MS, 6: 15 * MS})
    assert found == {SHELL: Remainder(100 * MS, "parent")}


def test_without_any_source_a_death_is_a_process_that_is_not_there_any_more() -> None:
    """Its last CPU is unknown, which is said."""
    (dead,) = vanished(Scan(gone=[tracked(7)]))
    assert (dead.cpu_ns, dead.key, dead.absent) == (None, KEY, "unsupported")


def test_an_event_is_counted_when_its_process_vanishes() -> None:
    """A zombie's last reading has all of its CPU; its event is kept until then."""
    zombie, ledger = tracked(7, state="Z"), EventLedger()
    assert ledger.settle(Scan(), {"7": zombie}, [ConnectorExit(7, 9, 5)]) == []
    (dead,) = ledger.settle(Scan(gone=[zombie]), {}, [])
    assert (dead.process, dead.record) == (zombie, ConnectorExit(7, 9, 5))


def test_what_was_never_seen_stands_under_its_parent() -> None:
    """Nothing else is known of it; without a parent nothing at all."""
    shell, gone = parent(5, 0), tracked(8)
    events = [ConnectorExit(30, 0, 5), ConnectorExit(31, 0, 8), ConnectorExit(32, 0, 99), ConnectorExit(8, 0, 1)]
    found = EventLedger().settle(Scan(gone=[gone]), {"5": shell}, events)
    assert [(each.key, each.unit_from) for each in found] == [
        (SHELL, "parent"), (KEY, "parent"), (UnitCommand(None, None), None), (KEY, "seen"),
    ]  # fmt: skip


def test_a_vanished_process_without_an_event_has_lost_it() -> None:
    """The buffer was full, or it ended before events were received."""
    (dead,) = EventLedger().settle(Scan(gone=[tracked(7)]), {}, [])
    assert dead.absent == "record_lost"


def test_a_number_that_is_given_out_again_within_a_tick_is_two_deaths() -> None:
    """The first event is of the process that was followed."""
    gone = tracked(7)
    found = EventLedger().settle(Scan(gone=[gone]), {}, [ConnectorExit(7, 0, 1), ConnectorExit(7, 9, 1)])
    assert [(each.process, each.record) for each in found] == [(None, ConnectorExit(7, 9, 1)), (gone, ConnectorExit(7, 0, 1))]


def test_what_a_parent_that_is_gone_owed_is_forgotten() -> None:
    """Its number may come back as another process's."""
    shell, child = parent(5, 50 * MS), tracked(7, cpu_ns=57 * MS, ppid=5)
    ledger = ReapedLedger()
    ledger.remainders(Scan(touched=[shell], gone=[child]), {"5": shell})
    ledger.remainders(Scan(), {})
    again = parent(5, 20 * MS)
    assert ledger.remainders(Scan(touched=[again]), {"5": again}) == {SHELL: Remainder(20 * MS, "parent")}


def test_a_child_without_a_known_parent_is_nobody_s() -> None:
    """Neither one whose line did not say it, nor one whose parent is not followed."""
    orphan, stranger = tracked(7, cpu_ns=MS), tracked(8, cpu_ns=MS, ppid=99)
    orphan.stat = orphan.stat._replace(ppid=None)
    shell = parent(5, 100 * MS)
    scan = Scan(touched=[shell], gone=[orphan, stranger])
    assert ReapedLedger().remainders(scan, {"5": shell}) == {SHELL: Remainder(100 * MS, "parent")}
    assert lost_remainders(scan, {"5": shell}, {}) == {SHELL: Remainder(100 * MS, "parent")}


def test_events_of_zombies_are_kept_up_to_a_bound() -> None:
    """Beyond it a death is one whose event is not known."""
    zombies = {str(pid): tracked(pid, state="Z") for pid in range(1, PARENTS_MAX + 2)}
    ledger = EventLedger()
    assert ledger.settle(Scan(), zombies, [ConnectorExit(process.pid, 0, 1) for process in zombies.values()]) == []
    dead = ledger.settle(Scan(gone=list(zombies.values())), {}, [])
    assert [each.record is None for each in dead].count(True) == 1
