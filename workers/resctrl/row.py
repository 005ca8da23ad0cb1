"""From what was read of a group to rows of the tables `occupancy` and `occupancy_domain`. PURE."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from agent.model.absence import Absence
from agent.model.column_type import DType
from agent.model.rule import Assignment, Monitoring
from agent.model.table import Column, Row, Table
from workers.resctrl.event_file import Domain, EventFileReader
from workers.resctrl.reader import EVENTS, DirectoryReader

_EVENT = "mon_data, resctrl(5)"
_SAMPLER = "sampler clock"
_CONTROL_PLANE = "control plane"
_ABSENT = (
    "why values are null or lack a domain: `event:reason`, comma between; of `mbm_total`, `mbm_local` also their rates, which "
    "are `mbm_total_rate`, `mbm_local_rate` where they alone are meant"
)
_EMULATED = Column(
    "emulated", DType.BOOL, "", "true: an emulated resctrl was read, no hardware; null: the kernel's own", "mountinfo", True
)
_VALUES = (
    Column("mbm_total_bytes", DType.INT64, "bytes", "traffic of this cache with all memory, as the counters stand", _EVENT, True),
    Column("mbm_local_bytes", DType.INT64, "bytes", "the same with the memory of its own node", _EVENT, True),
    Column("mbm_total_bytes_per_second", DType.FLOAT64, "bytes/s", "mbm_total_bytes since the reading before", _EVENT, True),
    Column("mbm_local_bytes_per_second", DType.FLOAT64, "bytes/s", "mbm_local_bytes since the reading before", _EVENT, True),
)

OCCUPANCY = Table(
    name="occupancy",
    version=2,
    about="Cache occupancy and memory bandwidth of each pod that has a monitoring group, summed over all domains.",
    key=("timestamp", "pod_uid"),
    columns=(
        Column("timestamp", DType.INT64, "ns", "when this pod was read, unix time", _SAMPLER),
        Column("pod_namespace", DType.UTF8, "", "namespace; null: no runtime reported it yet", "container runtime", True),
        Column("pod_name", DType.UTF8, "", "name; null: no runtime reported it yet", "container runtime", True),
        Column("pod_uid", DType.UTF8, "", "identity of the pod or unit", _CONTROL_PLANE),
        Column("resctrl_group", DType.UTF8, "", "absolute path of its monitoring group", _CONTROL_PLANE),
        Column("llc_occupancy_bytes", DType.INT64, "bytes", "what it holds of the last-level caches", _EVENT, True),
        Column("start_timestamp", DType.INT64, "ns", "when the scan of all groups began, unix time", _SAMPLER, True),
        Column("total_containers", DType.INT64, "1", "containers of the pod", _CONTROL_PLANE, True),
        Column("reconciled_containers", DType.INT64, "1", "of them, with all threads in the group", _CONTROL_PLANE, True),
        *_VALUES,
        Column("absent", DType.UTF8, "", _ABSENT, "sampler", True),
        Column("llc_size_bytes", DType.INT64, "bytes", "all last-level caches together; null: not known", "sysfs", True),
        Column("pods_in_group", DType.INT64, "1", "pods that share the group; each has its values whole", _CONTROL_PLANE, True),
        _EMULATED,
    ),
    file_prefix="resctrl-occupancy-",
)
OCCUPANCY_DOMAIN = Table(
    name="occupancy_domain",
    version=2,
    about="Cache occupancy and memory bandwidth of each monitoring group, one row per domain and per node of a divided domain.",
    key=("timestamp", "resctrl_group", "resource", "domain", "sub_domain"),
    columns=(
        Column("timestamp", DType.INT64, "ns", "when this group was read, unix time", _SAMPLER),
        Column("start_timestamp", DType.INT64, "ns", "when the scan of all groups began, unix time", _SAMPLER),
        Column("resctrl_group", DType.UTF8, "", "absolute path of the monitoring group", _CONTROL_PLANE),
        Column("resource", DType.UTF8, "", "what is measured: `L3`", _EVENT),
        Column("domain", DType.INT64, "1", "its domain; of `L3` the id of the cache", _EVENT),
        Column("sub_domain", DType.INT64, "1", "node of the domain (sub-NUMA cluster); null: the whole domain", _EVENT, True),
        Column("llc_occupancy_bytes", DType.INT64, "bytes", "what the group holds of this cache", _EVENT, True),
        *_VALUES,
        Column("llc_size_bytes", DType.INT64, "bytes", "size of this cache; null: not known", "sysfs", True),
        Column("absent", DType.UTF8, "", _ABSENT, "sampler", True),
        _EMULATED,
    ),
)

# The resource whose domains are caches of known size.
_SIZED = "L3"
_INT64_MAX = (1 << 63) - 1
_NAMES = tuple(event.removesuffix("_bytes") for event in EVENTS)
_Files = Sequence[EventFileReader]


class MeasuredDomain(Struct, frozen=True):
    """One domain or node of a group, with the files of its three events in all of the group's directories."""

    resource: str
    domain: int
    sub_domain: int | None
    files: tuple[_Files, _Files, _Files]


class Times(Struct, frozen=True):
    """When a scan began, by both clocks, and whether it is one of an emulated resctrl."""

    start_ns: int
    start_wall_ns: int
    is_emulated: bool = False

    @property
    def emulated(self) -> bool | None:
        """What the column says: nothing of the kernel's own."""
        return True if self.is_emulated else None

    def wall_ns(self, at_ns: int) -> int:
        """The unix time of an instant of this scan."""
        return self.start_wall_ns + at_ns - self.start_ns


class GroupView:
    """What is read of one group, over all of its directories: found again whenever domains come or go."""

    def __init__(self, path: str, directories: Sequence[DirectoryReader]) -> None:
        self.path = path
        self.directories = directories
        self.is_told_vanished = False
        self._layout = -1
        self._places: list[MeasuredDomain] = []
        self._whole: tuple[_Files, _Files, _Files] = ((), (), ())

    @property
    def is_open(self) -> bool:
        """Whether any of its directories is open."""
        return any(directory.is_open for directory in self.directories)

    @property
    def looked_at_ns(self) -> int:
        """When any of its directories was last listed."""
        return max(directory.looked_at_ns for directory in self.directories)

    @property
    def is_vanished(self) -> bool:
        """Whether no directory is there any more."""
        return all(directory.problem is Absence.VANISHED for directory in self.directories)

    def domain_rows(self, times: Times, at_ns: int, llc_sizes: Mapping[int, int]) -> list[Row]:
        """A row for every domain and node that any directory has."""
        self._follow_layout()
        wall_ns = times.wall_ns(at_ns)
        rows: list[Row] = []
        for place in self._places:
            values, absent = _sums(place.files, ())
            size = llc_sizes.get(place.domain) if place.resource == _SIZED and place.sub_domain is None else None
            rows.append(
                (
                    wall_ns,
                    times.start_wall_ns,
                    self.path,
                    place.resource,
                    place.domain,
                    place.sub_domain,
                    *values,
                    size,
                    absent,
                    times.emulated,
                )
            )
        return rows

    def pod_rows(self, pods: Iterable[Assignment], times: Times, at_ns: int, llc_sizes: Mapping[int, int]) -> list[Row]:
        """A row for every pod of the group, all with the group's values."""
        self._follow_layout()
        problems = [directory.problem for directory in self.directories if directory.problem is not None]
        (llc, *further), absent = _sums(self._whole, problems)
        wall_ns, size = times.wall_ns(at_ns), sum(llc_sizes.values()) or None
        pods = list(pods)
        rows: list[Row] = []
        for pod in pods:
            unit, monitoring = pod.unit, pod.monitoring or Monitoring()
            rows.append(
                (
                    wall_ns, unit.namespace, unit.name, unit.uid, self.path, llc, times.start_wall_ns, monitoring.total_containers,
                    monitoring.reconciled_containers, *further, absent, size, len(pods), times.emulated,
                )
            )  # fmt: skip
        return rows

    def _follow_layout(self) -> None:
        layout = sum(directory.layout for directory in self.directories)
        if layout == self._layout:
            return
        self._layout = layout
        found: dict[tuple[str, int, int], list[Domain]] = {}
        for directory in self.directories:
            for domain in directory.domains:
                found.setdefault((domain.resource, domain.number, -1 if domain.sub is None else domain.sub), []).append(domain)
        self._places = []
        for (resource, number, sub), domains in sorted(found.items(), key=lambda item: item[0]):
            if files := _files_of(domains):
                self._places.append(MeasuredDomain(resource, number, None if sub < 0 else sub, files))
        self._whole = _whole(self._places)


def _files_of(domains: Iterable[Domain]) -> tuple[_Files, _Files, _Files] | None:
    """By event; None: this place has none of them, it measures something else."""
    domains = list(domains)
    llc, total, local = (
        tuple(file for domain in domains if (file := domain.events[event]) is not None) for event in range(len(EVENTS))
    )
    return (llc, total, local) if llc or total or local else None


def _whole(places: Iterable[MeasuredDomain]) -> tuple[_Files, _Files, _Files]:
    """What adds up to the whole group: of each event the domains of one resource, and not their nodes, whose sums they are."""
    by_event: list[dict[str, list[EventFileReader]]] = [{} for _ in EVENTS]
    for place in places:
        if place.sub_domain is None:
            for files_by_resource, files in zip(by_event, place.files, strict=True):
                if files:
                    files_by_resource.setdefault(place.resource, []).extend(files)
    # Two resources with one event tell the same traffic twice. The outermost cache stands for all.
    llc, total, local = (files[max(files, key=lambda name: (name.startswith("L"), name))] if files else () for files in by_event)
    return llc, total, local


def _sums(
    files_of_events: tuple[_Files, _Files, _Files], problems: Sequence[Absence]
) -> tuple[tuple[int | None, int | None, int | None, float | None, float | None], str | None]:
    """Values in the order of the columns, each the sum of what is there, and the reasons for missing ones."""
    reasons: list[str] = []
    values: list[int | None] = []
    rates: list[float | None] = []
    for event, files in enumerate(files_of_events):
        name = _NAMES[event]
        value, rate = _sum(name, files, reasons, is_counter=event > 0)
        values.append(value)
        rates.append(rate)
        if problems:
            reasons += [f"{name}:{problem}" for problem in problems]
        elif not files:
            reasons.append(f"{name}:{Absence.UNSUPPORTED}")
    llc, total, local = values
    return (llc, total, local, rates[1], rates[2]), ",".join(dict.fromkeys(reasons)) if reasons else None


def _sum(name: str, files: _Files, reasons: list[str], *, is_counter: bool) -> tuple[int | None, float | None]:
    total, rates = 0, 0.0
    has_value = has_rate = False
    for file in files:
        value, rate = file.value, file.rate
        if isinstance(value, Absence):
            reasons.append(f"{name}:{value}")
            continue
        total += value
        has_value = True
        if is_counter:
            if isinstance(rate, Absence):
                reasons.append(f"{name}_rate:{rate}")
            else:
                rates += rate
                has_rate = True
    if total > _INT64_MAX:
        # More bytes than any column holds have never been moved by anybody.
        reasons.append(f"{name}:{Absence.IMPLAUSIBLE}")
        has_value = False
    return total if has_value else None, rates if has_rate else None
