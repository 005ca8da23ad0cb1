"""The host sampler over files in memory: every column from its file, differences from tick to tick, and reasons for nulls."""

import errno
from typing import Any

import pytest
from fakes.kernel_tree import MemoryTree
from fakes.row_problem import problem_of_row

from agent.config import Config
from agent.model.table import Table
from agent.model.timebase import MS, US, S
from workers.framework.sampler import UnreadableError
from workers.host.schema import HOST, HOST_DISK, HOST_NETWORK
from workers.samplers.host import BOOT_STEP_NS, HostProbe, HostTrees, boot_at_wall_ns

MOUNTS = b"33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct\n"
USAGE = "sys/fs/cgroup/cpuacct/cpuacct.usage"
MARK = "sys/fs/cgroup/cpuacct/cgroup.sane_behavior"
FILES = {
    "stat": b"cpu  100 20 30 400 5 0 1 2 7 0\ncpu0 50 10 15 200 0 0 0 0 0 0\ncpu1 50 10 15 200 5 0 1 2 7 0\n"
    b"intr 9000 1 2 3\nctxt 700\nbtime 1700000000\nprocesses 60\nprocs_running 3\nprocs_blocked 1\nsoftirq 8 1\n",
    "loadavg": b"0.50 1.25 2.00 3/97 1234\n",
    "meminfo": b"MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 400 kB\nHugePages_Total: 3\nHugepagesize: 2048 kB\n",
    "vmstat": b"pgpgin 10\npgpgout 20\npswpin 1\npswpout 2\npgfault 300\npgmajfault 4\npgsteal_kswapd 5\npgsteal_anon 5\n"
    b"pgscan_kswapd 6\npgscan_direct_throttle 9\noom_kill 0\n",
    "pressure/cpu": b"some avg10=0.00 avg60=0.00 avg300=0.00 total=1000\n",
    "pressure/memory": b"some avg10=0.00 avg60=0.00 avg300=0.00 total=7\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=3\n",
    "pressure/io": b"some avg10=0.00 avg60=0.00 avg300=0.00 total=70\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=30\n",
    "diskstats": b"   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
    b" 254       0 vda 10 0 80 20 5 0 40 10 1 30 30 2 0 8 1 3 4\n",
    "self/net/dev": b"Inter-|   Receive  |  Transmit\n face |bytes packets|bytes packets\n"
    b"    lo: 500 5 0 0 0 0 0 0 500 5 0 0 0 0 0 0\n  eth0: 9000 60 1 2 0 0 0 0 700 7 3 4 0 0 0 0\n",
    "self/net/snmp": b"Ip: A B\nIp: 1 2\nTcp: InSegs RetransSegs\nTcp: 50 6\n",
    "self/net/sockstat": b"sockets: used 17\nTCP: inuse 4 orphan 0\n",
    "self/net/sockstat6": b"TCP6: inuse 3\n",
    "self/mountinfo": MOUNTS,
}


class HostStory:
    """A host whose files change between ticks of one second; every row is checked against its table."""

    def __init__(self) -> None:
        self.proc = MemoryTree(FILES)
        self.root = MemoryTree({USAGE: b"5000000000\n", MARK: b"0\n"})
        self.boot_at_wall_ns = 17 * S
        self.now_ns = 3 * S
        self.probe = HostProbe(HostTrees(self.proc, self.root), Config({}), boot_at_wall_ns=lambda: self.boot_at_wall_ns)

    def change(self, path: str, old: bytes, new: bytes) -> None:
        """Some text of a file is another one from now on."""
        content = self.proc.read(path, 1 << 20)
        assert content.count(old) == 1, f"{old!r} is in {path} {content.count(old)} times"
        self.proc.put(path, content.replace(old, new))

    def tick(self, duration_ns: int = S) -> dict[str, list[dict[str, Any]]]:
        """Time passes, then the probe measures: rows as mappings, by table."""
        self.now_ns += duration_ns
        sample = {table.name: _records(table, rows) for table, rows in self.probe.sample(self.now_ns, 10**18 + self.now_ns)}
        assert set(sample) == {"host", "host_disk", "host_network"}
        return sample

    def host(self) -> dict[str, Any]:
        """The row of `host` after one more tick."""
        (row,) = self.tick()["host"]
        return row


def _records(table: Table, rows: Any) -> list[dict[str, Any]]:
    problems = [problem for row in rows if (problem := problem_of_row(table, row)) is not None]
    assert problems == []
    return [dict(zip(table.column_names, row, strict=True)) for row in rows]


def test_the_first_tick_has_what_is_no_difference() -> None:
    """Load, memory and counts are known at once; what needs two readings is null, and says why."""
    row = HostStory().host()
    assert (row["load_1"], row["load_15"], row["threads"]) == (0.5, 2.0, 97)
    assert (row["cores"], row["running"], row["blocked"], row["sockets_tcp"]) == (2, 3, 1, 7)
    assert (row["memory_total_bytes"], row["memory_huge_pages_bytes"]) == (1000 << 10, 3 * 2048 << 10)
    assert (row["boot_timestamp"], row["cpu_source"]) == (17 * S, f"/{USAGE}")
    assert (row["cpu_ns"], row["cpu_user_ns"], row["page_faults"], row["elapsed_ns"]) == (None, None, None, None)
    assert row["absent"] == "first_tick,not_in_kernel"


def test_counters_are_differences_since_the_last_tick() -> None:
    """In nanoseconds and bytes, whatever the kernel's unit is."""
    story = HostStory()
    story.tick()
    story.root.put(USAGE, b"5600000000\n")
    story.change("stat", b"cpu  100 20 30 400", b"cpu  150 20 31 400")
    story.change("vmstat", b"pgpgin 10\n", b"pgpgin 14\n")
    story.change("vmstat", b"pgsteal_kswapd 5\n", b"pgsteal_kswapd 7\npgsteal_direct 1\n")
    story.change("vmstat", b"oom_kill 0", b"oom_kill 2")
    story.change("pressure/io", b"total=30", b"total=90")
    story.change("self/net/snmp", b"50 6", b"50 9")
    row = story.host()
    assert (row["cpu_ns"], row["elapsed_ns"]) == (600 * MS, S)
    assert (row["cpu_user_ns"], row["cpu_system_ns"], row["cpu_idle_ns"]) == (500 * MS, 10 * MS, 0)
    assert (row["read_in_bytes"], row["oom_kills"], row["tcp_retransmits"]) == (4 << 10, 2, 3)
    assert row["reclaimed_bytes"] == 3 * 4096
    assert row["pressure_io_full_ns"] == 60 * US


def test_a_counter_that_falls_has_no_difference() -> None:
    """Null with a reason, never negative; the next difference is right again."""
    story = HostStory()
    story.tick()
    story.change("stat", b"ctxt 700", b"ctxt 20")
    row = story.host()
    assert (row["context_switches"], row["interrupts"]) == (None, 0)
    assert "counter_reset" in row["absent"]
    story.change("stat", b"ctxt 20", b"ctxt 25")
    assert story.host()["context_switches"] == 5


def test_a_file_that_is_missing_leaves_its_columns_null() -> None:
    """A kernel without pressure, and a file that may not be read: everything else is there."""
    story = HostStory()
    for name in ("cpu", "memory", "io"):
        story.proc.remove(f"pressure/{name}")
    story.proc.fail("vmstat", errno.EACCES)
    story.tick()
    row = story.host()
    assert (row["pressure_cpu_some_ns"], row["page_faults"], row["context_switches"]) == (None, None, 0)
    assert row["absent"] == "not_in_kernel,no_permission"
    assert story.probe.stats()["files_absent"] == {
        "pressure/cpu": "not_in_kernel", "pressure/io": "not_in_kernel", "pressure/memory": "not_in_kernel",
        "vmstat": "no_permission",
    }  # fmt: skip
    story.proc.fail("vmstat", None)
    assert (story.host()["page_faults"], story.host()["page_faults"]) == (None, 0)


@pytest.mark.parametrize("content", [b"", b"\0\xff", b"garbage\n" * 9])
def test_a_file_of_another_form_leaves_its_columns_null(content: bytes) -> None:
    """Whatever is in it, the sampler goes on with the others."""
    story = HostStory()
    for path in FILES:
        if path not in ("stat", "self/mountinfo", "diskstats", "self/net/dev"):
            story.proc.put(path, content)
    row = story.host()
    assert (row["memory_total_bytes"], row["load_1"], row["sockets_tcp"], row["cores"]) == (None, None, None, 2)
    assert "unreadable" in row["absent"]


def test_without_any_file_nothing_is_measured() -> None:
    """There is no proc file system: the worker reports it and is not ready."""
    story = HostStory()
    for path in FILES:
        story.proc.fail(path, errno.ENOENT)
    with pytest.raises(UnreadableError, match="none of its files can be read: not_in_kernel"):
        story.probe.check()
    with pytest.raises(UnreadableError):
        story.tick()


def test_a_proc_file_system_of_processes_alone_still_has_the_network() -> None:
    """With `subset=pid` everything else is null, and the agent is ready."""
    story = HostStory()
    for path in FILES:
        if not path.startswith("self/"):
            story.proc.fail(path, errno.ENOENT)
    story.probe.check()
    story.tick()
    sample = story.tick()
    (row,) = sample["host"]
    assert (row["cores"], row["memory_total_bytes"], row["sockets_tcp"], row["tcp_retransmits"], row["cpu_ns"]) == (
        None,
        None,
        7,
        0,
        0,
    )
    assert row["absent"] == "not_in_kernel"
    assert [each["interface"] for each in sample["host_network"]] == ["eth0", "lo"]
    assert sample["host_disk"] == []


def test_the_boot_follows_the_clock_only_when_it_is_set() -> None:
    """Two clocks read one after the other differ by microseconds from tick to tick, which is not a step."""
    story = HostStory()
    first = story.host()["boot_timestamp"]
    story.boot_at_wall_ns += BOOT_STEP_NS
    assert story.host()["boot_timestamp"] == first
    story.boot_at_wall_ns += 1
    assert story.host()["boot_timestamp"] == first + BOOT_STEP_NS + 1


@pytest.mark.parametrize(
    ("pauses_ns", "expected_ns"), [([0], 0), ([70 * MS, 0], 0), ([70 * MS, 50 * MS, 30 * MS, 90 * MS], 15 * MS)]
)
def test_who_is_interrupted_between_two_clocks_reads_them_again(pauses_ns: list[int], expected_ns: int) -> None:
    """The pair that was read in the shortest time counts, for a machine that interrupts each of them."""
    now_ns = 5 * S
    pauses = iter(pauses_ns)

    def read_wall_ns() -> int:
        nonlocal now_ns
        read_ns = now_ns + 1000 * S
        now_ns += next(pauses)
        return read_ns

    assert boot_at_wall_ns(lambda: now_ns, read_wall_ns) == 1000 * S - expected_ns
    assert next(pauses, None) is None


def test_a_disk_and_an_interface_have_a_row() -> None:
    """A loop device that was never used has none; every counter comes from its place."""
    story = HostStory()
    story.tick()
    story.change("diskstats", b"vda 10 0 80 20 5 0 40 10 1 30 30 2 0 8 1 3 4", b"vda 14 0 96 28 6 0 48 13 2 530 2030 3 0 9 1 5 9")
    story.change("self/net/dev", b"eth0: 9000 60 1 2 0 0 0 0 700 7 3 4", b"eth0: 9100 61 2 4 0 0 0 0 900 9 6 8")
    sample = story.tick()
    (disk,) = sample["host_disk"]
    assert disk == {
        "timestamp": disk["timestamp"], "device": "vda", "devices": 1, "reads": 4, "writes": 1, "read_bytes": 8192,
        "write_bytes": 4096,
        "discards": 1, "flushes": 2, "utilisation": 0.5, "queue": 2.0, "read_latency_ns": 2 * MS, "write_latency_ns": 3 * MS,
        "in_flight": 2, "absent": None,
    }  # fmt: skip
    interface, loopback = sample["host_network"]
    names = ("received_bytes", "sent_bytes", "received_packets", "sent_packets", "received_errors", "sent_errors", "received_drops")
    assert [interface[name] for name in names] == [100, 200, 1, 2, 1, 3, 2]
    assert (interface["interface"], interface["sent_drops"], loopback["interface"]) == ("eth0", 4, "lo")


def test_files_stay_open_and_are_given_back() -> None:
    """A tick opens nothing that is open already, and the end closes everything."""
    story = HostStory()
    story.tick()
    story.proc.calls.clear()
    story.tick()
    assert {call for call, _ in story.proc.calls} == {"read_open"}
    story.probe.close()
    assert (story.proc.open_descriptors, story.root.open_descriptors) == (0, 0)


def test_the_tables_are_those_of_the_sampler() -> None:
    """Each has a key that begins with the time, and says why values are null."""
    for table in (HOST, HOST_DISK, HOST_NETWORK):
        assert (table.key[0], table.column_names[-1]) == ("timestamp", "absent")
