"""The plugin in a process of its own, whose main thread computes without a pause: what a start then waits for the interpreter.

`python -m fakes.nri_busy_side SOCKET MOUNT CGROUP_ROOT LOAD WAY [SWITCH_SECONDS]` runs until its input ends and prints its counts.
`LOAD` is `idle`, `python` (a loop of the interpreter) or `library` (calls of a millisecond that hold the interpreter). `WAY` is
`gives-way` where the main thread stands still while a start waits, as the worker's loop does.
"""

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from agent.clock import SystemClock
from agent.model.timebase import MS
from workers.control_plane.binding import Binder
from workers.control_plane.container_runtime.link import GroupSnapshot, RuntimeLink
from workers.control_plane.container_runtime.start_assignment import StartAssignment
from workers.control_plane.nri import plugin as plugin_module
from workers.control_plane.nri.plugin import NriPlugin
from workers.control_plane.nri.runtime_socket import RuntimeSocket
from workers.resctrl.filesystem import MountedFilesystem
from workers.runtime.kernel_tree import OpenKernelTree

# As much as the loop does from one sign of its progress to the next: about a millisecond.
_NUMBERS = list(range(5_000))


def _is_over() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


def _compute(load: str) -> None:
    """Some milliseconds of work."""
    if load == "python":
        total = 0
        for number in _NUMBERS:
            total += number
    else:
        sorted(_NUMBERS, key=str)


def main() -> None:
    """Run until the input ends."""
    path, mount, cgroup_root, load, way, *rest = sys.argv[1:]
    gives_way = way == "gives-way"
    if rest:
        plugin_module.SWITCH_INTERVAL_SECONDS = float(rest[0])
    link = RuntimeLink(Binder([]))
    link.snapshot = GroupSnapshot(Binder([]), {}, is_measured=True)
    work = StartAssignment(
        lambda: link.snapshot, MountedFilesystem(mount), OpenKernelTree(cgroup_root), OpenKernelTree("/proc"), link.placing
    )
    plugin = NriPlugin(link, SystemClock(), RuntimeSocket(path), work, deadline_ns=100 * MS, rng=Random(1))
    plugin.start()
    while not _is_over():
        if load == "idle":
            select.select([sys.stdin], [], [])
        else:
            _compute(load)
            if gives_way:
                plugin.yield_to_start()
    print(json.dumps(plugin.stats()), flush=True)
    plugin.stop()


@contextmanager
def busy_side(
    path: Path, mount: Path, cgroup_root: Path, load: str, *, gives_way: bool = True, switch_seconds: str = ""
) -> Iterator[list[dict[str, Any]]]:
    """The process for the block; its counts are in the list afterwards."""
    counts: list[dict[str, Any]] = []
    words = [sys.executable, "-m", "fakes.nri_busy_side", str(path), str(mount), str(cgroup_root), load]
    words += ["gives-way" if gives_way else "insists", switch_seconds]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen([word for word in words if word], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield counts
        process.stdin.close()
        counts.append(json.loads(process.stdout.read()))
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait(10)
        process.stdin.close()
        process.stdout.close()


if __name__ == "__main__":
    main()
