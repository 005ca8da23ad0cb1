"""The keeper gives birth to workloads in their cgroup, waits for them and records how they ended."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.keeper_world import KeeperProcess, is_done, members, own_tree, remove_tree
from harness.waiting import DEADLINE_SECONDS, wait_until

from agent.process_mark import KEEPER_MARK, has_mark
from workers.keeper.client import KeeperClient
from workers.keeper.protocol import Birth, KeeperRefused, RefusalWord, WorkloadLimits

SECOND = 10**9


@pytest.fixture
def tree(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A part of the cgroup tree."""
    with own_tree(str(abs(hash(request.node.nodeid)) % 10**8)) as tree:
        yield tree


@pytest.fixture
def keeper(tmp_path: Path, tree: Path) -> Iterator[KeeperProcess]:
    """A keeper with a part of the tree."""
    with KeeperProcess(tmp_path, tree) as keeper:
        yield keeper


def test_spawn_creates_cgroup(keeper: KeeperProcess) -> None:
    """A workload is born in a cgroup of its own name, and the way is told."""
    record = keeper.run("web", "sleep", "1000")
    assert record.cgroup == "/evergauge-workloads/web.workload"
    assert record.birth is Birth.CLONE
    assert members(keeper.cgroup(record)) == [record.pid]


def test_spawn_returns_valid_pid(keeper: KeeperProcess) -> None:
    """The pid of the answer is the command's own."""
    record = keeper.run("web", "sleep", "1000")
    assert Path(f"/proc/{record.pid}/cmdline").read_bytes() == b"sleep\x001000\x00"
    assert record.start_ticks > 0


def test_spawn_invalid_binary(keeper: KeeperProcess) -> None:
    """A command that is nowhere is one sentence, and leaves neither cgroup nor record nor output."""
    refused = keeper.refusal("web", "no-such-program-here")
    assert refused.code == RefusalWord.MISSING_BINARY
    assert refused.sentence.startswith("web: missing binary no-such-program-here: ")
    assert_nothing_left(keeper, "web")


def assert_nothing_left(keeper: KeeperProcess, name: str) -> None:
    """No file, no cgroup, no record."""
    assert [path.name for path in keeper.folder.iterdir() if path.name.startswith(f"{name}.")] == []
    assert not (keeper.cgroup_root / "evergauge-workloads" / f"{name}.workload").exists()
    assert keeper.listing().records == ()


def test_not_executable_is_a_sentence(keeper: KeeperProcess, tmp_path: Path) -> None:
    """A file that is there and may not run is told apart from one that is missing."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    refused = keeper.refusal("web", str(script))
    assert refused.code == RefusalWord.NOT_EXECUTABLE
    assert_nothing_left(keeper, "web")
    script.chmod(0o755)
    script.write_text("no program")
    assert keeper.refusal("web", str(script)).code == RefusalWord.NOT_EXECUTABLE


def test_an_exit_code_is_recorded(keeper: KeeperProcess) -> None:
    """The end is told with its code, the cgroup's last reading is taken, and the cgroup is gone."""
    record = keeper.run("web", "sh", "-c", "exit 7")
    ended = keeper.wait_ended("web")
    assert ended.ending is not None
    assert (ended.ending.code, ended.ending.signal, ended.ending.unknown_why) == (7, None, "")
    assert ended.ending.cpu_ns is not None
    assert not keeper.cgroup(record).exists()
    assert keeper.record("web").ending == ended.ending


def test_a_signal_is_recorded(keeper: KeeperProcess) -> None:
    """A death by signal is no exit code."""
    record = keeper.run("web", "sleep", "1000")
    os.kill(record.pid, signal.SIGSEGV)
    ended = keeper.wait_ended("web").ending
    assert ended is not None
    assert (ended.code, ended.signal, ended.stopped) == (None, signal.SIGSEGV, False)


def test_stop_terminates_and_then_kills(keeper: KeeperProcess) -> None:
    """What does not hear SIGTERM is killed when its grace is over, with all that it has started."""
    record = keeper.run("web", "sh", "-c", "trap '' TERM; sleep 1000 & echo up; while :; do sleep 1000; done")
    wait_until(lambda: keeper.output("web") == "up\n", "it runs")
    assert is_done(keeper.stop("web", grace_ns=SECOND // 10))
    ended = keeper.wait_ended("web").ending
    assert ended is not None
    assert (ended.signal, ended.stopped) == (signal.SIGKILL, True)
    assert not keeper.cgroup(record).exists()


def test_stop_gives_a_workload_its_grace(keeper: KeeperProcess) -> None:
    """One that ends on SIGTERM has the exit code that it chose."""
    keeper.run("web", "sh", "-c", "trap 'exit 3' TERM; echo up; while :; do sleep 0.01; done")
    wait_until(lambda: keeper.output("web") == "up\n", "it runs")
    keeper.stop("web")
    ended = keeper.wait_ended("web").ending
    assert ended is not None
    assert (ended.code, ended.stopped) == (3, True)


def test_a_workload_ends_with_its_first_process(keeper: KeeperProcess) -> None:
    """What it leaves behind in its cgroup is ended too."""
    record = keeper.run("web", "sh", "-c", "setsid sleep 1000 & exit 0")
    ended = keeper.wait_ended("web").ending
    assert ended is not None
    assert ended.code == 0
    assert not keeper.cgroup(record).exists()


def test_a_name_is_taken_once(keeper: KeeperProcess) -> None:
    """A second workload of a name is refused; after the end it is the second incarnation."""
    keeper.run("web", "sleep", "1000")
    assert keeper.refusal("web", "sleep", "1").code == RefusalWord.NAME_TAKEN
    keeper.stop("web")
    keeper.wait_ended("web")
    assert keeper.run("web", "sleep", "1000").incarnation == 2


def test_a_failed_start_keeps_the_record_before(keeper: KeeperProcess) -> None:
    """What is known of the last start of a name is not lost to one that could not be."""
    keeper.run("web", "true")
    ended = keeper.wait_ended("web")
    keeper.refusal("web", "no-such-program-here")
    assert keeper.record("web") == ended


def test_forget_removes_what_has_ended(keeper: KeeperProcess) -> None:
    """A record and its output go together; one that runs stays."""
    keeper.run("web", "sleep", "1000")
    refused = keeper.forget("web")
    assert isinstance(refused, KeeperRefused)
    assert refused.code == RefusalWord.STILL_RUNS
    keeper.stop("web")
    keeper.wait_ended("web")
    assert is_done(keeper.forget("web"))
    assert_nothing_left(keeper, "web")


def test_a_workload_gets_nothing_of_the_keeper(keeper: KeeperProcess) -> None:
    """Its environment, descriptors, signals, session and limits are its own; the mark says that no agent ends it."""
    record = keeper.run(
        "web",
        "sh",
        "-c",
        "env; ls -l /proc/self/fd; umask; ulimit -n; pwd; exec sleep 1000",
        env={"A": "b"},
        folder="/usr",
        gpus=("1",),
    )
    wait_until(lambda: keeper.output("web").endswith("/usr\n"), "it runs")
    said = keeper.output("web")
    variables = {line for line in said.splitlines() if "=" in line}
    assert {"A=b", "CUDA_VISIBLE_DEVICES=1", "HIP_VISIBLE_DEVICES=1", "LANG=C.UTF-8", "PWD=/usr"} <= variables
    assert "\n0022\n1024\n" in said
    # A program that is just being loaded has its libraries open.
    wait_until(lambda: {path.name for path in Path(f"/proc/{record.pid}/fd").iterdir()} == {"0", "1", "2"}, "it has three")
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{record.pid}/status").read_text().splitlines())
    assert int(status["SigBlk"], 16) == int(status["SigIgn"], 16) == 0
    assert os.getsid(record.pid) == record.pid
    assert Path(f"/proc/{record.pid}/oom_score_adj").read_text() == "0\n"
    assert has_mark(record.pid, KEEPER_MARK)


def test_output_is_bounded(keeper: KeeperProcess) -> None:
    """The head of an output that grows beyond its limit is dropped and counted; the last line is there."""
    keeper.run("web", "sh", "-c", "seq 400000; echo the end; exec sleep 1000", output_bytes_max=1 << 20)
    path = keeper.folder / "web.out"
    wait_until(lambda: path.stat().st_blocks * 512 <= 1 << 20 and path.read_bytes().endswith(b"the end\n"), "it is bounded")
    wait_until(lambda: keeper.record("web").output_lost_bytes > 1 << 20, "what is lost is counted")


def test_spawn_fallback_without_cgroups(tmp_path: Path) -> None:
    """Where there is no cgroup v2 limits are refused loudly; without them a workload runs, and the way is told."""
    (tmp_path / "none").mkdir()
    with KeeperProcess(tmp_path / "state", tmp_path / "none") as keeper:
        limits = WorkloadLimits(memory_bytes=1 << 30)
        refused = keeper.refusal("web", "sleep", "1000", limits=limits)
        assert refused.code == RefusalWord.NO_LIMITS
        assert "there is no cgroup v2 hierarchy" in refused.sentence
        assert "--without-limits" in refused.sentence
        record = keeper.run("web", "sleep", "1000", limits=limits, without_limits=True)
        assert (record.birth, record.cgroup, record.in_force) == (Birth.NO_CGROUP, "", {})
        keeper.stop("web")
        ended = keeper.wait_ended("web").ending
        assert ended is not None
        assert ended.signal == signal.SIGTERM


def test_cgroup_permission_denied(tmp_path: Path, tree: Path) -> None:
    """A keeper that may not write to the hierarchy says so and what to do; without limits a workload runs."""
    # Another user's, for a root without the power to write everywhere.
    os.chown(tree, 65534, 65534)
    prefix = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--")
    with KeeperProcess(tmp_path, tree, prefix=prefix) as keeper:
        limits = WorkloadLimits(pids=10)
        refused = keeper.refusal("web", "sleep", "1000", limits=limits)
        assert refused.code == RefusalWord.NO_LIMITS
        assert f"no cgroup can be made in {tree}/evergauge-workloads: Permission denied; run the keeper as root" in refused.sentence
        assert keeper.run("web", "sleep", "1000", limits=limits, without_limits=True).birth is Birth.NO_CGROUP
        keeper.stop("web", grace_ns=0)
        keeper.wait_ended("web")


@pytest.mark.skipif(not Path("/sys/fs/cgroup/freezer/cgroup.procs").exists(), reason="this host has no cgroup version 1")
def test_version_1_ends_a_workload_by_its_freezer(tmp_path: Path) -> None:
    """Without version 2 nothing can be limited, but no child of a workload is lost."""
    group = Path(f"/sys/fs/cgroup/freezer/evergauge-test-{os.getpid()}")
    group.mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "freezer").symlink_to(group)
    try:
        with KeeperProcess(tmp_path / "state", tmp_path / "root") as keeper:
            assert keeper.refusal("web", "true", limits=WorkloadLimits(pids=5)).code == RefusalWord.NO_LIMITS
            record = keeper.run("web", "sh", "-c", "trap '' TERM; setsid sleep 1000 & echo up; while :; do sleep 1000; done")
            assert record.birth is Birth.STUB
            wait_until(lambda: len(members(keeper.cgroup(record))) == 3, "all of it is in there")
            keeper.stop("web", grace_ns=SECOND // 10)
            ended = keeper.wait_ended("web").ending
            assert ended is not None
            assert ended.signal == signal.SIGKILL
            assert not keeper.cgroup(record).exists()
    finally:
        remove_tree(group)


def test_agentd_becomes_a_keeper(tmp_path: Path, tree: Path) -> None:
    """With the folder and the cgroup root of its own configuration."""
    flags = ("--state-dir", str(tmp_path), "--runtime-dir", str(tmp_path / "run"), "--kernel-cgroup-root", str(tree))
    code = "from agent.daemon.main import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", code, "--keep-workloads", *flags], env=environment) as process:
        keeper = KeeperProcess(tmp_path, tree)
        (tmp_path / "workloads").mkdir(exist_ok=True)
        keeper.connect()
        assert keeper.listing().pid == process.pid
        keeper.client.close()
        process.terminate()
        assert process.wait(DEADLINE_SECONDS) == 0
    assert not (tmp_path / "workloads" / "keeper.sock").exists()


def test_a_client_starts_a_keeper_where_none_runs(tmp_path: Path, tree: Path) -> None:
    """It is nobody's child, holds none of the client's descriptors, and bears the mark that every agent spares."""
    client = KeeperClient(str(tmp_path), str(tree), may_start=True)

    def is_connected() -> bool:
        client.on_timer(time.monotonic_ns())
        return client.is_connected

    wait_until(is_connected, "it has a keeper")
    keeper = KeeperProcess(tmp_path, tree)
    keeper.connect()
    pid = keeper.listing().pid
    stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    assert int(stat[1]) != os.getpid()
    assert has_mark(pid, KEEPER_MARK)
    assert Path(f"/proc/{pid}/comm").read_text() == "eg:keeper\n"
    client.close()
    keeper.client.close()
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not (keeper.folder / "keeper.sock").exists(), "it has ended")
