"""What every part is handed."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.waiting import wait_until

from resctrl_bench.load import Pod, Pods, pods
from resctrl_bench.options import Options
from resctrl_bench.place import Place

SAY_EVERY_SECONDS = 10.0
SLOW_PAUSE_SECONDS = 0.1


@dataclass(slots=True)
class Bench:
    """One run of the benchmark: `program` makes the load, `say` tells how far it is."""

    options: Options
    place: Place
    program: Path
    say: Callable[[str], None]
    rooms: int = 0

    def new_name(self, stem: str) -> str:
        """A name that no other folder of this run has; short, for sockets lie below it."""
        self.rooms += 1
        return f"{stem}{self.rooms}"

    @contextmanager
    def pods(self, threads: Sequence[int] = ()) -> Iterator[tuple[Pods, list[Pod]]]:
        """Pods that run, one for each number of threads; more can be started."""
        with pods(self.place.cgroup, self.program, seed=self.options.seed + self.rooms) as made:
            yield made, made.start_all(threads)

    def rest(self, seconds: float, what: str) -> None:
        """Let time go by, and say now and then that it does."""
        end_at = time.monotonic() + seconds
        while (left := end_at - time.monotonic()) > 0:
            if left > SAY_EVERY_SECONDS:
                self.say(f"{what}: {left:.0f} s left")
            time.sleep(min(left, SAY_EVERY_SECONDS))


def wait_slowly(condition: Callable[[], bool], what: str, *, seconds: float) -> None:
    """Wait for what costs those who are measured some time to tell. *Raises:* NotInTime."""
    wait_until(condition, what, seconds=seconds, pause_seconds=SLOW_PAUSE_SECONDS)


def group_path(uid: str) -> str:
    """Where the group of a pod is below the mount point."""
    return f"mon_groups/pod_{uid}"
