"""The commands about the whole agent: status, ready, rotate."""

from agent.cli.call import Call
from agent.cli.event_text import EVENT_COLUMNS, event_cells
from agent.cli.option import Command
from agent.cli.render import TextColumn, counted, pairs, seconds_of, text_of
from agent.cli.worker_statistics import written_lines
from agent.cli.workers import worker_table
from agent.model.control import ROTATE_DEADLINE_SECONDS
from agent.model.control.result import (
    AgentStatus,
    ConditionRow,
    DeathRow,
    Readiness,
    RotateOutcome,
)
from agent.model.errors import ExitCode

# One screen; `agentctl diag` has what happened before.
EVENTS_ON_SCREEN = 5
DEATHS_ON_SCREEN = 5

DEATH_COLUMNS = (
    TextColumn("AT"),
    TextColumn("WORKER"),
    TextColumn("EPOCH", right=True),
    TextColumn("EXIT"),
    TextColumn("UPTIME", right=True),
    TextColumn("STDERR", yields=True),
)


def status(call: Call) -> int:
    """`agentctl status`."""
    answer = call.ask("status")
    if call.wants_json:
        call.show_json(answer)
        return 0
    found = call.read(AgentStatus, answer)
    call.show(pairs(_summary(found)))
    call.show([""])
    worker_table(call, found.workers)
    if lines := written_lines(found.stats):
        call.show(["", *pairs(lines)])
    if found.conditions:
        call.show(["", "conditions:"])
        columns = (TextColumn("WORKER"), TextColumn("CONDITION"), TextColumn("READY"), TextColumn("DETAIL", yields=True))
        call.show_table(columns, map(_condition_cells, found.conditions))
    if found.deaths:
        call.show(["", "last deaths:"])
        call.show_table(DEATH_COLUMNS, map(_death_cells, found.deaths[-DEATHS_ON_SCREEN:]))
    if found.diag:
        call.show(["", "last events:"])
        call.show_table(EVENT_COLUMNS, map(event_cells, found.diag[-EVENTS_ON_SCREEN:]))
    return 0


def ready(call: Call) -> int:
    """`agentctl ready`."""
    answer = call.ask("ready")
    found = call.read(Readiness, answer)
    if call.wants_json:
        call.show_json(answer)
    else:
        call.show(["ready"] if found.ready else [f"not ready: {text_of(reason)}" for reason in found.reasons])
    return ExitCode.DONE if found.ready else ExitCode.TRY_AGAIN


def rotate(call: Call) -> int:
    """`agentctl rotate`."""
    answer = call.ask("rotate")
    if call.wants_json:
        call.show_json(answer)
        return 0
    found = call.read(RotateOutcome, answer)
    if not found.files:
        call.show(["nothing to seal"])
        return 0
    columns = (TextColumn("TABLE"), TextColumn("ROWS", right=True), TextColumn("FILE"))
    call.show_table(columns, ((text_of(file.table), text_of(file.rows), text_of(file.path)) for file in found.files))
    call.show([f"sealed {counted(found.rows, 'row')} in {counted(len(found.files), 'file')}"])
    return 0


def _summary(found: AgentStatus) -> list[tuple[str, str]]:
    rules, answer = found.rules, "yes" if found.ready else "no"
    return [
        ("ready", f"{answer}: {', '.join(map(text_of, found.reasons))}" if found.reasons else answer),
        ("agent", f"version {text_of(found.version)} on {text_of(found.host)}, pid {found.pid}"),
        ("uptime", f"{seconds_of(found.uptime_seconds)}, run {text_of(found.run)}"),
        ("folders", f"state {text_of(found.state_dir)}, runtime {text_of(found.runtime_dir)}"),
        ("rules", f"{counted(rules.rules, 'rule')}, {counted(rules.pods, 'pod')}, revision {rules.revision}"),
    ]


def _condition_cells(row: ConditionRow) -> tuple[str, ...]:
    return text_of(row.worker), text_of(row.kind), "blocked" if row.blocks_ready else "kept", text_of(row.detail)


def _death_cells(row: DeathRow) -> tuple[str, ...]:
    return (
        text_of(row.at),
        text_of(row.worker),
        text_of(row.epoch),
        text_of(row.exit),
        seconds_of(row.uptime_seconds),
        text_of(" / ".join(map(text_of, row.stderr_tail))),
    )


COMMANDS = (
    Command(
        "status",
        status,
        about="one screen: ready or not and why, workers, rules, data written, gaps, last events",
        examples=("agentctl status", "agentctl status --json | jq .ready"),
    ),
    Command(
        "ready",
        ready,
        about="whether the agent is ready, and if not, why; also as exit code",
        details="The exit code is 0 when it is ready, 75 when it is not, 69 when no agent runs here: for scripts, and for\n"
        "probes that run a command in a container. The gateway gives the same answer at /ready. No worker is asked.",
        examples=("agentctl ready", "until agentctl ready; do sleep 1; done"),
    ),
    Command(
        "rotate",
        rotate,
        about="seal the open spool into Parquet files now",
        examples=("agentctl rotate",),
        timeout_seconds=ROTATE_DEADLINE_SECONDS,
    ),
)
