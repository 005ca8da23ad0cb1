"""The texts of `--help`, made from the tables of commands and options."""

from collections.abc import Iterable, Sequence

from agent.cli.option import GLOBAL_OPTIONS, Command, Option
from agent.cli.render import pairs
from agent.model.errors import ExitCode

_EXIT_CODES = (
    (ExitCode.DONE, "done"),
    (ExitCode.MISUSE, "the command line is wrong, or names something that does not exist"),
    (ExitCode.BAD_DATA, "data or an answer that is damaged or malformed"),
    (ExitCode.UNAVAILABLE, "no agent is running, or something essential is missing"),
    (ExitCode.BUG, "a defect of this program; please report it"),
    (ExitCode.IO, "a file of the agent or standard output cannot be read or written"),
    (ExitCode.TRY_AGAIN, "no answer in time"),
    (ExitCode.NO_PERMISSION, "this user has no permission"),
)


def help_of_program(commands: Iterable[Command]) -> str:
    """The text of `agentctl --help`."""
    lines = [
        "usage: agentctl [OPTION ...] COMMAND [ARGUMENT ...]",
        "",
        "Look at a running evergauge agent, change its rules, run programs within limits, and query its data, also while it does",
        "not run.",
        "",
        "commands:",
        *_indented(pairs((command.name, command.about) for command in commands)),
        "",
        *_options("options, before or after the command:", GLOBAL_OPTIONS),
        "exit codes:",
        *_indented(pairs((str(int(code)).rjust(2), about) for code, about in _EXIT_CODES)),
        "",
        "example:",
        "  agentctl status",
        "  agentctl COMMAND --help",
    ]
    return "\n".join(lines) + "\n"


def help_of_command(command: Command) -> str:
    """The text of `agentctl COMMAND --help`."""
    words = [argument.name if argument.required else f"[{argument.name}]" for argument in command.arguments]
    options = ["[OPTION ...]"] if command.options else []
    if command.arguments and command.arguments[-1].rest:
        # What follows is another program's command line: its options are not ours.
        usage = " ".join(["agentctl", command.name, *words[:-1], *options, f"[-- {command.arguments[-1].name} ...]"])
    else:
        usage = " ".join(["agentctl", command.name, *words, *options])
    lines = [f"usage: {usage}", "", command.about[0].upper() + command.about[1:] + "."]
    if command.details:
        lines += ["", *command.details.strip().splitlines()]
    lines.append("")
    if command.arguments:
        lines += ["arguments:", *_indented(pairs((argument.name, argument.about) for argument in command.arguments)), ""]
    lines += _options("options:", command.options)
    lines += _options(f"options of every command (--timeout is {command.timeout_seconds:g} here):", GLOBAL_OPTIONS)
    lines += ["example:" if len(command.examples) == 1 else "examples:", *_indented(command.examples)]
    return "\n".join(lines) + "\n"


def _options(title: str, options: Sequence[Option]) -> list[str]:
    if not options:
        return []
    named = ((f"{option.name} {option.metavar}".rstrip() + (" ..." if option.many else ""), option.about) for option in options)
    return [title, *_indented(pairs(named)), ""]


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]
