"""How the kernel reads numbers, truths and lines, and how it keeps its last sentence."""

import pytest

from workers.resctrl.emulator.command import STATUS_CHARS_MAX, CommandStatus, command_line, parse_number, parse_truth, text_of


@pytest.mark.parametrize(
    ("text", "base", "number"),
    [
        ("10", 10, 10),
        ("10", 16, 16),
        ("0x10", 16, 16),
        ("0X1f", 0, 31),
        ("010", 0, 8),
        ("010", 10, 10),
        ("0", 0, 0),
        ("+7", 0, 7),
        ("7\n", 10, 7),
    ],
)
def test_numbers(text: str, base: int, number: int) -> None:
    """The base is given or found out, and one newline may follow."""
    assert parse_number(text, base) == number


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("", 10),
        ("x", 10),
        ("ff", 10),
        ("ff", 0),
        ("0x10", 10),
        ("0x", 0),
        ("08", 0),
        (" 7", 10),
        ("7 ", 10),
        ("7\n\n", 10),
        ("-7", 10),
        ("١", 10),
    ],
)
def test_what_is_no_number(text: str, base: int) -> None:
    """Blanks, other digits, signs and prefixes that do not belong are refused."""
    with pytest.raises(ValueError, match=r".*"):
        parse_number(text, base)


def test_numbers_have_bounds() -> None:
    """The largest is taken, the next one not; negative ones only where they are asked for."""
    assert parse_number("255", 10, maximum=255) == 255
    assert parse_number("-5", 0, minimum=-5) == -5
    with pytest.raises(OverflowError):
        parse_number("256", 10, maximum=255)
    with pytest.raises(OverflowError):
        parse_number("-6", 0, minimum=-5)


@pytest.mark.parametrize(
    ("text", "truth"), [("1\n", True), ("Yes", True), ("on\n", True), ("ON", True), ("0", False), ("no", False), ("Off\n", False)]
)
def test_truths(text: str, truth: bool) -> None:
    """The first letter decides, or the first two."""
    assert parse_truth(text) is truth


@pytest.mark.parametrize("text", ["", "\n", "maybe", "o", "2"])
def test_what_is_neither_true_nor_false(text: str) -> None:
    """Everything else is refused."""
    with pytest.raises(OSError, match="EINVAL"):
        parse_truth(text)


def test_lines_end_with_a_newline() -> None:
    """It is demanded and taken off; a NUL ends the text before."""
    assert command_line(b"a\nb\n") == "a\nb"
    assert command_line(b"a\0b\n") == "a"
    assert text_of(b"5\0,6") == "5"
    with pytest.raises(OSError, match="EINVAL"):
        command_line(b"a")


def test_the_status_is_ok_until_something_is_said() -> None:
    """Sentences add up until they are cleared, and are cut at the kernel's size."""
    status = CommandStatus()
    assert status.text == "ok\n"
    status.say("one\n")
    status.say("two\n")
    assert status.text == "one\ntwo\n"
    status.say("x" * 1000)
    assert len(status.text) == STATUS_CHARS_MAX
    status.clear()
    assert status.text == "ok\n"
