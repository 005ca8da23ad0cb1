"""How reasons are written."""

from agent.model.absence import Absence
from workers.host.interval import HostInterval, joined


def test_every_reason_is_written_once() -> None:
    """In the order in which they came; none is null."""
    assert joined([Absence.FIRST_TICK, Absence.NOT_IN_KERNEL, Absence.FIRST_TICK]) == "first_tick,not_in_kernel"
    assert joined([]) is None


def test_the_first_tick_has_no_elapsed_time() -> None:
    """Nothing is before it."""
    assert HostInterval(wall_ns=1, elapsed_ns=None).elapsed_ns is None
