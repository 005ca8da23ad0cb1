"""The words of a filter are looked for in command, user, pod and pid."""

import pytest

from agent.cli.known_names import KnownNames
from agent.cli.top_filter import ProcessFilter, kept_of
from agent.cli.top_sample import Ended, NamedProcess, Sample, Tail

PROCESS = NamedProcess(
    42, "app.py  /usr/bin/python3 /srv/app.py", 33, "uid-1", "S", 1, 0.1, 1, "app.py", cgroup="/kubepods/x", container="c1"
)
NAMES = KnownNames({"uid-1": "shop/web"}, {"c1": "proxy"}, {"uid-1": {"app": "web"}})
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
        ("proxy", (0,)),
        ("container:proxy", (0,)),
        ("namespace:shop", (0, 1)),
        ("pod:web nginx", (1,)),
        ("label:app=web", (0, 1)),
        ("label:app=db", ()),
    ],
)
def test_every_word_must_be_there(text: str, kept: tuple[int, ...]) -> None:
    """In letters of either case; a pid as a whole."""
    words = ProcessFilter(text, NAMES, {33: "www-data"}.__getitem__)
    assert tuple(index for index, part in enumerate(PARTS) if words.keeps(part)) == kept
    assert bool(words) is bool(text.strip())


def test_a_filtered_sample_keeps_what_is_about_the_host() -> None:
    """Processes, sums and deaths are chosen among; without words nothing is."""
    sample = Sample(5, "h", (PROCESS,), (PARTS[1], PARTS[3]), 1, (PARTS[2],))  # type: ignore[arg-type]  # each is of its kind
    nobody = ProcessFilter("nginx", NAMES, {33: "www-data"}.__getitem__)
    kept = kept_of(sample, nobody)
    assert (kept.processes, kept.tail, kept.ended) == ((), (PARTS[1],), ())
    assert (kept.at_wall_ns, kept.host, kept.bad_rows) == (5, "h", 1)
    assert kept_of(sample, ProcessFilter(" ", NAMES, str)) is sample
