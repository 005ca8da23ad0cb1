"""What a mount offers: which resources are monitored and by which events, what can be allocated, how large the caches are. PURE.

Resources are found by pattern (`info/*_MON`), never by name: kernels add some. A file that is not there, or is not what
its kind is, leaves its value out and is noted; nothing here fails because of one file.
"""

from collections.abc import Callable, Mapping
from errno import EINVAL, ENOENT
from typing import TypeVar

from msgspec import Struct

from workers.resctrl.info_file import (
    EventFeatures,
    parse_assign_mode,
    parse_decimal,
    parse_domain_counts,
    parse_features,
    parse_filter,
    parse_full_sizes,
    parse_mask,
    parse_monitored_domain,
)
from workers.resctrl.ports import FileReader

_MONITORED = "_MON"
_FILE_BYTES_MAX = 64 << 10
# An allocation resource has each of these or not, by its kind.
_NUMBERS = ("num_closids", "min_cbm_bits", "min_bandwidth", "bandwidth_gran", "delay_linear")

# Enough to see what stands there, and no whole file in a log.
_SHOWN_CHARACTERS = 60

_Value = TypeVar("_Value")


class CounterAssignment(Struct, frozen=True):
    """How few hardware counters are given to many groups (Linux 6.18). *Absent:* the counts, in a mode that has none.

    `mode` is the active one: `mbm_event` (a counter is assigned to a group and event) or `default`. Counts are by domain.
    """

    mode: str
    modes: tuple[str, ...]
    counters: Mapping[int, int]
    available: Mapping[int, int]
    assigns_on_mkdir: bool | None
    filters: Mapping[str, tuple[str, ...]]


class MonitoredResource(Struct, frozen=True):
    """One resource that is monitored, such as `L3`.

    `sub_domains` are the nodes of sub-NUMA clustering below each domain, empty without.
    """

    name: str
    num_rmids: int | None
    events: tuple[str, ...]
    configurable_events: tuple[str, ...]
    max_threshold_occupancy_bytes: int | None
    domains: tuple[int, ...]
    sub_domains: Mapping[int, tuple[int, ...]]
    assignment: CounterAssignment | None


class AllocationResource(Struct, frozen=True):
    """One resource that can be given out, such as `L3` or `MB`. *Absent:* whatever its kind does not have."""

    name: str
    num_closids: int | None
    cbm_mask: int | None
    numbers: Mapping[str, int]


class Description(Struct, frozen=True):
    """One mount. `absent` says of each file that could not be read or understood: `path: why`.

    `cache_bytes` is the size of each L3 cache by its id, which is the domain; caches of unknown size are left out.
    """

    monitored: tuple[MonitoredResource, ...]
    allocation: tuple[AllocationResource, ...]
    cache_bytes: Mapping[int, int]
    absent: tuple[str, ...]

    @property
    def is_monitor_only(self) -> bool:
        """Nothing can be allocated: there are no control groups, and a directory of the root is a monitoring group."""
        return not self.allocation

    @property
    def l3(self) -> MonitoredResource | None:
        """The L3 caches, where they are monitored."""
        return next((resource for resource in self.monitored if resource.name == "L3"), None)


def describe(filesystem: FileReader, l3_bytes: Callable[[], Mapping[int, int]] | None = None) -> Description:
    """Look at the whole mount once. `l3_bytes` tells cache sizes by id where the mount does not (see `cache.sysfs_l3_bytes`).

    *Raises:* OSError only when `info` itself cannot be listed.
    """
    look = _Look(filesystem)
    names = sorted(filesystem.list_directories("info"))
    monitored = tuple(look.monitored(name) for name in names if name.endswith(_MONITORED))
    allocation = tuple(look.allocation(name) for name in names if not name.endswith(_MONITORED))
    return Description(monitored, allocation, look.cache_bytes(names, l3_bytes), tuple(look.absent))


class _Look:
    """One look in progress."""

    def __init__(self, filesystem: FileReader) -> None:
        self._filesystem = filesystem
        self.absent: list[str] = []

    def monitored(self, directory: str) -> MonitoredResource:
        name = directory.removesuffix(_MONITORED)
        path = f"info/{directory}"
        features = self._value(f"{path}/mon_features", parse_features) or EventFeatures((), ())
        domains, sub_domains = self._domains(name)
        return MonitoredResource(
            name=name,
            num_rmids=self._value(f"{path}/num_rmids", parse_decimal),
            events=features.events,
            configurable_events=features.configurable,
            max_threshold_occupancy_bytes=self._value(f"{path}/max_threshold_occupancy", parse_decimal, optional=True),
            domains=domains,
            sub_domains=sub_domains,
            assignment=self._assignment(path),
        )

    def allocation(self, name: str) -> AllocationResource:
        path = f"info/{name}"
        found = {key: self._value(f"{path}/{key}", parse_decimal, optional=True) for key in _NUMBERS}
        numbers = {key: value for key, value in found.items() if value is not None}
        return AllocationResource(
            name, numbers.pop("num_closids", None), self._value(f"{path}/cbm_mask", parse_mask, optional=True), numbers
        )

    def cache_bytes(self, names: list[str], l3_bytes: Callable[[], Mapping[int, int]] | None) -> Mapping[int, int]:
        # With code and data apart (cdp) both names stand for the whole of the same caches.
        for name in ("L3", "L3DATA", "L3CODE"):
            if name not in names:
                continue
            mask = self._value(f"info/{name}/cbm_mask", parse_mask)
            schemata, sizes = self._text("schemata"), self._text("size")
            if mask and schemata and sizes and (full := parse_full_sizes(name, mask, schemata, sizes)):
                return full
        if l3_bytes is None:
            self.absent.append("size: this mount does not tell the size of its caches")
            return {}
        try:
            return dict(l3_bytes())
        except OSError as problem:
            self.absent.append(f"cache sizes: {problem.strerror or problem}")
            return {}

    # ---- inside ------------------------------------------------------------------------------------

    def _domains(self, resource: str) -> tuple[tuple[int, ...], Mapping[int, tuple[int, ...]]]:
        """The domains of a resource by the directories of the default group, and the sub-domains of each."""
        domains: dict[int, tuple[int, ...]] = {}
        for name in self._names("mon_data"):
            domain = parse_monitored_domain(name, f"mon_{resource}_")
            if domain is not None:
                subs = (parse_monitored_domain(sub, f"mon_sub_{resource}_") for sub in self._names(f"mon_data/{name}"))
                domains[domain] = tuple(sorted(sub for sub in subs if sub is not None))
        return tuple(sorted(domains)), {domain: subs for domain, subs in sorted(domains.items()) if subs}

    def _assignment(self, path: str) -> CounterAssignment | None:
        found = self._value(f"{path}/mbm_assign_mode", parse_assign_mode, optional=True)
        if found is None:
            return None
        on_mkdir = self._value(f"{path}/mbm_assign_on_mkdir", parse_decimal, optional=True)
        events = sorted(self._names(f"{path}/event_configs"))
        filters = {
            event: self._value(f"{path}/event_configs/{event}/event_filter", parse_filter, optional=True) for event in events
        }
        return CounterAssignment(
            mode=found.active,
            modes=found.modes,
            counters=self._value(f"{path}/num_mbm_cntrs", parse_domain_counts, optional=True) or {},
            available=self._value(f"{path}/available_mbm_cntrs", parse_domain_counts, optional=True) or {},
            assigns_on_mkdir=None if on_mkdir is None else bool(on_mkdir),
            filters={event: words for event, words in filters.items() if words is not None},
        )

    def _value(self, path: str, parse: Callable[[str], _Value], *, optional: bool = False) -> _Value | None:
        text = self._text(path, optional=optional)
        if text is None:
            return None
        try:
            return parse(text)
        except ValueError:
            self.absent.append(f"{path}: not understood: {text[:_SHOWN_CHARACTERS]!r}")
            return None

    def _text(self, path: str, *, optional: bool = False) -> str | None:
        """The content of a file; None, and a note unless the file may be missing, when there is none."""
        try:
            return self._filesystem.read(path, _FILE_BYTES_MAX).decode("ascii")
        except UnicodeDecodeError:
            self.absent.append(f"{path}: not text")
        except OSError as problem:
            # EINVAL: the file is for another mode of this hardware.
            if not (optional and problem.errno in (ENOENT, EINVAL)):
                self.absent.append(f"{path}: {problem.strerror or problem}")
        return None

    def _names(self, path: str) -> list[str]:
        try:
            return self._filesystem.list_directories(path)
        except OSError as problem:
            if problem.errno != ENOENT:
                self.absent.append(f"{path}: {problem.strerror or problem}")
            return []
