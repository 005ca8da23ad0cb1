"""What /metrics shows of stored rows when they cannot be read."""

from collections.abc import Sequence

from fakes.series_rows import BEGIN_NS, unit_batch

from agent.model.errors import StorageError
from agent.model.timebase import S
from agent.store.batch import StoredBatch
from agent.store.place import BEGINNING, Place
from workers.gateway.measured import MeasuredSeries


class FailingSource:
    """Gives one batch, and fails where it is told to."""

    def __init__(self) -> None:
        self.fails_at = ""

    def begin(self, since_wall_ns: int) -> Place:
        """See BatchSource."""
        self._may_fail("begin")
        return BEGINNING

    def is_whole(self, after: Place) -> bool:
        """See BatchSource."""
        self._may_fail("is_whole")
        return True

    def read(self, after: Place, bytes_max: int) -> Sequence[StoredBatch]:
        """See BatchSource."""
        self._may_fail("read")
        return [unit_batch(0, "/a", pids=1)] if after == BEGINNING else []

    def close(self) -> None:
        """See BatchSource."""

    def _may_fail(self, name: str) -> None:
        if name == self.fails_at:
            raise StorageError("spool", "it cannot be read", "look at the disk")


def scrape(measured: MeasuredSeries) -> int:
    """How many families a scrape shows."""
    measured.begin(BEGIN_NS + S)
    while not measured.turn():
        pass
    return len(measured.families())


def test_a_failure_shows_nothing_and_the_next_scrape_begins_again() -> None:
    """Whatever fails; old values are not shown as those of now."""
    source = FailingSource()
    measured = MeasuredSeries(source, lambda: None, series_max=100, has_pids=False)
    for place in ("begin", "read", "is_whole"):
        source.fails_at = "" if place == "is_whole" else place
        shown = scrape(measured)
        if place == "is_whole":
            assert shown == 1
            source.fails_at = place
            shown = scrape(measured)
        assert shown == 0
        assert measured.problem
        assert [family.samples for family in measured.own_families()] == [{(): 0}]
    source.fails_at = ""
    assert scrape(measured) == 1
    assert not measured.problem
