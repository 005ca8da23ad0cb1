"""Cgroups and a mount namespace of the benchmark's own: the agent in there sees the pods of the benchmark and no others.

The program runs a second time inside. The first one waits outside, and removes the cgroups whatever ends the second.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from msgspec import Struct

ROOT = Path("/sys/fs/cgroup")
_VARIABLE = "EG_BENCH_HIERARCHIES"
# A cpuset refuses processes until it has CPUs; the agent reads none of the others that are left out here.
_LEFT_OUT = frozenset({"cpuset", "devices", "freezer"})
_END_SECONDS = 20.0


class Hierarchy(Struct, frozen=True):
    """A cgroup hierarchy: where it is mounted below the root, and with which type and options it is mounted again."""

    place: str
    kind: str
    options: str

    @property
    def folder(self) -> Path:
        """The root of it, as far as it is seen from here."""
        return ROOT / self.place


def is_inside() -> bool:
    """Whether this is the second run."""
    return _VARIABLE in os.environ


def hierarchies() -> list[Hierarchy]:
    """Those of the room that this process is in, mounted. Call it once, inside."""
    found = [Hierarchy(*each) for each in json.loads(os.environ[_VARIABLE])]
    if [each.place for each in found] != ["."]:
        subprocess.run(["mount", "-t", "tmpfs", "none", ROOT], check=True)
    for each in found:
        each.folder.mkdir(exist_ok=True)
        options = ["-o", each.options] if each.options else []
        subprocess.run(["mount", "-t", each.kind, *options, "none", each.folder], check=True)
    return found


def run_inside(module: str, arguments: list[str]) -> NoReturn:
    """Run this module in a room and end with its exit code. *Raises:* OSError where cgroups cannot be made."""
    name = f"evergauge-bench-{os.getpid()}"
    with _groups(name) as found:

        def enter() -> None:
            for each in found:
                (each.folder / name / "cgroup.procs").write_text("0")

        words = [[each.place, each.kind, each.options] for each in found]
        command = ["unshare", "--mount", "--cgroup", "--propagation", "private", sys.executable, "-m", module, *arguments]
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        inner = subprocess.Popen(command, preexec_fn=enter, env={**os.environ, _VARIABLE: json.dumps(words)})
        try:
            code = inner.wait()
        finally:
            inner.terminate()
            with suppress(subprocess.TimeoutExpired):
                inner.wait(_END_SECONDS)
    sys.exit(code)


@contextmanager
def _groups(name: str) -> Iterator[list[Hierarchy]]:
    found = [each for each in _mounted() if os.access(each.folder, os.W_OK)]
    made = [each.folder / name for each in found]
    try:
        for folder in made:
            folder.mkdir()
        yield found
    finally:
        for folder in made:
            _remove(folder)


def _mounted() -> Iterator[Hierarchy]:
    """What is mounted below the root. *Source:* proc_pid_mountinfo(5)."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, after = line.partition(" - ")
        kind, _source, options = after.split()[:3]
        point = Path(fields.split()[4])
        if kind in ("cgroup", "cgroup2") and (point == ROOT or ROOT in point.parents):
            words = [
                word for word in options.split(",") if word not in ("rw", "ro") and not word.startswith(("release_agent", "ns"))
            ]
            if not _LEFT_OUT & set(words):
                named = ",".join(["none", *words]) if any(word.startswith("name=") for word in words) else ",".join(words)
                yield Hierarchy(str(point.relative_to(ROOT)), kind, named if kind == "cgroup" else "")


def _remove(folder: Path) -> None:
    """Kill everything in a cgroup that this program made, and remove it with all below. What clings is left and named."""
    until = time.monotonic() + _END_SECONDS
    while folder.exists():
        below = sorted((Path(at) for at, _folders, _files in os.walk(folder)), key=lambda path: -len(path.parts))
        for group in below:
            for pid in (group / "cgroup.procs").read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            with suppress(OSError):
                group.rmdir()
        if time.monotonic() > until:
            print(f"{folder} could not be removed", file=sys.stderr)
            return
        time.sleep(0.05)
