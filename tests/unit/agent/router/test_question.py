"""What may be asked."""

from agent.router.question import METRICS, Kind, PodNames, RoutedQuestion


def test_a_metric_is_of_processes_or_of_pods() -> None:
    """Those with sketches have columns for the largest of a tail too."""
    for metric in METRICS.values():
        assert bool(metric.occupancy) != bool(metric.process and metric.tail)
        assert not metric.sketch or metric.largest
        assert metric.about
    assert METRICS["cpu"].exit == "cpu_ns"
    assert METRICS["rss"].exit == ""


def test_hosts_are_patterns() -> None:
    """Without any every host counts."""
    asked = RoutedQuestion(Kind.SUM, METRICS["cpu"], 0, 1, hosts=frozenset({"node-*", "db"}))
    assert [asked.wants_host(host) for host in ("node-1", "db", "db2")] == [True, True, False]
    assert RoutedQuestion(Kind.SUM, METRICS["cpu"], 0, 1).wants_host("x")


def test_something_is_chosen_by_pod_command_or_namespace() -> None:
    """Not by host, which every row says."""
    assert not RoutedQuestion(Kind.SUM, METRICS["cpu"], 0, 1, hosts=frozenset({"x"})).is_chosen
    for field in ("pods", "commands", "namespaces"):
        assert RoutedQuestion(Kind.SUM, METRICS["cpu"], 0, 1, **{field: frozenset({"x"})}).is_chosen  # type: ignore[arg-type]


def test_pods_are_named_by_uid_or_name() -> None:
    """A name may be that of several."""
    names = PodNames({"u1": "shop/web", "u2": "shop/web", "u3": "shop/db"})
    assert names.uids(frozenset({"shop/web", "u3"})) == {"shop/web", "u1", "u2", "u3"}
