"""Questions about values: percentiles, sums, means, largest ones, numbers. Asked, answered and printed."""

import time
from collections.abc import Callable

from agent.cli.ask_document import document_of
from agent.cli.ask_question import question_of
from agent.cli.ask_source import names_of, with_source
from agent.cli.ask_text import answer_table, coverage_lines, explain_table
from agent.cli.call import Call
from agent.cli.local_zone import LocalZone
from agent.cli.option import near
from agent.cli.render import counted
from agent.model.errors import BusyError, UnavailableError
from agent.router import router
from agent.router.answer import RoutedAnswer
from agent.router.question import PodNames
from agent.router.source import RowSource


def answer(call: Call) -> int:
    """`agentctl ask KIND`. *Raises:* EvergaugeError."""
    question = question_of(call)
    now_ns = time.time_ns()
    check = deadline_of(call)

    def ask(source: RowSource) -> tuple[RoutedAnswer, PodNames]:
        names = names_of(call, source, question.since_ns, min(question.until_ns, now_ns), check)
        return router.ask(source, question, names, now_ns, check), names

    found, names = with_source(call, question, now_ns, ask)
    if not found.lines:
        raise _no_data(found, names)
    _warn(call, found)
    if call.wants_json:
        call.show_json(document_of(found, names.names, is_explained=call.has("--explain")))
        return 0
    columns, lines = answer_table(found, names.names)
    call.show_table(columns, lines[: question.lines])
    if len(lines) > question.lines:
        call.show([f"and {counted(len(lines) - question.lines, 'more line')}; --lines shows more, --json all"])
    call.show(["", *coverage_lines(found, LocalZone())])
    if call.has("--explain"):
        call.show([""])
        call.show_table(*explain_table(found.legs, LocalZone()))
    return 0


def deadline_of(call: Call) -> Callable[[], None]:
    """Raises BusyError when the time of a call is over."""

    def check() -> None:
        if not call.seconds_left():
            problem = f"its {call.timeout_seconds:g} s were over before all sketches were read"
            raise BusyError("ask", problem, "ask for a shorter time, or give a longer --timeout")

    return check


def _no_data(found: RoutedAnswer, names: PodNames) -> UnavailableError:
    question = found.question
    metric = question.metric.name
    what = "sketch" if question.metric.sketch and not found.coverage.raw else "value"
    chosen = ", ".join(sorted(question.pods | question.commands | question.namespaces))
    if found.coverage.covered + found.ticks.windows and chosen:
        similar = near(next(iter(question.pods)), list(names.names.values())) if question.pods else ""
        remedy = similar or "`--by pod,command` shows which there are"
        return UnavailableError("ask", f"no {what} of {metric} is of {chosen} in this time", remedy)
    problem = f"there is no {what} of {metric} in this time"
    remedy = "a window's sketches are written when it is over, after a minute: ask for an earlier --since, or see `agentctl status`"
    if question.hosts:
        remedy = "`--by host` shows which hosts there are"
    return UnavailableError("ask", problem, remedy)


def _warn(call: Call, found: RoutedAnswer) -> None:
    if found.damaged:
        call.warn(f"ask: {counted(found.damaged, 'row')} left out that hold no sketch")
    for line in found.warnings:
        call.warn(f"ask: {line}")
