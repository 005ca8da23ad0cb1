"""The edge of a real agent from outside: how long its answers take while something else goes on."""

import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.control_connection import ControlConnection, ask

# Between two questions of a probe: enough of them for a 99th percentile within seconds, and the agent has other things to do.
PROBE_PAUSE_SECONDS = 0.004
PROBES_MAX = 20_000
# Any single answer may be held up by the machine; what is promised is the 99th percentile.
ANSWER_SECONDS_P99 = 0.05


class Probe:
    """Somebody who asks `list-workers` again and again, each time over a new connection, and notes how long it took.

    `own_seconds` leave out the time in which agent or asker were ready to run and the machine had no processor for them:
    what else runs there is no property of the agent.
    """

    def __init__(self, path: Path | str, *, pause_seconds: float = PROBE_PAUSE_SECONDS) -> None:
        self._path = path
        self._pause_seconds = pause_seconds
        with ControlConnection(path) as connection:
            self._pids = (connection.agent_pid(), os.getpid())
        self.seconds: list[float] = []
        self.own_seconds: list[float] = []

    def ask(self) -> None:
        """One question. *Raises:* AssertionError when it is not answered as it should be."""
        starved = self._starved_seconds()
        begun = time.perf_counter()
        answer = ask(self._path, "list-workers")
        took = time.perf_counter() - begun
        self.seconds.append(took)
        self.own_seconds.append(max(0.0, took - (self._starved_seconds() - starved)))
        assert answer["ok"], answer

    def run_while(self, condition: Callable[[], bool], *, least: int = 200) -> None:
        """Ask as long as the condition holds, and often enough for a percentile to mean something."""
        while condition() or len(self.seconds) < least:
            self.ask()
            assert len(self.seconds) < PROBES_MAX, "what is waited for does not end"
            time.sleep(self._pause_seconds)

    def assert_prompt(self) -> None:
        """99 of 100 answers came in time."""
        worst = [(round(took * 1e3, 1), round(own * 1e3, 1)) for took, own in zip(self.seconds, self.own_seconds, strict=True)]
        worst = sorted(worst, key=lambda pair: pair[1])[-5:]
        assert percentile(self.own_seconds, 0.99) <= ANSWER_SECONDS_P99, (
            f"the slowest of {len(self.seconds)} answers, as (ms, ms with a processor): {worst}"
        )

    def _starved_seconds(self) -> float:
        """How long agent and asker have waited for a processor so far. *Source:* proc_pid_schedstat."""
        waits = (Path(f"/proc/{pid}/schedstat").read_text().split()[1] for pid in self._pids)
        return sum(int(nanoseconds) for nanoseconds in waits) / 1e9


def found_in(*folders: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """These folders with everything in them; what is renamed or removed at this moment is left out."""
    for folder in folders:
        below = (Path(place, name) for place, names, files in os.walk(folder) for name in (*names, *files))
        for path in (folder, *below):
            with suppress(FileNotFoundError):
                yield path, path.lstat()


def percentile(values: list[float], share: float) -> float:
    """The smallest value that this share of the values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


@contextmanager
def many_descriptors() -> Iterator[None]:
    """As many descriptors for this process as it may have; a test that holds a thousand connections needs them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
