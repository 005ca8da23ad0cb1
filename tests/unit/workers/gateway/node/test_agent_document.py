"""The agent itself, as the page shows it."""

from fakes.status import status_document, worker_row

from workers.gateway.node.agent_document import agent_document
from workers.gateway.supervisor_answer import status_of

CONDITION = {
    "worker": "control-plane",
    "kind": "nri",
    "detail": "it is silent",
    "blocks_ready": True,
    "since": "2024-01-01T00:00:00Z",
}


def test_workers_and_conditions_with_their_remedies() -> None:
    """The remedy is that of the kind, whatever its subject; an unknown kind has none."""
    conditions = [CONDITION, CONDITION | {"kind": "breaker_open:io"}, CONDITION | {"kind": "unheard_of"}]
    document = status_document(ready=False, reasons=["x"], workers=[worker_row("writer")], conditions=conditions)
    found = agent_document(status_of(document))
    assert (found.ready, found.reasons) == (False, ["x"])
    assert [(each.name, each.restarts, each.memory_bytes) for each in found.workers] == [("writer", 2, 1 << 19)]
    assert [bool(each.remedy) for each in found.conditions] == [True, True, False]
    assert found.conditions[1].runbook == "docs/runbook.md, condition `breaker_open`"
    assert found.conditions[0].severity == "warning"


def test_a_silent_supervisor_is_not_ready_and_not_unready() -> None:
    """It is not known."""
    found = agent_document(None)
    assert (found.ready, found.workers, found.reasons) == (None, [], ["the supervisor does not answer"])
