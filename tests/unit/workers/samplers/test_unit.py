"""The sampler of units over a host in memory."""

import errno
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import pytest
from fakes.kernel_tree import MemoryTree
from fakes.unit_world import FIRST, POD, POD_UID, SECOND, UnitWorld

from agent.model.heartbeat import Heartbeat
from agent.model.rule import Unit, UnitKind
from agent.model.rule_state import RuleState
from agent.model.timebase import MINUTE, MS, US, S
from workers.framework.sampler import UnreadableError
from workers.samplers.unit import SAMPLER, UnitProbe
from workers.unit.part import QuietPart
from workers.unit.schema import UNIT
from workers.unit.tracked_unit import DirectoryState

WEB = "/system.slice/web.service"
# Those that version 2 has of a unit without network and limits.
NEVER_HERE = {"net_received_bytes", "net_sent_bytes", "net_received_packets", "net_sent_packets", "net_received_drops"}
NEVER_HERE |= {"net_sent_drops", "tcp_retransmits", "sockets_tcp", "container", "absent"}
LIMITS = {"cpu_limit_cores", "memory_limit_bytes", "memory_high_bytes", "pids_limit"}


@pytest.fixture
def world() -> Iterator[UnitWorld]:
    """A host with one service, which has had its first row."""
    world = UnitWorld()
    world.make(WEB)
    world.name(WEB)
    world.sample()
    yield world
    world.probe.close()
    assert world.tree.open_descriptors == 0


def test_collect_reads_cgroup_stats(world: UnitWorld) -> None:
    """Every column that version 2 can fill, from its files: counters as the increase, levels as they are."""
    web = world.cgroups[WEB]
    world.use(WEB, 400_000)
    web.throttled_us, web.memory, web.faults, web.pids, web.waited_us = 7, 64 << 20, 55, 9, 11
    for path in ("", "/system.slice", WEB):
        world.cgroups[path].read_bytes += 8192
        world.cgroups[path].waited_us += 20
    row = world.row()
    assert {name for name, value in row.items() if value is None} == NEVER_HERE | LIMITS
    assert (row["unit"], row["kind"], row["cgroup"], row["is_final"]) == (WEB, "service", WEB, False)
    assert (row["cpu_ns"], row["cpu_user_ns"], row["cpu_system_ns"]) == (400 * MS, 100 * MS, 300 * MS)
    assert row["cpu_cores"] == pytest.approx(0.4)
    assert (row["cpu_throttled_ns"], row["cpu_weight"]) == (7 * US, 100)
    assert (row["memory_current_bytes"], row["memory_working_set_bytes"]) == (64 << 20, 63 << 20)
    assert (row["memory_anon_bytes"], row["memory_file_bytes"], row["memory_shmem_bytes"]) == (4096, 8192, 1024)
    assert (row["page_faults"], row["pids"]) == (55, 9)
    assert (row["io_read_bytes"], row["io_reads"], row["io_read_bytes_per_second"]) == (8192, 2, 8192.0)
    assert (row["pressure_cpu_some_ns"], row["pressure_cpu_full_ns"]) == (31 * US, 15 * US)


def test_enumerate_walks_cgroup_tree() -> None:
    """A pod has a row, and so has each of its containers, found in the pod's own directory; nothing is named twice."""
    world = UnitWorld()
    for container in (FIRST, SECOND):
        world.make(f"{POD}/{container}")
    world.make(f"{POD}/not-a-container")
    world.name(POD, UnitKind.POD, POD_UID)
    rows = world.sample()
    assert sorted((row["unit"], row["container"] or "") for row in rows) == [(POD_UID, ""), (POD_UID, FIRST), (POD_UID, SECOND)]
    assert {row["cgroup"] for row in rows} == {POD, f"{POD}/{FIRST}", f"{POD}/{SECOND}"}
    world.use(f"{POD}/{FIRST}", 1000)
    rows = world.sample()
    assert {(row["container"], row["cpu_ns"]) for row in rows} == {(None, 1000 * US), (FIRST, 1000 * US)}


def test_collect_calculates_uptime(world: UnitWorld) -> None:
    """It is the time since the cgroup was made, by the wall clock."""
    world.use(WEB, 1)
    row = world.row()
    assert row["started_timestamp"] == world.cgroups[WEB].made_ns
    assert row["uptime_ns"] == world.wall_ns - world.cgroups[WEB].made_ns == 2 * S


def test_collect_handles_dead_process(world: UnitWorld) -> None:
    """A unit that is gone has one final row, of what was last known, and then none; its descriptors are closed."""
    world.use(WEB, 5000)
    assert world.row()["cpu_ns"] == 5000 * US
    world.remove(WEB)
    row = world.row()
    assert (row["is_final"], row["cpu_ns"], row["memory_current_bytes"]) == (True, 0, 10 << 20)
    assert world.sample() == []
    assert world.probe.stats()["units"] == 0


def test_a_unit_that_the_rules_no_longer_name_is_read_once_more(world: UnitWorld) -> None:
    """What it did since the last tick is in its final row."""
    world.use(WEB, 7000)
    world.unname(WEB)
    row = world.row()
    assert (row["is_final"], row["cpu_ns"]) == (True, 7000 * US)
    assert world.sample() == []


def test_collect_continues_after_one_failure(world: UnitWorld) -> None:
    """One file that cannot be read, or is garbage, is absent with its reason; all else has its numbers, others too."""
    world.make("/system.slice/other.service")
    world.name("/system.slice/other.service")
    world.sample()
    world.tree.fail(f"{WEB}/memory.current".lstrip("/"), errno.EACCES)
    world.tree.put(f"{WEB}/cpu.pressure".lstrip("/"), b"\x00garbage")
    for path in ("/system.slice/other.service", WEB):
        world.use(path, 100)
    for cgroup in world.cgroups.values():
        cgroup.waited_us += 10
    world.write()
    world.tree.put(f"{WEB}/cpu.pressure".lstrip("/"), b"\x00garbage")
    rows = {row["unit"]: row for row in world.sample(is_written=False)}
    web, other = rows[WEB], rows["/system.slice/other.service"]
    assert web["absent"] == "no_permission,unreadable"
    assert (web["memory_current_bytes"], web["memory_working_set_bytes"], web["pressure_cpu_some_ns"]) == (None, None, None)
    assert (web["cpu_ns"], web["memory_anon_bytes"]) == (100 * US, 4096)
    assert (other["absent"], other["cpu_ns"], other["memory_current_bytes"]) == (None, 100 * US, 10 << 20)


def test_collect_fallback_without_cgroups() -> None:
    """Without any hierarchy the sampler says what is wrong and what to do, and the agent is ready without it."""
    probe = UnitProbe(MemoryTree({"other/file": b""}), lambda path: DirectoryState(1, 2, 0), Heartbeat())
    for look in (probe.check, lambda: probe.sample(0, 0)):
        with pytest.raises(UnreadableError, match=r"no cgroup hierarchy is mounted there; mount one, or name") as raised:
            look()
        assert not raised.value.blocks_ready
    probe.close()


def test_a_unit_that_did_nothing_has_a_row_within_a_minute_which_covers_the_whole_time(world: UnitWorld) -> None:
    """Until then it has none."""
    rows = [row for _ in range(59) for row in world.sample()]
    assert len(rows) == 1
    assert rows[0]["cpu_ns"] == 0
    assert 30 * S <= rows[0]["elapsed_ns"] <= MINUTE  # type: ignore[operator]


def test_the_sum_of_the_rows_is_what_was_used(world: UnitWorld) -> None:
    """Whatever ticks a unit was active in."""
    used = [0, 5, 0, 0, 17, 1, 0, 2, 0, 0, 0, 900]
    total = 0
    for each in used:
        world.use(WEB, each)
        total += sum(row["cpu_ns"] for row in world.sample())  # type: ignore[misc]
    assert total == sum(used) * US


def test_a_unit_made_while_we_look_is_counted_from_its_birth() -> None:
    """Its first row has what it used before we saw it, and the time since it was made."""
    world = UnitWorld()
    world.sample()
    world.now_ns += 300 * MS
    world.make(WEB)
    world.name(WEB)
    world.use(WEB, 1234)
    row = world.row()
    assert (row["cpu_ns"], row["elapsed_ns"], row["absent"]) == (1234 * US, 1 * S, None)


def test_a_unit_from_before_is_counted_from_its_first_row() -> None:
    """What it used before is nobody's interval."""
    world = UnitWorld()
    world.make(WEB)
    world.use(WEB, 1234)
    world.name(WEB)
    row = world.row()
    assert (row["cpu_ns"], row["elapsed_ns"], row["absent"]) == (None, None, "first_tick")
    assert row["memory_current_bytes"] == 10 << 20


def test_an_implausible_birth_is_not_believed() -> None:
    """A directory may look younger than it is: nobody used an hour of CPU in a second."""
    world = UnitWorld()
    world.sample()
    world.make(WEB)
    world.name(WEB)
    world.use(WEB, 3_600_000_000)
    assert world.row()["absent"] == "first_tick"


def test_without_a_controller_its_columns_are_absent() -> None:
    """No zero stands for what nobody counts."""
    world = UnitWorld()
    world.make(WEB, memory=None)
    world.name(WEB)
    world.sample()
    world.use(WEB, 10)
    row = world.row()
    assert row["absent"] == "no_controller"
    assert (row["memory_current_bytes"], row["oom_kills"], row["cpu_ns"]) == (None, None, 10 * US)


def test_a_controller_that_is_taken_away_and_given_back_is_noticed(world: UnitWorld) -> None:
    """Its files are gone, and come back with counters from zero."""
    web = world.cgroups[WEB]
    web.memory = None
    for name in (
        "memory.current",
        "memory.stat",
        "memory.events",
        "memory.swap.current",
        "memory.peak",
        "memory.max",
        "memory.high",
    ):
        world.tree.remove(f"{WEB}/{name}".lstrip("/"))
    world.use(WEB, 10)
    row = world.row()
    assert (row["memory_current_bytes"], row["cpu_ns"], row["is_final"]) == (None, 10 * US, False)
    assert "no_controller" in str(row["absent"])
    web.memory = 5 << 20
    rows = []
    for _ in range(40):
        world.use(WEB, 10)
        rows += world.sample()
    assert rows[-1]["memory_current_bytes"] == 5 << 20
    assert rows[-1]["absent"] is None


def test_a_cgroup_made_again_under_the_same_name_is_another_unit(world: UnitWorld) -> None:
    """The old one has its final row, the new one begins at once; no counter runs from one to the other."""
    world.use(WEB, 900_000)
    world.sample()
    world.remove(WEB)
    world.make(WEB)
    world.use(WEB, 50)
    first, second = world.sample()
    assert (first["is_final"], second["is_final"]) == (True, False)
    assert second["cpu_ns"] == 50 * US
    assert second["started_timestamp"] == world.cgroups[WEB].made_ns
    assert world.probe.stats()["units"] == 1


def test_a_counter_that_goes_backwards_gives_no_negative_number(world: UnitWorld) -> None:
    """It is absent with its reason, and counted from there on."""
    world.use(WEB, 1000)
    world.sample()
    world.cgroups[WEB].cpu_us = 10
    world.cgroups["/system.slice"].cpu_us += 10
    row = world.row()
    assert (row["cpu_ns"], row["absent"]) == (None, "counter_reset")
    world.use(WEB, 5)
    assert world.row()["cpu_ns"] == 5 * US


def test_stalls_without_cpu_time_are_told(world: UnitWorld) -> None:
    """A unit that waits for a dead disk uses no CPU, and is what an operator looks for."""
    for path in ("", "/system.slice", WEB):
        world.cgroups[path].stalled_us += 900_000
    row = world.row()
    assert (row["cpu_ns"], row["pressure_io_some_ns"]) == (0, 900 * MS)


def test_what_is_written_back_while_a_unit_is_idle_is_told_with_its_next_row() -> None:
    """The kernel writes for it later, without any CPU time of the unit, in ticks in which nobody looks at it."""
    world = UnitWorld()
    paths = [f"/system.slice/{number}.service" for number in range(250)]
    for path in paths:
        world.make(path)
        world.name(path)
    for _ in range(15):
        world.sample()
    for path in ("", "/system.slice", paths[200]):
        world.cgroups[path].read_bytes += 4096
    rows = [row for _ in range(60) for row in world.sample()]
    assert sum(row["io_read_bytes"] for row in rows if row["unit"] == paths[200]) == 4096  # type: ignore[misc]


def test_the_first_input_and_output_of_a_unit_is_counted(world: UnitWorld) -> None:
    """Until then its file is empty, which means zero and not unknown."""
    path = "/system.slice/quiet.service"
    world.make(path)
    for each in ("", "/system.slice", path):
        world.tree.put(f"{each}/io.stat".lstrip("/"), b"")
    world.name(path)
    rows = world.sample(is_written=False)
    assert [row["io_read_bytes"] for row in rows if row["unit"] == path] == [0]
    for each in ("", "/system.slice", path):
        world.cgroups[each].read_bytes += 4096
    world.use(path, 10)
    row = world.row(unit=path)
    assert (row["io_read_bytes"], row["absent"]) == (4096, None)


def test_a_limit_above_counts_and_a_higher_one_below_does_not() -> None:
    """In force is the lowest of the unit and all above it."""
    world = UnitWorld()
    world.make(WEB)
    world.cgroups["/system.slice"].limits = {"cpu.max": "150000 100000\n", "memory.max": "1000000\n", "pids.max": "7\n"}
    world.cgroups[WEB].limits = {
        "cpu.max": "400000 100000\n",
        "memory.max": "5000000\n",
        "memory.high": "4000\n",
        "pids.max": "7\n",
    }
    world.cgroups[WEB].pids = 7
    world.name(WEB)
    row = world.row()
    assert tuple(row[name] for name in sorted(LIMITS)) == (1.5, 4000, 1_000_000, 7)
    assert row["pids"] == row["pids_limit"]


def test_a_changed_limit_is_seen_within_some_seconds(world: UnitWorld) -> None:
    """Of a unit that does something."""
    world.cgroups[WEB].limits = {"memory.max": "123456\n"}
    seen = []
    for _ in range(12):
        world.use(WEB, 10)
        seen.append(world.row()["memory_limit_bytes"])
    assert seen[0] is None
    assert seen[-1] == 123456


def test_without_descriptors_every_file_is_still_read(world: UnitWorld) -> None:
    """As many as this process may have are kept, the others are opened for each reading."""
    for number in range(12):
        world.make(f"/system.slice/{number}.service")
        world.name(f"/system.slice/{number}.service")
    opened, real = [], world.tree.open

    def scarce(path: str) -> int:
        if world.tree.open_descriptors >= 30:
            raise OSError(errno.EMFILE, "Too many open files")
        opened.append(path)
        return real(path)

    world.tree.open = scarce  # type: ignore[method-assign]
    world.sample()
    for number in range(12):
        world.use(f"/system.slice/{number}.service", 10)
    rows = world.sample()
    assert [row["cpu_ns"] for row in rows] == [10 * US] * 12
    assert world.tree.open_descriptors <= 30


def test_a_unit_that_vanishes_at_any_read_has_one_final_row(world: UnitWorld) -> None:
    """Whatever was read before, and nothing raises."""
    for count in range(40):
        path = f"/system.slice/{count}.service"
        world.make(path)
        world.name(path)
        world.sample()
        world.use(path, 10)
        world.write()
        left, real = [count], world.tree.read_open

        def going(descriptor: int, bytes_max: int, offset: int = 0, path: str = path, left: Any = left, real: Any = real) -> bytes:
            left[0] -= 1
            if left[0] == 0:
                world.remove(path)
            content: bytes = real(descriptor, bytes_max, offset)
            return content

        world.tree.read_open = going  # type: ignore[method-assign]
        rows = world.sample(is_written=False)
        world.tree.read_open = real  # type: ignore[method-assign]
        if path in world.cgroups:
            world.remove(path)
        rows += world.sample()
        finals = [row for row in rows if row["unit"] == path and row["is_final"]]
        assert len(finals) == 1, count
        world.unname(path)
        world.sample()


def test_names_with_any_bytes_are_measured(world: UnitWorld) -> None:
    """Rows have the name as units have it, files are opened by the kernel's own."""
    raw = b"/system.slice/\xff\xfe\n.service".decode("utf-8", "surrogateescape")
    shown = "/system.slice/\ufffd\ufffd\n.service"
    world.make(raw)
    world.name(shown)
    world.sample()
    world.use(raw, 10)
    assert world.row(unit=shown)["cpu_ns"] == 10 * US


def test_a_deep_cgroup_is_measured_like_any_other(world: UnitWorld) -> None:
    """Forty levels, with a limit at the top."""
    path = "/deep.slice" + "/level" * 38 + "/a.service"
    world.make(path)
    world.cgroups["/deep.slice"].limits = {"pids.max": "50\n"}
    world.name(path)
    world.sample()
    world.use(path, 10)
    row = world.row(unit=path)
    assert (row["cpu_ns"], row["pids_limit"]) == (10 * US, 50)


def test_a_frozen_unit_has_rows_like_an_idle_one(world: UnitWorld) -> None:
    """It uses nothing and is not gone."""
    rows = [row for _ in range(120) for row in world.sample()]
    assert 2 <= len(rows) <= 3
    assert not any(row["is_final"] for row in rows)


def test_a_unit_without_a_cgroup_is_looked_for_until_it_has_one(world: UnitWorld) -> None:
    """A report of a runtime may come before the directory."""
    world.name("/system.slice/late.service")
    assert world.sample() == []
    assert world.probe.stats()["units_missing"] == 1
    world.make("/system.slice/late.service")
    assert world.row()["unit"] == "/system.slice/late.service"
    assert world.probe.stats()["units_missing"] == 0


def test_idle_units_cost_hardly_anything() -> None:
    """Of four hundred units of which ten do something, a tick reads the files of these, and the first of a hundred others."""
    world = UnitWorld()
    paths = [f"/system.slice/{number}.service" for number in range(400)]
    for path in paths:
        world.make(path)
        world.name(path)
    for _ in range(12):
        for path in paths[:10]:
            world.use(path, 1000)
        world.sample()
    before = world.probe.stats()["reads"]
    for path in paths[:10]:
        world.use(path, 1000)
    assert len(world.sample()) == 10
    assert world.probe.stats()["reads"] - before < 10 * 5 + 100 + 6
    before = world.probe.stats()["reads"]
    assert world.sample() == []
    assert world.probe.stats()["reads"] - before < 10
    assert world.beats > 0


def test_what_is_used_while_idle_is_found_at_once_though_not_all_are_read() -> None:
    """What nobody explains that is known to be busy, one of the others did."""
    world = UnitWorld()
    paths = [f"/system.slice/{number}.service" for number in range(300)]
    for path in paths:
        world.make(path)
        world.name(path)
    for _ in range(15):
        world.use(paths[0], 1000)
        world.sample()
    world.use(paths[0], 1000)
    world.use(paths[250], 50_000)
    assert {row["unit"] for row in world.sample() if row["cpu_ns"]} == {paths[0], paths[250]}


def test_rules_that_cannot_be_read_are_counted_and_the_others_measured(world: UnitWorld) -> None:
    """An assignment of a newer version does not stop the sampler."""
    state = RuleState([("pod/x", b"{"), ("pod/y", b"garbage")])
    world.probe.on_rules(state)
    world.sample()
    assert world.probe.stats()["assignments_unreadable"] == 2


def test_rows_of_one_unit_follow_each_other(world: UnitWorld) -> None:
    """Each covers the time since the one before."""
    rows = []
    for tick in range(90):
        world.use(WEB, tick % 7 // 5)
        rows += world.sample()
    for before, after in pairwise(rows):
        assert after["timestamp"] - before["timestamp"] == after["elapsed_ns"]  # type: ignore[operator]


def test_the_sampler_declares_what_it_fills() -> None:
    """Its tables, the two settings that every sampler has, whom to ask for models, and whether for their load."""
    assert SAMPLER.name == "unit"
    assert SAMPLER.tables[0] is UNIT
    assert [setting.name for setting in SAMPLER.settings] == ["enabled", "interval", "engines", "engine_load"]


class Listening(QuietPart):
    """A part that keeps the names it hears."""

    def __init__(self) -> None:
        self.told: list[dict[str, Unit]] = []

    def on_units(self, units: Mapping[str, Unit]) -> None:
        self.told.append(dict(units))


def test_parts_hear_of_the_names_of_units() -> None:
    """When there is another one, or anything about one changes."""
    part = Listening()
    world = UnitWorld((part,))
    world.name(WEB)
    world.name("/other.service")
    world.unname(WEB)
    assert [sorted(units) for units in part.told] == [[WEB], ["/other.service", WEB], ["/other.service"]]
    world.probe.on_rules(RuleState())
    world.probe.on_rules(RuleState())
    assert len(part.told) == 4
    world.probe.close()
