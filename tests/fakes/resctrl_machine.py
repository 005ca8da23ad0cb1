"""The resctrl that a scenario runs on: an emulated one of its own, or the host's real one (scripts/e2e --hardware).

A scenario that needs what only an emulator can do names the reason, and is skipped on real hardware with it.
"""

import os
import re
from pathlib import Path
from typing import Any, Protocol, Self

import pytest
from fakes.resctrl_mount import EmulatedResctrl

# Taken out of the environment, as agents refuse EVERGAUGE_ variables that are no setting of theirs.
REAL_MOUNT = os.environ.pop("EVERGAUGE_REAL_RESCTRL", "").rstrip("/")
MAY_DISTURB = os.environ.pop("EVERGAUGE_REAL_RESCTRL_DISTURB", "") == "1"
OUR_PREFIX = "pod_"
_CPUS = Path("/sys/devices/system/cpu")


class ResctrlMachine(Protocol):
    """What a scenario may ask of either."""

    mount: Path

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: object, *_rest: object) -> None: ...

    def groups(self) -> dict[str, dict[str, Any]]:
        """Groups by their paths, the root's is empty; `rmid` stays the same as long as a group is not made again."""
        ...

    def make_group(self, path: str) -> Path:
        """Make a group of another tool."""
        ...


class RealResctrl:
    """The host's own mount: only groups with the agent's prefix count, and none of them stays."""

    def __init__(self, mount: str) -> None:
        self.mount = Path(mount)
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        # scripts/e2e has found none before it began, so they are those of a scenario that failed.
        self._remove_ours()
        return self

    def __exit__(self, kind: object, *_rest: object) -> None:
        left = set(self.groups()) - {""}
        self._remove_ours()
        for group in reversed(self._made):
            group.rmdir()
        assert kind is not None or not left, f"groups were left: {left}"

    def groups(self) -> dict[str, dict[str, Any]]:
        """The root and the agent's groups in its `mon_groups`; the directory's inode stands for its monitoring id."""
        found = [path for path in (self.mount / "mon_groups").iterdir() if path.name.startswith(OUR_PREFIX)]
        paths = {str(path.relative_to(self.mount)): path for path in found}
        return {"": {"path": "", "rmid": 0}} | {
            name: {"path": name, "rmid": path.stat().st_ino} for name, path in sorted(paths.items())
        }

    def make_group(self, path: str) -> Path:
        """A group of another tool changes what all users of the machine have, so it needs the permission to disturb."""
        if not MAY_DISTURB:
            pytest.skip("it makes a control group; EVERGAUGE_REAL_RESCTRL_DISTURB=1 allows that")
        group = self.mount / path
        group.mkdir()
        self._made.append(group)
        return group

    def _remove_ours(self) -> None:
        for path in self.groups():
            if path:
                (self.mount / path).rmdir()


def resctrl_machine(folder: Path, *, only_emulated: str = "", **options: Any) -> ResctrlMachine:
    """The real one where scripts/e2e names it, else an emulator with these options; `only_emulated` says why not the real one."""
    if not REAL_MOUNT:
        return EmulatedResctrl(folder, **options)
    if only_emulated:
        pytest.skip(f"only an emulator {only_emulated}")
    return RealResctrl(REAL_MOUNT)


def emulated(folder: Path, why: str, **options: Any) -> EmulatedResctrl:
    """For a scenario that controls the emulator itself; `why` ends the sentence `only an emulator ...`."""
    if REAL_MOUNT:
        pytest.skip(f"only an emulator {why}")
    return EmulatedResctrl(folder, **options)


def is_emulated(mount: Path) -> bool:
    """Whether an emulator serves it, as the mount table says."""
    lines = (line.split(" ") for line in Path("/proc/mounts").read_text().splitlines())
    return any(point == str(mount) and kind.startswith("fuse") for _source, point, kind, *_rest in lines)


def domains_of(mount: Path) -> list[int]:
    """The numbers of the L3 domains."""
    found = (re.fullmatch(r"mon_L3_(\d+)", path.name) for path in (mount / "mon_data").iterdir())
    return sorted(int(match[1]) for match in found if match)


def cpus_of_domain(mount: Path, domain: int) -> set[int]:
    """The CPUs behind a domain that this process may use. An emulator with `host_cpus` deals them to its caches in turn."""
    allowed = sorted(os.sched_getaffinity(0))
    if REAL_MOUNT:
        ids = {cpu: _CPUS / f"cpu{cpu}" / "cache" / "index3" / "id" for cpu in allowed}
        return {cpu for cpu, path in ids.items() if path.exists() and int(path.read_text()) == domain}
    domains = domains_of(mount)
    every = sorted(int(path.name[3:]) for path in _CPUS.glob("cpu[0-9]*"))
    return {cpu for place, cpu in enumerate(every) if domains[place % len(domains)] == domain} & set(allowed)
