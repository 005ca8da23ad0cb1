"""Command lines: one printable line, capped, and what looks like a secret masked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.command_line import parse_command_line
from agent.model.secret import MASK as MASK_BYTES
from agent.model.secret import masked

MASK = MASK_BYTES.decode()
SECRET = "hunter2"
plain_words = st.text(st.characters(codec="ascii", categories=["Ll"]), min_size=1, max_size=8)


def _line(*arguments: str, bytes_max: int = 4096, shown: str = "masked", is_whole: bool = True) -> str | None:
    data = "\0".join(arguments).encode() + (b"\0" if is_whole else b"")
    return parse_command_line(data, bytes_max=bytes_max, shown=shown, is_whole=is_whole)


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\0"])
def test_an_empty_command_line_is_none(data: bytes) -> None:
    """Kernel threads and zombies have no text; that is not an empty text."""
    assert parse_command_line(data, bytes_max=256, shown="masked") is None


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


@pytest.mark.parametrize("before", [1, 100, 255, 256, 257, 1000])
@pytest.mark.parametrize("bytes_max", [16, 256, 4096])
def test_a_secret_behind_many_arguments_is_masked_wherever_the_line_is_cut(before: int, bytes_max: int) -> None:
    """As many short arguments as one likes, then a password: it is looked at, or left out."""
    whole = " ".join(["a"] * before + [f"--password={MASK}", "--token", MASK])
    assert _line(*["a"] * before, f"--password={SECRET}", "--token", SECRET, bytes_max=bytes_max) == whole[:bytes_max]


def test_a_value_with_line_breaks_is_masked_whole() -> None:
    """A key in several lines is one argument."""
    assert _line("run", "--private-key=-----BEGIN\nabc\n-----END") == f"run --private-key={MASK}"


def test_without_masking_everything_is_shown() -> None:
    """`full` means full, up to the bound."""
    assert _line("run", f"--password={SECRET}", "http://u:p@h", shown="full") == f"run --password={SECRET} http://u:p@h"


def test_what_cannot_be_printed_becomes_a_question_mark() -> None:
    """No command line moves a terminal's cursor or breaks a line of a table."""
    assert _line("a\x1b[2J", "b\nc", "d\u202ee", "\ta") == "a?[2J b?c d?e ?a"


def test_bytes_that_are_no_text_are_replaced() -> None:
    """A line is always text."""
    assert parse_command_line(b"caf\xe9\0", bytes_max=64, shown="masked") == "caf\ufffd"


def test_it_is_cut_at_a_character() -> None:
    """Sixteen bytes of a text of two-byte letters are eight letters; of fifteen, seven."""
    assert _line("é" * 100, bytes_max=16) == "é" * 8
    assert _line("é" * 100, bytes_max=15) == "é" * 7


@given(
    st.binary(max_size=600), st.integers(min_value=16, max_value=300), st.sampled_from(["program", "masked", "full"]), st.booleans()
)
def test_any_bytes_give_a_printable_line_within_the_bound(data: bytes, bytes_max: int, shown: str, is_whole: bool) -> None:
    """Whatever a process writes over its arguments."""
    line = parse_command_line(data, bytes_max=bytes_max, shown=shown, is_whole=is_whole)
    assert line is None or (len(line.encode()) <= bytes_max and line.isprintable())


@given(st.lists(st.text(max_size=20).map(lambda text: text.replace("\0", "=")), max_size=20))
def test_masking_keeps_the_number_of_arguments(arguments: list[str]) -> None:
    """An argument is shown or masked, none is dropped or split."""
    data = "\0".join(arguments).encode()
    assert masked(data).count(b"\0") == data.count(b"\0")


@given(st.lists(plain_words, max_size=5), st.lists(plain_words, max_size=5), st.sampled_from(["=", "\0"]))
def test_a_marked_secret_never_comes_through(before: list[str], after: list[str], between: str) -> None:
    """Wherever the option stands and however its value is joined."""
    data = "\0".join([*before, f"--password{between}{SECRET.upper()}", *after]).encode()
    line = parse_command_line(data, bytes_max=4096, shown="masked")
    assert line is not None
    assert SECRET.upper() not in line


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        ("--set=auth.password=x,user=y", "--set=auth.password=***,user=y"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("https://h/?token=abc&page=2", "https://h/?token=***&page=2"),
    ],
)
def test_a_secret_inside_an_argument_is_masked_and_the_rest_stays(argument: str, shown: str) -> None:
    """A setting within a setting, a header, a query."""
    assert _line("tool", argument) == f"tool {shown}"


def test_switched_off_nothing_is_shown() -> None:
    """Not even the program."""
    assert _line("run", "--fast", shown="off") is None


@pytest.mark.parametrize(
    ("arguments", "program"),
    [
        (("/usr/bin/curl", "-u", f"me:{SECRET}"), "/usr/bin/curl"),
        ((f"curl -u me:{SECRET}",), "curl"),
        (("postgres: me shop [local] idle",), "postgres:"),
        ((f"https://me:{SECRET}@host/", "x"), f"https://me:{MASK}@host/"),
        (("", "x"), ""),
        ((f"\nPASSWORD={SECRET}",), f"PASSWORD={MASK}"),
    ],
)
def test_of_a_program_alone_no_argument_is_shown(arguments: tuple[str, ...], program: str) -> None:
    """Also of a process that wrote its whole line into its first argument."""
    assert _line(*arguments, shown="program") == program


@pytest.mark.parametrize(
    "line",
    [
        f"postgres://user:{SECRET}@db/shop",
        f"https://{SECRET.upper()}0123456789@github.com/x",
        f"root:{SECRET}@tcp(db:3306)/shop",
        "ghp_0123456789abcdefghijklmnopqrstuvwxyz",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJodW50ZXIyIn0.c2lnbmF0dXJl",
        f"--password={SECRET}",
        f"Cookie: a={SECRET}; b={SECRET}",
    ],
)
@pytest.mark.parametrize("before", ["run\0", "run\0-c\0run ", ""])
def test_a_secret_that_is_cut_at_the_limit_of_reading_is_not_shown_by_halves(before: str, line: str) -> None:
    """At every byte: what is left of the last word cannot always be known as a secret, so it goes whole."""
    whole = (before + line).encode()
    for end in range(1, len(whole)):
        shown = parse_command_line(whole[:end], bytes_max=4096, shown="masked", is_whole=False)
        assert shown is not None
        for half in (SECRET[:3], SECRET[:3].upper(), "0123", "hbGci", "eyJzdWI", "c2ln"):
            assert half not in shown, shown


def test_a_long_word_that_is_no_secret_is_shown_though_it_is_cut() -> None:
    """Four thousand letters of nothing."""
    assert _line("run", "x" * 4000, is_whole=False, bytes_max=16) == "run xxxxxxxxxxxx"


def test_a_cut_line_is_masked_before_it_is_cut() -> None:
    """The limit of what is stored falls into the secret, its name, or the mask."""
    whole = f"run --password={MASK} --token {MASK}"
    for bytes_max in range(1, len(whole) + 1):
        assert _line("run", f"--password={SECRET * 9}", "--token", SECRET, bytes_max=bytes_max) == whole[:bytes_max]
