"""What a run makes for itself: cgroups, a small disk, the load's processes; all of it is gone when the context ends."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from closing_bench.truth import cpu_hierarchy
from process_bench.load import running
from process_bench.programs import FEW, PSUTIL

from scenarios.definition import Named

SCRIPTS = Path(__file__).parents[1]
END_SECONDS = 20.0
# A load that is late makes up for it: at the agent's own priority a busy machine would only measure the queue.
NICE, LOAD_NICE = "nice", 10
# Where ticks are judged by the millisecond, other work of the machine would be judged. The parts of the agent are equal among
# themselves, so that one which takes the processor from another is found.
FIRST_NICE = -20
# Ended with this process, also where it is killed (prctl(2), PR_SET_PDEATHSIG).
MORTAL = ("setpriv", "--pdeathsig", "KILL")


class NotPossible(Exception):
    """Something that a scenario needs is not on this machine; the words say the remedy."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Cgroups of a run: the agent's, and those of the load's pods, all below `top`. `pods`: uid and the container's folder."""

    root: Path
    agent: Path
    load: Path
    pods: tuple[tuple[str, Path], ...]


@contextmanager
def groups(pods: int) -> Iterator[Groups]:
    """Made in the hierarchy that counts CPU; what is left in them is killed at the end. *Raises:* NotPossible."""
    if os.geteuid() != 0:
        raise NotPossible("needs root, to make cgroups: sudo scripts/scenario")
    root = cpu_hierarchy()
    top = root / f"eg-scenario-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    named = [str(uuid.uuid4()) for _ in range(pods)]
    found = Groups(
        root,
        top / "agent",
        top / "kubepods",
        tuple((uid, top / "kubepods" / f"pod{uid}" / (uuid.uuid4().hex * 2)) for uid in named),
    )
    try:
        found.agent.mkdir(parents=True)
        for _uid, container in found.pods:
            container.mkdir(parents=True)
        yield found
    finally:
        remove_group(top)


def remove_group(top: Path) -> None:
    """End what is left in a cgroup of the run's own and below it, and remove it."""
    end_at = time.monotonic() + END_SECONDS
    while top.exists():
        for at, _folders, _files in os.walk(top, topdown=False):
            for word in _words(Path(at) / "cgroup.procs"):
                with suppress(ProcessLookupError):
                    os.kill(int(word), signal.SIGKILL)
            with suppress(OSError):
                os.rmdir(at)
        if time.monotonic() > end_at:
            raise OSError(f"{top} cannot be removed: something clings to it")
        time.sleep(0.02)


def _words(path: Path) -> list[str]:
    with suppress(OSError):
        return path.read_text().split()
    return []


@contextmanager
def disk(folder: Path, choice: Named) -> Iterator[Path]:
    """A small file system of its own at `folder`: of memory, or ext4 over a file, which can be frozen."""
    size = int(choice.values["size"])
    folder.mkdir(parents=True)
    if choice.name == "tmpfs":
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    else:
        image = folder.parent / "disk.image"
        with image.open("wb") as file:
            file.truncate(size)
        _run(["mkfs.ext4", "-q", "-F", str(image)], "apt-get install e2fsprogs")
        command = ["mount", "-o", "loop", str(image), str(folder)]
    _run(command, "run it where file systems can be mounted")
    try:
        yield folder
    finally:
        # A frozen one cannot be left; one that is not frozen refuses, which is no harm.
        subprocess.run(["fsfreeze", "--unfreeze", str(folder)], check=False, capture_output=True)
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _run(command: Sequence[str], remedy: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as problem:
        words = getattr(problem, "stderr", "") or str(problem)
        raise NotPossible(f"{' '.join(command)} failed: {words.strip()}; {remedy}") from problem


@dataclass(slots=True)
class Load:
    """The processes of a workload that run; `churn` is a fork loop that waits for its beginning."""

    churn: "subprocess.Popen[str] | None" = None
    command: str = "burn"

    def begin(self) -> None:
        """The fork loop goes."""
        if self.churn is not None:
            assert self.churn.stdin is not None
            self.churn.stdin.write("\n")
            self.churn.stdin.flush()

    def end(self) -> tuple[int, int, int] | None:
        """Processes made, CPU of all of them in ns by the kernel's count, time taken in ns. *Absent:* None without a fork loop."""
        if self.churn is None:
            return None
        assert self.churn.stdout is not None
        made, used_ns, took_ns = map(int, self.churn.stdout.readline().split())
        return made, used_ns, took_ns


@contextmanager
def load(program: Path, choice: Named, where: Groups, folder: Path, seconds: float) -> Iterator[Load]:
    """Everything of a workload runs, or is ready to. *Raises:* LoadError."""
    values, container = choice.values, where.pods[0][1] if where.pods else where.load
    with ExitStack() as stack:

        def start(words: Sequence[str | float | Path], group: Path = container) -> "subprocess.Popen[str]":
            return stack.enter_context(running(Path(NICE), ["-n", LOAD_NICE, program, *words], [group]))

        made = Load()
        match choice.name:
            case "standard":
                words = [values["processes"], values["cpu_microseconds"], values["memory_mebibytes"], values["write_kibibytes"]]
                start(["steep", *words, str(folder)])
            case "high_pid_churn":
                start(["sleep", values["processes"], min(10, int(values["processes"])), 200])
                burns = [values["microseconds_least"], values["microseconds_most"]]
                made.churn = start(["churn", made.command, values["rate"], *burns, seconds, "plain"])
            case "memory_pressure":
                start(["grow", values["processes"], values["mebibytes"]])
            case "cpu_spikes":
                start(["spikes", values["processes"], values["milliseconds"], values["every_seconds"]])
            case "high_cardinality":
                for number, (_uid, group) in enumerate(where.pods):
                    share = int(values["processes"]) * (number + 1) // len(where.pods) - int(values["processes"]) * number // len(
                        where.pods
                    )
                    if share:
                        start(["names", share, values["microseconds"]], group)
        yield made


@contextmanager
def reference_loop() -> Iterator[int]:
    """A psutil loop that reads the same processes once a second; gives its pid."""
    command = [*MORTAL, sys.executable, "-c", PSUTIL.format(fields=FEW)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait(END_SECONDS)


@dataclass(slots=True)
class Recorder:
    """A process that records until it is ended. `path` is complete when `end` was called."""

    process: "subprocess.Popen[bytes]"
    path: Path
    is_over: bool = field(default=False)

    def end(self) -> None:
        """It reads once more, and writes what it found."""
        if not self.is_over:
            self.is_over = True
            assert self.process.stdin is not None
            self.process.stdin.close()
            if self.process.wait(END_SECONDS) != 0:
                raise RuntimeError(f"the process that wrote {self.path.name} ended with {self.process.returncode}")


@contextmanager
def baseline(where: Groups, path: Path) -> Iterator[Recorder]:
    """It records until it is ended, or the context ends."""
    with _recording("scenarios.baseline", path, where.root, where.load) as found:
        yield found


@contextmanager
def metronome(path: Path, interval_ns: int) -> Iterator[Recorder]:
    """It wakes at each interval until it is ended, or the context ends; with the priority of an agent whose ticks are judged."""
    with _recording("scenarios.metronome", path, interval_ns, before=(NICE, "-n", str(FIRST_NICE))) as found:
        yield found


@contextmanager
def _recording(module: str, path: Path, *words: object, before: Sequence[str] = ()) -> Iterator[Recorder]:
    command = [*before, *MORTAL, sys.executable, "-m", module, str(path), *map(str, words)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(SCRIPTS)})
    found = Recorder(process, path)
    try:
        yield found
    finally:
        if not found.is_over:
            process.kill()
            process.wait(END_SECONDS)
