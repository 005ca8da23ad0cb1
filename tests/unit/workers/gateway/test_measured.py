"""What /metrics shows of stored rows when they cannot be read."""

from collections.abc import Sequence

from fakes.series_rows import BEGIN_NS, unit_batch
from msgspec.structs import replace

from agent.model.errors import StorageError
from agent.model.timebase import S
from agent.store.batch import StoredBatch
from agent.store.place import BEGINNING, Place
from workers.gateway.measured import PAUSE_MAX_NS, TURN_BYTES, MeasuredSeries
from workers.gateway.metrics import Labels, Number


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


class ListedSource(FailingSource):
    """Gives these batches, all that follow a place at once."""

    def __init__(self, *batches: StoredBatch) -> None:
        super().__init__()
        self.batches = batches
        self.closed = 0
        self.begun = 0
        self.given = 0

    def begin(self, since_wall_ns: int) -> Place:
        """See BatchSource."""
        self.begun += 1
        self.given = 0
        return BEGINNING

    def read(self, after: Place, bytes_max: int) -> Sequence[StoredBatch]:
        """See BatchSource."""
        batches, self.given = self.batches[self.given :], len(self.batches)
        return batches

    def close(self) -> None:
        """See BatchSource."""
        self.closed += 1


def stamped(batch: StoredBatch, wall_ns: int) -> StoredBatch:
    """The batch as if it had been stored then."""
    return replace(batch, entry=replace(batch.entry, stamp_wall_ns=wall_ns))


def samples_of(measured: MeasuredSeries) -> dict[str, dict[Labels, Number]]:
    """The families about the series themselves."""
    return {family.name: dict(family.samples) for family in measured.own_families()}


def test_what_is_said_about_the_series_is_there_from_the_first_scrape_on() -> None:
    """Before it only whether the rows can be read; a batch without rows is counted."""
    measured = MeasuredSeries(
        ListedSource(
            stamped(unit_batch(-600, "/old", pids=1), 1),
            unit_batch(0, "/a", pids=1),
            replace(unit_batch(0, "/b", pids=1), rows=b"?"),
        ),
        lambda: None,
        series_max=100,
        has_pids=False,
    )
    assert samples_of(measured) == {"evergauge_metrics_readable": {(): 1}}
    assert scrape(measured) == 1
    told = samples_of(measured)
    assert told["evergauge_metrics_batches_unreadable_total"] == {(): 1}
    assert told["evergauge_metrics_newest_row_timestamp_seconds"] == {(): BEGIN_NS / S}
    assert sum(map(int, map(str, told["evergauge_metrics_series"].values()))) == 1
    assert set(told["evergauge_metrics_series_left_out_total"].values()) == {0}


def test_after_a_pause_everything_begins_again() -> None:
    """What was held open is given back; a scrape soon after another goes on."""
    source = ListedSource(unit_batch(0, "/a", pids=1))
    measured = MeasuredSeries(source, lambda: None, series_max=100, has_pids=False)
    scrape(measured)
    measured.close_if_idle(BEGIN_NS + S + PAUSE_MAX_NS)
    scrape(measured)
    assert (source.closed, source.begun) == (0, 1)
    measured.close_if_idle(BEGIN_NS + 2 * S + PAUSE_MAX_NS)
    assert (source.closed, measured.families()) == (1, [])
    scrape(measured)
    assert source.begun == 2


def test_a_turn_takes_no_more_than_its_bytes() -> None:
    """The rest is read in the next one."""
    large = replace(unit_batch(0, "/a", pids=1), rows=unit_batch(0, "/a", pids=1).rows + b"")
    many = [unit_batch(0, *(f"/{batch}/{number}" for number in range(400)), pids=1) for batch in range(4)]
    source = ListedSource(large, *many)
    measured = MeasuredSeries(source, lambda: None, series_max=10_000, has_pids=False)
    measured.begin(BEGIN_NS + S)
    assert sum(len(batch.rows) for batch in many) > TURN_BYTES
    assert not measured.turn()
