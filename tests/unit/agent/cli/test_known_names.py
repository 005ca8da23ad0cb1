"""Names of pods and containers from two sources."""

from agent.cli.known_names import KnownNames


def test_one_source_counts_over_another() -> None:
    """The other one fills what is missing."""
    now = KnownNames({"p1": "shop/web"}, {"c1": "nginx"}, {"p1": {"app": "web"}})
    stored = KnownNames({"p1": "old", "p2": "shop/db"}, {"c2": "log"}, {"p2": {}})
    joined = now.over(stored)
    assert joined.pods == {"p1": "shop/web", "p2": "shop/db"}
    assert (joined.containers, joined.labels) == ({"c1": "nginx", "c2": "log"}, {"p1": {"app": "web"}, "p2": {}})
