"""The order in which directories are looked at: pods first, then fair shares by subtree and by kind."""

from collections import Counter

from workers.control_plane.frontier import NAMES_LEAST, NAMES_MAX, Directory, Frontier, Value


class Tree:
    """Directories by path, looked at in the frontier's order until a limit."""

    def __init__(self, inner: dict[str, list[tuple[Value, str]]]) -> None:
        self.inner = inner

    def walk(self, limit: int, *, trusted: tuple[str, ...] = ("", "/a")) -> tuple[list[str], Frontier]:
        """The paths that had their turn."""
        frontier = Frontier([""])
        paths: list[str] = []
        while len(paths) <= limit and (taken := frontier.take()) is not None:
            paths.append(taken.path)
            frontier.settle(taken, self.inner.get(taken.path, []), taken.path in trusted)
        return paths[1:], frontier


def _many(kind: Value, count: int, prefix: str = "x") -> list[tuple[Value, str]]:
    return [(kind, f"{prefix}{number:05}") for number in range(count)]


def test_every_directory_has_one_turn_and_parents_come_before_what_is_in_them() -> None:
    """Nothing is left out where there is room for all."""
    inner = {"": [(Value.SLICE, "a"), (Value.SCOPE, "b")], "/a": [(Value.PODS, "k")], "/a/k": [(Value.OTHER, "p")]}
    paths, frontier = Tree(inner).walk(100)
    assert paths == ["/a", "/a/k", "/a/k/p", "/b"]
    assert +frontier.left_out == Counter()
    assert frontier.take() is None


def test_pods_come_first_however_deep_and_however_many_others_there_are() -> None:
    """As soon as they are known by name; those that nobody vouches for wait for the turn of their subtree."""
    inner = {
        "": [(Value.SLICE, "a"), *_many(Value.SCOPE, 1000)],
        "/a": [(Value.PODS, "kubepods"), *_many(Value.SCOPE, 1000)],
        "/a/kubepods": _many(Value.OTHER, 50, "pod"),
    }
    first, _frontier = Tree(inner).walk(60)
    assert [f"/a/kubepods/pod{number:05}" for number in range(50)] == first[2:52]
    late, _frontier = Tree(inner).walk(60, trusted=())
    assert sum(path.startswith("/a/kubepods") for path in late) < 50


def test_a_subtree_hides_only_its_own() -> None:
    """A user with thousands of nested groups takes turns as one neighbour of the others."""
    inner = {
        "": [(Value.SLICE, "system"), (Value.SLICE, "user")],
        "/system": _many(Value.SERVICE, 100),
        "/user": _many(Value.SLICE, 300, "u"),
        **{f"/user/u{number:05}": _many(Value.SERVICE, 300) for number in range(300)},
    }
    paths, frontier = Tree(inner).walk(400)
    assert sum(path.startswith("/system/") for path in paths) == 100
    assert {path.split("/")[1] for path in frontier.left_out} == {"user"}
    assert frontier.left_out["/user"] > 0


def test_the_least_valuable_kind_is_cut_first() -> None:
    """Among neighbours scopes leave most turns to services, slices and engines' containers."""
    kinds = (Value.CONTAINERS, Value.SLICE, Value.SERVICE, Value.SCOPE, Value.OTHER)
    inner = {"": [each for kind in kinds for each in _many(kind, 1000, str(kind.value))]}
    paths, frontier = Tree(inner).walk(1000)
    turns = Counter(path[1] for path in paths)
    assert turns["1"] > 400 > turns["2"] > 200 > 100 > turns["4"] > 0
    assert frontier.left_out[""] == 4000


def test_the_names_that_wait_are_bounded_and_what_is_cut_is_counted() -> None:
    """A listing beyond the bound keeps its first ones."""
    frontier = Frontier([""])
    top = frontier.take()
    assert isinstance(top, Directory)
    frontier.settle(top, _many(Value.SCOPE, NAMES_MAX + 5))
    inner = frontier.take()
    assert inner is not None
    frontier.settle(inner, _many(Value.SCOPE, NAMES_LEAST + 7))
    turns = 0
    while (taken := frontier.take()) is not None:
        frontier.settle(taken)
        turns += 1
    assert turns == NAMES_MAX - 1 + NAMES_LEAST
    assert frontier.left_out == {"": 5, inner.path: 7}
