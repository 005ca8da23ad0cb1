"""The command reload: the settings are read again, and what is different is put in force or named."""

from agent.cli.call import Call
from agent.cli.option import Command
from agent.cli.render import TextColumn, text_of
from agent.model.control.reload import ChangedSettingRow, ReloadOutcome

COLUMNS = (
    TextColumn("SETTING"),
    TextColumn("BEFORE"),
    TextColumn("NOW"),
    TextColumn("IN FORCE"),
)
_IN_FORCE = {"nothing": "at once", "restart": "not before the agent is started again"}


def _cells(row: ChangedSettingRow) -> tuple[str, ...]:
    in_force = _IN_FORCE.get(row.needed) or f"with {', '.join(row.workers)}"
    return text_of(row.key), text_of(row.before), text_of(row.after), text_of(in_force)


def reload(call: Call) -> int:
    """`agentctl reload`."""
    answer = call.ask("reload")
    if call.wants_json:
        call.show_json(answer)
        return 0
    found = call.read(ReloadOutcome, answer)
    if not found.settings:
        call.show(["nothing has changed"])
        return 0
    call.show_table(COLUMNS, map(_cells, found.settings))
    for names, what in ((found.restarted, "restarted"), (found.started, "started"), (found.ended, "ended")):
        if names:
            call.show([f"{what}: {', '.join(map(text_of, names))}"])
    if found.pending:
        call.show([f"in force after the next start of the agent: {', '.join(map(text_of, found.pending))}"])
    return 0


COMMANDS = (
    Command(
        "reload",
        reload,
        about="read the settings file again, and put in force what has changed",
        details="Workers that read a changed setting are restarted, which takes milliseconds; others go on. Sockets, folders and\n"
        "what the supervisor's own processes depend on need a start of the agent: they are named, and stay as they are until\n"
        "then. A file with a mistake changes nothing. Environment and flags are those of the agent's start and still win over the\n"
        "file. SIGHUP does the same for an agent without a terminal.",
        examples=("agentctl reload", "agentctl reload --json | jq .pending"),
    ),
)
