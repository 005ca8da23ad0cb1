"""The sums that a process is part of."""

from agent.model.absence import Absence
from agent.model.proc_stat import Stat
from workers.process.tracked_process import ProcessIdentity, ProcessIo, Scan, Totals, TrackedProcess
from workers.process.unit_command import UnitCommand


def _process(**fields: object) -> TrackedProcess:
    stat = Stat("S", 1, 5, 3, 77, 10)
    process = TrackedProcess("5", 5, stat, b"", "nginx", UnitCommand("pod", "nginx"), Totals(), rss_bytes=4096, threads=3)
    for name, value in fields.items():
        setattr(process, name, value)
    return process


def test_a_process_adds_what_it_holds_and_what_it_did() -> None:
    """Taking it away again leaves nothing."""
    process = _process(interval_cpu_ns=9, io=ProcessIo(100, 200, 3, 4))
    totals = Totals()
    totals.move(process, 1)
    totals.move_interval(process, 1)
    assert totals == Totals(processes=1, cpu_ns=9, rss_bytes=4096, read_bytes=3, write_bytes=4, threads=3)
    totals.move(process, -1)
    totals.move_interval(process, -1)
    assert totals == Totals()


def test_what_is_not_known_adds_nothing_and_is_counted() -> None:
    """Unknown memory makes the sum incomplete; unknown I/O of the interval adds nothing."""
    process = _process(rss_bytes=0, why_no_rss=Absence.UNREADABLE.value, io=ProcessIo(100, 200))
    totals = Totals()
    totals.move(process, 1)
    totals.move_interval(process, 1)
    assert totals == Totals(processes=1, threads=3, incomplete=1)


def test_a_process_without_io_adds_no_io() -> None:
    """It was never read."""
    totals = Totals()
    totals.move_interval(_process(), 1)
    assert totals == Totals()


def test_identity_and_unit_are_found_in_its_parts() -> None:
    """Start and unit stand in the line and the key."""
    assert (_process().start_ticks, _process().pod_uid) == (77, "pod")


def test_scans_share_nothing() -> None:
    """Each has its own lists."""
    assert Scan().active is not Scan().active


def test_sums_are_added_up() -> None:
    """Each of them."""
    total = Totals(1, 2, 3, 4, 5, 6, 7)
    total.take(Totals(10, 20, 30, 40, 50, 60, 70))
    assert total == Totals(11, 22, 33, 44, 55, 66, 77)


def test_a_forgotten_command_line_is_read_again() -> None:
    """Also of a process that does not run; its user stays."""
    identity = ProcessIdentity(at_ns=5, read_as="nginx", ran_at=3, uid=33, command_line="nginx -g", digest=7)
    identity.forget("not_answered")
    assert (identity.command_line, identity.digest, identity.why_no_command_line) == (None, None, "not_answered")
    assert (identity.ran_at, identity.uid) == (-1, 33)
