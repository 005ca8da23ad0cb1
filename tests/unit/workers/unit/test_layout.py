"""Which files are read where, by what is mounted on the cgroup root."""

import pytest

from workers.unit.layout import CgroupLayout, layout_of, parse_cpu_max, parse_limit, parse_quota

V1 = {"cpu", "cpuacct", "memory", "blkio", "pids", "systemd"}


def made(names: set[str]) -> CgroupLayout:
    """The layout of a root with these names."""
    layout = layout_of(names, 100)
    assert layout is not None
    return layout


def test_version_2_is_one_hierarchy() -> None:
    """Everything is at the root."""
    layout = made({"cgroup.controllers", "cgroup.procs", "system.slice"})
    assert (layout.hierarchy, layout.homes, set(layout.roots.values())) == ("v2", ("",), {""})
    assert layout.files[0].name == "cpu.stat"


def test_version_1_has_one_for_each_controller() -> None:
    """What is not mounted is in no root."""
    layout = made(V1)
    assert (layout.hierarchy, layout.roots["cpuacct"], layout.homes[0]) == ("v1", "cpuacct", "memory")
    assert "unified" not in layout.roots
    assert "pids" not in made({"memory"}).roots


def test_a_hybrid_host_has_pressure_in_its_version_2() -> None:
    """Beside the controllers of version 1."""
    layout = made(V1 | {"unified"})
    assert (layout.hierarchy, layout.roots["unified"]) == ("hybrid", "unified")
    assert {file.name for file in layout.files if file.controller == "unified"} == {
        "cpu.pressure",
        "memory.pressure",
        "io.pressure",
    }


def test_controllers_that_are_mounted_together_share_a_folder() -> None:
    """The names without a comma may be links, or missing."""
    assert made({"cpu,cpuacct", "memory"}).roots["cpuacct"] == "cpu,cpuacct"


def test_the_root_may_be_one_hierarchy_of_version_1() -> None:
    """Its own files are what there is."""
    layout = made({"cgroup.procs", "memory.stat"})
    assert (layout.hierarchy, layout.roots["memory"]) == ("v1", "")


@pytest.mark.parametrize("names", [set(), {"other"}])
def test_a_folder_without_hierarchies_has_no_layout(names: set[str]) -> None:
    """Then the sampler says so."""
    assert layout_of(names, 100) is None


@pytest.mark.parametrize(
    ("text", "cpus"),
    [(b"max 100000\n", None), (b"50000 100000\n", 0.5), (b"400000 100000\n", 4.0), (b"1 0\n", None), (b"", None), (b"5\n", None)],
)
def test_a_cpu_limit_is_told_in_cpus(text: bytes, cpus: float | None) -> None:
    """Quota by period; nothing for `max`, and for what is none."""
    assert parse_cpu_max(text) == cpus


@pytest.mark.parametrize(
    ("text", "limit"), [(b"max\n", None), (b"4096\n", 4096), (b"9223372036854771712\n", None), (b"-1\n", None), (b"\xff", None)]
)
def test_a_number_that_limits_nothing_is_no_limit(text: bytes, limit: int | None) -> None:
    """Version 1 writes the largest number of pages for it."""
    assert parse_limit(text) == limit
    assert parse_quota(text) == limit
