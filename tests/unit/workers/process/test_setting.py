"""What the parts of the process sampler take from its settings."""

import pytest

from agent.config import Config
from workers.process.setting import (
    READ_PER_STORED,
    SETTINGS,
    SIDE_READ_BYTES_LEAST,
    command_line_parser,
    limits_of,
    lower_cap,
    side_read_bytes,
)
from workers.process.top_n import Limits


def config_of(**values: int | str) -> Config:
    return Config({f"sampler.process.{name}": value for name, value in values.items()})


def test_the_least_number_of_rows_is_never_above_the_most() -> None:
    """A lower limit lowers it too."""
    assert limits_of(config_of(top_rows=3)) == Limits(950, 3, 3)
    assert limits_of(config_of(capture=500)) == Limits(500, 5, 100)


@pytest.mark.parametrize(("stored", "read"), [(256, SIDE_READ_BYTES_LEAST), (4096, 4096 * READ_PER_STORED)])
def test_as_much_is_read_as_the_longest_file_has_and_masking_needs(stored: int, read: int) -> None:
    """A short command line does not cut the other files."""
    assert side_read_bytes(config_of(command_line_bytes=stored)) == read


def test_a_command_line_is_parsed_as_the_settings_say() -> None:
    """The heartbeat is called for each, since a single line may take milliseconds."""
    beats: list[None] = []
    parse = command_line_parser(config_of(command_line="program"), lambda: beats.append(None))
    assert parse is not None
    assert parse(b"/bin/sleep\x00600\x00") == "/bin/sleep"
    assert len(beats) == 1


def test_command_lines_can_be_switched_off() -> None:
    """Then nothing is read."""
    assert command_line_parser(config_of(command_line="off"), lambda: None) is None


def test_every_setting_is_of_this_sampler() -> None:
    """Each belongs to one section."""
    assert {setting.section for setting in SETTINGS} == {"sampler.process"}


def test_a_lower_cap_is_a_quarter_of_the_rows_and_not_below_the_least() -> None:
    """The share that they shall hold stays."""
    assert lower_cap(Limits(950, 5, 100)) == Limits(950, 5, 25)
    assert lower_cap(Limits(950, 5, 8)) == Limits(950, 5, 5)
