"""The words of a filter are looked for in command, user, pod and pid."""

import pytest

from agent.cli.top_filter import ProcessFilter
from agent.cli.top_sample import Ended, NamedProcess, Tail

PROCESS = NamedProcess(42, "app.py  /usr/bin/python3 /srv/app.py", 33, "uid-1", "S", 1, 0.1, 1, "app.py", cgroup="/kubepods/x")
PARTS: tuple[NamedProcess | Tail | Ended, ...] = (
    PROCESS,
    Tail("uid-1", 9, 0.1, 1, "nginx"),
    Ended("CC1", None, 5, 5, 0.1, pid=43),
    Tail(None, 1, 0.1, 1),
)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", (0, 1, 2, 3)),
        ("  ", (0, 1, 2, 3)),
        ("PYTHON3", (0,)),
        ("www", (0,)),
        ("shop/web", (0, 1)),
        ("web nginx", (1,)),
        ("cc1", (2,)),
        ("42", (0,)),
        ("4", ()),
        ("43 cc", (2,)),
        ("kubepods", (0,)),
        ("nobody", ()),
    ],
)
def test_every_word_must_be_there(text: str, kept: tuple[int, ...]) -> None:
    """In letters of either case; a pid as a whole."""
    words = ProcessFilter(text, {"uid-1": "shop/web"}.__getitem__, {33: "www-data"}.__getitem__)
    assert tuple(index for index, part in enumerate(PARTS) if words.keeps(part)) == kept
    assert bool(words) is bool(text.strip())
