"""The resctrl sampler over a real mount of the emulator, in real time."""

import signal
import subprocess
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fakes.number import number_of
from fakes.occupancy_story import OccupancyStory
from fakes.resctrl_mount import EmulatedResctrl
from harness.agent_process import AgentProcess
from harness.waiting import wait_until

from agent.clock import SystemClock
from agent.config import Config
from agent.model.table import Value
from agent.model.timebase import MS
from workers.resctrl.filesystem import MountedFilesystem
from workers.samplers.resctrl import SAMPLER

GB = 10**9
PATH = "mon_groups/pod_a"
SCENARIO = """
[[traffic]]
path = "mon_groups/*"
domains = { "0" = 3_000_000_000, "1" = 1_000_000_000 }
local_fraction = 0.5
"""
# One reading in twenty is bad, in one of four ways; always the same ones.
BAD_READINGS = (
    "seed = 1\n"
    + SCENARIO
    + "".join(
        f"""
[[fault]]
operation = "read"
path = "**/mon_data/*/*"
{fault}
probability = 0.0125
"""
        for fault in ('errno = "EIO"', 'errno = "ENOENT"', 'answer = "Unavailable"', 'answer = "garbage"')
    )
)
REASONS = {"error", "unavailable", "malformed"}
# A file that is said to have vanished is opened again within the same tick, and is there; its counter starts again.
FURTHER_REASONS = {"vanished", "first_tick"}


class Mounted:
    """One pod's group on the mount, and the sampler, that ticks every 50 ms."""

    def __init__(self, tmp_path: Path, resctrl: EmulatedResctrl) -> None:
        self.resctrl = resctrl
        self.group = resctrl.make_group(PATH)
        self.filesystem = MountedFilesystem(str(resctrl.mount))
        self.story = OccupancyStory(tmp_path, filesystem=self.filesystem, clock=SystemClock(), interval=50 * MS, enabled="true")
        self.story.start()
        self.story.assign("a", str(self.group))

    def tick(self) -> list[dict[str, Value]]:
        """Do what is due until the next tick is done; gives the pods' rows."""
        before = self._ticks()
        rows: list[dict[str, Value]] = []

        def is_done() -> bool:
            if (self.story.work.next_deadline_ns() or 0) <= time.monotonic_ns():
                rows[:] = self.story.tick()
            return self._ticks() > before

        wait_until(is_done, "the next tick")
        return rows

    def _ticks(self) -> int:
        document = self.story.work.on_ask("stats", 0)
        assert document is not None
        return int(document["ticks"])

    def tick_until(self, values: dict[str, Any], what: str) -> dict[str, Value]:
        """Tick until the pod has a row with these values."""
        found: list[dict[str, Value]] = []

        def is_there() -> bool:
            found[:] = [row for row in self.tick() if {name: row[name] for name in values} == values]
            return bool(found)

        wait_until(is_there, what)
        return found[0]

    def close(self) -> None:
        """Nothing keeps the mount busy."""
        self.story.work.on_stop(0, for_good=True)
        self.filesystem.forget()


@pytest.fixture
def mounted(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Mounted]:
    """With this scenario, or the one that the test names."""
    with EmulatedResctrl(tmp_path, "intel-2socket", getattr(request, "param", SCENARIO)) as resctrl:
        mounted = Mounted(tmp_path, resctrl)
        yield mounted
        mounted.close()


def test_rates_are_those_of_the_hardware(mounted: Mounted) -> None:
    """Half of 21 ticks within half a percent, at intervals of a twentieth of a second: a stalled machine spoils some of them.

    One that is stalled a few milliseconds all the time spoils more, so they may be any 21 that follow each other.
    """
    mounted.tick()
    rows: deque[dict[str, Value]] = deque(maxlen=21)

    def median(column: str) -> float:
        return sorted(number_of(row[column]) for row in rows)[len(rows) // 2]

    def are_right() -> bool:
        rows.extend(mounted.tick())
        assert {row["absent"] for row in rows} == {None}
        off = sorted(abs(number_of(row["mbm_total_bytes_per_second"]) / (4 * GB) - 1) for row in rows)
        return len(rows) == rows.maxlen and off[len(off) // 2] < 0.005

    wait_until(are_right, "half of the rates are right", seconds=40)
    assert median("mbm_local_bytes_per_second") == pytest.approx(2 * GB, rel=0.1)
    assert number_of(rows[-1]["llc_occupancy_bytes"]) > 0
    # By the type of the mount.
    assert {row["emulated"] for row in rows} == {True}


def test_a_group_removed_by_somebody_else_falls_silent_and_is_read_again_when_it_is_there_again(mounted: Mounted) -> None:
    """Over descriptors that stayed open: what they answer after that is no value."""
    mounted.tick()
    mounted.group.rmdir()
    (row,) = mounted.tick()
    assert (row["llc_occupancy_bytes"], row["absent"]) == (None, "llc_occupancy:vanished,mbm_total:vanished,mbm_local:vanished")
    assert [mounted.tick() for _ in range(2)] == [[], []]
    mounted.group.mkdir()
    (row,) = mounted.tick()
    assert row["absent"] == "mbm_total_rate:first_tick,mbm_local_rate:first_tick"


def test_an_emulator_that_dies_and_another_one_in_its_place(mounted: Mounted) -> None:
    """A condition with cause and remedy, no restart of anything, and the values of the new one with new counters."""
    mounted.tick_until({"absent": None}, "rates are measured")
    mounted.resctrl.kill()
    wait_until(lambda: bool(mounted.tick() or mounted.story.bus.conditions), "its end is noticed")
    wait_until(lambda: not mounted.tick(), "it is no longer reported")
    condition = mounted.story.bus.conditions[-1]
    assert (condition.kind, condition.active, condition.blocks_ready) == ("unreadable", True, True)
    assert str(mounted.resctrl.mount) in condition.detail
    mounted.resctrl.start()
    mounted.resctrl.make_group(PATH)
    mounted.tick_until({"absent": "mbm_total_rate:first_tick,mbm_local_rate:first_tick"}, "the new one is read")
    mounted.tick_until({"absent": None}, "rates are measured again")
    assert not mounted.story.bus.conditions[-1].active


@pytest.mark.parametrize("mounted", [BAD_READINGS], indirect=True)
def test_bad_readings_hide_no_good_ones_and_no_rate_is_impossible(mounted: Mounted) -> None:
    """Each value is there or has its reason, and every rate is that of the hardware."""
    rows = []
    for _ in range(120):
        mounted.tick()
        rows += mounted.story.domain_rows
    reasons = set()
    for row in rows:
        told = dict(item.split(":") for item in str(row["absent"] or "").split(",") if item)
        reasons |= set(told.values())
        assert (row["llc_occupancy_bytes"] is None) == ("llc_occupancy" in told)
        for event in ("mbm_total", "mbm_local"):
            assert (row[f"{event}_bytes"] is None) == (event in told)
            assert (row[f"{event}_bytes_per_second"] is None) == bool({event, f"{event}_rate"} & told.keys())
        pace = (3 * GB, GB)[int(number_of(row["domain"]))]
        assert 0 <= number_of(row["mbm_total_bytes_per_second"]) < 3 * pace
    assert REASONS <= reasons <= REASONS | FURTHER_REASONS
    absent = sum(row[column] is None for row in rows for column in ("llc_occupancy_bytes", "mbm_total_bytes", "mbm_local_bytes"))
    assert len(rows) == 240
    assert absent / (3 * len(rows)) == pytest.approx(0.0375, abs=0.03)


SLOW = """
[[fault]]
operation = "read"
path = "**/mon_data/*/*"
delay = "80ms"
"""


@pytest.mark.timeout(120)
def test_a_scan_longer_than_the_supervisors_patience_is_no_hang(tmp_path: Path) -> None:
    """Three seconds of slow readings, with half of that as patience: the worker beats meanwhile, and is not killed.

    The patience is no shorter, because a worker looks hung while the emulator that it waits for gets no processor.
    """
    cgroups = tmp_path / "cgroup"
    for number in range(6):
        container = cgroups / f"kubepods/besteffort/pod{number:08d}-aaaa-4bbb-8ccc-123456789012/{number:064x}"
        container.mkdir(parents=True)
        for folder in (container, container.parent):
            (folder / "cgroup.procs").touch()
            (folder / "cgroup.threads").touch()
    (cgroups / "cgroup.controllers").touch()
    flags = {"--kernel-cgroup-root": str(cgroups), "--sampler-resctrl-interval": "6s", "--supervisor-hang-timeout": "1500ms"}
    (tmp_path / "agent").mkdir()
    with EmulatedResctrl(tmp_path, "intel-2socket", SLOW) as resctrl:
        flags["--resctrl-mount"] = str(resctrl.mount)
        with AgentProcess(tmp_path / "agent", flags=flags) as agent:

            def stats() -> dict[str, Any]:
                return agent.stats("sampler/resctrl")

            wait_until(lambda: stats().get("tick_seconds_most", 0) >= 36 * 0.08, "a whole slow scan is done", seconds=60)
            assert stats()["pods"] == 6
            assert agent.workers()["sampler/resctrl"]["restarts"] == 0


def test_with_auto_it_is_not_wanted_where_no_group_can_be_made(mounted: Mounted) -> None:
    """A read-only mount is of no use; the doctor names it, and the agent is ready without."""
    subprocess.run(["mount", "-o", "remount,bind,ro", str(mounted.resctrl.mount)], check=True)
    assert not SAMPLER.is_wanted(Config({"resctrl.mount": str(mounted.resctrl.mount)}))
    assert SAMPLER.is_wanted(Config({"resctrl.mount": str(mounted.resctrl.mount), "sampler.resctrl.enabled": "true"}))


def test_with_auto_it_is_wanted_where_it_is_mounted(mounted: Mounted, tmp_path: Path) -> None:
    """By the type of what is mounted, not by what lies there."""
    beside = tmp_path / "beside"
    (beside / "mon_groups").mkdir(parents=True)
    for point, wanted in ((mounted.resctrl.mount, True), (beside, False)):
        assert SAMPLER.is_wanted(Config({"resctrl.mount": str(point)})) is wanted


def test_with_auto_an_emulator_that_is_kept_from_a_processor_is_waited_for(mounted: Mounted) -> None:
    """It stands still for a second and a half, as on a busy machine."""
    assert mounted.resctrl.process is not None
    emulator = mounted.resctrl.process
    emulator.send_signal(signal.SIGSTOP)
    with subprocess.Popen(["sh", "-c", f"sleep 1.5; kill -CONT {emulator.pid}"]):
        assert SAMPLER.is_wanted(Config({"resctrl.mount": str(mounted.resctrl.mount)}))


def test_who_asks_whether_it_is_wanted_keeps_nothing_of_the_mount_open(mounted: Mounted) -> None:
    """The supervisor asks at the agent's start; its descriptor would keep an unmounted resctrl alive for the agent's life."""

    def held() -> int:
        device = mounted.resctrl.mount.stat().st_dev
        found = 0
        for link in list(Path("/proc/self/fd").iterdir()):
            # Among them is that of the listing, which is over.
            with suppress(OSError):
                found += link.stat().st_dev == device
        return found

    before = held()
    assert SAMPLER.is_wanted(Config({"resctrl.mount": str(mounted.resctrl.mount)}))
    assert held() == before
