"""Names of pods and containers from two sources."""

from agent.cli.known_names import KnownNames


def test_one_source_counts_over_another() -> None:
    """The other one fills what is missing."""
    now = KnownNames({"p1": "shop/web"}, {"c1": "nginx"}, {"p1": {"app": "web"}})
    stored = KnownNames({"p1": "old", "p2": "shop/db"}, {"c2": "log"}, {"p2": {}})
    joined = now.over(stored)
    assert joined.pods == {"p1": "shop/web", "p2": "shop/db"}
    assert (joined.containers, joined.labels) == ({"c1": "nginx", "c2": "log"}, {"p1": {"app": "web"}, "p2": {}})


def test_containers_of_a_pod_are_named_in_order() -> None:
    """Those without a name are left out; a name that two containers have is there once."""
    names = KnownNames(containers={"c1": "web", "c2": "log", "c3": "log"}, containers_of={"p": frozenset(("c1", "c2", "c3", "c4"))})
    assert (names.containers_in("p"), names.containers_in("q")) == (["log", "web"], [])
