"""The screen of `agentctl top` for processes: what is wrong, the host's figures, then the processes. PURE."""

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from agent.cli.known_names import KnownNames
from agent.cli.named_sample import named_sample
from agent.cli.problem import HeadLine, HostProblem, Severity
from agent.cli.problem_blame import counted_command
from agent.cli.render import ABSENT, bytes_of, counted, text_of
from agent.cli.top_heading import HistoryMoment, heading
from agent.cli.top_help import process_help
from agent.cli.top_load import load_of
from agent.cli.top_number import grouped
from agent.cli.top_problems import GAP, TITLE_COLUMNS
from agent.cli.top_rows import SORTS, RowPage, RowView, rows_of
from agent.cli.top_sample import NamedProcess, Sample
from agent.cli.top_state import Scroll, TopState
from agent.cli.top_style import CRITICAL, DIM, NOTICE, STRONG, WARNING, Line, Span, fitted, line_of
from agent.cli.top_table import RowTable, laid_out
from agent.cli.width import padded

# A screen of fewer lines has room for processes alone.
HEAD_FROM_HEIGHT = 10
STYLE_OF: Mapping[Severity, str] = {
    Severity.CALM: "",
    Severity.NOTICE: NOTICE,
    Severity.WARNING: WARNING,
    Severity.CRITICAL: CRITICAL,
}

__all__ = ["SORTS", "ProcessView", "Screen", "render"]


class ProcessView(Struct, frozen=True):
    """How a sample is to be shown: room, what a person chose, and the names that are not in it.

    `width` None is room without end, `trouble` says why the agent gives no names; empty: it does. `problems` and `figures` are the
    head, no figure wider than `width`. `has_keys`: somebody can type.
    """

    width: int | None
    height: int
    state: TopState
    now_wall_ns: int
    trouble: str
    names: KnownNames
    user_name: Callable[[int], str]
    problems: Sequence[HostProblem] = ()
    figures: Sequence[HeadLine] = ()
    has_keys: bool = False
    has_letters: bool = True
    time_keys: str = ""
    moment: HistoryMoment | None = None


class Screen(Struct, frozen=True):
    """The lines of a screen, and how far it could be scrolled."""

    lines: list[Line]
    scroll: Scroll


def render(sample: Sample, view: ProcessView) -> Screen:
    """The screen: at most `view.height` lines, none longer than `view.width` where that is given."""
    if view.state.shows_help:
        return Screen(fitted(process_help(), view.width, view.height), Scroll())
    top = [*_head(sample, view)]
    # The line that says what is shown, and the titles.
    room = max(1, view.height - len(top) - 2 - bool(_time_keys(view, top)))
    row_view = RowView(view.state, view.names, view.user_name, guilty_of(view.problems, sample.processes), view.has_letters)
    sample = named_sample(sample, view.names)
    page = rows_of(sample, row_view, room)
    table = RowTable(page.rows, sample.processes, view.state.sort, sample.at_wall_ns)
    lines = [*top, _status(sample, view, page), *_time_keys(view, top), *laid_out(table, view.width)]
    return Screen(fitted(lines, view.width, view.height), Scroll(room, page.offset_max))


def guilty_of(problems: Sequence[HostProblem], processes: Sequence[NamedProcess] = ()) -> dict[int, str]:
    """The style of each process that causes a problem, by pid: that of its worst. A guilty command makes all its processes so."""
    guilty: dict[int, str] = {}
    commands: dict[str, str] = {}
    for problem in problems:
        for culprit in problem.culprits:
            style = STYLE_OF[problem.severity]
            if culprit.pid is not None and style:
                guilty.setdefault(culprit.pid, style)
            elif culprit.kind == "command" and style:
                commands.setdefault(culprit.name, style)
    for process in processes if commands else ():
        if (style := commands.get(text_of(counted_command(process)), "")) != "":
            guilty.setdefault(process.pid, style)
    return guilty


def _head(sample: Sample, view: ProcessView) -> list[Line]:
    """The host, what is wrong with it, and its figures, as many of each as a screen has room for."""
    first = heading(sample.host, sample.at_wall_ns, view.now_wall_ns, view.trouble, view.moment)
    host, gap, rest = first.partition("   ")
    style = WARNING if view.trouble or "no new samples" in rest else ""
    head = [line_of(Span(host, STRONG), gap, Span(rest, style))]
    figures = view.figures
    room = view.height // 2 - 4 if view.height >= HEAD_FROM_HEIGHT else min(1, view.height // 6)
    problems = problem_lines(view.problems, max(min(1, room), room - len(figures)))
    return [*head, *problems, *(_figures_line(line) for line in figures[: max(0, room - len(problems))])]


def problem_lines(problems: Sequence[HostProblem], room: int) -> list[Line]:
    """The problems, the worst first; the last line that there is room for says how many have none."""
    shown = list(problems[:room])
    hidden = len(problems) - len(shown)
    lines = [line_of(Span(f"{problem.severity.upper()} ", STYLE_OF[problem.severity]), Span(problem.text)) for problem in shown]
    if hidden and lines:
        lines[-1] = line_of(Span(f"+{hidden} more, ", STRONG), *lines[-1])
    return lines


def _figures_line(line: HeadLine) -> Line:
    parts: list[str | Span] = [Span(padded(line.title, TITLE_COLUMNS), STRONG)]
    for part in line.parts:
        parts += [GAP, Span(part.text, STYLE_OF[part.severity])]
    return line_of(*parts)


def _status(sample: Sample, view: ProcessView, page: RowPage) -> Line:
    """How much there is in all, in which order and of what choice it is shown."""
    total = load_of([*sample.processes, *sample.tail, *sample.ended])
    cpu = ABSENT if total.cpu_share is None else f"{total.cpu_share * 100:.1f} %"
    state = view.state
    parts: list[str | Span] = []
    if state.is_typing or state.filter:
        # First: a narrow screen cuts the rest.
        cursor = "_" if state.is_typing else ""
        parts.append(Span(f"filter: {state.filter}{cursor} ({grouped(page.matched)} found)   ", NOTICE))
    parts.append(f"{counted(total.processes, 'process')}   CPU {cpu}   RSS {bytes_of(total.rss_bytes)}   by {state.sort}")
    if state.is_tree and state.sort != "pod":
        parts.append("   tree of sums" if state.has_sums else "   tree")
    if state.is_paused:
        parts.append(Span("   paused", WARNING))
    if state.offset and page.offset_max:
        parts.append(f"   from {grouped(min(state.offset, page.offset_max) + 1)} on")
    if sample.bad_rows:
        parts.append(Span(f"   {counted(sample.bad_rows, 'bad row')} left out", WARNING))
    if view.has_keys:
        parts.append(Span("   Enter keeps, Esc clears" if state.is_typing else "   ? help   q quit", DIM))
    return line_of(*parts)


def _time_keys(view: ProcessView, head: Sequence[Line]) -> list[Line]:
    """The keys that go in time, where the past is shown; else an empty line where nothing stands above."""
    if view.has_keys and view.moment is not None and view.height >= HEAD_FROM_HEIGHT:
        return [line_of(Span(view.time_keys, DIM))]
    return [()] if len(head) == 1 and view.height >= HEAD_FROM_HEIGHT else []
