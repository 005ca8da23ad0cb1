"""What every test of this folder takes for granted of the machine that it runs on."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.waiting import wait_until

ROOT = Path("/sys/fs/cgroup")
CHECKOUT = Path(__file__).parents[2]
CONTROLLERS = {"cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma"}
# Joins the cgroup that it is told, then wants 64 MiB.
EATER = "import sys; open(sys.argv[1] + '/cgroup.procs', 'w').write('0'); data = bytearray(b'x') * (64 << 20)"


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A cgroup directly below the root."""
    path = ROOT / "test-kernel"
    path.mkdir()
    yield path
    wait_until(lambda: "populated 0" in (path / "cgroup.events").read_text(), "the cgroup is empty")
    path.rmdir()


def test_there_is_cgroup_version_2_with_every_controller(cgroup: Path) -> None:
    """A new cgroup has the files of every controller, and there is no other hierarchy."""
    assert set((cgroup / "cgroup.controllers").read_text().split()) >= CONTROLLERS
    for name in ("cpu.max", "memory.max", "pids.max", "io.stat", "memory.events", "cpu.pressure"):
        assert (cgroup / name).exists(), name
    assert Path("/proc/self/cgroup").read_text() == "0::/\n"


def test_a_memory_limit_kills(cgroup: Path) -> None:
    """A process that wants more than its cgroup may have is killed by the kernel, which counts it."""
    (cgroup / "memory.max").write_text(str(32 << 20))
    ended = subprocess.run([sys.executable, "-S", "-c", EATER, str(cgroup)], check=False)
    assert ended.returncode == -signal.SIGKILL
    events = dict(line.split() for line in (cgroup / "memory.events").read_text().splitlines())
    assert int(events["oom_kill"]) == 1


def test_a_folder_for_files_is_writable_and_empty(tmp_path: Path) -> None:
    """Nothing of this machine's own files is in /tmp and /run, and pytest's folder has a short name."""
    # The checkout itself may lie there.
    assert [each for each in os.listdir("/tmp") if each != "t" and not str(CHECKOUT).startswith(f"/tmp/{each}/")] == []
    assert len(str(tmp_path)) < 80
