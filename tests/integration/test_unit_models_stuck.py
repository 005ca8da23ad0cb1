"""Units whose processes cannot be read now, or make reading dear: no tick waits, and all others are known."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fakes.load import started
from fakes.stuck_process import stuck_process
from harness.waiting import wait_until

from agent.model.rule import UnitKind
from agent.model.timebase import MS, S
from workers.runtime.kernel_tree import OpenKernelTree
from workers.unit.model.look import UnitLook
from workers.unit.model.part import UnitModels
from workers.unit.model.side_queue import SideQueue
from workers.unit.schema import UNIT_MODEL
from workers.unit.tracked_unit import Instant, TrackedUnit

# A tick hands over and collects: some 0.1 ms. A machine with other tests may keep it from a processor meanwhile.
TICK_NS_MAX = 100 * MS
OTHER = 65534


class Ticks:
    """Units with these processes, and rows tick by tick; each tick takes no longer than it may, once in three tries."""

    def __init__(self, folder: Path, **pids: int) -> None:
        self.queue: SideQueue[Any, Any] = SideQueue(UnitLook(OpenKernelTree(str(folder)), OpenKernelTree("/proc"), _no_record))
        self.part = UnitModels(self.queue)
        self.rows: dict[str, dict[str, Any]] = {}
        self.slow = 0
        self._at = Instant(0, S)
        for name, pid in pids.items():
            (folder / f"{name}.service").mkdir()
            (folder / f"{name}.service/cgroup.procs").write_text(f"{pid}\n")
            self.part.begin(TrackedUnit(f"/{name}.service", UnitKind.SERVICE, f"/{name}.service"), self._at)

    def tick(self) -> dict[str, dict[str, Any]]:
        """The last row of each unit so far."""
        self._at = Instant(self._at.now_ns + S, self._at.wall_ns + S)
        begun_ns = time.monotonic_ns()
        sample = self.part.rows(self._at)
        self.slow = self.slow + 1 if time.monotonic_ns() - begun_ns > TICK_NS_MAX else 0
        assert self.slow < 3
        for _, rows in sample:
            for row in rows:
                named = dict(zip(UNIT_MODEL.column_names, row, strict=True))
                self.rows[str(named["unit"])] = named
        time.sleep(0.02)
        return self.rows


@contextmanager
def ticks(folder: Path, **pids: int) -> Iterator[Ticks]:
    made = Ticks(folder, **pids)
    try:
        yield made
    finally:
        made.part.close()


def _no_record(_cgroup: str) -> bytes:
    raise FileNotFoundError


def server(folder: Path, *words: str, before: str = "") -> list[str]:
    """The command line of a server, which does this at first."""
    script = folder / "vllm"
    script.write_text(f"import os, time\n{before}\ntime.sleep(1000)\n")
    return [sys.executable, str(script), "serve", *words]


def test_a_process_that_keeps_its_memory_lock_delays_nothing(tmp_path: Path) -> None:
    """Its unit has the reason; as soon as it answers it is read."""
    with (
        stuck_process(tmp_path / "dead") as stuck,
        started(server(tmp_path, "org/a")) as process,
        ticks(tmp_path, stuck=stuck.pid, well=process.pid) as story,
    ):
        wait_until(lambda: story.tick().get("/well.service", {}).get("model") == "org/a", "the other one is known")
        wait_until(lambda: story.tick().get("/stuck.service", {}).get("absent") == "not_answered", "it has its reason")
        assert story.queue.stuck == 1
        stuck.release()
        wait_until(lambda: story.queue.stuck == 0, "it has come back")
        wait_until(lambda: story.tick()["/stuck.service"]["absent"] is None, "it was read")
        assert story.rows["/stuck.service"]["model"] is None


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's process needs root")
@pytest.mark.parametrize("words", [("x" * (120 << 10),), ("org/a", *["-x"] * (60 << 10))], ids=["one word", "many words"])
def test_long_arguments_of_another_user_cost_no_tick(tmp_path: Path, words: tuple[str, ...]) -> None:
    """128 KiB of them; the name at their beginning counts where it is whole."""
    line = server(tmp_path, *words, before=f"os.setresuid({OTHER}, {OTHER}, {OTHER})")

    def is_told(story: Ticks) -> Callable[[], bool]:
        return lambda: "/long.service" in story.tick()

    with started(line) as process:
        wait_until(lambda: os.stat(f"/proc/{process.pid}/task").st_uid == OTHER, "it is the other user's")
        with ticks(tmp_path, long=process.pid) as story:
            wait_until(is_told(story), "it was read")
            row = story.rows["/long.service"]
            assert (row["engine"], row["model"]) == ("vllm", "org/a" if words[0] == "org/a" else None)
