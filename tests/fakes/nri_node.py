"""Containers with real processes in real cgroups behind the fake runtime, started in the order of a real one.

A container's process waits in its cgroup, as the `init` of runc does, until the plugin has answered StartContainer; only then
its own first program runs, and the first thing it does is to look for its process number in the `tasks` of its group.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from fakes.cgroup import enter, group
from fakes.nri_dialect import RUNNING, FakeContainer, FakePod, container_of, pod_of
from fakes.nri_runtime import NriRuntime
from harness.waiting import wait_until

# Waits for a path, looks for itself there, starts as many children as asked, and ends with its input.
_PROGRAM = """
read -r tasks children || exit 0
where=missing
[ -r "$tasks" ] && where=outside
{ while read -r id; do [ "$id" = $$ ] && where=inside; done < "$tasks"; } 2>/dev/null
while [ "${children:-0}" -gt 0 ]; do sleep 3600 & children=$((children - 1)); done
echo $where
read -r end
kill $(jobs -p) 2>/dev/null
exit 0
"""


class Where(StrEnum):
    """Where a container's first program found itself."""

    INSIDE = "inside"
    OUTSIDE = "outside"
    MISSING = "missing"
    """The group has no `tasks` that can be read."""


@dataclass(slots=True)
class RealContainer:
    """One started container; `where` is what its first program said."""

    pod: FakePod
    container: FakeContainer
    folder: Path
    process: subprocess.Popen[bytes]
    where: Where | None = None
    tasks: set[int] = field(default_factory=set)

    def threads(self) -> set[int]:
        """Every thread of the container, as its cgroup lists them."""
        return {int(line) for line in (self.folder / "tasks").read_text().split()}

    def end(self) -> None:
        """Its processes end and its cgroup goes."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        for pid in [self.process.pid, *self._members()]:
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        self.process.wait(10)
        self.process.stdout.close()
        wait_until(lambda: not self._members(), "the container is empty")
        self.folder.rmdir()

    def _members(self) -> list[int]:
        with suppress(FileNotFoundError):
            return [int(line) for line in (self.folder / "cgroup.procs").read_text().split()]
        return []


class RealNode:
    """Pods of one host: `root` is a version 1 hierarchy of the test's own, `mount` a resctrl (its groups are looked at only)."""

    def __init__(self, runtime: NriRuntime, root: Path, mount: Path) -> None:
        self.runtime = runtime
        self.root = root
        self._mount = mount
        self.running: list[RealContainer] = []

    def run_pod(self, number: int) -> FakePod:
        """A pod with its sandbox and its cgroup, and no container yet."""
        pod = pod_of(number)
        assert isinstance(pod.cgroup_parent, str)
        (self.root / pod.cgroup_parent.lstrip("/")).mkdir(parents=True)
        self.runtime.run_pod(pod)
        return pod

    def start(self, pod: FakePod, number: int = 0, *, children: int = 0, is_heard: bool = True) -> RealContainer:
        """A container from its cgroup to its first program; without `is_heard` it ran already when the runtime's peer came."""
        container = container_of(pod, number)
        assert isinstance(container.cgroups_path, str)
        folder = self.root / container.cgroups_path.lstrip("/")
        folder.mkdir()
        process = subprocess.Popen(["/bin/sh", "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        made = RealContainer(pod, container, folder, process)
        self.running.append(made)
        enter(folder, process.pid)
        container.pid = process.pid
        if is_heard:
            self.runtime.create_container(container)
            self.runtime.start_container(container)
        else:
            container.state = RUNNING
            self.runtime.containers[container.id] = container
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{self.group_of(pod)}/tasks {children}\n".encode())
        process.stdin.flush()
        made.where = Where(process.stdout.readline().decode().strip())
        return made

    def group_of(self, pod: FakePod) -> Path:
        """The group that the pod has when no rule says otherwise."""
        return self._mount / "mon_groups" / f"pod_{pod.uid!s}"

    def end(self, made: RealContainer) -> None:
        """A container ends, and the runtime hears of it as a real one would."""
        made.end()
        self.running.remove(made)
        self.runtime.stop_container(made.container)
        self.runtime.remove_container(made.container)

    def remove_pod(self, pod: FakePod) -> None:
        """A pod goes with everything in it."""
        for made in [each for each in self.running if each.pod is pod]:
            self.end(made)
        assert isinstance(pod.cgroup_parent, str)
        (self.root / pod.cgroup_parent.lstrip("/")).rmdir()
        self.runtime.stop_pod(pod)
        self.runtime.remove_pod(pod)

    def close(self) -> None:
        """Everything ends; the runtime is not told."""
        for made in self.running:
            made.end()
        self.running.clear()
        for directory, _names, _files in os.walk(self.root, topdown=False):
            if directory != str(self.root):
                os.rmdir(directory)


@contextmanager
def real_node(name: str, runtime: NriRuntime, mount: Path) -> Iterator[RealNode]:
    """A node below the version 1 hierarchy of process numbers; only root can."""
    with group("pids", f"{name}-{os.getpid()}") as root:
        made = RealNode(runtime, root, mount)
        try:
            yield made
        finally:
            made.close()
