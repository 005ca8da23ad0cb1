"""Command lines: one printable line, capped, and what looks like a secret masked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.command_line import ARGUMENTS_MAX, MASK, masked_arguments, parse_command_line

SECRET = "hunter2"
plain_words = st.text(st.characters(codec="ascii", categories=["Ll"]), min_size=1, max_size=8)


def _line(*arguments: str, bytes_max: int = 4096, mask: bool = True) -> str | None:
    return parse_command_line("\0".join(arguments).encode() + b"\0", bytes_max=bytes_max, mask=mask)


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\0"])
def test_an_empty_command_line_is_none(data: bytes) -> None:
    """Kernel threads and zombies have no text; that is not an empty text."""
    assert parse_command_line(data, bytes_max=256, mask=True) is None


def test_arguments_are_joined_by_spaces() -> None:
    """As a person would have typed them, without quotes."""
    assert _line("nginx:", "master process", "-g", "daemon off;") == "nginx: master process -g daemon off;"


def test_an_empty_argument_in_the_middle_keeps_its_place() -> None:
    """Only the zeros at the end are the file's own."""
    assert _line("a", "", "b") == "a  b"


@pytest.mark.parametrize(
    "name",
    [
        "--password", "--passwd", "-pass", "--passphrase", "PASSWORD", "PGPASSWORD", "MYSQL_PWD", "--db-password",
        "--client-secret", "SECRET_KEY", "--secret-key", "--token", "GITHUB_TOKEN", "--api-key", "apikey", "API_KEY",
        "--private_key", "AWS_SECRET_ACCESS_KEY", "--credential", "--credentials", "spring.datasource.password",
    ],
)  # fmt: skip
def test_the_value_of_a_secret_name_is_masked(name: str) -> None:
    """The name stays, so that a person sees what was there."""
    assert _line("run", f"{name}={SECRET}", "rest") == f"run {name}={MASK} rest"


@pytest.mark.parametrize("option", ["--password", "--token", "-secret", "--API-KEY"])
def test_the_argument_after_a_secret_option_is_masked(option: str) -> None:
    """`--password hunter2` is as secret as with an equals sign; the next option is none."""
    assert _line("run", option, SECRET, "more") == f"run {option} {MASK} more"
    assert _line("run", option, "--verbose", "more") == f"run {option} --verbose more"


@pytest.mark.parametrize(
    "argument",
    ["--password-file=/run/x", "--tokenizer=fast", "--secretary=Ann", "passenger=7", "--author=me", "PWD=/srv", "--key=a"],
)
def test_names_that_only_look_alike_keep_their_values(argument: str) -> None:
    """The secret word stands at the name's end."""
    assert _line("run", argument) == f"run {argument}"


def test_a_bare_word_is_no_option() -> None:
    """`pass show x` is a program with a subcommand, not a secret."""
    assert _line("pass", "show", "mail") == "pass show mail"


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        (f"postgres://user:{SECRET}@db/x", f"postgres://user:{MASK}@db/x"),
        (f"redis://:{SECRET}@cache:6379", f"redis://:{MASK}@cache:6379"),
        (f"--url=https://me:{SECRET}@host/p?q=1", f"--url=https://me:{MASK}@host/p?q=1"),
        (f"amqp://u:{SECRET}@a,amqp://u:{SECRET}@b", f"amqp://u:{MASK}@a,amqp://u:{MASK}@b"),
        (f"http://u:hun@{SECRET}@host/", f"http://u:{MASK}@host/"),
        ("http://user@host:80/a@b", "http://user@host:80/a@b"),
        ("https://host:443/path", "https://host:443/path"),
        ("git@host:repository", "git@host:repository"),
    ],
)
def test_a_password_in_front_of_a_host_is_masked(argument: str, shown: str) -> None:
    """Up to the last at-sign before the path, because people leave one unescaped; without a password nothing is."""
    assert _line("run", argument) == f"run {shown}"


def test_a_secret_behind_the_last_argument_looked_at_is_not_stored() -> None:
    """256 short options, then a password: the rest is left out, never kept unmasked."""
    line = _line(*["a"] * ARGUMENTS_MAX, f"--password={SECRET}", "--token", SECRET)
    assert line == " ".join(["a"] * ARGUMENTS_MAX)


def test_a_value_with_line_breaks_is_masked_whole() -> None:
    """A key in several lines is one argument."""
    assert _line("run", "--private-key=-----BEGIN\nabc\n-----END") == f"run --private-key={MASK}"


def test_without_masking_everything_is_shown() -> None:
    """`full` means full, up to the bound."""
    assert _line("run", f"--password={SECRET}", "http://u:p@h", mask=False) == f"run --password={SECRET} http://u:p@h"


def test_what_cannot_be_printed_becomes_a_question_mark() -> None:
    """No command line moves a terminal's cursor or breaks a line of a table."""
    assert _line("a\x1b[2J", "b\nc", "d\u202ee", "\ta") == "a?[2J b?c d?e ?a"


def test_bytes_that_are_no_text_are_replaced() -> None:
    """A line is always text."""
    assert parse_command_line(b"caf\xe9\0", bytes_max=64, mask=True) == "caf\ufffd"


def test_it_is_cut_at_a_character() -> None:
    """Sixteen bytes of a text of two-byte letters are eight letters; of fifteen, seven."""
    assert _line("é" * 100, bytes_max=16) == "é" * 8
    assert _line("é" * 100, bytes_max=15) == "é" * 7


@given(st.binary(max_size=600), st.integers(min_value=16, max_value=300), st.booleans())
def test_any_bytes_give_a_printable_line_within_the_bound(data: bytes, bytes_max: int, mask: bool) -> None:
    """Whatever a process writes over its arguments."""
    line = parse_command_line(data, bytes_max=bytes_max, mask=mask)
    assert line is None or (len(line.encode()) <= bytes_max and line.isprintable())


@given(st.lists(st.text(max_size=20), max_size=20))
def test_masking_keeps_the_number_of_arguments(arguments: list[str]) -> None:
    """An argument is shown or masked, none is dropped or split."""
    assert len(masked_arguments(arguments)) == len(arguments)


@given(st.lists(plain_words, max_size=5), st.lists(plain_words, max_size=5), st.sampled_from(["=", "\0"]))
def test_a_marked_secret_never_comes_through(before: list[str], after: list[str], between: str) -> None:
    """Wherever the option stands and however its value is joined."""
    data = "\0".join([*before, f"--password{between}{SECRET.upper()}", *after]).encode()
    line = parse_command_line(data, bytes_max=4096, mask=True)
    assert line is not None
    assert SECRET.upper() not in line


@pytest.mark.parametrize(
    ("argument", "masked"),
    [
        ("--set=auth.password=x,user=y", "--set=auth.password=***,user=y"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("https://h/?token=abc&page=2", "https://h/?token=***&page=2"),
    ],
)
def test_a_secret_inside_an_argument_is_masked_and_the_rest_stays(argument: str, masked: str) -> None:
    """A setting within a setting, a header, a query."""
    assert masked_arguments(["tool", argument]) == ["tool", masked]
