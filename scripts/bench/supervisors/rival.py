"""What all supervisors of the benchmark have in common: they are started with children, watched, killed, and ended.

The processes of the benchmark have a pid namespace of their own, so nothing outside it can be met by any kill here.
"""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from harness import proc

from supervisors.child_starts import ChildStart, ChildStarts, SupervisorFailed
from supervisors.options import Options
from supervisors.toolchain import Say, Toolchain

# Fifty supervisors at once, on a busy machine.
START_SECONDS = 90.0
END_SECONDS = 10.0


@dataclass(slots=True)
class Bench:
    """What every measurement is handed."""

    toolchain: Toolchain
    options: Options
    starts: ChildStarts
    folder: Path
    cgroups: list[str]
    say: Say
    rng: random.Random = field(default_factory=random.Random)
    rooms: int = 0

    def new_label(self, stem: str) -> str:
        """A name that no other supervisor of this run has; children are named LABEL-NUMBER."""
        self.rooms += 1
        return f"{stem}{self.rooms}"


class Rival:
    """One supervisor with its children. A kind of supervisor says how it is launched and where its children come from."""

    def __init__(self, bench: Bench, stem: str, count: int) -> None:
        self.bench = bench
        self.label = bench.new_label(stem)
        self.count = count
        self.folder = bench.folder / self.label
        self.living: dict[int, ChildStart] = {}
        self.process: subprocess.Popen[bytes] | None = None
        # For children that end at once, always: more variables for the child.
        self.child_environment: dict[str, str] = {}
        # Where its standard error goes; -1: beside its standard output.
        self.stderr = -1

    # ---- what a kind of supervisor says ----------------------------------------------------------

    def prepare(self) -> None:
        """Write what it needs into its folder."""

    def command_line(self) -> list[str]:
        """How it is launched."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """More variables for the supervisor."""
        return {}

    def status_command(self) -> list[str]:
        """How an operator asks what runs; empty: there is nothing to ask with."""
        return []

    def status_environment(self) -> dict[str, str]:
        """More variables for that command."""
        return {}

    def on_restarted(self, start: ChildStart) -> None:
        """A child was killed by the benchmark and is back: the place to forgive it."""

    # ---- the same for all ------------------------------------------------------------------------

    @property
    def child(self) -> str:
        """The tiny program."""
        return self.bench.toolchain.child

    @property
    def names(self) -> list[str]:
        """What its children call themselves."""
        return [f"{self.label}-{number}" for number in range(self.count)]

    @property
    def root(self) -> int:
        """The pid of its first process."""
        assert self.process is not None
        return self.process.pid

    def launch(self) -> None:
        """Start the supervisor, not waiting for anything."""
        further = {"BENCH_SOCKET": self.bench.starts.path, **self.child_environment, **self.environment()}
        environment = {**outer_environment(), **further}
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                self.command_line(), stdin=subprocess.DEVNULL, stdout=output,
                stderr=output if self.stderr < 0 else self.stderr, cwd=self.folder, env=environment,
                start_new_session=True,
            )  # fmt: skip

    def start(self, *, wait: bool = True) -> None:
        """Start it and wait until all children run. *Raises:* SupervisorFailed."""
        self.folder.mkdir()
        self.prepare()
        self.bench.starts.give_to(self.label, self)
        self.launch()
        if wait:
            self.wait_complete()

    def wait_complete(self) -> None:
        """*Raises:* SupervisorFailed when not all children are there in time."""

        def complete() -> bool:
            return len(self.living) >= self.count

        try:
            self.bench.starts.wait_until(complete, f"{self.count} children run", seconds=START_SECONDS)
        except SupervisorFailed as failure:
            words = (self.folder / "output").read_text(errors="replace").strip().splitlines()[-3:]
            raise SupervisorFailed(f"{failure}; {' | '.join(words) or 'it says nothing'}") from failure

    def stop(self) -> None:
        """End it and all that is below it, without asking."""
        if self.process is None:
            return
        members = [*proc.family(self.root), *self.living]
        # Supervisors first: they would start the children again.
        for pid in sorted(members, key=lambda pid: proc.program(pid) == self.child):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(END_SECONDS)
        self.bench.starts.forget(self.label)

    def supervisors(self) -> list[int]:
        """The processes that supervise: all of its own that are no children."""
        return [pid for pid in proc.family(self.root) if pid not in self.living]


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to run one kind of supervisor.

    `pause_seconds`: from a restart to the next kill a random time between these goes by, a span of at least one polling
    period. `side_by_side`: how many independent supervisors are measured at the same time, each with one death at a time.
    `healthy_seconds`: a child that has lived this long is restarted immediately. `is_slow`: it waits more than it works, so
    that it can be measured beside others. `takes_turns`: never two deaths at a time, not even in two of them. `looping`: what
    a child that ends at once is given to, where that is something else.
    """

    title: str
    needs: str
    make: Callable[[Bench, int], Rival]
    pause_seconds: tuple[float, float] = (0.02, 0.07)
    side_by_side: int = 1
    healthy_seconds: float = 0.0
    is_slow: bool = False
    takes_turns: bool = False
    looping: Callable[[Bench, int], Rival] | None = None


@contextmanager
def running(rivals: Sequence[Rival]) -> Iterator[None]:
    """All of them, started at once, and ended at the end. *Raises:* SupervisorFailed when one does not start."""
    with starting(rivals) as problems:
        for problem in problems.values():
            raise SupervisorFailed(problem)
        yield


@contextmanager
def starting(rivals: Sequence[Rival]) -> Iterator[dict[str, str]]:
    """As `running`; gives the labels of those that did not start, each with what is wrong with it."""
    problems: dict[str, str] = {}
    try:
        for is_started in (False, True):
            for rival in rivals:
                try:
                    if not is_started:
                        rival.start(wait=False)
                    elif rival.label not in problems:
                        rival.wait_complete()
                except (SupervisorFailed, OSError) as failure:
                    problems[rival.label] = str(failure)
        yield problems
    finally:
        for rival in rivals:
            rival.stop()
        end_strays()


def end_strays() -> None:
    """Kill whatever is in the namespace beside its first process and this one: what children were started meanwhile."""
    end_at = time.monotonic() + END_SECONDS
    while strays := [pid for pid in proc.family(1) if pid not in (1, os.getpid())]:
        for pid in strays:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert time.monotonic() < end_at, f"processes that cannot be ended: {strays}"
        time.sleep(0.002)


def outer_environment() -> dict[str, str]:
    """The variables of this process that supervisors are to have too."""
    # Settings of an agent of the person who runs this are not ours.
    return {name: value for name, value in os.environ.items() if not name.startswith(("EVERGAUGE_", "BENCH_"))}
