"""An answer of percentiles as people read it. PURE."""

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo

from agent.cli.render import TextColumn, bytes_of, counted, text_of
from agent.cli.sketch_merge import Coverage, GroupKey, SketchGroup, SketchMerge
from agent.model.timebase import S

_TIME_UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "us"))
NO_POD, NO_NAMESPACE, FURTHER = "no pod", "no namespace", "further pods and commands"


def time_of(value_ns: float) -> str:
    """A span of time in the largest unit that leaves at least 1: `12.3 ms`, `850 ns`."""
    for size, unit in _TIME_UNITS:
        if value_ns >= size:
            return f"{value_ns / size:.3g} {unit}" if value_ns < 1_000 * size else f"{value_ns / size:.0f} {unit}"
    return f"{value_ns:.0f} ns"


def amount_of(metric: str, value: float | None) -> str:
    """A value of a metric with its unit."""
    return bytes_of(value) if metric == "rss" or value is None else time_of(value)


def percentile_table(
    metric: str, percents: Sequence[tuple[str, float]], by: Sequence[str], merge: SketchMerge, names: Mapping[str, str]
) -> tuple[list[TextColumn], list[tuple[str, ...]]]:
    """The columns and lines of the answer, the line with the largest last percentile first."""
    columns = [TextColumn(part.upper(), yields=True) for part in by]
    titles = ("VALUES", "WINDOWS", *(f"P{text}" for text, _ in percents), "MAX", "ERROR")
    columns += [TextColumn(title, right=True) for title in titles]
    parts = [part for _, part in percents]
    found = [(group.sketch.quantiles(parts), key, group) for key, group in merge.groups.items()]
    found.sort(key=lambda each: (-(each[0][-1] or 0), str(each[1])))
    lines = []
    for values, key, group in found:
        sketch = group.sketch
        lines.append(
            (
                *key_texts(key, by, names, group.keys),
                str(sketch.count),
                str(len(group.windows)),
                *(amount_of(metric, value) for value in values),
                amount_of(metric, float(sketch.max)),
                f"{100 * sketch.relative_error:.2f} %",
            )
        )
    return columns, lines


def key_texts(key: GroupKey, by: Sequence[str], names: Mapping[str, str], keys: int) -> tuple[str, ...]:
    """The cells that say which line it is."""
    if key is None:
        # They may be others in each window.
        return (f"{FURTHER}, up to {keys} at once", *("-" for _ in by[1:]))
    return tuple(_part_text(part, value, names) for part, value in zip(by, key, strict=True))


def _part_text(part: str, value: str | None, names: Mapping[str, str]) -> str:
    match part:
        case "pod":
            return NO_POD if value is None else text_of(names.get(value, value))
        case "namespace":
            return NO_NAMESPACE if value is None else text_of(value)
    return text_of(value)


def coverage_lines(metric: str, merge: SketchMerge, zone: tzinfo, *, is_chosen: bool) -> list[str]:
    """What the values are, over which time, and what of it is missing."""
    covered = merge.coverage()
    assert covered.first_ns is not None, "there is no answer without a window"
    assert covered.behind_ns is not None, "the first window has an end"
    what = "resident memory of a process at a tick" if metric == "rss" else "CPU time of a process in a tick"
    since, until = (_moment(at_ns, zone) for at_ns in (covered.first_ns, covered.behind_ns))
    lines = [f"{what}; {counted(covered.windows, 'window')} from {since} to {until}"]
    lines += missing_lines(covered)
    if merge.shared_windows and is_chosen:
        lines.append(
            f"in {counted(len(merge.shared_windows), 'window')} some units and commands share a sketch: "
            "values of the chosen ones may be missing there"
        )
    return lines


def missing_lines(covered: Coverage) -> list[str]:
    """What is missing of the windows, a line for each kind."""
    lines = []
    if covered.partial:
        verb = "has" if covered.partial == 1 else "have"
        lines.append(f"{counted(covered.partial, 'window')} {verb} fewer ticks than the fullest, which has {covered.ticks_of_full}")
    if covered.missing:
        lines.append(f"{counted(covered.missing, 'window')} in between without rows: the agent or the sampler did not run")
    return lines


def _moment(at_ns: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(at_ns // S, zone).strftime("%Y-%m-%d %H:%M:%S")


def group_document(
    key: GroupKey, by: Sequence[str], group: SketchGroup, percents: Sequence[tuple[str, float]], names: Mapping[str, str]
) -> dict[str, object]:
    """One line as JSON. *Units:* ns or bytes, whole numbers where they are exact."""
    sketch = group.sketch
    values = sketch.quantiles([part for _, part in percents])
    told: dict[str, object] = {} if key is None else dict(zip(by, key, strict=True))
    uid = told.get("pod")
    if "pod" in told:
        told = {**told, "pod_name": names.get(uid) if isinstance(uid, str) else None}
    return {
        **told,
        "is_further": key is None,
        "values": sketch.count,
        "windows": len(group.windows),
        "percentiles": {text: value for (text, _), value in zip(percents, values, strict=True)},
        "relative_error": sketch.relative_error,
        "sum": sketch.sum,
        "min": sketch.min,
        "max": sketch.max,
    }
