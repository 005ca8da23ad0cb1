"""The table of commands, and how failures end a command."""

import io

import pytest

from agent.cli.help import help_of_command, help_of_program
from agent.cli.program import MODULES, find_command, run


def outcome(*words: str) -> tuple[int, str, str]:
    output, warnings = io.StringIO(), io.StringIO()
    code = run(words, {}, output, warnings)
    return code, output.getvalue(), warnings.getvalue()


@pytest.mark.parametrize("name", MODULES)
def test_every_command_explains_itself_with_an_example(name: str) -> None:
    """The help of a command names its words and options and shows a call of it, within a terminal of 132 columns."""
    command = find_command(name)
    text = help_of_command(command)
    assert f"agentctl {name}" in "\n".join(command.examples)
    assert all(option.name in text and option.about in text for option in command.options)
    assert all(argument.name in text for argument in command.arguments)
    assert max(map(len, text.splitlines())) <= 132
    assert not command.about.endswith((".", "?", "!")), "the help puts a full stop behind it"
    assert outcome(name, "--help") == outcome("--help", name) == (0, text, "")


def test_the_programs_help_lists_every_command() -> None:
    """Each command has its line."""
    assert outcome("--help") == (0, help_of_program(map(find_command, MODULES)), "")
    assert all(f"\n  {name} " in outcome("--help")[1] for name in MODULES)


def test_the_programs_help_names_every_exit_code_of_its_own() -> None:
    """A script can tell failures apart."""
    text = outcome("--help")[1].split("exit codes:")[1]
    assert [line.split()[0] for line in text.splitlines()[1:9]] == ["0", "64", "65", "69", "70", "74", "75", "77"]


def test_the_version_is_one_line() -> None:
    """--version prints name and version and ends with success."""
    code, text, _ = outcome("--version")
    assert (code, text.split()[0], text.count("\n")) == (0, "agentctl", 1)


@pytest.mark.parametrize("words", [(), ("lst-workers",), ("status", "--jsno"), ("worker-state",), ("status", "extra")])
def test_misuse_is_one_sentence_and_exit_code_64(words: tuple[str, ...]) -> None:
    """A wrong command line says on standard error what is wrong and what to do, and nothing else happens."""
    code, text, told = outcome(*words)
    assert (code, text, told.count("\n")) == (64, "", 1)
    assert told.startswith("agentctl: ")
    assert "; " in told
