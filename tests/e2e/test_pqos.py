"""Debian's pqos, a program that does not know the emulator, uses it as it would use a machine with resctrl."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes.resctrl_mount import EmulatedResctrl, assign, tasks_of
from harness.waiting import wait_until

from workers.resctrl.emulator.profile import LOCAL, OCCUPANCY, PROFILES, TOTAL, Profile

PQOS = Path(__file__).parents[2] / "scripts" / "lab" / "pqos"
# Without a PMU, as on most virtual machines, it can count neither.
WITHOUT_PMU = ("--disable-mon-ipc", "--disable-mon-llc_miss")
BYTES_PER_SECOND = 400 << 20
# Everybody has this traffic in every domain, three quarters of it local.
TRAFFIC = "".join(
    f'[[traffic]]\npath = "{path}"\nbytes_per_second = {BYTES_PER_SECOND}\nlocal_fraction = 0.75\n'
    for path in ("mon_groups/*", "*/mon_groups/*")
)
# pqos divides by its own idea of the time that has gone by.
TOLERANCE = 0.5
# One row a second.
SECONDS = "4"

# The first test fetches the package, once on a machine.
pytestmark = [pytest.mark.timeout(300), pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")]


@pytest.fixture(params=sorted(PROFILES))
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Profile, EmulatedResctrl]]:
    """Each machine that ships, with the CPUs of this host."""
    subprocess.run([PQOS, "package"], check=True, timeout=250, stdout=subprocess.DEVNULL)
    with EmulatedResctrl(tmp_path, request.param, TRAFFIC, host_cpus=True) as emulated:
        yield PROFILES[request.param], emulated


@contextmanager
def sleeper() -> Iterator[int]:
    """A process to be looked at."""
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def pqos(emulated: EmulatedResctrl, *words: str) -> str:
    """What `pqos -I` prints; it must end well."""
    ended = subprocess.run([PQOS, "on", emulated.mount, "-I", *words], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, f"{words} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}"
    return ended.stdout


def group_folders(emulated: EmulatedResctrl) -> set[str]:
    """All groups, as one sees them and as the emulator knows them; both must say the same."""
    seen = {""}
    for folder in emulated.mount.iterdir():
        if folder.is_dir() and folder.name not in ("info", "mon_data", "mon_groups"):
            seen.add(folder.name)
    for control in tuple(seen):
        seen |= {str(group.relative_to(emulated.mount)) for group in (emulated.mount / control / "mon_groups").iterdir()}
    assert set(emulated.groups()) == seen
    return seen


def csv_rows(text: str) -> list[dict[str, str]]:
    """The rows that pqos prints with `-u csv`."""
    lines = [line for line in text.splitlines() if "," in line]
    head = next(line for line in lines if line.startswith("Time,")).split(",")
    rows = [line for line in lines if re.match(r"\d{4}-", line)]
    # The list of cores of a process has commas of its own inside of quotes.
    return [dict(zip(head, re.findall(r'"[^"]*"|[^,]+', row), strict=True)) for row in rows]


def assert_measured(rows: list[dict[str, str]], profile: Profile, domains: int) -> None:
    """Rows of one core or process have exactly the events of the machine, and one of them the traffic that was declared.

    Not each of them: where pqos or the emulator waits for a processor, what belongs to one second is counted in the next.
    """
    for row in rows:
        assert ("LLC[KB]" in row) == (OCCUPANCY in profile.events)
        assert ("MBL[MB/s]" in row) == (LOCAL in profile.events)
    assert any(has_traffic(row, profile, BYTES_PER_SECOND / (1 << 20) * domains) for row in rows), rows


def has_traffic(row: dict[str, str], profile: Profile, expected: float) -> bool:
    """Whether a row has so many MiB per second, and something in the cache."""
    if OCCUPANCY in profile.events and float(row["LLC[KB]"]) <= 0:
        return False
    if LOCAL in profile.events and float(row["MBL[MB/s]"]) != pytest.approx(expected * 0.75, rel=TOLERANCE):
        return False
    remote = pytest.approx(expected * 0.25, rel=TOLERANCE)
    return not {TOTAL, LOCAL} <= set(profile.events) or float(row["MBR[MB/s]"]) == remote


def prepare_classes(emulated: EmulatedResctrl) -> set[str]:
    """Let pqos make its classes, which its first start does, whatever it is asked, and which stay. Gives all groups."""
    assign_on_mkdir = emulated.mount / "info" / "L3_MON" / "mbm_assign_on_mkdir"
    if assign_on_mkdir.exists():
        # They would take all counters, and what pqos monitors then would have none.
        assign_on_mkdir.write_text("0\n")
    pqos(emulated, "-d")
    if assign_on_mkdir.exists():
        assign_on_mkdir.write_text("1\n")
    return group_folders(emulated)


def test_it_tells_what_the_machine_can(machine: tuple[Profile, EmulatedResctrl]) -> None:
    """`pqos -d` finds the events and classes of each machine."""
    profile, emulated = machine
    told = pqos(emulated, "-d")
    assert ("LLC Occupancy (LLC)" in told) == (OCCUPANCY in profile.events)
    assert ("Total Memory Bandwidth (TMEM)" in told) == (TOTAL in profile.events)
    assert ("Local Memory Bandwidth (LMEM)" in told) == (LOCAL in profile.events)
    assert (f"Num COS: {profile.closids}\n" in told) == profile.allocates


def test_it_shows_what_groups_have(machine: tuple[Profile, EmulatedResctrl]) -> None:
    """`pqos -s` shows every class with its mask or limit, and who is in it."""
    profile, emulated = machine
    if not profile.allocates:
        # The root lists no tasks then, of which pqos makes an error of its own.
        assert (emulated.mount / "tasks").read_text() == ""
        assert "Core 0" in pqos(emulated, "-s")
        return
    pqos(emulated, "-s")
    with sleeper() as pid:
        assign(emulated.mount / "COS1", pid)
        told = pqos(emulated, "-s")
    assert "ERROR" not in told
    assert re.search(rf"COS1 => {pid}\b", told), told
    if profile.cache_control is not None:
        assert f"L3CA COS{profile.closids - 1} => MASK 0x{profile.cache_control.full_mask:x}\n" in told


def test_it_monitors_cores_and_cleans_up(machine: tuple[Profile, EmulatedResctrl]) -> None:
    """`pqos -m` makes a group for each core, reads its traffic, and leaves no group behind."""
    profile, emulated = machine
    before = prepare_classes(emulated)
    cores = list(map(str, sorted(os.sched_getaffinity(0))[:2]))
    rows = csv_rows(pqos(emulated, *WITHOUT_PMU, "-m", f"all:{','.join(cores)}", "-t", SECONDS, "-u", "csv"))
    assert {row["Core"].strip('"') for row in rows} == set(cores)
    for core in cores:
        own = [row for row in rows if row["Core"].strip('"') == core]
        assert_measured(own, profile, len(profile.caches[0].nodes) or 1)
    assert group_folders(emulated) == before


def test_it_monitors_a_process_and_cleans_up(machine: tuple[Profile, EmulatedResctrl]) -> None:
    """`pqos -p` moves a process into a group of its own, reads its traffic in all domains, and gives it back."""
    profile, emulated = machine
    before = prepare_classes(emulated)
    with sleeper() as pid:
        rows = csv_rows(pqos(emulated, *WITHOUT_PMU, "-p", f"all:{pid}", "-t", SECONDS, "-u", "csv"))
        assert {row["PID"] for row in rows} == {f'"{pid}"'}
        online = {int(folder.name[-2:]) for folder in (emulated.mount / "mon_data").glob("mon_L3_*")}
        assert_measured(rows, profile, sum(len(cache.nodes) or 1 for cache in profile.caches if cache.id in online))
        if profile.allocates:
            assert pid in tasks_of(emulated.mount)
    wait_until(lambda: group_folders(emulated) == before, "no group is left")
