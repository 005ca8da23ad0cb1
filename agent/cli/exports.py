"""The command list-exports: each sink, how far behind it is, and the account of its rows."""

from collections.abc import Sequence

from agent.cli.call import Call
from agent.cli.option import Command
from agent.cli.render import TextColumn, bytes_of, seconds_of, text_of
from agent.model.control.document import decode, plain
from agent.model.control.export import ExportReport
from agent.model.control.result import AgentStatus

PREFIX = "exporter/"
COLUMNS = (
    TextColumn("SINK"),
    TextColumn("KIND"),
    TextColumn("STATE"),
    TextColumn("LAG", right=True),
    TextColumn("WAITING", right=True),
    TextColumn("PRODUCED", right=True),
    TextColumn("DELIVERED", right=True),
    TextColumn("REJECTED", right=True),
    TextColumn("PRUNED", right=True),
    TextColumn("PENDING", right=True),
    TextColumn("PROBLEM", yields=True),
)


def reports_of(found: AgentStatus) -> list[ExportReport]:
    """The sinks, in the order of their names. Of a worker that does not answer only its name and state are known."""
    reports = []
    for worker in found.workers:
        # Those that share a process are members of its worker.
        for name in worker.members or [worker.name]:
            if name.startswith(PREFIX):
                document = dict(found.stats.get(name) or {})
                told = {**document, "worker": worker.name, "worker_state": worker.state, "sink": name.removeprefix(PREFIX)}
                reports.append(decode(ExportReport, told, name))
    return sorted(reports, key=lambda report: report.sink)


def _cells(report: ExportReport) -> tuple[str, ...]:
    account = report.ledger
    counts = (None,) * 5 if account is None else _counts(report)
    state = report.state or f"worker {report.worker_state}"
    problem = report.problem
    if problem is None and account is not None and account.rejected:
        reasons = ", ".join(f"{rows} {reason}" for reason, rows in sorted(account.rejected_by_reason.items()))
        problem = f"rejected: {reasons}"
    if problem is None and (left_out := [f"{count} {what}" for what, count in sorted((report.left_out or {}).items()) if count]):
        problem = f"left out: {', '.join(left_out)}"
    if problem is None and report.last_warning:
        problem = f"warnings: {report.warnings}, the last one: {report.last_warning}"
    return (
        text_of(report.sink),
        text_of(report.kind),
        text_of(f"{state}, catching up" if report.has_backlog else state),
        seconds_of(report.lag_seconds),
        bytes_of(report.lag_bytes),
        *map(text_of, counts),
        text_of(problem),
    )


def _counts(report: ExportReport) -> Sequence[int]:
    account = report.ledger
    assert account is not None
    return account.produced, account.delivered, account.rejected, account.pruned, account.pending


def list_exports(call: Call) -> int:
    """`agentctl list-exports`."""
    reports = reports_of(call.read(AgentStatus, call.ask("status")))
    if call.wants_json:
        call.show_json({"exports": [plain(report) for report in reports]})
    elif reports:
        call.show_table(COLUMNS, map(_cells, reports))
    else:
        call.show(['no sinks: describe one in the settings file as [sink."NAME"]; see docs/exports.md'])
    return 0


COMMANDS = (
    Command(
        "list-exports",
        list_exports,
        about="the sinks: state, how far behind each is, and where all of its rows are",
        details="PRODUCED counts rows of the sink's tables since it was made. Each is DELIVERED (acknowledged by it),\n"
        "REJECTED (the sink refused it for good), PRUNED (removed before it could be sent; table export_gap has when)\n"
        "or PENDING. LAG is the age of the oldest row that waits, WAITING what waits, in stored bytes.\n"
        "Catching up: new rows go at once, those missed during an outage beside them.",
        examples=("agentctl list-exports", "agentctl list-exports --json | jq '.exports[] | select(.state != \"up\")'"),
    ),
)
