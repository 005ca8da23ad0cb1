"""The row of `process_scan`: the account of one tick. PURE."""

from collections.abc import Iterable

from msgspec import Struct

from agent.model.absence import Absence
from agent.model.table import Row
from workers.process.choice import ProcessChoice, Wholes
from workers.process.exits.deaths import Deaths, TickTimes
from workers.process.tracked_process import Totals

# The source of deaths of which nothing is known in a tick.
NO_SOURCE = ""


class TickAccount(Struct, frozen=True):
    """What a tick adds up to. The counts at the end are of this tick alone. `lacks_cpu`: the CPU of the tick is not known of some
    process that lives."""

    living: Totals
    deaths: Deaths
    choice: ProcessChoice
    started: int
    unreadable: int
    io_unreadable: int
    lacks_cpu: bool = False


def sum_of(totals: Iterable[Totals]) -> Totals:
    """Everything that lives, in one pass."""
    whole = Totals()
    for part in totals:
        whole.take(part)
    return whole


def wholes_of(living: Totals, deaths: Deaths) -> Wholes:
    """What rows are measured by: everything, what ended included."""
    living_io = living.read_bytes + living.write_bytes
    return Wholes(
        cpu_ns=living.cpu_ns + deaths.cpu_ns,
        living_cpu_ns=living.cpu_ns,
        rss_bytes=living.rss_bytes,
        io_bytes=living_io + deaths.read_bytes + deaths.write_bytes,
        living_io_bytes=living_io,
    )


def scan_row(account: TickAccount, times: TickTimes) -> Row:
    """The row of a tick. The first one has no interval, so it has neither CPU nor deaths nor input and output."""
    living, deaths, choice = account.living, account.deaths, account.choice
    reasons: list[str] = []
    started = count = cpu_ns = cpu_dead_ns = read_bytes = write_bytes = share = None
    if times.elapsed_ns is None:
        reasons.append(f"cpu:{Absence.FIRST_TICK.value}")
    else:
        started = account.started
        if deaths.source != NO_SOURCE:
            count, cpu_dead_ns = deaths.count, deaths.cpu_ns
        cpu_ns = living.cpu_ns + deaths.cpu_ns
        share = cpu_ns / times.elapsed_ns
        read_bytes, write_bytes = living.read_bytes + deaths.read_bytes, living.write_bytes + deaths.write_bytes
    if deaths.source == NO_SOURCE:
        reasons.append(f"exits:{Absence.UNREADABLE.value}")
    if living.incomplete or (account.lacks_cpu and cpu_ns is not None):
        reasons.append(Absence.INCOMPLETE.value)
    return (
        times.wall_ns, living.processes, living.threads, started, count, cpu_ns, share, cpu_dead_ns, living.rss_bytes,
        read_bytes, write_bytes, choice.cpu.capture, choice.rss.capture, choice.io.capture,
        choice.cpu.rows, choice.rss.rows, choice.io.rows, deaths.source or None, deaths.lost,
        account.io_unreadable, account.unreadable, times.elapsed_ns, ",".join(reasons) or None,
    )  # fmt: skip
