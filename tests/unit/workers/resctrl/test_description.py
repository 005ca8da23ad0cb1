"""What a mount offers: found on every machine, and never lost over one bad file."""

import errno
import os
from pathlib import Path

import pytest
from fakes.resctrl_folder import ResctrlFolder
from fakes.resctrl_world import MemoryWorld
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from workers.resctrl.description import describe
from workers.resctrl.emulator.profile import PROFILES

MIB = 1 << 20


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_every_machine_is_described_whole(name: str) -> None:
    """Ids, events, domains and caches are those of the machine, and nothing is noted as missing but sizes that it does not tell."""
    machine = PROFILES[name]
    found = describe(MemoryWorld(name).filesystem)

    assert found.l3 is not None
    assert (found.l3.num_rmids, found.l3.events) == (machine.rmids, machine.events)
    assert found.l3.domains == tuple(cache.id for cache in machine.caches)
    assert found.l3.sub_domains == {cache.id: cache.nodes for cache in machine.caches if cache.nodes}
    assert found.is_monitor_only == (machine.closids == 0)
    assert {resource.num_closids for resource in found.allocation} == ({machine.closids} if machine.closids else set())
    if machine.cache_control is None:
        assert (found.cache_bytes, found.absent) == ({}, ("size: this mount does not tell the size of its caches",))
    else:
        assert found.cache_bytes == {cache.id: cache.size_bytes for cache in machine.caches}
        assert found.absent == ()


def test_counters_that_are_assigned() -> None:
    """Where hardware counters are few: the active mode, how many there are and are free, and what each event counts."""
    world = MemoryWorld("amd-abmc")
    found = describe(world.filesystem).l3
    assert found is not None
    assert found.assignment is not None

    assert (found.assignment.mode, set(found.assignment.modes)) == ("mbm_event", {"mbm_event", "default"})
    assert (found.assignment.counters, found.assignment.assigns_on_mkdir) == ({0: 32, 1: 32}, True)
    before = found.assignment.available
    assert "local_reads" in found.assignment.filters["mbm_local_bytes"]

    world.groups.create_group("x")
    after = describe(world.filesystem).l3
    assert after is not None
    assert after.assignment is not None
    assert after.assignment.available == {domain: count - 2 for domain, count in before.items()}


def test_counters_that_could_be_assigned_and_are_not() -> None:
    """In the other mode the files that belong to assignment answer with an error: their values are absent, and no trouble."""
    world = MemoryWorld("amd-abmc")
    world.other.write("info/L3_MON/mbm_assign_mode", b"default\n")
    found = describe(world.filesystem)

    assert found.l3 is not None
    assert found.l3.assignment is not None
    assert (found.l3.assignment.mode, found.l3.assignment.available) == ("default", {})
    assert found.absent == ()


def test_no_counter_assignment_where_none_is_offered() -> None:
    """Older kernels and other hardware have no such files."""
    found = describe(MemoryWorld("intel-2socket").filesystem).l3

    assert found is not None
    assert found.assignment is None


def test_sizes_by_sysfs_where_the_mount_tells_none() -> None:
    """A monitor-only machine has no masks; what sysfs says is asked for then, and only then."""
    asked: list[str] = []

    def sysfs() -> dict[int, int]:
        asked.append("asked")
        return {0: 30 * MIB}

    assert describe(MemoryWorld("monitor-only").filesystem, sysfs).cache_bytes == {0: 30 * MIB}
    assert describe(MemoryWorld("tiny").filesystem, sysfs).cache_bytes == {0: 8 * MIB, 1: 8 * MIB}
    assert asked == ["asked"]


def test_a_sysfs_that_fails_is_noted() -> None:
    """The description is there anyway."""

    def sysfs() -> dict[int, int]:
        raise PermissionError(errno.EACCES, "Permission denied")

    found = describe(MemoryWorld("monitor-only").filesystem, sysfs)
    assert (found.cache_bytes, found.absent) == ({}, ("cache sizes: Permission denied",))


@pytest.mark.parametrize("schemata", [b"L3:0=f;1=3\n", b"L3:1=1\nL3:0=80\n"])
def test_a_default_group_that_owns_a_part_of_the_cache(schemata: bytes) -> None:
    """When an operator gave it a part only, whole caches are reckoned from that part."""
    world = MemoryWorld("tiny")
    for line in schemata.splitlines():
        world.other.write("schemata", line + b"\n")

    assert describe(world.filesystem).cache_bytes == {0: 8 * MIB, 1: 8 * MIB}


def test_code_and_data_apart() -> None:
    """Mounted with cdp the L3 has two names, of which each has the whole cache."""
    found = describe(MemoryWorld(replace(PROFILES["tiny"], cdp=True)).filesystem)

    assert {resource.name for resource in found.allocation} == {"L3CODE", "L3DATA", "MB"}
    assert found.cache_bytes == {0: 8 * MIB, 1: 8 * MIB}


def test_resources_that_are_not_known_yet(tmp_path: Path) -> None:
    """A kernel that monitors more than caches: its resources are found by the pattern of their names."""
    folder = ResctrlFolder(tmp_path)
    for path, content in {
        "info/L3_MON/num_rmids": "16",
        "info/L3_MON/mon_features": "llc_occupancy\n",
        "info/PERF_PKG_MON/num_rmids": "576",
        "info/PERF_PKG_MON/mon_features": "core_energy\nactivity\n",
        "mon_data/mon_L3_03/llc_occupancy": "1",
        "mon_data/mon_PERF_PKG_00/core_energy": "1",
        "mon_data/mon_PERF_PKG_01/core_energy": "1",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)

    found = describe(folder)

    assert [(each.name, each.num_rmids, each.events, each.domains) for each in found.monitored] == [
        ("L3", 16, ("llc_occupancy",), (3,)),
        ("PERF_PKG", 576, ("core_energy", "activity"), (0, 1)),
    ]
    assert found.is_monitor_only


@pytest.mark.parametrize("content", [b"", b"many\n", b"-1\n", b"\xff\xfe", b"x" * 70_000])
def test_a_file_of_another_form_is_noted_and_the_rest_is_there(content: bytes) -> None:
    """One bad file costs its own value, and the note names it without repeating a whole file."""
    world = MemoryWorld("tiny")
    world.filesystem.answers = {"info/L3_MON/num_rmids": content}

    found = describe(world.filesystem)

    assert found.l3 is not None
    assert (found.l3.num_rmids, found.l3.events) == (None, PROFILES["tiny"].events)
    (note,) = found.absent
    assert note.startswith("info/L3_MON/num_rmids: ")
    assert len(note) < 150


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ENOENT])
def test_a_file_that_cannot_be_read_is_noted(code: int) -> None:
    """With the kernel's word."""
    world = MemoryWorld("tiny")

    def before(operation: str, path: str) -> None:
        if path == "info/L3_MON/mon_features":
            raise OSError(code, os.strerror(code))

    world.filesystem.before = before
    found = describe(world.filesystem)

    assert found.l3 is not None
    assert (found.l3.events, found.l3.num_rmids) == ((), 8)
    assert found.absent == (f"info/L3_MON/mon_features: {os.strerror(code)}",)


def test_a_file_that_may_be_missing_and_cannot_be_read_is_noted() -> None:
    """That it does not exist is nothing; that nobody may read it is something."""
    world = MemoryWorld("amd-abmc")

    def before(operation: str, path: str) -> None:
        if path == "info/L3_MON/mbm_assign_mode":
            raise OSError(errno.EACCES, "Permission denied")

    world.filesystem.before = before
    assert describe(world.filesystem).absent == ("info/L3_MON/mbm_assign_mode: Permission denied",)


def test_without_a_mount_there_is_nothing_to_describe() -> None:
    """That `info` cannot be listed is an error and no empty description."""
    world = MemoryWorld("tiny")
    world.unmount()

    with pytest.raises(OSError) as caught:
        describe(world.filesystem)
    assert caught.value.errno == errno.ENODEV


FILES = ["info/L3_MON/num_rmids", "info/L3_MON/mon_features", "info/L3_MON/mbm_assign_mode", "info/L3_MON/num_mbm_cntrs",
         "info/L3_MON/available_mbm_cntrs", "info/L3/cbm_mask", "info/L3/num_closids", "info/MB/delay_linear", "schemata",
         "size"]  # fmt: skip


@given(st.dictionaries(st.sampled_from(FILES), st.binary(max_size=40)))
def test_no_content_of_files_makes_it_fail(contents: dict[str, bytes]) -> None:
    """Garbage in any of the files, together or alone, costs these files only."""
    world = MemoryWorld("amd-abmc")
    world.filesystem.answers = contents

    found = describe(world.filesystem)

    assert found.l3 is not None
    assert found.l3.domains == (0, 1)


@pytest.mark.parametrize(("code", "notes"), [(errno.ENOENT, 0), (errno.EACCES, 1)])
def test_directories_that_cannot_be_listed_are_noted(code: int, notes: int) -> None:
    """That there are none is nothing; that nobody may list them is something. `info` itself must be there."""
    world = MemoryWorld("tiny")

    def before(operation: str, path: str) -> None:
        if operation == "list_directories" and path != "info":
            raise OSError(code, os.strerror(code))

    world.filesystem.before = before
    assert len([note for note in describe(world.filesystem).absent if os.strerror(code) in note]) == notes
