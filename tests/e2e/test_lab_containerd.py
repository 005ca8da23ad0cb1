"""The lab with a real containerd itself: whatever happens to those who use it, nothing of it stays on the machine."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest
from harness.lab.runtime import LabRuntime
from harness.waiting import wait_until

TESTS = Path(__file__).parents[1]
# Fetching containerd comes first on a machine that has none yet.
pytestmark = [pytest.mark.timeout(300), pytest.mark.skipif(os.geteuid() != 0, reason="running containers needs root")]

CALLER = """
import sys, signal
from pathlib import Path
from harness.lab.runtime import LabRuntime
runtime = LabRuntime(Path(sys.argv[1])).__enter__()
runtime.run_idle(threads=3)
print(runtime.cgroup_root.name, flush=True)
signal.pause()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A private folder with a short name, for sockets."""
    with tempfile.TemporaryDirectory(prefix="lab-") as made:
        yield Path(made)


def _mentions(word: str) -> list[str]:
    """Every living process of this machine with the word in its command line, other than this one."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):
            line = " ".join(process.cmdline())
            if word in line and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(line)
    return found


def _left(folder: Path, branch: str) -> list[str]:
    cgroups = [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/{branch}")]
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if str(folder) in line]
    return [*cgroups, *mounts, *_mentions(str(folder))]


def test_killed_users_leave_neither_shims_nor_mounts_nor_cgroups(folder: Path) -> None:
    """Who started the lab is killed while a pod runs: shims, containers, mounts and cgroups go."""
    caller = subprocess.Popen(
        [sys.executable, "-c", CALLER, str(folder)], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(TESTS)}
    )
    assert caller.stdout is not None
    with caller.stdout as output:
        branch = output.readline().strip()
        assert branch.startswith("evergauge-runtime-")
        assert any("containerd-shim" in line for line in _mentions(str(folder)))
        caller.kill()
        caller.wait()
        wait_until(lambda: not _left(folder, branch), f"nothing is left of {_left(folder, branch)}", seconds=60)


def test_a_hierarchy_that_is_mounted_twice_is_used_once(folder: Path) -> None:
    """Another test mounts the unified hierarchy once more, and takes that away while the lab is at work."""
    again = folder / "again"
    again.mkdir()
    subprocess.run(["mount", "-t", "cgroup2", "none", again], check=True)
    with ExitStack() as unmounting:
        unmounting.callback(lambda: subprocess.run(["umount", again], check=True))
        with LabRuntime(folder / "lab") as runtime:
            unmounting.close()
            runtime.run_idle()


def test_pods_outlive_their_runtime_and_the_next_one_knows_them(folder: Path) -> None:
    """As on a real node: containerd is killed, its pods run on in their shims, and the next one lists them."""
    with LabRuntime(folder, "2") as runtime:
        pod = runtime.run_idle(threads=3)
        # The runtime answers before the program has made its threads.
        wait_until(lambda: len(runtime.threads(pod)) == 4, "the sandbox's thread and three of the program are there")
        threads = runtime.threads(pod)
        runtime.kill()
        assert runtime.threads(pod) == threads
        runtime.start()
        assert set(runtime.cri.pods()) == {pod.sandbox_id}
        assert runtime.container(pod, "main").is_running
        os.kill(runtime.pid, signal.SIGTERM)
        branch = runtime.cgroup_root.name
    assert _left(folder, branch) == []
