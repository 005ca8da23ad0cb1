"""Compaction by a real writer with real processes, over days that pass by its clock."""

import os
import select
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.writer_host import WriterHost

from agent.config import Config
from agent.model.timebase import DAY, HOUR, MINUTE, MS

NewHost = Callable[..., WriterHost]
NUMBERS = "select number, count(*) from {sample} group by 1 order by 1"
OFF: dict[str, int | str | bool] = {"writer.compaction": False}
DEADLINE_SECONDS = 30


@pytest.fixture
def new_host(tmp_path: Path) -> Iterator[NewHost]:
    """Makes hosts whose writer has started, with these settings."""
    hosts: list[WriterHost] = []

    def make(values: dict[str, int | str | bool] | None = None) -> WriterHost:
        hosts.append(WriterHost(tmp_path, values))
        return hosts[-1]

    yield make
    for host in hosts:
        host.close()


def days(host: WriterHost) -> dict[str, list[str]]:
    """The files of each day of table `sample`."""
    folders = sorted((host.state / "data" / "sample").iterdir())
    return {folder.name: sorted(os.listdir(folder)) for folder in folders}


def measure_days(host: WriterHost, count: int, seals: int = 3) -> int:
    """So many days, each with some sealed files; the number of batches, each of 40 rows."""
    sender = host.sender()
    host.clock.advance(DAY - host.clock.wall_ns() % DAY)
    for _ in range(count):
        for _ in range(seals):
            host.measure(sender, 3)
            host.rotate()
            host.clock.advance(HOUR)
        host.clock.advance(DAY - host.clock.wall_ns() % DAY + MINUTE)
    return sender.seq


def turn_on(host: WriterHost) -> None:
    """The next writer, which compacts."""
    host.config = Config({})
    host.start()


def compacted(host: WriterHost) -> int:
    """How many days were compacted so far."""
    count: int = host.stats()["compaction"]["days"]
    return count


def turn_until(host: WriterHost, condition: Callable[[], bool]) -> None:
    """Turn, with time that passes, until something holds."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"the condition never came: {host.stats()['compaction']}, {host.bus.conditions}"
        select.select(host.work.descriptors(), [], [], 0.02)
        host.clock.advance(50 * MS)
        host.turn()


def test_finished_days_become_one_file_each(new_host: NewHost) -> None:
    """Every day before today, each row once and in order; today's files stay."""
    host = new_host(OFF)
    batches = measure_days(host, 3)
    turn_on(host)
    host.rotate()
    turn_until(host, lambda: compacted(host) == 3)
    found = days(host)
    assert [len(files) for files in found.values()] == [1, 1, 1]
    assert all("-day-" in files[0] for files in found.values())
    assert host.query(NUMBERS) == [(number, 40) for number in range(1, batches + 1)]
    assert not list((host.state / "compacting").iterdir())
    assert host.bus.conditions == []
