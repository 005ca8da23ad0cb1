"""The question `ask rows`: stored rows themselves, the newest first."""

import time
from typing import Any

from agent.cli.ask_answer import deadline_of
from agent.cli.ask_question import question_of
from agent.cli.ask_source import names_of, with_source
from agent.cli.ask_text import rows_table
from agent.cli.call import Call
from agent.cli.local_zone import LocalZone
from agent.model.errors import UnavailableError
from agent.router.question import PodNames
from agent.router.source import RowSource


def answer(call: Call) -> int:
    """`agentctl ask rows`. *Raises:* EvergaugeError."""
    question = question_of(call)
    now_ns = time.time_ns()
    check = deadline_of(call)

    def ask(source: RowSource) -> tuple[list[dict[str, Any]], PodNames, list[str]]:
        from agent.router.row_reader import newest_rows

        names = names_of(call, source, question.since_ns, min(question.until_ns, now_ns), check)
        return newest_rows(source, question, names, now_ns, check), names, source.warnings()

    rows, names, warnings = with_source(call, question, now_ns, ask)
    if not rows:
        raise UnavailableError("ask", "no row that was asked for is in this time", "ask for an earlier --since, or for less")
    for line in warnings:
        call.warn(f"ask: {line}")
    if call.wants_json:
        named = [{**row, "pod_name": names.names.get(row["pod_uid"] or "")} for row in rows]
        call.show_json({"kind": str(question.kind), "metric": question.metric.name, "unit": question.metric.unit, "rows": named})
    else:
        call.show_table(*rows_table(question, rows, names.names, LocalZone()))
    return 0
