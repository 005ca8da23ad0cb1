"""The command neighbours: which unit made which other unit slow, and what tells it."""

import time
from collections.abc import Callable

from agent.cli.call import Call
from agent.cli.option import WHOLE, Command, Option
from agent.model.errors import BusyError, MisuseError, UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.cli.known_names import KnownNames
    from agent.cli.neighbour_find import NeighbourAnswer
    from agent.cli.neighbour_unit import JudgedUnit
    from agent.cli.time_bounds import TimeBounds

DEFAULT_SPAN = "1h"
# Around the moment of --at.
AROUND_SECONDS = 300
VICTIMS = 12
NEIGHBOURS_SECONDS = 60.0


def neighbours(call: Call) -> int:
    """`agentctl neighbours`. *Raises:* EvergaugeError."""
    from agent.cli.local_zone import LocalZone
    from agent.cli.neighbour_name import UnitNames
    from agent.cli.neighbour_ranking import findings_of
    from agent.cli.neighbour_text import COLUMNS, looked_lines, sentence_of, table_rows
    from agent.cli.render import counted
    from agent.cli.state_dir import check_state_dir
    from agent.cli.width import wrapped

    if call.whole("--victims", VICTIMS) < 1:
        raise MisuseError("--victims", "at least one is told", "write 1 or more")
    bounds = bounds_of(call)
    state_dir = call.state_dir()
    check_state_dir(state_dir)
    known = _known_names(call, state_dir, bounds)
    answer = _answer(call, state_dir, bounds, UnitNames(known))
    findings = findings_of(answer.verdicts)
    names = UnitNames(known, answer.units)
    if call.wants_json:
        from agent.cli.neighbour_document import document_of

        call.show_json(document_of(answer.looked, findings, names))
        return 0
    zone = LocalZone()
    if findings:
        shown = findings[: call.whole("--victims", VICTIMS)]
        call.show_table(COLUMNS, table_rows(shown, names.name, zone))
        for found in shown:
            call.show(["", *wrapped(sentence_of(found, names.name, zone), call.text_columns())])
        call.show([""])
        if len(findings) > len(shown):
            call.show([f"and {counted(len(findings) - len(shown), 'more victim')}; --victims shows more, --json all"])
    else:
        call.show(["no unit waited, was throttled or lost cache clearly more than is usual for it: no culprit seen"])
    for line in looked_lines(answer.looked, findings, zone):
        call.show(wrapped(line, call.text_columns()))
    return 0


def bounds_of(call: Call) -> "TimeBounds":
    """The time that is asked for: the last hour, or what the options say. *Raises:* MisuseError."""
    from agent.cli.local_zone import LocalZone
    from agent.cli.moment import parse_moment
    from agent.cli.span import moment_of, span_of
    from agent.cli.time_bounds import FIRST_NS, TimeBounds
    from agent.model.timebase import S

    now_wall_ns = time.time_ns()
    at_ns = moment_of(call, "--at", now_wall_ns)
    if at_ns is not None:
        if call.text("--since") or call.text("--until"):
            raise MisuseError("--at", "it names a time of its own", "leave out --since and --until, or --at")
        return TimeBounds(at_ns - AROUND_SECONDS * S, min(at_ns + AROUND_SECONDS * S, now_wall_ns + S))
    span = span_of(call)
    until_ns = min(span.until_ns, now_wall_ns + S)
    if span.since_ns != FIRST_NS:
        return TimeBounds(span.since_ns, until_ns)
    return TimeBounds(parse_moment(DEFAULT_SPAN, option="--since", now_wall_ns=max(0, until_ns), zone=LocalZone()), until_ns)


def _known_names(call: Call, state_dir: str, bounds: "TimeBounds") -> "KnownNames":
    """Names of pods: those stored since a day before, then those that a running agent knows."""
    from agent.cli.stored_names import StoredNames
    from agent.cli.time_bounds import TimeBounds
    from agent.cli.top_names import TopNames
    from agent.model.timebase import DAY

    agent = TopNames(call)
    agent.refresh(0.0)
    stored = StoredNames(state_dir).between(TimeBounds(bounds.since_ns - DAY, bounds.until_ns))
    return agent.known.over(stored)


def _answer(call: Call, state_dir: str, bounds: "TimeBounds", names: "UnitNamesLike") -> "NeighbourAnswer":
    from agent.cli.neighbour_find import LEAD_SECONDS, TAIL_SECONDS, find
    from agent.cli.neighbour_judge import BEFORE_SECONDS
    from agent.cli.neighbour_rows import IDLE_SECONDS, node_rows
    from agent.cli.time_bounds import TimeBounds
    from agent.model.timebase import S
    from agent.store.left_out import LeftOut, warnings_of
    from workers.registry import tables

    since_s, until_s = bounds.since_ns // S, -(-bounds.until_ns // S)
    around = TimeBounds((since_s - LEAD_SECONDS - BEFORE_SECONDS) * S, (until_s + TAIL_SECONDS + IDLE_SECONDS) * S)

    def check() -> None:
        if not call.seconds_left():
            problem = f"its {call.timeout_seconds:g} s were over before all rows were read"
            raise BusyError("neighbours", problem, "ask for a shorter time, or give a longer --timeout")

    with node_rows(state_dir, tables(), around) as (rows, left_out):
        answer = find(rows, since_s, until_s, _choice(call, names), check)
    for line in warnings_of([LeftOut(path, reason) for path, reason in left_out.items()]):
        call.warn(f"neighbours: {line}")
    if not answer.looked.ticks:
        problem = f"there is no row of any unit in this time in {state_dir}"
        remedy = "ask for another --since; `agentctl list-workers` tells whether the agent measures units"
        raise UnavailableError("neighbours", problem, remedy)
    return answer


def _choice(call: Call, names: "UnitNamesLike") -> "Callable[[JudgedUnit], bool]":
    """Which victims are asked for."""
    from agent.cli.name_filter import NameFilter

    asked, kept = frozenset(call.texts("--unit")), NameFilter(call.text("--filter") or "")

    def is_wanted(unit: "JudgedUnit") -> bool:
        return (not asked or not asked.isdisjoint(names.all_of(unit))) and (not kept or kept.keeps(names.target_of(unit)))

    return is_wanted


if TYPE_CHECKING:
    from agent.cli.neighbour_name import UnitNames as UnitNamesLike

COMMANDS = (
    Command(
        "neighbours",
        neighbours,
        about="who made whom slow: units that waited or were held back, and which neighbour rose in the same seconds",
        details="""\
It looks for units (pods, services, scopes, slices, workloads) whose threads waited for CPU, memory or I/O clearly more than is
usual for them, that their CPU limit held back, or that lost last-level cache. For each of them it names the units of the same
node that used clearly more CPU, memory, I/O, cache or memory bandwidth from the same second on, with their part of all that rose.
"no culprit seen" is an answer, and it says why: its own limit held it back, it wanted more itself, nothing was short, nothing
else rose, or too little is known. A unit inside the victim or around it is never named. It works without a running agent.
docs/neighbours.md says how it judges, how often it is right, and what it cannot see.""",
        options=(
            Option("--since", "WHEN", "look from then on: 1h (default), 2d, 03:12, 2024-01-31 or 2024-01-31T03:12"),
            Option("--until", "WHEN", "look before this time"),
            Option("--at", "WHEN", "look at the five minutes before and behind a moment"),
            Option("--unit", "UNIT", "only this victim, by name, uid or cgroup path; may be given again", many=True),
            Option("--victims", "N", f"how many victims are told at most, the worst first (default {VICTIMS})", kind=WHOLE),
            Option("--filter", "WORDS", "only victims with these words: TEXT, namespace:X, pod:X, label:K=V, kind:X"),
        ),
        examples=(
            "agentctl neighbours",
            "# What made the shop slow last night?",
            "agentctl neighbours --since 2024-01-30T22:00 --until 2024-01-31T06:00 --filter namespace:shop",
            "agentctl neighbours --at 03:12 --unit shop/web-0",
        ),
        timeout_seconds=NEIGHBOURS_SECONDS,
    ),
)
