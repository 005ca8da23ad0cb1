"""One tick of table `occupancy` as `agentctl top --occupancy` shows it, and what the ticks before it held. PURE."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from agent.model.control.result import PodRow
from agent.model.errors import FormatError
from agent.model.table import Value
from agent.store.record import TableForm
from agent.store.row_decoder import RowDecoder

OCCUPANCY_TABLE = "occupancy"
# As many as the widest trend has letters: half a minute at the usual second.
TICKS_KEPT = 30
# What is read of a row, in the order of the arguments of `reading_of`.
COLUMNS = (
    "pod_uid",
    "pod_namespace",
    "pod_name",
    "resctrl_group",
    "llc_occupancy_bytes",
    "llc_size_bytes",
    "mbm_total_bytes_per_second",
    "mbm_local_bytes_per_second",
    "total_containers",
    "reconciled_containers",
    "absent",
    "emulated",
)


class PodReading(Struct, frozen=True):
    """One pod in one tick. Pods of one group have the group's values, each; `absent` says why a value is None.

    `emulated` is True where an emulated resctrl was read, else None.
    """

    pod_uid: str
    pod_namespace: str | None
    pod_name: str | None
    group: str
    llc_bytes: int | None
    llc_size_bytes: int | None
    total_bytes_per_second: float | None
    local_bytes_per_second: float | None
    total_containers: int | None
    reconciled_containers: int | None
    absent: str | None
    emulated: bool | None = None


# What a group held and moved in one tick: bytes of cache, bytes per second.
Moment = tuple[int | None, float | None]


class Occupancy(Struct, frozen=True):
    """All measured pods of a host at one moment (unix time in nanoseconds).

    `past` holds, oldest first, what every group had in each of the ticks kept, the newest being that of `pods`;
    `damaged` counts the batches of these ticks that could not be read, `bad_rows` the rows that do not fit their table.
    """

    at_wall_ns: int
    host: str
    pods: tuple[PodReading, ...]
    past: tuple[Mapping[str, Moment], ...]
    damaged: int = 0
    bad_rows: int = 0


class OccupancyTick:
    """One tick: readings, batches that are not decoded yet, and how many of them, and of their rows, were unreadable."""

    __slots__ = ("bad_rows", "damaged", "readings", "waiting")

    def __init__(self) -> None:
        self.waiting: list[tuple[TableForm, bytes]] = []
        self.readings: list[PodReading] = []
        self.damaged = self.bad_rows = 0

    def settle(self) -> None:
        """Decode what waits, batch by batch, so that one that is damaged costs no other."""
        for form, encoded in self.waiting:
            try:
                readings, bad_rows = _readings(form, encoded)
            except FormatError:
                self.damaged += 1
            else:
                self.readings += readings
                self.bad_rows += bad_rows
        self.waiting.clear()

    def by_group(self) -> dict[str, Moment]:
        """What each group had."""
        return {reading.group: (reading.llc_bytes, reading.total_bytes_per_second) for reading in self.readings}


class OccupancyTicks:
    """The last ticks of a spool; each batch is decoded once, and only when it is shown."""

    def __init__(self) -> None:
        self._by_stamp: dict[int, OccupancyTick] = {}

    def put(self, table: str, stamp_wall_ns: int, form: TableForm, rows: bytes) -> None:
        """Take a batch in; the oldest tick goes when there are more than TICKS_KEPT."""
        assert table == OCCUPANCY_TABLE
        self._by_stamp.setdefault(stamp_wall_ns, OccupancyTick()).waiting.append((form, rows))
        while len(self._by_stamp) > TICKS_KEPT:
            del self._by_stamp[next(iter(self._by_stamp))]

    def newest(self, host: str) -> Occupancy | None:
        """The newest tick that can be read, with those before it; None when there is none."""
        for tick in self._by_stamp.values():
            tick.settle()
        return _occupancy(host, self._by_stamp)


def occupancy_of_rows(host: str, rows: Iterable[Mapping[str, Value]]) -> Occupancy | None:
    """The newest tick of rows by column name, with those before it; None when there is no row.

    *Raises:* FormatError when a row names no pod and group.
    """
    by_stamp: dict[int, OccupancyTick] = {}
    for row in rows:
        # A tick's rows have the start of their scan in common; older data may lack it.
        stamp = row.get("start_timestamp") or row.get("timestamp")
        if isinstance(stamp, int):
            by_stamp.setdefault(stamp, OccupancyTick()).readings.append(reading_of(*(row.get(name) for name in COLUMNS)))
    return _occupancy(host, {stamp: by_stamp[stamp] for stamp in sorted(by_stamp)[-TICKS_KEPT:]})


def _occupancy(host: str, by_stamp: Mapping[int, OccupancyTick]) -> Occupancy | None:
    held = {stamp: tick for stamp, tick in by_stamp.items() if tick.readings}
    if not held:
        return None
    newest = list(held)[-1]
    return Occupancy(
        at_wall_ns=newest,
        host=host,
        pods=tuple(held[newest].readings),
        past=tuple(tick.by_group() for tick in held.values()),
        damaged=sum(tick.damaged for tick in by_stamp.values()),
        bad_rows=sum(tick.bad_rows for tick in by_stamp.values()),
    )


def _readings(form: TableForm, encoded: bytes) -> tuple[list[PodReading], int]:
    # A column that a segment's form lacks, or that has another place in it, is found by its name.
    places = [form.names.index(name) if name in form.names else None for name in COLUMNS]
    rows, bad = RowDecoder(form).decode(encoded)
    if bad and not rows:
        raise FormatError("spool rows", f"no row of a batch fits its table: {bad[0].problem}")
    return [reading_of(*(None if place is None else row[place] for place in places)) for row in rows], len(bad)


def reading_of(*values: Value) -> PodReading:
    """A reading of the values of COLUMNS; one of another type than its column's counts as absent.

    *Raises:* FormatError when pod or group is missing.
    """
    uid, namespace, name, group, llc, llc_size, total, local, containers, reconciled, absent, emulated = values
    if not (isinstance(uid, str) and isinstance(group, str)):
        raise FormatError(f"table {OCCUPANCY_TABLE}", "a row names no pod and group")
    return PodReading(
        pod_uid=uid,
        pod_namespace=_text(namespace),
        pod_name=_text(name),
        group=group,
        llc_bytes=_whole(llc),
        llc_size_bytes=_whole(llc_size),
        total_bytes_per_second=_number(total),
        local_bytes_per_second=_number(local),
        total_containers=_whole(containers),
        reconciled_containers=_whole(reconciled),
        absent=_text(absent),
        emulated=True if emulated is True else None,
    )


def groups_of(readings: Sequence[PodReading]) -> dict[str, list[PodReading]]:
    """The readings by their group: what is summed over pods is summed over these, each once."""
    groups: dict[str, list[PodReading]] = {}
    for reading in readings:
        groups.setdefault(reading.group, []).append(reading)
    return groups


class Unmeasured(Struct, frozen=True):
    """A pod that the agent knows and that has no row: what it is called and why it has none."""

    pod: str
    reason: str
    uid: str = ""


def unmeasured_of(pods: Iterable[PodRow], names: Mapping[str, str], readings: Iterable[PodReading]) -> tuple[Unmeasured, ...]:
    """The pods of `list-pods` that are not among the readings, in the order of their names (by uid; else the uid stands for it)."""
    measured = {reading.pod_uid for reading in readings}
    missing = [pod for pod in pods if pod.uid not in measured]
    return tuple(sorted((Unmeasured(names.get(pod.uid, pod.uid), _why(pod), pod.uid) for pod in missing), key=lambda pod: pod.pod))


# States of `list-pods` in which a pod has no group, whatever it had in the newest tick.
_UNGROUPED = ("failed", "ignored")


def held_now(sample: Occupancy, pods: Iterable[PodRow]) -> Occupancy:
    """The sample without the pods that have no group in `list-pods` now: their old values no longer hold."""
    gone = {pod.uid for pod in pods if pod.group_state in _UNGROUPED}
    return replace(sample, pods=tuple(reading for reading in sample.pods if reading.pod_uid not in gone))


# States of `list-pods` that say in other words why there is no row. Of a group that exists, the sampler's first tick is to come,
# or it is not at work.
_REASONS = {"ignored": "ignored by a rule", "assigned": "no groups in use", "exists": "no row yet"}


def _why(pod: PodRow) -> str:
    return pod.group_problem or _REASONS.get(pod.group_state, pod.group_state)


def _text(value: Value) -> str | None:
    return value if isinstance(value, str) and value else None


def _whole(value: Value) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: Value) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
