"""From a command line to an exit code: finds the command, imports its module alone, runs it."""

from collections.abc import Mapping, Sequence

from agent.cli.call import Call
from agent.cli.option import Command, check_words, near, parse_line
from agent.cli.output import Output
from agent.cli.render import escape
from agent.model.errors import EvergaugeError, ExitCode, MisuseError, StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

# Every command and the module that holds it; only that module is imported. The order is that of `agentctl --help`.
MODULES = {
    "list-workers": "workers",
    "worker-state": "workers",
    "restart-worker": "workers",
    "reset-worker": "workers",
    "list-limits": "limits",
    "set-limit": "limits",
    "reload": "reload",
    "list-pods": "pods",
    "list-rules": "rules",
    "add-rule": "rules",
    "remove-rule": "rules",
    "run": "run_workload",
    "stop": "workloads",
    "list-workloads": "workloads",
    "logs": "workload_log",
    "forget": "workloads",
    "list-exports": "exports",
    "hub": "hub",
    "join": "hub",
    "fleet": "fleet",
    "status": "status",
    "ready": "status",
    "diag": "diag",
    "rotate": "status",
    "top": "top",
    "neighbours": "neighbours",
    "query": "query",
    "ask": "ask",
    "verify-data": "verify",
    "verify": "verify_lake",
    "merge": "merge",
    "schema": "schema",
    "doctor": "doctor",
    "compact": "compact",
    "lake": "lake",
    "emulate-resctrl": "emulate",
}


def run(arguments: Sequence[str], environment: Mapping[str, str], output: "TextIO", warnings: "TextIO") -> int:
    """Run a command line and give its exit code; a failure is one sentence on `warnings`."""
    printed, told = Output(output, "standard output"), Output(warnings, "standard error")
    try:
        code = _run(arguments, environment, printed, told)
        printed.flush()
    except EvergaugeError as failure:
        _tell(failure, printed, told)
        return int(failure.code)
    return code


def _tell(failure: EvergaugeError, printed: Output, told: Output) -> None:
    # Imported here: a command that succeeds never needs it.
    from contextlib import suppress

    # What was printed before the failure comes before its sentence. That this cannot be done may be the failure itself.
    with suppress(StorageError):
        printed.flush()
    # Where standard error is full too, only the exit code is left.
    with suppress(StorageError):
        # Sentences of DuckDB quote data, and data may steer a terminal.
        told.write(f"agentctl: {escape(' '.join(failure.sentence.split()))}\n")


def _run(arguments: Sequence[str], environment: Mapping[str, str], output: Output, warnings: Output) -> int:
    line = parse_line(arguments, find_command)
    if "--help" in line.values:
        from agent.cli.help import help_of_command, help_of_program

        output.write(help_of_command(find_command(line.command)) if line.command else help_of_program(map(find_command, MODULES)))
        return int(ExitCode.DONE)
    if "--version" in line.values:
        from agent import __version__

        output.write(f"agentctl {__version__}\n")
        return int(ExitCode.DONE)
    if not line.command:
        raise MisuseError("command line", "no command is given", "`agentctl --help` lists them")
    command = find_command(line.command)
    check_words(line, command)
    return int(command.run(Call(command, line, environment, output, warnings)))


def find_command(name: str) -> Command:
    """The command of this name. *Raises:* MisuseError with the names that are alike."""
    module_name = MODULES.get(name)
    if module_name is None:
        raise MisuseError(name, "there is no such command", near(name, MODULES) or "`agentctl --help` lists them")
    # The built-in form: `importlib` is a package of its own to import.
    module = __import__(f"agent.cli.{module_name}", fromlist=["COMMANDS"])
    for command in module.COMMANDS:
        if command.name == name:
            assert isinstance(command, Command)
            return command
    raise AssertionError(name)
