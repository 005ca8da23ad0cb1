"""The resctrl sampler over the kernel's rules: what it tells is what the hardware did, whatever happens to groups and counters."""

from pathlib import Path
from typing import Any

import pytest
from fakes.clock import FakeClock
from fakes.memory_resctrl import MemoryResctrl
from fakes.occupancy_story import OccupancyStory
from fakes.thread_table import ThreadTable

from agent.model.table import Value
from agent.model.timebase import MS, S
from workers.resctrl.emulator.emulation import Emulation
from workers.resctrl.emulator.profile import PROFILES

GB = 10**9
PATH = "mon_groups/pod_a"
FIRST = "mbm_total_rate:first_tick,mbm_local_rate:first_tick"


class Hardware:
    """One pod's group on emulated hardware, and the sampler."""

    def __init__(self, tmp_path: Path, profile: str) -> None:
        self.clock = FakeClock()
        self.resctrl = MemoryResctrl(ThreadTable([1]), self.clock, profile)
        self.resctrl.mkdir(PATH)
        self.story = OccupancyStory(tmp_path, filesystem=self.resctrl, clock=self.clock, interval=50 * MS)
        self.story.start()
        self.story.assign("a", f"{self.resctrl.root}/{PATH}")

    @property
    def emulation(self) -> Emulation:
        """The hardware."""
        assert self.resctrl.host.emulation is not None
        return self.resctrl.host.emulation

    def drive(self, bytes_per_second: dict[int, int], local_fraction: float = 0.5) -> None:
        """The group's traffic from now on, by domain."""
        self.emulation.declare(PATH, bytes_per_second, self.clock.now_ns(), local_fraction=local_fraction)

    def truth(self) -> dict[int, Any]:
        """What the hardware did for the group, by domain."""
        groups: Any = self.emulation.truth(self.clock.now_ns())["groups"]
        (found,) = [group["domains"] for group in groups if group["path"] == PATH]
        return dict(found)

    def tick(self, after_ns: int = S) -> dict[str, Value]:
        """One tick; the pod's row."""
        (row,) = self.story.tick(after_ns)
        return row


@pytest.fixture
def hardware(tmp_path: Path) -> Hardware:
    return Hardware(tmp_path, "intel-2socket")


def test_what_is_told_is_what_the_hardware_did(hardware: Hardware) -> None:
    """Occupancy, counts and rates, over intervals of any length, at a rate that changes between two ticks."""
    hardware.drive({0: 3 * GB, 1: GB}, 0.25)
    hardware.tick()
    for after_ns, pace in ((S, 4 * GB), (S + 37 * MS, 4 * GB), (250 * MS, 4 * GB)):
        row = hardware.tick(after_ns)
        truth = hardware.truth().values()
        assert row["absent"] is None
        assert row["mbm_total_bytes"] == pytest.approx(sum(domain["total_bytes"] for domain in truth), rel=1e-4)
        assert row["mbm_total_bytes_per_second"] == pytest.approx(pace, rel=0.005)
        assert row["mbm_local_bytes_per_second"] == pytest.approx(pace / 4, rel=0.005)
    assert isinstance(row["llc_occupancy_bytes"], int)
    assert row["llc_occupancy_bytes"] > 0
    assert [each["mbm_total_bytes_per_second"] for each in hardware.story.domain_rows] == [
        pytest.approx(3 * GB, rel=0.005),
        pytest.approx(GB, rel=0.005),
    ]
    hardware.drive({0: 0, 1: 0})
    hardware.tick()
    assert hardware.tick()["mbm_total_bytes_per_second"] == 0.0


@pytest.mark.parametrize("bits", [32, 62])
def test_counters_that_wrap_have_exact_rates_or_a_reason(hardware: Hardware, bits: int) -> None:
    """Never a false one; at this pace most wraps are plain."""
    hardware.emulation.wrap_counters(bits)
    hardware.drive({0: GB // 5, 1: GB // 5}, 1.0)
    hardware.tick()
    told = []
    for _ in range(100):
        hardware.tick()
        for row in hardware.story.domain_rows:
            rate, absent = row["mbm_total_bytes_per_second"], row["absent"]
            assert (rate is None) == (absent is not None)
            assert absent in (None, "mbm_total_rate:counter_reset,mbm_local_rate:counter_reset")
            assert rate is None or rate == pytest.approx(GB / 5, rel=0.005)
            told.append(rate)
    assert sum(rate is None for rate in told) <= 2


def test_counters_that_begin_anew_have_no_rate_for_one_tick(hardware: Hardware) -> None:
    """And the right one after it."""
    hardware.drive({0: GB, 1: GB})
    for _ in range(3):
        hardware.tick()
    hardware.clock.advance(500 * MS)
    hardware.emulation.reset_counters(PATH, hardware.clock.now_ns())
    row = hardware.tick(500 * MS)
    assert row["absent"] == "mbm_total_rate:counter_reset,mbm_local_rate:counter_reset"
    assert hardware.tick()["mbm_total_bytes_per_second"] == pytest.approx(2 * GB, rel=0.005)


def test_a_counter_that_says_unavailable_at_first_has_its_rate_as_soon_as_there_are_two_numbers(hardware: Hardware) -> None:
    """The other values of the row stand."""
    hardware.drive({0: GB, 1: GB})
    hardware.tick()
    hardware.emulation.reset_counters(PATH, hardware.clock.now_ns(), unread=True)
    row = hardware.tick()
    assert row["absent"] == "mbm_total:unavailable,mbm_local:unavailable"
    assert row["llc_occupancy_bytes"] is not None
    hardware.tick()
    row = hardware.tick()
    assert row["absent"] is None
    assert row["mbm_total_bytes_per_second"] == pytest.approx(2 * GB, rel=0.005)


def test_a_domain_whose_cpus_go_leaves_the_rest_and_comes_back(hardware: Hardware) -> None:
    """The kernel takes its directories away, and makes them again."""
    hardware.drive({0: GB, 1: GB})
    hardware.tick()
    hardware.emulation.set_domain_online(1, False, hardware.clock.now_ns())
    row = hardware.tick()
    assert row["mbm_total_bytes_per_second"] == pytest.approx(GB, rel=0.005)
    assert row["absent"] == "llc_occupancy:vanished,mbm_total:vanished,mbm_local:vanished"
    assert hardware.tick()["absent"] is None
    hardware.emulation.set_domain_online(1, True, hardware.clock.now_ns())
    rows = [hardware.tick() for _ in range(4)]
    assert rows[-1]["absent"] is None
    assert rows[-1]["mbm_total_bytes_per_second"] == pytest.approx(2 * GB, rel=0.005)


def test_a_group_that_somebody_makes_anew_begins_anew(hardware: Hardware) -> None:
    """Its counters are others, and no rate reaches over the change."""
    hardware.drive({0: GB, 1: GB})
    for _ in range(2):
        hardware.tick()
    hardware.resctrl.rmdir(PATH)
    hardware.resctrl.mkdir(PATH)
    assert hardware.tick()["absent"] == FIRST
    assert hardware.tick()["mbm_total_bytes_per_second"] == pytest.approx(2 * GB, rel=0.005)


def test_a_remount_is_noticed_and_everything_begins_anew(hardware: Hardware) -> None:
    """While nothing is mounted a condition says so; nothing has to be restarted."""
    hardware.tick()
    hardware.resctrl.host.unmount()
    assert hardware.tick()["absent"] == "llc_occupancy:vanished,mbm_total:vanished,mbm_local:vanished"
    assert hardware.story.tick() == []
    hardware.resctrl.host.mount()
    # The group is made again by the control plane, a moment later.
    assert hardware.story.tick() == []
    hardware.resctrl.mkdir(PATH)
    assert hardware.tick()["absent"] == FIRST
    assert [(held.active, held.blocks_ready) for held in hardware.story.bus.conditions] == [(True, True), (False, False)]


def test_nodes_of_divided_domains_have_rows_and_are_counted_once(tmp_path: Path) -> None:
    """The domain's own files are the sums of its nodes'."""
    hardware = Hardware(tmp_path, "snc2")
    nodes = hardware.truth()
    hardware.drive(dict.fromkeys(nodes, GB))
    hardware.tick()
    row = hardware.tick()
    rows = hardware.story.domain_rows
    wholes = [each for each in rows if each["sub_domain"] is None]
    parts = [each for each in rows if each["sub_domain"] is not None]
    assert len(parts) > len(wholes) > 0
    for part in (wholes, parts):
        rates = [each["mbm_total_bytes_per_second"] for each in part]
        assert sum(rate for rate in rates if isinstance(rate, float)) == pytest.approx(row["mbm_total_bytes_per_second"])


def test_a_counter_that_nobody_assigned_is_a_reason(tmp_path: Path) -> None:
    """Hardware with fewer counters than groups; occupancy needs none."""
    hardware = Hardware(tmp_path, "amd-abmc")
    hardware.resctrl.write(f"{PATH}/mbm_L3_assignments", b"mbm_total_bytes:*=_\n")
    hardware.tick()
    row = hardware.tick()
    assert row["absent"] == "mbm_total:unassigned,mbm_local_rate:first_tick"
    assert row["llc_occupancy_bytes"] is not None


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_every_kind_of_hardware_has_rows_of_what_it_measures(tmp_path: Path, profile: str) -> None:
    """And says `unsupported` of what it does not."""
    hardware = Hardware(tmp_path, profile)
    for _ in range(3):
        row = hardware.tick()
    for event, column in (
        ("llc_occupancy", "llc_occupancy_bytes"),
        ("mbm_total", "mbm_total_bytes"),
        ("mbm_local", "mbm_local_bytes"),
    ):
        is_measured = any(name.removesuffix("_bytes") == event for name in PROFILES[profile].events)
        assert (row[column] is not None) == is_measured
        assert (f"{event}:unsupported" in str(row["absent"]).split(",")) != is_measured
    assert len(hardware.story.domain_rows) >= len(PROFILES[profile].caches)
