"""Limits of workloads, as the kernel's own controllers keep them: set before the first instruction, and read back."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.keeper_world import KeeperProcess, members
from harness.waiting import wait_until

from workers.keeper.protocol import Birth, IoLimit, RefusalWord, WorkloadLimits

ROOT = Path("/sys/fs/cgroup")
PLACE = ROOT / "evergauge-workloads"
MIB = 1 << 20
EATER = "data = bytearray(b'x') * (256 << 20); print('had it', flush=True)"
# Eight at once, and each says where it is.
FORKER = "for i in 1 2 3 4 5 6 7 8; do (cat /proc/self/cgroup) & done; cat /proc/self/cgroup; wait"


@pytest.fixture(scope="module")
def one_keeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeeperProcess]:
    """A keeper in the machine's own hierarchy, for all tests: in a guest its start takes longer than what they do with it."""
    with KeeperProcess(tmp_path_factory.mktemp("keeper"), ROOT) as keeper:
        yield keeper


@pytest.fixture
def keeper(one_keeper: KeeperProcess) -> Iterator[KeeperProcess]:
    """It knows of no workload; what a test leaves running is ended, and everything forgotten."""
    if one_keeper.process is None:
        # A test that kills it has failed halfway.
        one_keeper.start()
    yield one_keeper
    for record in one_keeper.listing().records:
        if record.ending is None:
            one_keeper.stop(record.spec.name, grace_ns=0)
            one_keeper.wait_ended(record.spec.name)
        one_keeper.forget(record.spec.name)
    one_keeper.ended.clear()


def test_spawn_creates_cgroup(keeper: KeeperProcess) -> None:
    """A workload is cloned into a cgroup with every controller that limits it."""
    record = keeper.run("web", "sleep", "1000")
    assert record.birth is Birth.CLONE
    assert keeper.listing().problem == ""
    assert members(keeper.cgroup(record)) == [record.pid]
    assert set((keeper.cgroup(record) / "cgroup.controllers").read_text().split()) == {"cpu", "memory", "pids", "io"}
    assert record.in_force == {"memory.oom.group": "1"}


def test_spawn_applies_cpu_limit(keeper: KeeperProcess) -> None:
    """A workload that wants all of a CPU is throttled to its part."""
    limits = WorkloadLimits(cpu_cores=0.2, cpu_weight=50)
    record = keeper.run("web", "sh", "-c", "while :; do :; done", limits=limits)
    assert record.in_force == {"cpu.max": "20000 100000", "cpu.weight": "50", "memory.oom.group": "1"}
    stat = keeper.cgroup(record) / "cpu.stat"
    wait_until(
        lambda: any(line.startswith("nr_throttled ") and line != "nr_throttled 0" for line in stat.read_text().split("\n")),
        "throttled",
    )


def test_spawn_applies_memory_limit(keeper: KeeperProcess) -> None:
    """A workload that wants more than its memory is killed as a whole, and its last reading says so."""
    limits = WorkloadLimits(memory_bytes=48 * MIB, memory_high_bytes=40 * MIB, pids=50)
    record = keeper.run("web", "sh", "-c", f'"{sys.executable}" -S -c "{EATER}"; echo the shell lives; sleep 1000', limits=limits)
    assert record.in_force["memory.max"] == str(48 * MIB)
    assert record.in_force["memory.high"] == str(40 * MIB)
    assert record.in_force["pids.max"] == "50"
    ended = keeper.wait_ended("web").ending
    assert ended is not None
    assert ended.signal == signal.SIGKILL
    assert ended.oom_kills is not None
    assert ended.oom_kills >= 1
    assert keeper.output("web") == ""


def test_no_child_is_ever_outside(keeper: KeeperProcess) -> None:
    """What is forked by the first instructions is in the cgroup from its own first instruction on."""
    for number in range(3):
        record = keeper.run(f"web{number}", "sh", "-c", FORKER, limits=WorkloadLimits(pids=100))
        assert record.birth is Birth.CLONE
        keeper.wait_ended(f"web{number}")
        assert set(keeper.output(f"web{number}").splitlines()) == {f"0::{record.cgroup}"}


def test_spawn_invalid_cpu_limit(keeper: KeeperProcess) -> None:
    """No number that the kernel would not take reaches it."""
    for cores in (0.0, -1.0, 0.001, float(1 << 30)):
        refused = keeper.refusal("web", "sleep", "1000", limits=WorkloadLimits(cpu_cores=cores))
        assert refused.code == RefusalWord.BAD_LIMIT
        assert "CPUs" in refused.sentence
        assert not (PLACE / "web.workload").exists()


def test_a_limit_above_the_parents_is_refused(keeper: KeeperProcess) -> None:
    """One sentence names the parent and what it allows, and nothing is left behind."""
    (PLACE / "memory.max").write_text(str(64 * MIB))
    try:
        refused = keeper.refusal("web", "sleep", "1000", limits=WorkloadLimits(memory_bytes=65 * MIB))
    finally:
        (PLACE / "memory.max").write_text("max")
    assert refused.code == RefusalWord.ABOVE_PARENT
    assert "its parent /evergauge-workloads allows 67108864 (memory.max)" in refused.sentence
    assert not (PLACE / "web.workload").exists()
    assert keeper.listing().records == ()


def test_a_full_pids_max_leaves_the_workload_alone(keeper: KeeperProcess) -> None:
    """A workload that forks for ever is held by its limit, and is ended as a whole."""
    record = keeper.run("web", "sh", "-c", ":; f() { f & f; }; f", limits=WorkloadLimits(pids=20))
    events = keeper.cgroup(record) / "pids.events"
    wait_until(lambda: "max 0" not in events.read_text(), "the limit is met")
    keeper.stop("web", grace_ns=0)
    ended = keeper.wait_ended("web").ending
    assert ended is not None
    assert ended.stopped
    assert not keeper.cgroup(record).exists()


def test_a_frozen_workload_can_be_stopped(keeper: KeeperProcess) -> None:
    """It is thawed, so that it hears SIGTERM."""
    record = keeper.run("web", "sh", "-c", "trap 'exit 3' TERM; echo up; while :; do sleep 0.1; done")
    wait_until(lambda: keeper.output("web") == "up\n", "it runs")
    (keeper.cgroup(record) / "cgroup.freeze").write_text("1")
    keeper.stop("web")
    ended = keeper.wait_ended("web").ending
    assert ended is not None
    assert ended.code == 3


def test_inner_cgroups_are_removed_too(keeper: KeeperProcess) -> None:
    """A workload may make cgroups inside its own, and leave them."""
    record = keeper.run("web", "sleep", "1000")
    inner = keeper.cgroup(record) / "a" / "b"
    inner.mkdir(parents=True)
    keeper.stop("web")
    keeper.wait_ended("web")
    assert not keeper.cgroup(record).exists()


def test_a_disk_that_is_none_is_refused(keeper: KeeperProcess) -> None:
    """No number reaches the kernel that it has no disk for."""
    for device in ("/dev/null", "/dev/no-such", "sda", "7:99999"):
        limits = WorkloadLimits(io=(IoLimit(device, read_bytes_per_second=MIB),))
        refused = keeper.refusal("web", "sleep", "1000", limits=limits)
        assert refused.code == RefusalWord.BAD_LIMIT, device
        assert not (PLACE / "web.workload").exists()


def test_a_killed_keeper_loses_nothing(keeper: KeeperProcess) -> None:
    """The next keeper finds the workload by its cgroup, with its limits, and takes the last reading at its end."""
    record = keeper.run("web", "sleep", "1000", limits=WorkloadLimits(memory_bytes=64 * MIB))
    keeper.kill()
    keeper.start()
    found = keeper.record("web")
    assert (found.pid, found.start_ticks, found.in_force, found.adopted) == (record.pid, record.start_ticks, record.in_force, True)
    os.kill(record.pid, signal.SIGKILL)
    ended = keeper.wait_ended("web").ending
    assert ended is not None
    assert ended.cpu_ns is not None
    assert not keeper.cgroup(record).exists()
