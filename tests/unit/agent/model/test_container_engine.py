"""Every engine's form, on every kind of host, and what only looks like one."""

import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from agent.model.cgroup_path import PATH_CHARACTERS_MAX, holds_guests, is_guest, name_of, parse_proc_cgroup, unit_of
from agent.model.container_engine import FORMS, boundary_of
from agent.model.rule import UnitKind

FIXTURE = Path(__file__).parents[3] / "fixtures" / "cgroup" / "engines.toml"
CASES: list[dict[str, Any]] = tomllib.loads(FIXTURE.read_text())["case"]
CONTAINER = "4f3c1a9be07d52c86aa1f0c94e2d7b3851e6f7a80b9c2d4e5f60718293a4b5c6"
OTHERS = ("10:net_cls,net_prio:/x", "9:perf_event:/", "8:name=mine:/docker/" + "e" * 64)


@pytest.mark.parametrize("host", ["v2", "v1", "hybrid", "namespace"])
@pytest.mark.parametrize("case", CASES, ids=[case["engine"] for case in CASES])
def test_every_engines_form_gives_its_unit(case: dict[str, Any], host: str) -> None:
    """From the content of `/proc/PID/cgroup` to the unit: what lies below the group is the same workload."""
    path = case["group"] + case.get("below", "")
    climbs = "/../.." if host == "namespace" else ""
    lines = {
        "v2": [f"0::{path}"],
        "v1": [*OTHERS, f"4:memory:{path}", f"3:cpu,cpuacct:{path}", f"1:name=systemd:{path}"],
        "hybrid": [*OTHERS, f"4:memory:{path}", "1:name=systemd:/system.slice", "0::/system.slice"],
        "namespace": [f"0::{climbs}{path}"],
    }[host]

    unit = unit_of(parse_proc_cgroup("\n".join(lines).encode()) or "")

    assert unit is not None
    assert (unit.kind.value, unit.cgroup, unit.container) == (case["kind"], climbs + case["group"], case.get("container"))
    assert unit.kind is UnitKind.POD or unit.uid == case["group"]
    assert name_of(unit) == case.get("name")


def test_every_form_of_the_table_has_a_case() -> None:
    """A form without one is a guess."""
    tried = [boundary_of(case["group"] + case.get("below", "")) for case in CASES]
    assert {form.pattern for form in FORMS} == {found.form.pattern for found in tried if found is not None}


@pytest.mark.parametrize(
    ("path", "uid"),
    [
        ("/system.slice/nginx.service/lxc.payloadx.web", "/system.slice/nginx.service"),
        ("/lxc.payload/", None),
        ("/ecs/short/container", None),
        ("/slurm/uid_x/job_1", None),
        ("/slurm/uid_1/job_x/step_0", None),
        ("/machine.slice/nginx.service", "/machine.slice/nginx.service"),
        ("/machine/plain", None),
        ("/firecracker", None),
        ("/firecracker.service/x", "/firecracker.service"),
        ("/mesos/agent", None),
        ("/kata_short", None),
        ("/nomad/share/web", None),
        ("/system.slice/payload.service", "/system.slice/payload.service"),
        ("/system.slice/build.service/payloads/a.service", "/system.slice/build.service/payloads/a.service"),
    ],
)
def test_near_misses_are_what_they_were(path: str, uid: str | None) -> None:
    """A name that only resembles a form is a directory or a unit of systemd like any other."""
    unit = unit_of(path)
    assert uid == (None if unit is None else unit.uid)


@pytest.mark.parametrize(
    "outer",
    ["/user.slice/user-1000.slice/user@1000.service", "/system.slice/web.service", "/user.slice/user-1000.slice/session-3.scope"],
)
def test_a_container_that_somebody_made_up_in_his_own_group_is_none_of_the_host(outer: str) -> None:
    """It is a workload of its own there, by its whole path, and its name says whose: rules for the host's do not take it."""
    unit = unit_of(f"{outer}/lxc.payload.web/system.slice/nginx.service")

    assert unit is not None
    assert unit.uid == f"{outer}/lxc.payload.web"
    name = name_of(unit)
    assert name is not None
    assert name.endswith(":lxc-web")
    assert is_guest(unit) == outer.startswith("/user.slice")


@pytest.mark.parametrize(
    ("path", "uid"),
    [
        (f"/docker/{CONTAINER}/lxc.payload.web/system.slice/nginx.service", f"/docker/{CONTAINER}"),
        (f"/lxc.payload.web/docker/{CONTAINER}", "/lxc.payload.web"),
        ("/machine.slice/machine-a.scope/machine.slice/machine-b.scope", "/machine.slice/machine-a.scope"),
        ("/system.slice/slurmstepd.scope/job_1/lxc.payload.web", "/system.slice/slurmstepd.scope/job_1"),
    ],
)
def test_of_nested_engines_the_outermost_counts(path: str, uid: str) -> None:
    """What a container makes inside is its own."""
    unit = unit_of(path)
    assert unit is not None
    assert unit.uid == uid
    assert holds_guests(path)


@pytest.mark.parametrize("name", ["a", "firecracker", "x_slurmstepd", "ecs/", "lxc.payload", "machine.slice", "a.service", "kata_"])
def test_a_hostile_path_costs_no_more_than_its_length(name: str) -> None:
    """Names are made to be tried by many forms at many places: the longest path there may be takes well below a millisecond."""
    path = ("/" + name * (120 // len(name))) * 8
    path = path[:PATH_CHARACTERS_MAX]
    spent_ns = []
    for _try in range(5):
        began_ns = time.thread_time_ns()
        for _ in range(20):
            unit_of(path)
        spent_ns.append((time.thread_time_ns() - began_ns) / 20)
    assert min(spent_ns) < 2_000_000
