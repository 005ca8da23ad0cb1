"""The place of a run on this machine: cgroups, processes, an agent, a folder. All of them end with the run, however it ends."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[3]
LOAD = Path(__file__).with_name("load.py")
CGROUPS = Path("/sys/fs/cgroup")
SLICE = "evergauge-bench-neighbours.slice"
AGENT_GROUP = "evergauge-bench-agent"
CONTROLLERS = ("cpu", "cpuacct", "memory", "blkio", "pids", "unified")
FOLDER_PREFIX = "eg-neighbours-"
LOCK = Path(tempfile.gettempdir(), "evergauge-bench-neighbours.lock")
# Version 1 of cgroups counts I/O only where a rule may throttle it: one that never does.
NEVER_THROTTLED = 100_000_000_000


def with_us(command: list[str], word: str = "KILL") -> list[str]:
    """A command that the kernel ends with a signal as soon as this process is gone, also after kill -9."""
    return ["setpriv", "--pdeathsig", word, *command]


@contextmanager
def place() -> Iterator[Path]:
    """A folder for one run at a time. What an earlier run left behind is removed first. *Raises:* SystemExit beside another run."""
    with open(LOCK, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("scripts/bench/neighbours: another run is under way on this machine")
        remove_leftovers()
        with tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX) as name:
            yield Path(name)


def remove_leftovers() -> None:
    """End the processes and remove the cgroups, mounts and folders of runs before this one."""
    remove_groups()
    folders = [path for path in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*") if not path.is_symlink()]
    for path in folders:
        for line in Path("/proc/mounts").read_text().splitlines():
            if line.split(" ")[1].startswith(f"{path}/"):
                subprocess.run(["umount", "--lazy", line.split(" ")[1]], check=False)
        shutil.rmtree(path, ignore_errors=True)


def remove_groups() -> None:
    """End all processes in the cgroups of the bench, and remove these."""
    for hierarchy in hierarchies():
        for top in (hierarchy / SLICE, hierarchy / AGENT_GROUP):
            for folder, _, _ in os.walk(top, topdown=False):
                _end_all(Path(folder))
                _remove(Path(folder))


def hierarchies() -> list[Path]:
    """Where a unit needs a cgroup."""
    return [CGROUPS / name for name in CONTROLLERS if (CGROUPS / name).is_dir()] or [CGROUPS]


def _end_all(group: Path) -> None:
    with suppress(OSError):
        for word in (group / "cgroup.procs").read_text().split():
            with suppress(OSError):
                os.kill(int(word), signal.SIGKILL)


def _remove(group: Path) -> None:
    # What was killed leaves its cgroup a moment later.
    for _ in range(50):
        with suppress(FileNotFoundError):
            try:
                group.rmdir()
            except OSError:
                time.sleep(0.1)
                continue
        return


class Units:
    """Cgroups of services in a slice of the bench, and the processes in them. All of them are gone behind it."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []

    def make(self, *names: str) -> None:
        """Make the cgroup of the slice, or of a service in it."""
        for hierarchy in hierarchies():
            path = hierarchy.joinpath(SLICE, *names)
            path.mkdir(exist_ok=True)
            if hierarchy.name == "blkio":
                for device in Path("/sys/block").glob("*/dev"):
                    with suppress(OSError):
                        (path / "blkio.throttle.write_bps_device").write_text(f"{device.read_text().strip()} {NEVER_THROTTLED}")

    def limit(self, controller: str, group: str, file: str, value: int) -> None:
        """Set a file of a cgroup of version 1, which is made where it is not there yet."""
        with suppress(OSError):
            path = CGROUPS / controller / group
            path.mkdir(exist_ok=True)
            (path / file).write_text(str(value))

    def start(self, name: str, *words: str) -> "subprocess.Popen[bytes]":
        """Start a process in a service."""
        paths = [str(hierarchy / SLICE / name / "cgroup.procs") for hierarchy in hierarchies()]

        def join() -> None:
            for path in paths:
                Path(path).write_text("0")

        process = subprocess.Popen(with_us([sys.executable, str(LOAD), *words]), preexec_fn=join)
        self._processes.append(process)
        return process

    def end(self, process: "subprocess.Popen[bytes]") -> None:
        """End a process."""
        process.kill()
        process.wait()

    def close(self) -> None:
        """End all processes and remove all cgroups."""
        for process in self._processes:
            self.end(process)
        remove_groups()


@contextmanager
def agent(folder: Path, flags: Mapping[str, str] | None = None) -> Iterator[list[str]]:
    """A running agent; gives the options that name its folders."""
    options = ["--runtime-dir", str(folder / "r"), "--state-dir", str(folder / "s")]
    more = [word for pair in (flags or {}).items() for word in pair]
    command = [str(Path(sys.executable).with_name("agentd")), *options, "--gateway-port", "0", *more]
    # On a busy machine its ticks would be late; it is no unit, and what it uses belongs to none.
    join = CGROUPS / "cpu" / AGENT_GROUP / "cgroup.procs"
    with open(folder / "log", "wb") as log, subprocess.Popen(with_us(command, "TERM"), stdout=log, stderr=log, cwd=ROOT) as process:
        with suppress(OSError):
            join.write_text(str(process.pid))
        try:
            yield options
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
