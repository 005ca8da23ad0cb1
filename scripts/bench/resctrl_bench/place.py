"""What a run of the benchmark has on the machine: a folder, a control group, a mount namespace; and the end of all that.

Everything that is started lives in the control group. A guardian outside of it waits for the end of the benchmark, however that
comes, kills what is left in the group, and removes group and folder.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from resctrl_bench.load import end_group

PREFIX = "evergauge-bench-"
FOLDER_PREFIX = "eg-resctrl-"
CGROUPS = Path("/sys/fs/cgroup")
GUARDIAN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Place:
    """`folder` is private and short (sockets are below it); `cgroup` is to the agent the root of all control groups."""

    folder: Path
    cgroup: Path


@contextmanager
def place() -> Iterator[Place]:
    """Make it, enter it, leave it, remove it. *Raises:* OSError where control groups cannot be made."""
    parent = _hierarchy()
    home = parent / _own_path(parent).lstrip("/")
    here = Place(Path("/tmp") / f"{FOLDER_PREFIX}{os.getpid()}", parent / f"{PREFIX}{os.getpid()}")
    for left in _left_behind(parent):
        remove(Place(Path("/tmp") / f"{FOLDER_PREFIX}{left.name.removeprefix(PREFIX)}", left))
    command = [sys.executable, "-m", "resctrl_bench.place", str(here.folder), str(here.cgroup)]
    # A session of its own: Ctrl-C is not meant for it.
    guardian = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        here.folder.mkdir(mode=0o700)
        (here.cgroup / "harness").mkdir(parents=True)
        _enter(here.cgroup / "harness")
        yield here
    finally:
        _enter(home)
        assert guardian.stdin is not None
        guardian.stdin.close()
        guardian.wait(GUARDIAN_SECONDS)


def _hierarchy() -> Path:
    """Where groups are made: one of version 1 that limits nothing, or version 2."""
    for candidate in (CGROUPS / "pids", CGROUPS / "freezer", CGROUPS):
        if (candidate / "cgroup.procs").exists():
            return candidate
    raise FileNotFoundError(f"no control groups are mounted at {CGROUPS}")


def _own_path(hierarchy: Path) -> str:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _number, controllers, path = line.split(":", 2)
        if hierarchy.name in controllers.split(",") or (hierarchy == CGROUPS and not controllers):
            return path
    raise FileNotFoundError(f"this process is in no group of {hierarchy}")


def _enter(group: Path) -> None:
    (group / "cgroup.procs").write_text("0")


def _left_behind(parent: Path) -> list[Path]:
    """Groups of runs whose guardian was killed, too."""
    return [group for group in parent.glob(f"{PREFIX}*") if not Path(f"/proc/{group.name.removeprefix(PREFIX)}").exists()]


def remove(left: Place) -> None:
    """Kill everything in the control group, which is the benchmark's alone; remove it and the folder with what is mounted there."""
    groups = [left.cgroup, *(path for path in left.cgroup.rglob("*") if path.is_dir())] if left.cgroup.exists() else []
    for group in sorted(groups, key=lambda path: -len(path.parts)):
        end_group(group)
    for point in _mounts_below(left.folder):
        subprocess.run(["umount", "--lazy", point], check=False)
    if left.folder.exists():
        shutil.rmtree(left.folder)


def _mounts_below(folder: Path) -> list[str]:
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in reversed(points) if point.startswith(f"{folder}/")]


def guard(left: Place) -> None:
    """Wait for the end of the one who holds the other end of standard input; then remove what is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.read()
    end_at = time.monotonic() + GUARDIAN_SECONDS / 2
    while True:
        try:
            return remove(left)
        except OSError:
            # Anyone who was being started when the end came may have made something new meanwhile.
            if time.monotonic() > end_at:
                raise
            with suppress(InterruptedError):
                time.sleep(0.05)


if __name__ == "__main__":
    guard(Place(Path(sys.argv[1]), Path(sys.argv[2])))
