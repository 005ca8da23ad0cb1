"""Which things are open to the reader group already, and which groups a setting can name."""

import os

import pytest

from agent.model.errors import ConfigError
from agent.reader_group import FILE_MODE, FOLDER_MODE, PASSAGE_MODE, group_number, is_open_to

OURS, OTHER = 700, 701


@pytest.mark.parametrize(
    ("mode", "gid", "wanted", "is_open"),
    [
        (0o700, OURS, FOLDER_MODE, False),
        (0o750, OURS, FOLDER_MODE, True),
        (0o770, OURS, FOLDER_MODE, True),
        (0o710, OURS, FOLDER_MODE, False),
        (0o710, OURS, PASSAGE_MODE, True),
        (0o750, OTHER, FOLDER_MODE, False),
        (0o755, OTHER, FOLDER_MODE, True),
        (0o1777, OTHER, FOLDER_MODE, True),
        (0o711, OTHER, PASSAGE_MODE, True),
        # The kernel looks at one class alone: who is in the group is not everybody.
        (0o707, OURS, FOLDER_MODE, False),
        (0o600, OURS, FILE_MODE, False),
        (0o640, OURS, FILE_MODE, True),
        (0o644, OTHER, FILE_MODE, True),
    ],
)
def test_what_the_group_can_reach_already_is_left_as_it_is(mode: int, gid: int, wanted: int, is_open: bool) -> None:
    """By the group of the thing or as everybody, as far as the wanted mode goes."""
    assert is_open_to(os.stat_result((mode, 1, 1, 1, 0, gid, 0, 0, 0, 0)), OURS, wanted) is is_open


def test_a_group_is_named_by_its_name_or_its_number() -> None:
    """Nothing names none; a number need not be known to the system."""
    assert [group_number("reader_group", text) for text in ("", "root", "0", "4294967294")] == [None, 0, 0, 4294967294]


@pytest.mark.parametrize("name", ["no-such-group", "4294967295", "-1", "²", "\udcff", "a\x00b"])
def test_a_group_that_there_is_none_of_is_refused(name: str) -> None:
    """With the setting's name, before anything is touched."""
    with pytest.raises(ConfigError, match="reader_group"):
        group_number("reader_group", name)
