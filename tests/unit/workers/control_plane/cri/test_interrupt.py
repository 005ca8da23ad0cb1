"""A wait of one thread that another can end."""

import os
import select
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agent.model.timebase import MINUTE, MS
from workers.control_plane.cri.interrupt import Interrupt, Interrupted


@contextmanager
def _interrupt() -> Iterator[Interrupt]:
    interrupt = Interrupt()
    try:
        yield interrupt
    finally:
        interrupt.close()


def test_a_wait_ends_when_its_descriptor_is_ready_or_its_time_is_over() -> None:
    """The answer says which; a time that is over already does not wait."""
    reader, writer = os.pipe()
    try:
        with _interrupt() as interrupt:
            assert not interrupt.wait(1 * MS, reader)
            assert not interrupt.wait(-1 * MS, reader)
            assert interrupt.wait(MINUTE, writer, select.POLLOUT)
            os.write(writer, b"x")
            assert interrupt.wait(MINUTE, reader)
    finally:
        os.close(reader)
        os.close(writer)


def test_once_set_it_ends_this_wait_and_all_later_ones() -> None:
    """Also one whose descriptor is ready."""
    reader, writer = os.pipe()
    os.write(writer, b"x")
    try:
        with _interrupt() as interrupt:
            interrupt.set()
            for descriptor in (None, reader, None):
                with pytest.raises(Interrupted):
                    interrupt.wait(MINUTE, descriptor)
    finally:
        os.close(reader)
        os.close(writer)
