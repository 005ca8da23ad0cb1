"""The deaths of real processes: what of their CPU is attributed, what is lost, and what happens without the better sources."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from errno import EPERM

import pytest
from fakes.taken_away import WITHOUT_CAPABILITY, has_filter, without_netlink
from fakes.watched_host import WatchedHost, fewer

from workers.process.exits.connector import ConnectorListener
from workers.process.exits.connector_event import ConnectorExit
from workers.process.exits.source import open_connector, open_taskstats, possible_cpus
from workers.process.exits.taskstats_record import ExitRecords
from workers.process.exits.watcher import Openers

MIB = 1 << 20
CHILDREN = fewer(1_200)


def refused(_buffer_bytes: int) -> ConnectorListener:
    """A source that this user may not have."""
    raise PermissionError(EPERM, os.strerror(EPERM))


@pytest.mark.parametrize(("seconds", "rate"), [(0.0005, 500), (0.003, 150)])
def test_short_lived_cpu_is_attributed_by_command(seconds: float, rate: float) -> None:
    """Within a tenth of what the kernel counted of the children, on a machine that is as busy as it likes.

    So few children tell little of their tails: counters have steps of 10 ms. `scripts/bench/closing` measures 2,000 a second.
    """
    with WatchedHost() as host:
        assert host.watcher.source == "taskstats"
        host.tick()
        host.burn(CHILDREN, rate=rate * 2, seconds=0.0001)
        assert host.share_of_burn(CHILDREN, rate=rate, seconds=seconds) == pytest.approx(1, abs=0.1)
        assert host.deaths >= CHILDREN


def test_lost_records_are_counted_exactly() -> None:
    """Those that came and those that the kernel dropped are all there were."""
    own = 400
    everything = open_taskstats(8 * MIB)
    listener = open_taskstats(64 << 10)
    small, all_records = ExitRecords(), ExitRecords()
    for _ in range(own):
        if (pid := os.fork()) == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        # Beside a storm of others' processes, forks that take long would overflow this one too.
        everything.drain(all_records)
    listener.drain(small)
    everything.drain(all_records)
    listener.close()
    everything.close()
    assert all_records.lost == small.malformed == 0
    # Others' processes end meanwhile, some of them before the second was opened or between the two drains.
    assert small.lost > own // 2
    assert own <= len(small.threads) + small.lost <= len(all_records.threads)


def test_a_threads_end_is_no_death_and_the_last_one_has_the_sum() -> None:
    """A process whose first thread ends before another one dies once."""
    code = (
        "import threading as t\nfor _ in range(3):\n  each = t.Thread(target=sum, args=(range(10**6),)); each.start(); each.join()"
    )
    with WatchedHost() as host:
        host.tick()
        host.forget()
        process = subprocess.Popen([sys.executable, "-S", "-c", code])
        process.wait()
        deaths = host.tick()
        (row,) = [row for row in deaths.rows if row[2] == process.pid]
        assert row[8] == 1
        assert isinstance(row[10], int)
        assert row[10] > 10_000_000


@pytest.mark.parametrize("may_filter", [True, False], ids=["exits-only", "as-before-6.6"])
def test_events_name_who_ended_and_how(may_filter: bool) -> None:
    """With the filter of newer kernels, and without it: all other events are passed over."""
    connector = ConnectorListener(buffer_bytes=MIB, may_filter=may_filter)
    events: list[ConnectorExit] = []
    lost = 1
    # It is there when its process has been waited for, unless a storm of others' processes fills the buffer meanwhile.
    while lost:
        if (pid := os.fork()) == 0:
            os._exit(3)
        os.waitpid(pid, 0)
        events.clear()
        _, lost = connector.drain(events)
    connector.close()
    assert ConnectorExit(pid, 3 << 8, os.getpid()) in events


def test_without_exit_records_deaths_are_seen_and_their_cpu_is_their_parents() -> None:
    """The condition says why, what is used instead and what to do; the sum is right, in steps of 10 ms."""
    openers = Openers(taskstats=refused, connector=open_connector)  # type: ignore[arg-type]  # it never returns
    with WatchedHost(openers=openers) as host:
        assert host.watcher.source == "connector"
        host.tick()
        truth_ns = host.burn(fewer(300), rate=300, seconds=0.002)
        assert host.deaths >= fewer(300)
        assert host.unseen > 0
        assert host.dead_ns[host.command] >= 0.9 * truth_ns
        (condition,) = host.bus.conditions
        assert condition.kind == "sampler_fallback:exits"
        assert "CAP_NET_ADMIN" in condition.detail


def test_with_nothing_but_counters_the_sum_is_still_right() -> None:
    """How many ended is not known, how much CPU they had is."""
    openers = Openers(taskstats=refused, connector=refused)  # type: ignore[arg-type]  # it never returns
    with WatchedHost(openers=openers) as host:
        assert host.watcher.source == "cutime"
        host.tick()
        truth_ns = host.burn(fewer(300), rate=300, seconds=0.002)
        assert host.dead_ns[host.command] >= 0.9 * truth_ns


# What a child says that has lost something: which sources it can open, and why not the others.
ASK = """
import json
from workers.process.exits.source import open_connector, open_taskstats, remedy, why_not
said = {}
for name, opener in (("taskstats", open_taskstats), ("connector", open_connector)):
    try:
        opener(1 << 20).close()
        said[name] = "usable"
    except OSError as refused:
        said[name] = f"{why_not(refused)}; {remedy(refused)}"
print(json.dumps(said))
"""


def ask(*prefix: str) -> dict[str, str]:
    """What a process that was started like this can have."""
    ended = subprocess.run([*prefix, sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    answer: dict[str, str] = json.loads(ended.stdout)
    return answer


def test_here_both_sources_are_to_be_had() -> None:
    """Root of the host, or of a container that shares its namespaces."""
    assert ask() == {"taskstats": "usable", "connector": "usable"}


@pytest.mark.parametrize(
    ("prefix", "source", "remedy"),
    [
        (WITHOUT_CAPABILITY, "taskstats", "CAP_NET_ADMIN"),
        (("unshare", "--pid", "--fork"), "taskstats", "network and pid namespaces"),
        (("unshare", "--pid", "--fork"), "connector", "network and pid namespaces"),
        (("unshare", "--net"), "connector", "network and pid namespaces"),
        # Before Linux 6.6 the capability is missed first.
        (
            ("unshare", "--net", *WITHOUT_CAPABILITY),
            "connector",
            "namespaces" if has_filter() else "CAP_NET_ADMIN",
        ),
        (("unshare", "--user", "--map-root-user"), "taskstats", "outside of a user namespace"),
        (("unshare", "--user", "--map-root-user", "--pid", "--fork"), "connector", "namespace"),
        (without_netlink(), "taskstats", "AF_NETLINK in RestrictAddressFamilies="),
        (without_netlink(), "connector", "AF_NETLINK in RestrictAddressFamilies="),
    ],
)
def test_a_source_that_is_taken_away_says_why_and_the_remedy(prefix: Sequence[str], source: str, remedy: str) -> None:
    """Without the capability, in a pid namespace and in a network namespace of its own, and without both."""
    assert remedy in ask(*prefix)[source]


def test_the_possible_cpus_are_the_kernels_or_as_many_as_the_c_library_counts() -> None:
    """Without sysfs there is still a list."""
    assert possible_cpus()[0] == "0"
    assert possible_cpus("/nonexistent") == f"0-{os.sysconf('SC_NPROCESSORS_CONF') - 1}"
