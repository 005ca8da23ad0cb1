"""The screen of `agentctl top --units`: what units cost and suffer, as lines or as a tree. PURE.

Without a filter and a tree a unit that holds others has no line, so that the lines add up and nothing is counted twice.
"""

from collections.abc import Sequence

from msgspec import Struct

from agent.cli.known_names import KnownNames
from agent.cli.name_filter import FilterTarget, NameFilter
from agent.cli.pod_name import pod_name
from agent.cli.render import ABSENT, bytes_of, counted, text_of
from agent.cli.top_heading import HistoryMoment, heading
from agent.cli.top_number import grouped
from agent.cli.top_state import Scroll, TopState
from agent.cli.top_style import CRITICAL, DIM, NOTICE, SORTED, STRONG, TITLE, WARNING, Line, Span, cut_line, line_of, merged
from agent.cli.unit_columns import (
    COLUMNS_OF_SORT,
    GAP,
    NAME_COLUMNS_LEAST,
    NAME_COLUMNS_MAX,
    UnitColumn,
    columns_for,
    order_of,
    pressure_of,
    throttled_of,
)
from agent.cli.unit_sample import UnitLine, UnitReading, UnitSample
from agent.cli.width import cut, display_width, padded
from agent.model.cgroup_path import name_of, unit_of

# Host, what is shown, titles.
HEADER_LINES = 3
# Units that do nothing have a row a minute, and on a quiet node none may do anything.
LIVE_SECONDS = 65.0
KIND_COLUMNS = 8
MODEL_COLUMNS_LEAST = 12
# From so wide on a kind has its column, and the model from the next on, where some unit serves one.
KIND_FROM_WIDTH, MODEL_FROM_WIDTH = 100, 120
# What is worth a colour: a tenth of the time.
NOTABLE = 0.1
CONTAINER_CHARACTERS = 12
# Deeper ones stand below each other.
INDENT_MAX = 10


class UnitView(Struct, frozen=True):
    """How a sample is to be shown: room, what a person chose, and the names that are not in it.

    `width` None is room without end, `trouble` says why the agent gives no names; empty: it does. `has_keys`: somebody can type.
    """

    width: int | None
    height: int
    state: TopState
    now_wall_ns: int
    trouble: str
    names: KnownNames
    has_keys: bool = False
    has_letters: bool = True
    time_keys: str = ""
    moment: HistoryMoment | None = None


class UnitScreen(Struct, frozen=True):
    """The lines of a screen, and how far it could be scrolled."""

    lines: list[Line]
    scroll: Scroll


class ShownUnit(Struct, frozen=True):
    """A line with its name, as deep in the tree as `depth`."""

    line: UnitLine
    name: str
    depth: int = 0


def render_units(sample: UnitSample, view: UnitView) -> UnitScreen:
    """The screen: at most `view.height` lines, none longer than `view.width` where that is given."""
    shown = shown_units(sample, view)
    room = max(1, view.height - HEADER_LINES)
    offset_max = max(0, len(shown) - room)
    page = shown[min(view.state.offset, offset_max) :][:room]
    first = heading(sample.host, sample.at_wall_ns, view.now_wall_ns, view.trouble, view.moment, live_seconds=LIVE_SECONDS)
    host, gap, rest = first.partition("   ")
    style = WARNING if view.trouble or "no new samples" in rest else ""
    lines = [line_of(Span(host, STRONG), gap, Span(rest, style)), _status(sample, shown, view), *_table(page, shown, view)]
    if view.width is not None:
        lines = [cut_line(line, view.width) for line in lines]
    return UnitScreen(lines[: view.height], Scroll(room, offset_max))


def shown_units(sample: UnitSample, view: UnitView) -> list[ShownUnit]:
    """The units that a person asked for, in their order."""
    kept = NameFilter(view.state.filter)
    named = [(line, unit_name(line.reading, view.names)) for line in sample.lines]
    if view.state.is_tree:
        found = [pair for pair in named if not kept or kept.keeps(target_of(pair[0].reading, pair[1], view.names))]
        return _tree(found, view)
    whole = [pair for pair in named if pair[0].reading.container is None]
    if kept:
        whole = [pair for pair in whole if kept.keeps(target_of(pair[0].reading, pair[1], view.names))]
    else:
        holders = _holders([line.reading for line, _ in whole])
        whole = [pair for pair in whole if pair[0].reading.cgroup not in holders]
    ordered = sorted(whole, key=lambda pair: order_of(view.state.sort, *pair))
    return [ShownUnit(line, name) for line, name in ordered]


def _holders(readings: Sequence[UnitReading]) -> set[str]:
    """The cgroups of units that others lie in."""
    own = {reading.cgroup for reading in readings}
    return {above for reading in readings for above in _above(reading.cgroup) if above in own}


def _above(cgroup: str) -> list[str]:
    """All cgroups above one, from the inside."""
    names = cgroup.split("/")
    return ["/".join(names[:count]) for count in range(len(names) - 1, 1, -1)]


def _tree(named: Sequence[tuple[UnitLine, str]], view: UnitView) -> list[ShownUnit]:
    """Units below the innermost one around them, containers below their pod; siblings in the order that was chosen."""
    keys = {line.reading.cgroup: line.reading.key for line, _ in named if line.reading.container is None}
    whole = {line.reading.unit for line, _ in named if line.reading.container is None}
    below: dict[tuple[str, str | None] | None, list[tuple[UnitLine, str]]] = {}
    for line, name in named:
        reading = line.reading
        if reading.container is not None:
            parent: tuple[str, str | None] | None = (reading.unit, None) if reading.unit in whole else None
        else:
            parent = next((keys[above] for above in _above(reading.cgroup) if above in keys), None)
        below.setdefault(parent, []).append((line, name))
    shown: list[ShownUnit] = []
    waiting = [(pair, 0) for pair in _last_first(below.get(None, []), view.state.sort)]
    while waiting:
        (line, name), depth = waiting.pop()
        shown.append(ShownUnit(line, name, depth))
        waiting += [(pair, depth + 1) for pair in _last_first(below.pop(line.reading.key, []), view.state.sort)]
    return shown


def _last_first(pairs: Sequence[tuple[UnitLine, str]], sort: str) -> list[tuple[UnitLine, str]]:
    return sorted(pairs, key=lambda pair: order_of(sort, *pair), reverse=True)


# ---- names ---------------------------------------------------------------------------------------


def unit_name(reading: UnitReading, names: KnownNames) -> str:
    """What a unit or container is called; safe to print."""
    if reading.container is not None:
        return text_of(names.containers.get(reading.container, reading.container[:CONTAINER_CHARACTERS]))
    found = names.pods.get(reading.unit)
    if found is None and (identity := unit_of(reading.cgroup)) is not None:
        found = name_of(identity)
    return text_of(found or reading.unit)


def target_of(reading: UnitReading, name: str, names: KnownNames) -> FilterTarget:
    """What a filter looks for words in."""
    pod = names.pods.get(reading.unit, "")
    words = (name, reading.unit, reading.cgroup, reading.container or "")
    containers = names.containers_in(reading.unit) if reading.container is None else [name]
    return FilterTarget(words, pod=pod, containers=containers, labels=names.labels.get(reading.unit, {}), kind=reading.kind)


# ---- lines ---------------------------------------------------------------------------------------


def _status(sample: UnitSample, shown: Sequence[ShownUnit], view: UnitView) -> Line:
    """How much there is in all, and in which order and of what choice it is shown."""
    state = view.state
    whole = [line for line in sample.lines if line.reading.container is None]
    holders = _holders([line.reading for line in whole])
    own = [line for line in whole if line.reading.cgroup not in holders]
    cpu = [line.reading.cpu_cores for line in own if line.reading.cpu_cores is not None]
    memory = [line.reading.memory_bytes for line in own if line.reading.memory_bytes is not None]
    parts: list[str | Span] = []
    if state.is_typing or state.filter:
        cursor = "_" if state.is_typing else ""
        parts.append(Span(f"filter: {state.filter}{cursor} ({grouped(len(shown))} found)   ", NOTICE))
    throttled = sum((throttled_of(line) or 0.0) >= NOTABLE for line in own)
    waiting = sum((pressure_of(line) or 0.0) >= NOTABLE for line in own)
    told = f"{sum(cpu):.2f}" if cpu else ABSENT
    parts.append(f"{counted(len(own), 'unit')}  CPU {told}  MEM {bytes_of(sum(memory) if memory else None)}")
    parts.append(f"  {throttled} throttled, {waiting} waiting  by {state.sort}")
    if state.is_tree:
        parts.append("  tree")
    if state.is_paused:
        parts.append(Span("   paused", WARNING))
    if state.offset and len(shown) > 1:
        parts.append(f"   from {grouped(min(state.offset, max(0, len(shown) - 1)) + 1)} on")
    if sample.bad_rows:
        parts.append(Span(f"   {counted(sample.bad_rows, 'bad row')} left out", WARNING))
    if view.has_keys:
        parts.append(Span("   Enter keeps, Esc clears" if state.is_typing else _keys(view), DIM))
    return line_of(*parts)


def _keys(view: UnitView) -> str:
    return f"   {view.time_keys}" if view.moment is not None else "  ? help  q quit"


def _table(page: Sequence[ShownUnit], shown: Sequence[ShownUnit], view: UnitView) -> list[Line]:
    """The titles and the lines, aligned."""
    sort = view.state.sort
    has_kind = view.width is None or view.width >= KIND_FROM_WIDTH
    has_model = (view.width is None or view.width >= MODEL_FROM_WIDTH) and any(each.line.model for each in shown)
    names = [_indented(each, view) for each in page]
    wanted = min(NAME_COLUMNS_MAX, max([NAME_COLUMNS_LEAST, *map(display_width, names)]))
    room = None if view.width is None else view.width - NAME_COLUMNS_LEAST
    if room is not None:
        room -= (KIND_COLUMNS + len(GAP)) * has_kind + (MODEL_COLUMNS_LEAST + len(GAP)) * has_model
    columns = columns_for([each.line for each in shown], sort, room)
    name_columns = wanted if room is None else _name_columns(columns, room, wanted)
    cells = [[column.text(column.value(each.line)) for column in columns] for each in page]
    widths = [max([column.least, *(len(row[place]) for row in cells)]) for place, column in enumerate(columns)]
    sorted_by = COLUMNS_OF_SORT[sort]
    title = [Span(padded("UNIT", name_columns), SORTED if sort == "name" else TITLE)]
    title += [Span(padded(GAP + "KIND", KIND_COLUMNS + len(GAP)), TITLE)] if has_kind else []
    for column, width in zip(columns, widths, strict=True):
        title.append(Span(GAP + padded(column.title, width, right=True), SORTED if column.name in sorted_by else TITLE))
    title += [Span(f"{GAP}MODEL", TITLE)] if has_model else []
    lines = [merged(title)]
    for each, name, row in zip(page, names, cells, strict=True):
        spans = [Span(padded(cut(name, name_columns), name_columns), DIM if each.line.reading.container is not None else "")]
        spans += [Span(padded(GAP + _kind(each.line.reading), KIND_COLUMNS + len(GAP)))] if has_kind else []
        for column, width, text in zip(columns, widths, row, strict=True):
            spans.append(Span(GAP + padded(text, width, right=True), _style(column, each.line, sorted_by)))
        spans += [Span(f"{GAP}{text_of(each.line.model)}")] if has_model else []
        lines.append(merged(spans))
    return lines


def _name_columns(columns: Sequence[UnitColumn], room: int, wanted: int) -> int:
    """What names have: all that the columns leave, as far as they need it."""
    left = room - sum(column.least + len(GAP) for column in columns)
    return max(NAME_COLUMNS_LEAST, min(wanted, NAME_COLUMNS_LEAST + left))


def _indented(each: ShownUnit, view: UnitView) -> str:
    if not each.depth:
        return each.name
    branch = "└ " if view.has_letters else "` "
    return "  " * (min(each.depth, INDENT_MAX) - 1) + branch + each.name


def _kind(reading: UnitReading) -> str:
    return "" if reading.container is not None else cut(text_of(reading.kind), KIND_COLUMNS)


_SHARES = ("throttled", "pressure_cpu", "pressure_memory", "pressure_io")


def _style(column: UnitColumn, line: UnitLine, sorted_by: Sequence[str]) -> str:
    """A colour where it suffers; the figure itself says it too."""
    value = column.value(line)
    if column.name == "oom" and value:
        return CRITICAL
    if (column.name in _SHARES and (value or 0.0) >= NOTABLE) or (column.name == "memory_limit" and (value or 0.0) >= 1 - NOTABLE):
        return WARNING
    return STRONG if column.name in sorted_by else ""


def named_units(sample: UnitSample, view: UnitView) -> list[dict[str, object]]:
    """The units that the filter keeps, for a document, containers too."""
    from msgspec import to_builtins

    kept = NameFilter(view.state.filter)
    told: list[dict[str, object]] = []
    for line in sample.lines:
        reading = line.reading
        name = unit_name(reading, view.names)
        if kept and not kept.keeps(target_of(reading, name, view.names)):
            continue
        pod = view.names.pods.get(reading.unit)
        whole: dict[str, object] = to_builtins(line)
        told.append({**whole, "name": name, "pod_name": pod_name(None, pod)})
    return told
