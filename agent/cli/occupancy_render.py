"""What `agentctl top --occupancy` shows, as lines of text. PURE.

A group's values are in one line, however many pods share it, so that a column adds up to what the header
says; whatever has no line of its own is in the last one.
"""

from collections.abc import Callable, Sequence

from msgspec import Struct

from agent.cli.known_names import KnownNames
from agent.cli.name_filter import FilterTarget, NameFilter
from agent.cli.occupancy_sample import Occupancy, PodReading, Unmeasured, groups_of
from agent.cli.render import ABSENT, GAP, TextColumn, bytes_of, counted, number_of, percent_of, rate_of, table, text_of
from agent.cli.top_heading import HistoryMoment, heading
from agent.cli.width import cut, display_width

SORTS = ("llc", "bw", "name")
# With the titles of the columns.
HEADER_LINES = 4
TREND_COLUMNS, TREND_COLUMNS_WIDE = 10, 30
# From here on a wide trend leaves a pod's name its room.
WIDE_COLUMNS = 120
# Most of a pod's name, and a reason or two.
POD_COLUMNS_LEAST, WHY_COLUMNS_LEAST = 20, 12
# From none to the most; the second for terminals that have no other letters.
LEVELS, LEVELS_ASCII = "▁▂▃▄▅▆▇█", ".:-=+*#@"
ELLIPSIS, ELLIPSIS_ASCII = "…", "~"
SHARED = "= above"
# What the events of column `absent` are called here, by how their names begin.
_EVENTS = (("llc", "LLC"), ("mbm_total", "BW"), ("mbm_local", "LOCAL"))


class OccupancyView(Struct, frozen=True):
    """How a sample is to be shown: room, order, and what it does not hold.

    `width` None is room without end, `trouble` says why the agent tells nothing (empty: it does), `unmeasured` is None where
    it is not known, `has_letters` says whether the terminal has more than ASCII. `filter` has words that must all hold for
    a pod; `offset` groups are scrolled past.
    """

    width: int | None
    height: int
    sort: str
    now_wall_ns: int
    trouble: str
    names: KnownNames
    unmeasured: tuple[Unmeasured, ...] | None
    has_letters: bool = True
    keys: str = ""
    time_keys: str = ""
    moment: HistoryMoment | None = None
    filter: str = ""
    offset: int = 0
    is_typing: bool = False
    is_paused: bool = False


class SharedGroup(Struct, frozen=True):
    """A monitoring group with its pods in the order of their names, and its values."""

    pods: tuple[tuple[str, PodReading], ...]

    @property
    def reading(self) -> PodReading:
        """That of any pod: all have the group's values."""
        return self.pods[0][1]


class Missing(Struct, frozen=True):
    """Why a value is absent or is less than the whole: the column it is about, empty where none is, and the reason."""

    event: str
    column: str
    reason: str


# A line of the table: the cells of POD, LLC, LLC%, BW, LOCAL, TREND, WHY.
Cells = tuple[str, str, str, str, str, str, str]
_POD, _LLC, _SHARE, _BW, _LOCAL, _TREND, _WHY = range(7)
# Columns that a narrow screen drops, in this order; names, usage and reasons always stay.
_DROPPED = (_LOCAL, _TREND, _SHARE)


def render(sample: Occupancy, view: OccupancyView) -> list[str]:
    """The lines of the screen: at most `view.height`, none longer than `view.width` where that is given."""
    groups = _in_order(sample, view)
    everywhere = _everywhere(groups)
    rows = _rows(groups, everywhere, sample, view)
    lines = [*_header(sample, groups, everywhere, view), *_laid_out(rows, view)][: view.height]
    if view.width is not None:
        lines = [cut(line, view.width) for line in lines]
    return lines if view.has_letters else [line.replace(ELLIPSIS, ELLIPSIS_ASCII) for line in lines]


def _header(sample: Occupancy, groups: Sequence[SharedGroup], everywhere: frozenset[Missing], view: OccupancyView) -> list[str]:
    size = next((reading.llc_size_bytes for reading in sample.pods if reading.llc_size_bytes is not None), None)
    held, moved = _sums(groups)
    of_size = "" if size is None else f" of {bytes_of(size)}"
    reasons = _reasons_unmeasured(sample, view)
    sums = (_pod_counts(sample, len(reasons), view), f"LLC {bytes_of(held)}{of_size}", f"BW {rate_of(moved)}")
    notes = []
    if reasons:
        counts = sorted(((reasons.count(reason), reason) for reason in set(reasons)), key=lambda item: (-item[0], item[1]))
        notes.append("not measured: " + ", ".join(f"{count} {reason}" for count, reason in counts))
    for missing in sorted(everywhere, key=lambda item: item.event):
        notes.append(f"{missing.column or missing.event} {missing.reason}")
    if sample.damaged:
        notes.append(f"{counted(sample.damaged, 'damaged batch')} left out")
    if sample.bad_rows:
        notes.append(f"{counted(sample.bad_rows, 'bad row')} left out")
    chosen = [f"by {view.sort}", _filter(view), "paused" if view.is_paused else "", view.keys]
    order = "   ".join(filter(None, chosen))
    # What is known to be missing comes before the keys where a line is cut.
    told = list(filter(None, (order, "; ".join(dict.fromkeys(notes)), view.time_keys)))
    # Beside the name of the host: the numbers are not this machine's.
    host = f"{sample.host} (emulated resctrl)" if any(reading.emulated for reading in sample.pods) else sample.host
    return [heading(host, sample.at_wall_ns, view.now_wall_ns, view.trouble, view.moment), "   ".join(sums), "   ".join(told)]


def _filter(view: OccupancyView) -> str:
    return f"filter: {view.filter}{'_' if view.is_typing else ''}" if view.filter or view.is_typing else ""


def _reasons_unmeasured(sample: Occupancy, view: OccupancyView) -> list[str]:
    """Why each pod that has not one value has none."""
    without = [missing_of(reading.absent) for reading in sample.pods if _has_nothing(reading)]
    told = [next((missing.reason for missing in items), "no reason told") for items in without]
    return told + [text_of(pod.reason) for pod in view.unmeasured or ()]


def _pod_counts(sample: Occupancy, unmeasured: int, view: OccupancyView) -> str:
    """How many pods are measured and how many are not, or why that is not known."""
    measured = sum(not _has_nothing(reading) for reading in sample.pods)
    if view.unmeasured is not None:
        return f"{counted(measured, 'pod')} measured, {unmeasured} not"
    # The line above says what is wrong with the agent; one that answers with an error lists no pods either.
    return f"{counted(measured, 'pod')} measured, others unknown" + (
        "" if view.trouble or view.moment is not None else " (agent lists none)"
    )


def _has_nothing(reading: PodReading) -> bool:
    return reading.llc_bytes is None and reading.total_bytes_per_second is None


# ---- groups ---------------------------------------------------------------------------------------


def _in_order(sample: Occupancy, view: OccupancyView) -> list[SharedGroup]:
    groups = []
    for readings in groups_of(sample.pods).values():
        named = ((_pod_name(reading, view), reading) for reading in readings)
        groups.append(SharedGroup(tuple(sorted(named, key=lambda pod: (pod[0], pod[1].pod_uid)))))
    return sorted(groups, key=_ORDERS[view.sort])


def _pod_name(reading: PodReading, view: OccupancyView) -> str:
    """As list-pods names it: by namespace and name where they are known, else by its uid."""
    if reading.pod_name is not None:
        return text_of(f"{reading.pod_namespace}/{reading.pod_name}" if reading.pod_namespace else reading.pod_name)
    return text_of(view.names.pods.get(reading.pod_uid, reading.pod_uid))


def _most_first(value: float | None) -> float:
    """Below the least there is: what is not known."""
    return 1.0 if value is None else -value


_ORDERS: dict[str, Callable[[SharedGroup], tuple[float, str]]] = {
    "llc": lambda group: (_most_first(group.reading.llc_bytes), group.pods[0][0]),
    "bw": lambda group: (_most_first(group.reading.total_bytes_per_second), group.pods[0][0]),
    "name": lambda group: (0.0, group.pods[0][0]),
}


def _sums(groups: Sequence[SharedGroup]) -> tuple[int | None, float | None]:
    """Cache and bandwidth of groups. *Absent:* unknown values are left out; with none known the sum is None."""
    held = [group.reading.llc_bytes for group in groups if group.reading.llc_bytes is not None]
    moved = [group.reading.total_bytes_per_second for group in groups if group.reading.total_bytes_per_second is not None]
    return (sum(held) if held else None, sum(moved) if moved else None)


# ---- reasons --------------------------------------------------------------------------------------


def missing_of(absent: str | None) -> list[Missing]:
    """The items of a row's column `absent`."""
    found = []
    for item in (absent or "").split(","):
        if item:
            event, _, reason = item.partition(":")
            column = next((column for prefix, column in _EVENTS if event.startswith(prefix)), "")
            found.append(Missing(text_of(event), column, text_of(reason)))
    return found


def _everywhere(groups: Sequence[SharedGroup]) -> frozenset[Missing]:
    """What is missing in every group: said once, above the table. One group has no such thing."""
    if len(groups) < 2:
        return frozenset()
    return frozenset.intersection(*(frozenset(missing_of(group.reading.absent)) for group in groups))


def _why(reading: PodReading, everywhere: frozenset[Missing]) -> str:
    """The reasons of a line: the word alone where the column shows that its value is absent, else what is not whole."""
    absent = {
        "LLC": reading.llc_bytes is None,
        "BW": reading.total_bytes_per_second is None,
        "LOCAL": reading.local_bytes_per_second is None,
    }
    told = [_containers(reading)]
    for missing in missing_of(reading.absent):
        if missing in everywhere:
            continue
        if missing.column == "":
            told.append(f"{missing.event} {missing.reason}")
        else:
            told.append(missing.reason if absent[missing.column] else f"part of {missing.column} {missing.reason}")
    return ", ".join(dict.fromkeys(filter(None, told)))


# ---- lines ----------------------------------------------------------------------------------------


def _is_kept(group: SharedGroup, view: OccupancyView) -> bool:
    """Whether one of the group's pods is what the filter looks for."""
    return any(_keeps(view, reading.pod_uid, name) for name, reading in group.pods)


def _keeps(view: OccupancyView, uid: str, name: str) -> bool:
    labels = view.names.labels.get(uid, {})
    return NameFilter(view.filter).keeps(FilterTarget((uid,), pod=name, containers=view.names.containers_in(uid), labels=labels))


def offset_max(sample: Occupancy, view: OccupancyView) -> int:
    """How many groups can be scrolled past."""
    return max(0, sum(_is_kept(group, view) for group in _in_order(sample, view)) - 1)


def _rows(groups: Sequence[SharedGroup], everywhere: frozenset[Missing], sample: Occupancy, view: OccupancyView) -> list[Cells]:
    """A line for each pod, those of one group below each other, then the pods without values; the last sums up the rest."""
    kept = [group for group in groups if _is_kept(group, view)]
    kept = kept[min(view.offset, max(0, len(kept) - 1)) :]
    unmeasured = [pod for pod in view.unmeasured or () if _keeps(view, pod.uid, pod.pod)]
    wanted = len(sample.pods) + len(view.unmeasured or ())
    room = max(1, view.height - HEADER_LINES)
    # The last line is needed only where something has none.
    left = room if sum(len(group.pods) for group in kept) + len(unmeasured) == wanted <= room else room - 1
    rows: list[Cells] = []
    shown: list[SharedGroup] = []
    for group in kept:
        if left < 1:
            break
        rows += _group_rows(group, everywhere, sample, view)[:left]
        left -= min(left, len(group.pods))
        shown.append(group)
    shown_pods = len(rows)
    rows += [(text_of(pod.pod), ABSENT, ABSENT, ABSENT, ABSENT, "", text_of(pod.reason)) for pod in unmeasured[:left]]
    if len(rows) < wanted:
        hidden = [group for group in groups if group not in shown]
        missing = len(view.unmeasured or ()) - (len(rows) - shown_pods)
        rows.append(_others(len(sample.pods) - shown_pods, hidden, missing))
    return rows


def _group_rows(group: SharedGroup, everywhere: frozenset[Missing], sample: Occupancy, view: OccupancyView) -> list[Cells]:
    reading = group.reading
    first: Cells = (
        group.pods[0][0],
        bytes_of(reading.llc_bytes),
        _percent(reading.llc_bytes, reading.llc_size_bytes),
        rate_of(reading.total_bytes_per_second),
        rate_of(reading.local_bytes_per_second),
        _trend(reading.group, sample, view),
        _why(reading, everywhere),
    )
    return [first, *((name, SHARED, "", "", "", "", _containers(other)) for name, other in group.pods[1:])]


def _others(pods: int, groups: Sequence[SharedGroup], unmeasured: int) -> Cells:
    """The last line: everything that has none."""
    held, moved = _sums(groups)
    sizes = [group.reading.llc_size_bytes for group in groups if group.reading.llc_size_bytes is not None]
    why = f"{unmeasured} not measured" if unmeasured else ""
    name = f"{ELLIPSIS} {counted(pods + unmeasured, 'other')}"
    if not groups:
        # Nothing but pods without values, or ones whose group has its line above.
        return (name, ABSENT if not pods else SHARED, "", "", "", "", why)
    return (name, bytes_of(held), _percent(held, sizes[0] if sizes else None), rate_of(moved), "", "", why)


def _percent(part: float | None, whole: int | None) -> str:
    return ABSENT if part is None or not whole else percent_of(100 * part / whole).removesuffix(" %")


def _containers(reading: PodReading) -> str:
    """How many of its containers are not wholly in the group yet; nothing where all are."""
    total, reconciled = reading.total_containers, reading.reconciled_containers
    return "" if total is None or reconciled is None or reconciled >= total else f"containers {reconciled}/{total}"


def _trend(group: str, sample: Occupancy, view: OccupancyView) -> str:
    columns = TREND_COLUMNS if view.width is not None and view.width < WIDE_COLUMNS else TREND_COLUMNS_WIDE
    index = 1 if view.sort == "bw" else 0
    values = [number_of(moment[index]) if (moment := tick.get(group)) else None for tick in sample.past[-columns:]]
    return trend(values, LEVELS if view.has_letters else LEVELS_ASCII)


def trend(values: Sequence[float | None], levels: str) -> str:
    """A letter for each value, from none to the most of them; a space where there is no value."""
    most = max((value for value in values if value is not None), default=0.0)
    steps = len(levels) - 1
    return "".join(" " if value is None else levels[round(steps * max(value, 0.0) / most) if most > 0 else 0] for value in values)


def _laid_out(rows: Sequence[Cells], view: OccupancyView) -> list[str]:
    columns = [
        TextColumn("POD", yields=True),
        TextColumn("LLC", right=True),
        TextColumn("LLC%", right=True),
        TextColumn("BW", right=True),
        TextColumn("LOCAL", right=True),
        TextColumn("BW TREND" if view.sort == "bw" else "LLC TREND", right=True),
        TextColumn("WHY", yields=True),
    ]
    shown = _columns_that_fit(columns, rows, view.width)
    return table([columns[index] for index in shown], [[row[index] for index in shown] for row in rows], width=view.width)


def _columns_that_fit(columns: Sequence[TextColumn], rows: Sequence[Cells], width: int | None) -> list[int]:
    """The columns that have something to say, without those that a narrow screen does without."""
    shown = [index for index in range(len(columns)) if index != _WHY or any(row[index] for row in rows)]
    texts = [[column.title, *(row[index] for row in rows)] for index, column in enumerate(columns)]
    least = [max(map(display_width, of_column)) for of_column in texts]
    least[_POD] = min(least[_POD], POD_COLUMNS_LEAST)
    least[_WHY] = min(least[_WHY], WHY_COLUMNS_LEAST)
    for dropped in _DROPPED:
        if width is None or sum(least[index] for index in shown) + len(GAP) * (len(shown) - 1) <= width:
            break
        shown.remove(dropped)
    return shown
