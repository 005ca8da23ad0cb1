"""A sample with the names of pods and containers."""

from agent.cli.known_names import KnownNames
from agent.cli.named_sample import named_sample
from agent.cli.top_sample import Ended, NamedProcess, Sample, Tail

NAMES = KnownNames({"uid-1": "shop/web"}, {"c1": "nginx"})


def _process(pod: str | None, container: str | None) -> NamedProcess:
    return NamedProcess(1, "x", 0, pod, "S", 1, 0.1, 1, container=container)


def test_everything_gets_the_names_that_are_known() -> None:
    """What has none stays as it is."""
    sample = Sample(
        5,
        "h",
        (_process("uid-1", "c1"), _process("uid-1", "c2"), _process("uid-2", None), _process(None, None)),
        (Tail("uid-1", 1, 0.1, 1), Tail("uid-2", 1, 0.1, 1)),
        ended=(Ended("x", "uid-1", 1, 0, 0.1), Ended("x", None, 1, 0, 0.1)),
    )
    named = named_sample(sample, NAMES)
    found = [(process.pod_name, process.container_name) for process in named.processes]
    assert found == [("shop/web", "nginx"), ("shop/web", None), (None, None), (None, None)]
    assert [part.pod_name for part in named.tail] == ["shop/web", None]
    assert [part.pod_name for part in named.ended] == ["shop/web", None]


def test_without_names_it_is_the_same_sample() -> None:
    """Most hosts have no container runtime."""
    sample = Sample(5, "h", (_process("uid-1", "c1"),), ())
    assert named_sample(sample, KnownNames()) is sample
