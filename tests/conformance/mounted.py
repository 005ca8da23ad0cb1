"""A mounted resctrl as the cases see it: paths and os calls, and nothing of who serves it."""

import errno
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

import pytest

# Anyone who cleans up a machine by hand finds by this what a broken run has left.
PREFIX = "conformance_"
# Groups that stay from case to case; who makes one removes it.
LASTING_PREFIX = "conformance-"
REAL = "real"
# What one write(2) to a file of resctrl may hold.
PAGE_BYTES = 4096
# Real caches may need long to forget whose lines they hold; with nothing in the cache it is a second.
PATIENCE_SECONDS = 60.0
_NUMBERS = count(1)


@contextmanager
def refused(*errnos: int) -> Iterator[None]:
    """What stands inside fails with one of these."""
    with pytest.raises(OSError) as caught:
        yield
    expected = [errno.errorcode[number] for number in errnos]
    assert errno.errorcode.get(caught.value.errno or 0) in expected, f"{caught.value} instead of {expected}"


@contextmanager
def opened(path: str, flags: int = os.O_RDONLY) -> Iterator[int]:
    """A descriptor, closed at the end."""
    descriptor = os.open(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class Mounted:
    """`root` is the absolute path of the mount; all other paths are relative to it."""

    def __init__(self, root: str, profile: str, *, may_disturb: bool) -> None:
        self.root = root
        self.profile = profile
        self._may_disturb = may_disturb

    # Plain access

    def path(self, *parts: str) -> str:
        return "/".join((self.root, *parts))

    def exists(self, *parts: str) -> bool:
        return os.path.lexists(self.path(*parts))

    def names(self, *parts: str) -> set[str]:
        return set(os.listdir(self.path(*parts)))

    def read(self, *parts: str) -> str:
        """The whole content, through one descriptor and as many reads as it takes."""
        with opened(self.path(*parts)) as descriptor:
            pieces = []
            while piece := os.read(descriptor, 1 << 16):
                pieces.append(piece)
        return b"".join(pieces).decode()

    def write(self, content: str | bytes, *parts: str) -> None:
        """One write(2) of everything."""
        data = content.encode() if isinstance(content, str) else content
        with opened(self.path(*parts), os.O_WRONLY) as descriptor:
            assert os.write(descriptor, data) == len(data)

    def mode(self, *parts: str) -> int:
        return os.stat(self.path(*parts)).st_mode & 0o7777

    # What resctrl means

    def status(self) -> str:
        """What the kernel says of the last command: `ok` and a newline, or lines of complaint."""
        return self.read("info", "last_cmd_status")

    def soil_status(self) -> str:
        """Leave a complaint there, and say which."""
        with refused(errno.EINVAL):
            self.write("soiled\n", "tasks")
        status = self.status()
        assert status == "Task list parsing error pid soiled\n"
        return status

    def tasks(self, *group: str) -> list[int]:
        return [int(line) for line in self.read(*group, "tasks").splitlines()]

    def assign(self, thread_id: int, *group: str) -> None:
        self.write(f"{thread_id}\n", *group, "tasks")

    def make(self, *path: str, mode: int = 0o777) -> None:
        """A new group; where all ids rest that cases before this one have used, as soon as there is one."""
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                os.mkdir(self.path(*path), mode)
            except OSError as failure:
                if failure.errno != errno.EBUSY or time.monotonic() > end:
                    raise
                time.sleep(0.01)
            else:
                return

    def new_control(self, mode: int = 0o777) -> str:
        """The path of a new CTRL_MON group."""
        self.need_control()
        group = f"{PREFIX}{next(_NUMBERS)}"
        self.make(group, mode=mode)
        return group

    def new_monitor(self, parent: str = "") -> str:
        """The path of a new MON group, of the default group or of `parent`."""
        self.need_monitoring()
        group = f"{parent}/mon_groups/{PREFIX}{next(_NUMBERS)}".lstrip("/")
        self.make(group)
        return group

    def new_group(self) -> str:
        """A group of the kind that this machine can make, a MON group where there are both."""
        return self.new_monitor() if self.can_monitor else self.new_control()

    def remove(self, group: str) -> None:
        os.rmdir(self.path(group))

    def clean_up(self, *prefixes: str) -> None:
        """Remove the groups that cases have made, in the places where they make some; those that last only by their prefix."""
        for folder in ("mon_groups", ""):
            # There is no mon_groups where nothing can be monitored.
            with suppress(FileNotFoundError):
                for name in self.names(folder):
                    if name.startswith(prefixes or PREFIX):
                        os.rmdir(self.path(folder, name))

    # What this machine has

    @property
    def can_allocate(self) -> bool:
        return bool(self.control_resources())

    @property
    def can_monitor(self) -> bool:
        return bool(self.monitored())

    def control_resources(self) -> list[str]:
        """`L3`, `L2`, `L3CODE`, `MB` and so on."""
        return sorted(name for name in self.names("info") if self.exists("info", name, "num_closids"))

    def cache(self) -> str:
        """A cache that can be divided, the last level where there are several."""
        self.need(self.can_allocate, "no allocation")
        caches = [name for name in self.control_resources() if self.exists("info", name, "cbm_mask")]
        self.need(bool(caches), "no cache allocation")
        return max(caches)

    def monitored(self) -> list[str]:
        """`L3_MON` and so on."""
        return sorted(name for name in self.names("info") if name.endswith("_MON"))

    def features(self) -> list[str]:
        return self.read("info", "L3_MON", "mon_features").split() if self.exists("info", "L3_MON") else []

    def events(self) -> list[str]:
        return [feature for feature in self.features() if not feature.endswith("_config")]

    def domains(self) -> list[str]:
        """The directories of the L3 domains in mon_data."""
        return sorted(name for name in self.names("mon_data") if re.fullmatch(r"mon_L3_\d\d+", name))

    def cpus(self, *group: str) -> list[int]:
        numbers: list[int] = []
        for part in self.read(*group, "cpus_list").strip().split(","):
            first, _, last = part.partition("-")
            numbers += range(int(first), int(last or first) + 1) if first else []
        return numbers

    # What a case needs. A real machine may lack it; an emulated one was chosen for the case and must have it.

    def need(self, present: bool, what_is_missing: str) -> None:
        if not present:
            assert self.profile == REAL, f"profile {self.profile}: {what_is_missing}"
            pytest.skip(f"this machine has {what_is_missing}")

    def need_control(self) -> None:
        self.need(self.can_allocate, "no allocation")

    def need_monitoring(self) -> None:
        self.need(self.exists("info", "L3_MON"), "no monitoring of the L3 cache")

    def need_events(self, *events: str) -> None:
        for event in events:
            self.need(event in self.events(), f"no event {event}")

    def need_cpus(self, least: int) -> None:
        self.need(len(self.cpus()) >= least, f"fewer than {least} CPUs in the default group")

    def disturb(self, how: str) -> None:
        """The case changes what other users of a real machine have: they are asked first."""
        if not self._may_disturb:
            pytest.skip(f"it {how}; EVERGAUGE_REAL_RESCTRL_DISTURB=1 allows that")
