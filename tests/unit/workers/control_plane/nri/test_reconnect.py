"""When a runtime is tried again: soon after its socket appears, and ever less often while it does not work."""

from random import Random

from agent.model.timebase import MS, S
from workers.control_plane.nri.reconnect import (
    BASE_NS,
    CEILING_NS,
    FIRST_LOOK_NS,
    JITTER_PERCENT,
    LOOK_NS,
    STABLE_NS,
    Reconnect,
)

SOCKET = (1, 2, 3)
ANOTHER = (1, 4, 5)


def _reconnect() -> Reconnect:
    return Reconnect(Random(1))


def _wait_ns(reconnect: Reconnect, now_ns: int) -> int:
    """How long after now the next try comes."""
    for waited_ns in range(0, CEILING_NS + S, MS):
        if reconnect.is_due(SOCKET, now_ns + waited_ns):
            return waited_ns
    raise AssertionError("never")


def test_without_a_socket_there_is_nothing_to_try() -> None:
    """It is looked for once a second, which most hosts without containers do for ever."""
    reconnect = _reconnect()

    assert not reconnect.is_due(None, 5 * S)
    assert reconnect.next_look_ns(5 * S) == 5 * S + FIRST_LOOK_NS


def test_a_socket_that_appears_is_tried_at_once() -> None:
    """At the first look that sees it."""
    reconnect = _reconnect()
    assert not reconnect.is_due(None, 0)

    assert reconnect.is_due(SOCKET, S)


def test_each_failure_in_a_row_doubles_the_wait_up_to_the_ceiling() -> None:
    """With a part of it at random, and never more than the ceiling."""
    reconnect, now_ns = _reconnect(), 0
    assert reconnect.is_due(SOCKET, now_ns)
    for failures in range(14):
        reconnect.on_ended(now_ns)
        full_ns = min(CEILING_NS, BASE_NS << failures)
        waited_ns = _wait_ns(reconnect, now_ns)
        assert full_ns * (100 - JITTER_PERCENT) // 100 <= waited_ns <= full_ns
        now_ns += waited_ns


def test_another_socket_at_the_path_ends_the_wait() -> None:
    """A runtime that was restarted has made a new one."""
    reconnect = _reconnect()
    assert reconnect.is_due(SOCKET, 0)
    for _failure in range(8):
        reconnect.on_ended(0)
    assert not reconnect.is_due(SOCKET, S)

    assert reconnect.is_due(ANOTHER, S)


def test_a_look_comes_before_the_next_try() -> None:
    """While a try is far away, the path is looked at four times a second."""
    reconnect = _reconnect()
    assert reconnect.is_due(SOCKET, 0)
    for _failure in range(8):
        reconnect.on_ended(0)

    assert reconnect.next_look_ns(0) == LOOK_NS
    assert reconnect.next_look_ns(60 * S) == 60 * S


def test_after_a_good_connection_the_waits_begin_again() -> None:
    """One that stood for a while."""
    reconnect = _reconnect()
    assert reconnect.is_due(SOCKET, 0)
    for _failure in range(8):
        reconnect.on_ended(0)
    reconnect.on_connected(0)
    reconnect.on_ended(STABLE_NS)

    assert _wait_ns(reconnect, STABLE_NS) <= BASE_NS


def test_a_connection_that_ends_at_once_is_no_good_one() -> None:
    """A runtime that drops the plugin after each synchronization is not asked ten times a second."""
    reconnect = _reconnect()
    assert reconnect.is_due(SOCKET, 0)
    for _failure in range(4):
        reconnect.on_connected(0)
        reconnect.on_ended(STABLE_NS - 1)

    assert _wait_ns(reconnect, STABLE_NS - 1) > 4 * BASE_NS


def test_the_same_seed_tells_the_same_story() -> None:
    """Chance is handed in."""
    waits = []
    for _run in range(2):
        reconnect = _reconnect()
        assert reconnect.is_due(SOCKET, 0)
        reconnect.on_ended(0)
        waits.append(_wait_ns(reconnect, 0))

    assert waits[0] == waits[1]
