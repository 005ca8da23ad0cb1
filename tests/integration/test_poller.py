"""The poller over real descriptors."""

import os
import select
from collections.abc import Iterator

import pytest

from agent.model.timebase import S
from supervisor.shell.poller import Poller


class Event:
    """An eventfd, readable from `set` on."""

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def set(self) -> None:
        """Make it readable."""
        os.eventfd_write(self.descriptor, 1)


@pytest.fixture
def events() -> Iterator[list[Event]]:
    """Two of them."""
    events = [Event(), Event()]
    yield events
    for event in events:
        os.close(event.descriptor)


def test_the_handler_of_a_ready_descriptor_is_called_with_its_events(events: list[Event]) -> None:
    """The others are not."""
    poller = Poller()
    heard: list[tuple[int, int]] = []
    poller.register(events[0].descriptor, select.EPOLLIN, lambda mask: heard.append((0, mask)))
    poller.register(events[1].descriptor, select.EPOLLIN, lambda mask: heard.append((1, mask)))
    poller.wait(0)
    assert heard == []
    events[1].set()
    poller.wait(10 * S)
    assert heard == [(1, select.EPOLLIN)]


def test_interest_in_writing_can_be_added_and_taken_away(events: list[Event]) -> None:
    """An eventfd can always be written to."""
    poller = Poller()
    heard: list[int] = []
    descriptor = events[0].descriptor
    poller.register(descriptor, select.EPOLLIN, heard.append)
    poller.register(descriptor, select.EPOLLIN | select.EPOLLOUT, heard.append)
    poller.wait(10 * S)
    assert heard == [select.EPOLLOUT]
    poller.register(descriptor, select.EPOLLIN, heard.append)
    poller.wait(0)
    assert heard == [select.EPOLLOUT]


def test_a_handler_may_end_the_registration_of_another(events: list[Event]) -> None:
    """The other one, ready in the same turn, is not called any more: its descriptor may be closed."""
    poller = Poller()
    heard: list[int] = []

    def end_all(mask: int) -> None:
        heard.append(mask)
        for event in events:
            poller.register(event.descriptor, 0, None)

    for event in events:
        poller.register(event.descriptor, select.EPOLLIN, end_all)
        event.set()
    poller.wait(10 * S)
    poller.wait(0)
    assert heard == [select.EPOLLIN]


def test_ending_what_was_never_registered_is_no_error(events: list[Event]) -> None:
    """A worker that ended before its descriptor was registered is given back like any other."""
    Poller().register(events[0].descriptor, 0, None)
