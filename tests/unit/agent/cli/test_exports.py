"""What `agentctl list-exports` shows of each sink."""

from fakes.status import status_document

from agent.cli.exports import COLUMNS, _cells, reports_of
from agent.model.control.document import decode
from agent.model.control.result import AgentStatus

STATS = {
    "sink": "central",
    "kind": "otlp",
    "state": "down",
    "problem": "connection refused",
    "ledger": {
        "produced": 100,
        "delivered": 60,
        "rejected": 5,
        "rejected_by_reason": {"http_400": 5},
        "pruned": 10,
        "pending": 25,
    },
    "lag_rows": 25,
    "lag_bytes": 2048,
    "lag_seconds": 42.0,
    "has_backlog": False,
    "deliveries": 3,
    "failures": 2,
    "sent_bytes": 1,
    "points": 1,
    "warnings": 0,
    "last_warning": None,
    "lost_gap_rows": 0,
    "left_out": {},
}


def status_with(stats: dict[str, object] | None, state: str = "up") -> AgentStatus:
    """A status in which the first worker is an exporter."""
    document = status_document()
    document["workers"][0] = {**document["workers"][0], "name": "exporter/central", "state": state}
    document["stats"]["exporter/central"] = stats
    return decode(AgentStatus, document, "test")


def cells(status: AgentStatus) -> dict[str, str]:
    """The cells of the only sink by column."""
    (report,) = reports_of(status)
    return dict(zip((column.title for column in COLUMNS), _cells(report), strict=True))


def test_a_sink_shows_its_lag_and_its_account() -> None:
    """Everything that an operator asks first."""
    shown = cells(status_with(STATS))
    assert (shown["SINK"], shown["KIND"], shown["STATE"], shown["LAG"]) == ("central", "otlp", "down", "42 s")
    assert [shown[name] for name in ("PRODUCED", "DELIVERED", "REJECTED", "PRUNED", "PENDING")] == ["100", "60", "5", "10", "25"]
    assert shown["PROBLEM"] == "connection refused"


def test_what_was_rejected_is_named_while_the_sink_is_up() -> None:
    """The reason is what a person needs."""
    shown = cells(status_with({**STATS, "state": "up", "problem": None, "has_backlog": True}))
    assert (shown["STATE"], shown["PROBLEM"]) == ("up, catching up", "rejected: 5 http_400")


def test_a_sink_whose_worker_is_down_shows_that() -> None:
    """Absent numbers are absent."""
    shown = cells(status_with(None, "backoff"))
    assert (shown["STATE"], shown["PRODUCED"], shown["LAG"]) == ("worker backoff", "-", "-")


def test_what_the_sink_warns_of_is_shown_while_it_is_up() -> None:
    """Something may take requests and be no sink at all."""
    account = {**STATS["ledger"], "rejected": 0}  # type: ignore[dict-item]  # it is a dict
    told = {"state": "up", "problem": None, "ledger": account, "warnings": 3, "last_warning": "x answered 200 in no form"}
    assert cells(status_with({**STATS, **told}))["PROBLEM"] == "warnings: 3, the last one: x answered 200 in no form"


def test_what_found_no_place_is_shown_while_the_sink_is_up() -> None:
    """It counts as delivered, so the account does not tell it."""
    account = {**STATS["ledger"], "rejected": 0}  # type: ignore[dict-item]  # it is a dict
    told = {"state": "up", "problem": None, "ledger": account}
    assert cells(status_with({**STATS, **told, "left_out": {"rows": 4}}))["PROBLEM"] == "left out: 4 rows"
    assert cells(status_with({**STATS, **told, "left_out": {"rows": 0}}))["PROBLEM"] == "-"
