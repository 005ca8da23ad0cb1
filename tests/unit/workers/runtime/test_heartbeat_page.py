"""The worker's pen and the supervisor's eyes on one page of memory."""

import mmap
import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.heartbeat_page import BODY_BYTES, BODY_OFFSET, PAGE_BYTES, VERSION, Beat, parse_page
from workers.runtime.heartbeat_page import HeartbeatPage

DIGEST = bytes(range(32))
uint64 = st.integers(min_value=0, max_value=2**64 - 1)


class Page:
    """One page, and what the supervisor sees of it."""

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("heartbeat-test", os.MFD_CLOEXEC)
        os.ftruncate(self.descriptor, PAGE_BYTES)
        self.view = mmap.mmap(self.descriptor, PAGE_BYTES)

    def version(self) -> bytes:
        """The lock as it is now."""
        return self.view[: VERSION.size]

    def body(self) -> bytes:
        """The rest as it is now."""
        return self.view[BODY_OFFSET : BODY_OFFSET + BODY_BYTES]

    def look(self) -> Beat | None:
        """What the supervisor does at each look."""
        return parse_page(self.version(), self.body(), self.version())

    def close(self) -> None:
        """Give it back."""
        self.view.close()
        os.close(self.descriptor)


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of zeros in memory, as the launcher makes it."""
    page = Page()
    yield page
    page.close()


def test_before_the_first_turn_there_is_no_beat(page: Page) -> None:
    """A worker that is still being born has said nothing."""
    HeartbeatPage(page.descriptor)
    assert page.look() is None


def test_every_turn_is_seen_with_its_time_and_rules(page: Page) -> None:
    """Turns count from one."""
    pen = HeartbeatPage(page.descriptor)
    pen.beat(100, 0, bytes(32))
    assert page.look() == Beat(1, 100, 0, bytes(32))
    pen.beat(200, 7, DIGEST)
    assert page.look() == Beat(2, 200, 7, DIGEST)


def test_a_look_that_a_turn_came_into_is_torn(page: Page) -> None:
    """The lock before the copy is not the lock behind it, wherever in the copy the turn fell."""
    pen = HeartbeatPage(page.descriptor)
    pen.beat(100, 1, DIGEST)
    first, old_body = page.version(), page.body()
    pen.beat(200, 2, DIGEST)
    assert parse_page(first, old_body, page.version()) is None
    assert parse_page(first, page.body(), page.version()) is None
    assert page.look() == Beat(2, 200, 2, DIGEST)


def test_a_page_left_in_the_middle_of_a_turn_is_torn_until_the_next_turn(page: Page) -> None:
    """An odd lock: somebody is writing."""
    pen = HeartbeatPage(page.descriptor)
    pen.beat(100, 1, DIGEST)
    VERSION.pack_into(page.view, 0, VERSION.unpack(page.version())[0] + 1)
    assert page.look() is None
    pen.beat(200, 2, DIGEST)
    assert page.look() == Beat(2, 200, 2, DIGEST)


def test_the_lock_grows_with_every_turn_and_rests_on_an_even_number(page: Page) -> None:
    """Two turns can never be taken for none."""
    pen = HeartbeatPage(page.descriptor)
    seen = []
    for turn in range(5):
        pen.beat(turn, 0, DIGEST)
        seen.append(VERSION.unpack(page.version())[0])
    assert seen == [2, 4, 6, 8, 10]


def test_the_page_can_be_seen_without_being_written(page: Page) -> None:
    """The supervisor maps it for reading only."""
    HeartbeatPage(page.descriptor).beat(5, 6, DIGEST)
    with mmap.mmap(page.descriptor, PAGE_BYTES, prot=mmap.PROT_READ) as view:
        version = view[: VERSION.size]
        assert parse_page(version, view[BODY_OFFSET : BODY_OFFSET + BODY_BYTES], version) == Beat(1, 5, 6, DIGEST)


def test_a_page_that_is_too_small_is_refused(page: Page) -> None:
    """A wrong descriptor is a bug that shows at once, not a stray write."""
    os.ftruncate(page.descriptor, 0)
    with pytest.raises(ValueError, match="length"):
        HeartbeatPage(page.descriptor)


@given(st.lists(st.tuples(uint64, uint64, st.binary(min_size=32, max_size=32)), min_size=1, max_size=5))
def test_the_last_turn_is_what_is_seen(turns: list[tuple[int, int, bytes]]) -> None:
    """Any times, revisions and digests."""
    page = Page()
    pen = HeartbeatPage(page.descriptor)
    for now_ns, revision, digest in turns:
        pen.beat(now_ns, revision, digest)
    assert page.look() == Beat(len(turns), *turns[-1])
    page.close()
