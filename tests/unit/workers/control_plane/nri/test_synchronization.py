"""A synchronization from its parts."""

import pytest
from fakes.nri_wire import field, repeated

from workers.control_plane.container_runtime.event import (
    ContainerRemoved,
    ContainerStarting,
    ContainerStopped,
    PodRemoved,
    PodStarted,
    PodStopped,
    RuntimeContainer,
    RuntimeEvent,
    RuntimePod,
    Synchronized,
)
from workers.control_plane.nri.message import SessionCounters
from workers.control_plane.nri.synchronization import Synchronization

POD_A, POD_B = RuntimePod("a", "uid-a"), RuntimePod("b", "uid-b")
CONTAINER_A, CONTAINER_B = RuntimeContainer("ca", "a"), RuntimeContainer("cb", "b")


def part(*letters: str, has_more: bool = False) -> bytes:
    """A message with a pod and its container for each letter."""
    pods = [field(1, letter) + field(3, f"uid-{letter}") for letter in letters]
    containers = [field(1, f"c{letter}") + field(2, letter) for letter in letters]
    return repeated(1, pods) + repeated(2, containers) + field(3, int(has_more))


def ids(whole: Synchronized) -> tuple[list[str], list[str]]:
    """The pods and the containers."""
    return [pod.sandbox_id for pod in whole.pods], [container.id for container in whole.containers]


def test_one_part_is_the_whole() -> None:
    """Pods and containers of a message that no other follows."""
    found = Synchronization(SessionCounters())
    assert not found.add_part(part("a", "b"))
    assert Synchronized((POD_A, POD_B), (CONTAINER_A, CONTAINER_B)) == found.take()


def test_nothing_is_a_whole_too() -> None:
    """A host without pods sends an empty message."""
    found = Synchronization(SessionCounters())
    assert not found.add_part(b"")
    assert Synchronized((), ()) == found.take()


def test_parts_are_joined() -> None:
    """Each says whether another follows."""
    found = Synchronization(SessionCounters())
    assert found.add_part(part("a", has_more=True))
    assert found.add_part(part("b", has_more=True))
    assert not found.add_part(b"")
    assert ids(found.take()) == (["a", "b"], ["ca", "cb"])


def test_one_that_begins_again_repeats_nothing() -> None:
    """What came twice is there once, as it came last."""
    found = Synchronization(SessionCounters())
    found.add_part(part("a", "b", has_more=True))
    found.add_part(repeated(1, [field(1, "a") + field(3, "uid-new")]) + field(3, 1))
    found.add_part(part("b"))
    assert Synchronized((RuntimePod("a", "uid-new"), POD_B), (CONTAINER_A, CONTAINER_B)) == found.take()


def test_the_next_one_begins_empty() -> None:
    """What was taken is not in the next."""
    found = Synchronization(SessionCounters())
    found.add_part(part("a"))
    found.take()
    found.add_part(part("b"))
    assert ids(found.take()) == (["b"], ["cb"])


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (PodStarted(POD_B), (["a", "b"], ["ca"])),
        (ContainerStarting(POD_B, CONTAINER_B), (["a", "b"], ["ca", "cb"])),
        (PodStopped("a"), ([], ["ca"])),
        (PodRemoved("a"), ([], ["ca"])),
        (PodRemoved("unknown"), (["a"], ["ca"])),
        (ContainerStopped("ca"), (["a"], [])),
        (ContainerRemoved("ca"), (["a"], [])),
        (Synchronized((), ()), (["a"], ["ca"])),
    ],
)
def test_an_event_between_two_parts_counts(event: RuntimeEvent, expected: tuple[list[str], list[str]]) -> None:
    """It is later than what the part before said."""
    found = Synchronization(SessionCounters())
    found.add_part(part("a", has_more=True))
    found.follow(event)
    found.add_part(b"")
    assert expected == ids(found.take())


def test_an_event_after_the_last_part_is_not_kept() -> None:
    """It would be in the next synchronization, whatever happened meanwhile."""
    found = Synchronization(SessionCounters())
    found.add_part(part("a"))
    found.take()
    found.follow(PodStarted(POD_B))
    found.add_part(b"")
    assert ids(found.take()) == ([], [])


def test_records_without_an_identity_are_counted() -> None:
    """They are left out; those beside them are not. Fields that are not known are passed over."""
    counters = SessionCounters()
    found = Synchronization(counters)
    found.add_part(repeated(1, [b"", field(1, "a")]) + repeated(2, [b"", field(1, "ca") + field(2, "a")]) + field(4, "new"))
    assert ids(found.take()) == (["a"], ["ca"])
    assert counters.records_ignored == 2


def test_records_above_the_limits_are_counted_and_not_decoded() -> None:
    """Over all parts and the events between them; broken records beyond the limit are not even looked at."""
    counters = SessionCounters()
    found = Synchronization(counters, pods_max=3, containers_max=3)
    found.add_part(part("a", "b", has_more=True))
    found.add_part(part("c", "d", has_more=True))
    found.follow(ContainerStarting(RuntimePod("e", "e"), RuntimeContainer("ce", "e")))
    found.add_part(repeated(1, [b"\xff", b"\xff"]) + repeated(2, [b"\xff"]))
    assert ids(found.take()) == (["a", "b", "c"], ["ca", "cb", "cc"])
    assert (counters.pods_over_limit, counters.containers_over_limit) == (3, 2)
