"""A compactor that dies or meets a full disk at any of its steps: no row is lost, none comes twice, nothing is left behind."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from fakes.failpoints import arm, failpoints
from fakes.interests import ready_of
from fakes.writer_host import WriterHost

from agent.config import Config
from agent.failpoint import VARIABLE
from agent.model.timebase import DAY, MINUTE, MS, S

FAILPOINTS = sorted(point for point in failpoints() if point.startswith("compactor."))
DEADLINE_SECONDS = 40
# Rows of a batch in the tests.
ROWS = 40


class Ordeal:
    """A state folder with a finished day of several sealed files, and one writer after another over it."""

    def __init__(self, state: Path, points: Path) -> None:
        self.points = points
        self.host = WriterHost(state, {"writer.compaction": False})
        sender = self.host.sender()
        for _ in range(3):
            self.host.measure(sender, 2)
            self.host.rotate()
        self.batches = sender.seq
        self.host.clock.advance(DAY - self.host.clock.wall_ns() % DAY + MINUTE)
        self.host.config = Config({})

    def rows(self) -> Counter[int]:
        """The rows of each batch, by a reader that has only a pattern over the data folder."""
        pattern = f"{self.host.state}/data/sample/*/*.parquet"
        return Counter(dict(duckdb.connect().execute(f"SELECT number, count(*) FROM '{pattern}' GROUP BY 1").fetchall()))

    def assert_whole(self) -> None:
        """Each row exactly once."""
        assert self.rows() == Counter(dict.fromkeys(range(1, self.batches + 1), ROWS))

    def turn_until(self, condition: Callable[[], bool]) -> None:
        """Turn, with time that passes; what a reader sees is right all the time."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"the condition never came: {self.host.stats()['compaction']}"
            ready_of(self.host.work.interests(), 0.02)
            # Its clock does not pass the two hours of a compactor while a busy machine gives it no processor.
            self.host.clock.advance(50 * MS if self.host.work._archive._compacting.is_busy else 10 * S)
            self.host.turn()

    def is_clean(self) -> bool:
        """Nothing but the day's one file is left."""
        files = list((self.host.state / "data" / "sample").glob("*/*"))
        return len(files) == 1 and "-day-" in files[0].name and not os.listdir(self.host.state / "compacting")


@pytest.fixture
def ordeal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ordeal]:
    """One with failpoints for the processes that its writers start."""
    points = tmp_path / "points"
    points.mkdir()
    monkeypatch.setenv(VARIABLE, str(points))
    ordeal = Ordeal(tmp_path / "state", points)
    yield ordeal
    ordeal.host.close()


def test_there_is_a_point_around_every_step() -> None:
    """Before and after what must not be half done."""
    steps = {"begun", "window_written", "written", "listed", "before_exchange", "exchanged", "synced", "source_removed"}
    assert {f"compactor.{step}" for step in steps} <= set(FAILPOINTS)


@pytest.mark.parametrize("point", FAILPOINTS)
def test_a_compactor_that_is_killed_at_this_point_does_no_harm(ordeal: Ordeal, point: str) -> None:
    """At that moment every row is there once; the same writer tries again and comes to the end."""
    arm(ordeal.points, point, "kill")
    ordeal.host.start()
    ordeal.turn_until(lambda: not (ordeal.points / point).exists())
    ordeal.turn_until(lambda: not ordeal.host.work._archive._compacting.is_busy)
    ordeal.assert_whole()
    ordeal.turn_until(ordeal.is_clean)
    ordeal.assert_whole()


@pytest.mark.parametrize("point", FAILPOINTS)
def test_a_writer_that_is_killed_with_its_compactor_leaves_it_to_the_next(ordeal: Ordeal, point: str) -> None:
    """The next writer finishes or undoes what there is, before anything else."""
    arm(ordeal.points, point, "stop")
    ordeal.host.start()
    ordeal.turn_until(lambda: not (ordeal.points / point).exists())
    ordeal.assert_whole()
    ordeal.host.start()
    ordeal.assert_whole()
    ordeal.turn_until(ordeal.is_clean)
    ordeal.assert_whole()


@pytest.mark.parametrize("point", FAILPOINTS)
def test_a_full_disk_at_this_point_does_no_harm(ordeal: Ordeal, point: str) -> None:
    """ENOSPC instead of death."""
    arm(ordeal.points, point, "error ENOSPC")
    ordeal.host.start()
    ordeal.turn_until(lambda: not (ordeal.points / point).exists())
    ordeal.assert_whole()
    ordeal.turn_until(ordeal.is_clean)
    ordeal.assert_whole()
