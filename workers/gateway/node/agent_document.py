"""The agent itself, as the page shows it: out of the supervisor's status. PURE."""

from agent.model.control.result import AgentStatus, ConditionRow
from agent.model.event_catalogue import KINDS, severity_of
from agent.model.event_kind import split_kind
from workers.gateway.node.document import AgentDocument, PageCondition, PageWorker

UNKNOWN = AgentDocument(None, ["the supervisor does not answer"], [], [])


def agent_document(status: AgentStatus | None) -> AgentDocument:
    """*Absent:* None for a status that did not come."""
    if status is None:
        return UNKNOWN
    workers = [
        PageWorker(
            name=each.name,
            state=each.state,
            restarts=each.restarts,
            last_exit=each.last_exit,
            uptime_seconds=each.uptime_seconds,
            cpu_percent=each.cpu_percent,
            memory_bytes=each.pss_bytes,
        )
        for each in status.workers
    ]
    return AgentDocument(status.ready, list(status.reasons), workers, [_condition(each) for each in status.conditions])


def _condition(row: ConditionRow) -> PageCondition:
    kind, _subject = split_kind(row.kind)
    found = KINDS.get(kind)
    return PageCondition(
        worker=row.worker,
        kind=row.kind,
        detail=row.detail,
        since=row.since,
        blocks_ready=row.blocks_ready,
        severity=severity_of(row.kind).value,
        about="" if found is None else found.about,
        remedy="" if found is None else found.remedy,
        runbook=f"docs/runbook.md, condition `{kind}`",
    )
