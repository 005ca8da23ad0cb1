"""The question `ask percentile`: what is asked, read and printed. The sketches are put together in `sketch_merge`."""

import time
from collections.abc import Mapping

from msgspec import Struct

from agent.cli.ask import LINES
from agent.cli.call import Call
from agent.cli.local_zone import LocalZone
from agent.cli.moment import parse_moment
from agent.cli.option import near
from agent.cli.percentile_text import coverage_lines, group_document, percentile_table
from agent.cli.pod_name import namespace_of
from agent.cli.render import counted
from agent.cli.sketch_merge import BY, COLUMNS, SketchMerge
from agent.cli.span import span_of
from agent.cli.state_dir import check_state_dir
from agent.cli.stored_names import StoredNames
from agent.cli.stored_rows import StoredRows
from agent.cli.time_bounds import FIRST_NS, TimeBounds
from agent.cli.top_names import TopNames
from agent.model.errors import BusyError, MisuseError, UnavailableError
from agent.model.timebase import DAY, MINUTE
from agent.store.left_out import LeftOut, warnings_of

DEFAULT_SPAN = "1h"
DEFAULT_PERCENTS = "50,95,99"
PERCENTS_MAX = 20
# Rows are written some ticks after their window, and a tick may be 10 minutes long.
WRITTEN_WITHIN_NS = 20 * MINUTE
# The counts of a row are a list of up to 4,000 numbers.
BATCH_ROWS = 256


class PercentileQuestion(Struct, frozen=True):
    """What is asked. `percents` are as they were written, with their parts of 1; `pods` are uids or names."""

    metric: str
    percents: tuple[tuple[str, float], ...]
    by: tuple[str, ...]
    pods: frozenset[str]
    commands: frozenset[str]
    namespaces: frozenset[str]
    hosts: frozenset[str]
    bounds: TimeBounds
    lines: int

    @property
    def is_chosen(self) -> bool:
        """Whether some of the units and commands are asked for."""
        return bool(self.pods or self.commands or self.namespaces)


def answer(call: Call) -> int:
    """`agentctl ask percentile`. *Raises:* EvergaugeError."""
    question = question_of(call)
    state_dir = call.state_dir()
    check_state_dir(state_dir)
    from workers.registry import tables

    declared = {table.name: table for table in tables()}
    rows = StoredRows(state_dir, declared["process_sketch"], all_hosts=True)
    names = names_of(call, state_dir, question.bounds)
    merge = merged_rows(call, rows, question, names)
    if not merge.groups:
        raise _no_data(question, merge, names)
    _warn(call, merge, rows)
    if call.wants_json:
        call.show_json(document_of(question, merge, names))
        return 0
    columns, lines = percentile_table(question.metric, question.percents, question.by, merge, names)
    call.show_table(columns, lines[: question.lines])
    if len(lines) > question.lines:
        call.show([f"and {counted(len(lines) - question.lines, 'more line')}; --lines shows more, --json all"])
    call.show(["", *coverage_lines(question.metric, merge, is_chosen=question.is_chosen, zone=LocalZone())])
    return 0


def question_of(call: Call) -> PercentileQuestion:
    """What the options ask for. *Raises:* MisuseError that names the option."""
    metric = call.text("--metric")
    if metric is None:
        raise MisuseError("--metric", "it is missing", "write --metric cpu or --metric rss")
    lines = call.whole("--lines", LINES)
    if lines < 1:
        raise MisuseError("--lines", f"{lines} is not accepted", "write 1 or more")
    return PercentileQuestion(
        metric,
        percents_of(DEFAULT_PERCENTS if (asked := call.text("--p")) is None else asked),
        parts_of(call.text("--by")),
        frozenset(call.texts("--pod")),
        frozenset(call.texts("--command")),
        frozenset(call.texts("--namespace")),
        frozenset(call.texts("--host")),
        _bounds_of(call),
        lines,
    )


def percents_of(text: str) -> tuple[tuple[str, float], ...]:
    """Percentiles as they were written, each with its part of 1. *Raises:* MisuseError."""
    words = [word.strip().lower().removeprefix("p") for word in text.split(",")]
    found: dict[str, float] = {}
    for word in words:
        try:
            percent = float(word)
        except ValueError as cause:
            raise MisuseError("--p", f"{word!a} is no percentile", "write numbers from 0 to 100, such as 50,95,99.9") from cause
        if not 0 <= percent <= 100:
            raise MisuseError("--p", f"{word} is not between 0 and 100", "write percentiles such as 50,95,99.9")
        found[word] = percent / 100
    if len(found) > PERCENTS_MAX:
        raise MisuseError("--p", f"{len(found)} percentiles are too many", f"write {PERCENTS_MAX} at most")
    return tuple(found.items())


def parts_of(text: str | None) -> tuple[str, ...]:
    """What the answer is split by. *Raises:* MisuseError."""
    parts = [] if text is None else [part.strip() for part in text.split(",")]
    for part in parts:
        if part not in BY:
            remedy = near(part, BY) or "write pod, namespace, command or host, or several: pod,command"
            raise MisuseError("--by", f"{part!a} is not accepted", remedy)
    return tuple(dict.fromkeys(parts))


def _bounds_of(call: Call) -> TimeBounds:
    span = span_of(call)
    if span.since_ns != FIRST_NS:
        return span
    # Before an --until, or before now.
    until_ns = min(span.until_ns, time.time_ns())
    return TimeBounds(parse_moment(DEFAULT_SPAN, option="--since", now_wall_ns=max(0, until_ns), zone=LocalZone()), span.until_ns)


def names_of(call: Call, state_dir: str, bounds: TimeBounds) -> dict[str, str]:
    """Names of pods by uid: those of table pod_group, since a day before, then those that a running agent knows."""
    agent = TopNames(call)
    agent.refresh(0.0)
    stored = StoredNames(state_dir).between(TimeBounds(bounds.since_ns - DAY, bounds.until_ns))
    return dict(stored.over(agent.known).pods)


def merged_rows(call: Call, rows: StoredRows, question: PercentileQuestion, names: Mapping[str, str]) -> SketchMerge:
    """All sketches that are asked for. *Raises:* BusyError after the deadline, EvergaugeError."""
    uids = question.pods | {uid for uid, name in names.items() if name in question.pods}
    commands, chosen = question.commands, question.namespaces
    namespaces = {uid: namespace for uid, name in names.items() if (namespace := namespace_of(name))}

    def is_wanted(pod_uid: str | None, command: str | None) -> bool:
        return (
            (not uids or pod_uid in uids)
            and (not commands or command in commands)
            and (not chosen or namespaces.get(pod_uid or "") in chosen)
        )

    merge = SketchMerge(question.bounds, question.by, is_wanted if question.is_chosen else None, namespaces, question.hosts)
    written = TimeBounds(question.bounds.since_ns, question.bounds.until_ns + WRITTEN_WITHIN_NS)
    for part in rows.scan(written, COLUMNS, ("metric", question.metric), BATCH_ROWS):
        merge.take(part)
        if not call.seconds_left():
            problem = f"its {call.timeout_seconds:g} s were over before all sketches were read"
            raise BusyError("ask", problem, "ask for a shorter time, or give a longer --timeout")
    return merge


def _no_data(question: PercentileQuestion, merge: SketchMerge, names: Mapping[str, str]) -> UnavailableError:
    chosen = ", ".join(sorted(question.pods | question.commands | question.namespaces))
    if merge.coverage().windows and chosen:
        similar = near(next(iter(question.pods)), list(names.values())) if question.pods else ""
        remedy = similar or "`--by pod,command` shows which there are"
        return UnavailableError("ask", f"no sketch of {question.metric} is of {chosen} in this time", remedy)
    problem = f"there is no sketch of {question.metric} in this time"
    remedy = "a window's sketches are written when it is over, after a minute: ask for an earlier --since, or see `agentctl status`"
    return UnavailableError("ask", problem, remedy)


def _warn(call: Call, merge: SketchMerge, rows: StoredRows) -> None:
    if merge.damaged:
        call.warn(f"ask: {counted(merge.damaged, 'row')} left out that hold no sketch")
    for line in warnings_of([LeftOut(path, reason) for path, reason in rows.left_out.items()]):
        call.warn(f"ask: {line}")


def document_of(question: PercentileQuestion, merge: SketchMerge, names: Mapping[str, str]) -> dict[str, object]:
    """The answer as JSON."""
    covered = merge.coverage()
    groups = [group_document(key, question.by, group, question.percents, names) for key, group in merge.groups.items()]
    return {
        "metric": question.metric,
        "unit": "bytes" if question.metric == "rss" else "ns",
        "since_ns": covered.first_ns,
        "until_ns": covered.behind_ns,
        "windows": covered.windows,
        "windows_partial": covered.partial,
        "windows_missing": covered.missing,
        "windows_shared": len(merge.shared_windows),
        "ticks_of_full": covered.ticks_of_full,
        "rows_damaged": merge.damaged,
        "groups": groups,
    }
