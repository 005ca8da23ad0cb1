"""Which units lie in which."""

from agent.cli.neighbour_unit import JudgedUnit, are_related, parents_of


def unit(path: str) -> JudgedUnit:
    return JudgedUnit(path, "service", path)


def test_a_slice_and_what_lies_in_it_are_related() -> None:
    """Both ways, at any depth; names that begin alike are not."""
    assert are_related(unit("/a.slice"), unit("/a.slice/b.service"))
    assert are_related(unit("/a.slice/x/b.service"), unit("/a.slice"))
    assert are_related(unit("/a"), unit("/a"))
    assert not are_related(unit("/a.slice"), unit("/a.slice2"))


def test_the_innermost_unit_around_is_the_parent() -> None:
    """Directories that are no units are passed over."""
    units = [
        unit("/a.slice"),
        unit("/a.slice/x/b.service"),
        unit("/a.slice/a-c.slice"),
        unit("/a.slice/a-c.slice/d.service"),
        unit("/e"),
    ]
    assert parents_of(units) == [None, 0, 0, 2, None]
