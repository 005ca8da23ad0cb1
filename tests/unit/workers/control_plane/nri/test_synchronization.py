"""A synchronization from its parts."""

import pytest
from fakes.nri_wire import field, repeated, varint

from agent.model.errors import ProtocolError
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
from workers.control_plane.nri.synchronization import PIECE_BYTES, Synchronization

POD_A, POD_B = RuntimePod("a", "uid-a"), RuntimePod("b", "uid-b")
CONTAINER_A, CONTAINER_B = RuntimeContainer("ca", "a"), RuntimeContainer("cb", "b")


def part(*letters: str, has_more: bool = False) -> bytes:
    """A message with a pod and its container for each letter."""
    pods = [field(1, letter) + field(3, f"uid-{letter}") for letter in letters]
    containers = [field(1, f"c{letter}") + field(2, letter) for letter in letters]
    return repeated(1, pods) + repeated(2, containers) + field(3, int(has_more))


def add_part(found: Synchronization, data: bytes) -> bool:
    """A whole message at once."""
    found.add_piece(data)
    return found.end_part()


def ids(whole: Synchronized) -> tuple[list[str], list[str]]:
    """The pods and the containers."""
    return [pod.sandbox_id for pod in whole.pods], [container.id for container in whole.containers]


def test_one_part_is_the_whole() -> None:
    """Pods and containers of a message that no other follows."""
    found = Synchronization(SessionCounters())
    assert not add_part(found, part("a", "b"))
    assert Synchronized((POD_A, POD_B), (CONTAINER_A, CONTAINER_B)) == found.take()


def test_nothing_is_a_whole_too() -> None:
    """A host without pods sends an empty message."""
    found = Synchronization(SessionCounters())
    assert not add_part(found, b"")
    assert Synchronized((), ()) == found.take()


def test_parts_are_joined() -> None:
    """Each says whether another follows."""
    found = Synchronization(SessionCounters())
    assert add_part(found, part("a", has_more=True))
    assert add_part(found, part("b", has_more=True))
    assert not add_part(found, b"")
    assert ids(found.take()) == (["a", "b"], ["ca", "cb"])


def test_one_that_begins_again_repeats_nothing() -> None:
    """What came twice is there once, as it came last."""
    found = Synchronization(SessionCounters())
    add_part(found, part("a", "b", has_more=True))
    add_part(found, repeated(1, [field(1, "a") + field(3, "uid-new")]) + field(3, 1))
    add_part(found, part("b"))
    assert Synchronized((RuntimePod("a", "uid-new"), POD_B), (CONTAINER_A, CONTAINER_B)) == found.take()


def test_the_next_one_begins_empty() -> None:
    """What was taken is not in the next."""
    found = Synchronization(SessionCounters())
    add_part(found, part("a"))
    found.take()
    add_part(found, part("b"))
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
    add_part(found, part("a", has_more=True))
    found.follow(event)
    add_part(found, b"")
    assert expected == ids(found.take())


def test_an_event_after_the_last_part_is_not_kept() -> None:
    """It would be in the next synchronization, whatever happened meanwhile."""
    found = Synchronization(SessionCounters())
    add_part(found, part("a"))
    found.take()
    found.follow(PodStarted(POD_B))
    add_part(found, b"")
    assert ids(found.take()) == ([], [])


def test_records_without_an_identity_are_counted() -> None:
    """They are left out; those beside them are not. Fields that are not known are passed over."""
    counters = SessionCounters()
    found = Synchronization(counters)
    add_part(found, repeated(1, [b"", field(1, "a")]) + repeated(2, [b"", field(1, "ca") + field(2, "a")]) + field(4, "new"))
    assert ids(found.take()) == (["a"], ["ca"])
    assert counters.records_ignored == 2


def test_records_above_the_limits_are_counted_and_not_decoded() -> None:
    """Over all parts and the events between them; broken records beyond the limit are not even looked at."""
    counters = SessionCounters()
    found = Synchronization(counters, pods_max=3, containers_max=3)
    add_part(found, part("a", "b", has_more=True))
    add_part(found, part("c", "d", has_more=True))
    found.follow(ContainerStarting(RuntimePod("e", "e"), RuntimeContainer("ce", "e")))
    add_part(found, repeated(1, [b"\xff", b"\xff"]) + repeated(2, [b"\xff"]))
    assert ids(found.take()) == (["a", "b", "c"], ["ca", "cb", "cc"])
    assert (counters.pods_over_limit, counters.containers_over_limit) == (3, 2)


def test_records_without_an_identity_count_towards_the_limits() -> None:
    """A message full of them is not decoded to its end."""
    counters = SessionCounters()
    found = Synchronization(counters, pods_max=3, containers_max=3)
    add_part(found, repeated(1, [b""] * 10) + repeated(2, [b"\xff"] * 2))
    assert ids(found.take()) == ([], [])
    assert (counters.records_ignored, counters.pods_over_limit, counters.containers_over_limit) == (6, 4, 2)


@pytest.mark.parametrize("size", [1, 7, 1000, PIECE_BYTES, 100_000])
def test_a_part_may_arrive_in_pieces(size: int) -> None:
    """Whatever their size, and with records that are longer than a piece; nothing of it is left for the next part."""
    long = field(1, "c") + field(2, "a") + field(8, "x" * 3 * PIECE_BYTES)
    data = part(*(f"{number:05}" for number in range(300))) + repeated(2, [long]) + field(3, 1)
    whole, found = Synchronization(SessionCounters()), Synchronization(SessionCounters())
    add_part(whole, data)
    for at in range(0, len(data), size):
        found.add_piece(data[at : at + size])
    assert found.end_part()
    assert not found.end_part()
    expected = whole.take()
    assert len(expected.containers) == 301
    assert expected == found.take()


def test_a_part_that_ends_within_a_record_is_refused() -> None:
    """It claims more than has come."""
    found = Synchronization(SessionCounters())
    found.add_piece(b"\x0a" + varint(1 << 62) + b"x" * 2 * PIECE_BYTES)
    with pytest.raises(ProtocolError):
        found.end_part()
