"""A keeper of a test's own: a real process, with a folder and a part of the cgroup tree of its own, and a client that waits."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import pytest
from harness.waiting import DEADLINE_SECONDS, wait_until

from workers.keeper.client import KeeperClient
from workers.keeper.program import keeper_command
from workers.keeper.protocol import (
    ForgetWorkload,
    FromKeeper,
    KeeperDone,
    KeeperRecords,
    KeeperRefused,
    KeeperSpawned,
    ListWorkloads,
    SpawnWorkload,
    StopWorkload,
    ToKeeper,
    WorkloadEnded,
    WorkloadRecord,
    WorkloadSpec,
)

CGROUPS = Path("/sys/fs/cgroup")


def hierarchy() -> Path | None:
    """This machine's v2 hierarchy, where this process may change it."""
    for root in (CGROUPS, CGROUPS / "unified"):
        if (root / "cgroup.controllers").exists() and os.access(root, os.W_OK):
            return root
    return None


@contextmanager
def own_tree(name: str) -> Iterator[Path]:
    """A directory of the v2 hierarchy for one test; at the end nothing of it is left."""
    root = hierarchy()
    if root is None or os.geteuid() != 0:
        pytest.skip("needs root and a cgroup v2 hierarchy")
    tree = root / f"evergauge-test-{os.getpid()}-{name}"
    tree.mkdir()
    try:
        hand_down(root, tree)
        yield tree
    finally:
        remove_tree(tree)


def hand_down(root: Path, tree: Path) -> None:
    """Enable what can be for the test's directory; it is a root in the eyes of its keeper."""
    for controller in (root / "cgroup.controllers").read_text().split():
        with suppress(OSError):
            (root / "cgroup.subtree_control").write_text(f"+{controller}")


def remove_tree(tree: Path) -> None:
    """End everybody in it and remove it."""

    def is_removed() -> bool:
        for pid in members(tree):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for folder, _, _ in os.walk(tree, topdown=False):
            with suppress(OSError):
                os.rmdir(folder)
        return not tree.exists()

    wait_until(is_removed, f"{tree} is removed")


def members(tree: Path) -> list[int]:
    """Every process in a cgroup and below it. Groups that are removed meanwhile have none."""
    found: list[int] = []
    for folder, _, _ in os.walk(tree):
        with suppress(OSError):
            found += [int(word) for word in Path(folder, "cgroup.procs").read_text().split()]
    return found


class KeeperProcess:
    """One keeper with its client. Use it as a context: leaving it ends the keeper, not the workloads."""

    def __init__(
        self, state_dir: Path, cgroup_root: Path, environment: dict[str, str] | None = None, prefix: tuple[str, ...] = ()
    ) -> None:
        self.state_dir = state_dir
        self.cgroup_root = cgroup_root
        self.folder = state_dir / "workloads"
        self._environment = environment or {}
        # Words before the command.
        self._prefix = prefix
        self.process: subprocess.Popen[bytes] | None = None
        self.client = self._new_client()
        self._request = 0
        self.ended: list[WorkloadRecord] = []

    def __enter__(self) -> Self:
        if self.process is None:
            self.start()
        return self

    def __exit__(self, _kind: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None) -> None:
        self.client.close()
        if self.process is not None:
            self.process.terminate()
            self.process.wait(DEADLINE_SECONDS)
            assert self.process.stderr is not None
            self.process.stderr.close()

    def start(self) -> None:
        """Start and connect."""
        self.start_alone()
        self.connect()

    def start_alone(self) -> None:
        """Start, and expect nothing of it."""
        self.process = subprocess.Popen(
            [*self._prefix, *keeper_command(str(self.state_dir), str(self.cgroup_root), detached=False)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={"PATH": os.defpath, **self._environment},
        )

    def connect(self) -> None:
        """A new connection."""
        self.client.close()
        self.client = self._new_client()

        asked = 0

        def is_answered() -> bool:
            # A process that a killed keeper was about to bear still holds its socket for a moment: such a connection ends.
            nonlocal asked
            self.client.on_timer(time.monotonic_ns() + 10**12)
            if self.client.is_connected and asked != self.client.connections:
                asked = self.client.connections
                self.client.send(ListWorkloads(self.next()))
            return any(isinstance(each, KeeperRecords) for each in self.read())

        wait_until(is_answered, "the keeper answers")

    def kill(self) -> None:
        """End it as a crash does."""
        assert self.process is not None
        self.process.kill()
        self.wait_dead()

    def wait_dead(self) -> None:
        """Until it is gone, by whatever end."""
        assert self.process is not None
        self.process.wait(DEADLINE_SECONDS)
        assert self.process.stderr is not None
        self.process.stderr.close()
        self.process = None

    def run(self, name: str, *argv: str, **more: object) -> WorkloadRecord:
        """Start a workload that is expected to start."""
        return self.spawn(WorkloadSpec(name=name, argv=argv, **more))  # type: ignore[arg-type]  # As the spec has them.

    def spawn(self, spec: WorkloadSpec) -> WorkloadRecord:
        """The same for a whole order."""
        answer = self.ask(SpawnWorkload(self.next(), spec))
        assert isinstance(answer, KeeperSpawned), answer
        return answer.record

    def refusal_or_record(self, name: str, *argv: str) -> KeeperRefused | WorkloadRecord:
        """Start a workload that may be refused."""
        answer = self.ask(SpawnWorkload(self.next(), WorkloadSpec(name=name, argv=argv)))
        assert isinstance(answer, KeeperRefused | KeeperSpawned), answer
        return answer if isinstance(answer, KeeperRefused) else answer.record

    def refusal(self, name: str, *argv: str, **more: object) -> KeeperRefused:
        """Start a workload that is expected to be refused."""
        answer = self.ask(SpawnWorkload(self.next(), WorkloadSpec(name=name, argv=argv, **more)))  # type: ignore[arg-type]  # As above.
        assert isinstance(answer, KeeperRefused), answer
        return answer

    def stop(self, name: str, grace_ns: int | None = None) -> Any:
        """End a workload; the keeper's answer."""
        return self.ask(StopWorkload(self.next(), name, grace_ns))

    def forget(self, name: str) -> Any:
        """Remove a record; the keeper's answer."""
        return self.ask(ForgetWorkload(self.next(), name))

    def listing(self) -> KeeperRecords:
        """Everything it knows."""
        answer = self.ask(ListWorkloads(self.next()))
        assert isinstance(answer, KeeperRecords), answer
        return answer

    def record(self, name: str) -> WorkloadRecord:
        """What it knows of one."""
        return next(each for each in self.listing().records if each.spec.name == name)

    def wait_ended(self, name: str) -> WorkloadRecord:
        """Until it says that this one has ended."""

        def ended() -> WorkloadRecord | None:
            self.read()
            return next((each for each in self.ended if each.spec.name == name), None)

        found = wait_until(ended, f"{name} has ended")
        self.ended.remove(found)
        return found

    def next(self) -> int:
        """A number for a request."""
        self._request += 1
        return self._request

    def ask(self, order: ToKeeper) -> Any:
        """Send, and wait for the answer to it."""
        assert self.client.send(order)

        def answer() -> Any:
            return next((each for each in self.read() if getattr(each, "request", None) == order.request), None)

        return wait_until(answer, f"the keeper answers {msgspec.json.encode(order)[:200]!r}")

    def read(self) -> Sequence[FromKeeper]:
        """What has come; ends are kept."""
        for descriptor, _readable, is_writing in self.client.interests():
            select.select([descriptor], [descriptor] if is_writing else [], [], 0.05)
            self.client.on_writable(descriptor, time.monotonic_ns())
            self.client.on_readable(descriptor, time.monotonic_ns())
        messages = self.client.take()
        self.ended += [each.record for each in messages if isinstance(each, WorkloadEnded)]
        return [each for each in messages if not isinstance(each, WorkloadEnded)]

    def cgroup(self, record: WorkloadRecord) -> Path:
        """Where its cgroup is."""
        below = "/freezer" if (self.cgroup_root / "freezer").exists() else ""
        return Path(f"{self.cgroup_root}{below}{record.cgroup}")

    def output(self, name: str) -> str:
        """What it has written."""
        return (self.folder / f"{name}.out").read_text(errors="replace")

    def _new_client(self) -> KeeperClient:
        return KeeperClient(str(self.state_dir), str(self.cgroup_root), may_start=False)


def is_done(answer: FromKeeper) -> bool:
    """Whether the keeper said yes."""
    return isinstance(answer, KeeperDone)
