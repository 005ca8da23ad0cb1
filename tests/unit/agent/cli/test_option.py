"""Command lines are taken apart by one table-driven parser."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli.option import GLOBAL_OPTIONS, NUMBER, SWITCH, WHOLE, Argument, Command, Line, Option, check_words, parse_line
from agent.model.errors import MisuseError

COMMAND = Command(
    "paint",
    lambda call: 0,
    about="paint things",
    examples=("paint wall",),
    arguments=(Argument("THING", "what"), Argument("COLOUR", "how", required=False)),
    options=(
        Option("--coats", "N", "how often", kind=WHOLE),
        Option("--tag", "TEXT", "marks", many=True),
        Option("--wet", "", "still wet", kind=SWITCH),
        Option("--speed", "V", "how fast", kind=NUMBER),
        Option("--brush", "KIND", "with what", choices=("flat", "round")),
    ),
)


def find(name: str) -> Command:
    if name != "paint":
        raise MisuseError(name, "there is no such command")
    return COMMAND


def parsed(text: str) -> Line:
    return parse_line(text.split(), find)


@pytest.mark.parametrize("text", ["--json paint wall", "paint --json wall", "paint wall --json"])
def test_global_options_stand_on_either_side_of_the_command(text: str) -> None:
    """A global option means the same before and behind the command."""
    line = parsed(text)
    assert (line.command, line.words, line.values) == ("paint", ["wall"], {"--json": True})


def test_values_stand_behind_a_space_or_an_equals_sign() -> None:
    """Both ways of writing a value give the same value, of the option's kind."""
    assert parsed("paint --coats 3 --speed 1.5").values == parsed("paint --coats=3 --speed=1.5").values
    assert parsed("paint --coats -3").values == {"--coats": -3}


def test_an_option_given_again_collects_or_replaces() -> None:
    """An option that may be given again collects its values, another keeps the last."""
    assert parsed("paint --tag a --tag b=c --coats 1 --coats 2").values == {"--tag": ["a", "b=c"], "--coats": 2}


def test_words_behind_two_dashes_are_no_options() -> None:
    """What begins with a dash can be said as a word."""
    assert parsed("paint -- --wet").words == ["--wet"]


@pytest.mark.parametrize("word", ["-- all\n1", "--\nSELECT 1", "--a b = c", "-- --json", "-\t1"])
def test_a_word_with_white_space_is_no_option(word: str) -> None:
    """SQL may begin with a comment; the names of options have no white space, their values may."""
    assert parse_line(["paint", word], find).words == [word]
    assert parse_line(["paint", "--tag=a b"], find).values == {"--tag": ["a b"]}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("paint --cots 3", "did you mean --coats"),
        ("--coats 3 paint", "stand behind its name"),
        ("paint --coats", "value is missing"),
        ("paint --coats three", "a whole number"),
        ("paint --speed nan", "a number above 0"),
        ("paint --brush wide", "flat, round"),
        ("paint --wet=yes", "takes no value"),
        ("pant", "no such command"),
    ],
)
def test_what_does_not_fit_is_told_with_its_remedy(text: str, told: str) -> None:
    """A wrong word is named, and what to write instead."""
    with pytest.raises(MisuseError, match=told):
        parsed(text)


@pytest.mark.parametrize(("text", "told"), [("paint", "THING is missing"), ("paint a b c", "'c' is one word too many")])
def test_words_are_counted(text: str, told: str) -> None:
    """Too few and too many words are both told."""
    with pytest.raises(MisuseError, match=told):
        check_words(parsed(text), COMMAND)


_KNOWN = [option.name for option in (*GLOBAL_OPTIONS, *COMMAND.options)]


@given(st.lists(st.one_of(st.sampled_from([*_KNOWN, "paint", "--", "-", "3"]), st.text())))
def test_any_words_are_a_line_or_a_misuse(words: list[str]) -> None:
    """No words whatever raise anything but a misuse."""
    with suppress(MisuseError):
        parse_line(words, find)
