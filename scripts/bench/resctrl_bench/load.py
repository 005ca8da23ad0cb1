"""The pods of the benchmark: real processes in real control groups, which the C program `load.c` makes."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

SOURCE = Path(__file__).with_name("load.c")
# A pod of a fork storm is killed faster than it forks; this many rounds have never been needed.
END_SECONDS = 10.0


class LoadError(Exception):
    """The load cannot be made; the words say why."""


def build(folder: Path) -> Path:
    """Compile the program into a folder. *Raises:* LoadError."""
    if shutil.which("gcc") is None:
        raise LoadError("needs gcc; on Debian: apt-get install gcc libc6-dev")
    program = folder / "load"
    # Linked statically it has fewer pages to copy, and a fork costs half.
    command = ["gcc", "-O2", "-static", "-pthread", "-o", str(program), str(SOURCE)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise LoadError(f"gcc failed: {made.stderr.strip()}")
    return program


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod with one container: `folder` is the container's control group, `leader` its first process."""

    uid: str
    folder: Path
    leader: int
    threads: int

    def thread_ids(self) -> set[int]:
        """Every thread in its control group now. *Source:* cgroups(7): `tasks` of version 1, `cgroup.threads` of version 2."""
        with suppress(FileNotFoundError):
            return _numbers(self.folder / "tasks")
        with suppress(OSError):
            return _numbers(self.folder / "cgroup.threads")
        return set()

    def process_ids(self) -> set[int]:
        """Every process in its control group now."""
        with suppress(OSError):
            return _numbers(self.folder / "cgroup.procs")
        return set()


class Pods:
    """Pods below one control group, as a kubelet makes them. Use `pods` for one that cleans up."""

    def __init__(self, cgroup: Path, program: Path, seed: int) -> None:
        self._parent = cgroup / "kubepods" / "besteffort"
        self._parent.mkdir(parents=True, exist_ok=True)
        self._random = random.Random(seed)
        self._program = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.living: dict[str, Pod] = {}

    def start(self, *, threads: int = 1, forks_per_second: int = 0, lifetime_ms: int = 50) -> Pod:
        """One more pod; it runs when this returns. *Raises:* LoadError."""
        uid = str(UUID(int=self._random.getrandbits(128), version=4))
        folder = self._parent / f"pod{uid}" / f"{self._random.getrandbits(256):064x}"
        folder.mkdir(parents=True)
        answer = self._ask(f"start {folder}/cgroup.procs {threads} {forks_per_second} {lifetime_ms}")
        if not answer.isdecimal():
            raise LoadError(f"a pod did not start: {answer or 'the program has ended'}")
        pod = Pod(uid, folder, int(answer), threads)
        self.living[uid] = pod
        return pod

    def start_all(self, threads: Sequence[int]) -> list[Pod]:
        """A pod for each number of threads."""
        return [self.start(threads=count) for count in threads]

    def forks(self, pod: Pod) -> int:
        """How many processes a pod has made so far."""
        return int(self._ask(f"forks {pod.leader}"))

    def end(self, pod: Pod) -> None:
        """Kill all of a pod and remove its control groups, as a kubelet does."""
        end_group(pod.folder)
        pod.folder.parent.rmdir()
        del self.living[pod.uid]

    def close(self) -> None:
        """End all pods and the program."""
        for pod in list(self.living.values()):
            self.end(pod)
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.close()
        self._program.wait(END_SECONDS)
        self._program.stdout.close()
        self._parent.rmdir()
        self._parent.parent.rmdir()

    def _ask(self, order: str) -> str:
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.write(order + "\n")
        return self._program.stdout.readline().strip()


@contextmanager
def pods(cgroup: Path, program: Path, *, seed: int) -> Iterator[Pods]:
    """Pods that end with the context."""
    made = Pods(cgroup, program, seed)
    try:
        yield made
    finally:
        made.close()


def end_group(folder: Path) -> None:
    """Kills the processes of a cgroup until it is empty, and removes it."""
    end_at = time.monotonic() + END_SECONDS
    while True:
        with suppress(FileNotFoundError):
            for pid in _numbers(folder / "cgroup.procs"):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        try:
            folder.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError:
            # Busy: dead processes are still in it, or a new one is.
            if time.monotonic() > end_at:
                raise
            time.sleep(0.0005)


def thread_counts(pods_count: int, threads_total: int, *, most: int, seed: int) -> list[int]:
    """How many threads each pod has: from 1 to `most`, both ends included, few with many; together at least `threads_total`."""
    assert pods_count <= threads_total <= pods_count * most
    generator = random.Random(seed)
    mean = threads_total / pods_count
    counts = [min(most, max(1, round(generator.expovariate(1 / mean)))) for _ in range(pods_count)]
    counts[0] = 1
    if pods_count > 1:
        counts[1] = most
    while sum(counts) < threads_total:
        place = generator.randrange(1, pods_count) if pods_count > 1 else 0
        counts[place] = min(most, counts[place] + 10)
    return counts


def _numbers(path: Path) -> set[int]:
    return {int(word) for word in path.read_text().split()}
