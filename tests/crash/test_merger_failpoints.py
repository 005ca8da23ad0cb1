"""Mergers killed between any two steps of a commit, and their stores with them: each row is stored once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.failpoints import arm, failpoints
from fakes.merged_topics import BROKER_SETTINGS, ClickHouseLake, MergedTopics
from harness.sinks.clickhouse import ClickHouse
from harness.sinks.kafka_broker import KafkaBroker
from harness.waiting import DEADLINE_SECONDS

POINTS = sorted(point for point in failpoints() if point.startswith("merger."))
OF_FILES = ("merger.files_put", "merger.appended")
OF_DATABASES = [point for point in POINTS if point not in OF_FILES]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """One for all tests."""
    with KafkaBroker(tmp_path_factory.mktemp("kafka"), settings=BROKER_SETTINGS) as started:
        yield started


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ClickHouse]:
    """A database that wants a password."""
    with ClickHouse(tmp_path / "clickhouse", password="geheim") as started:
        yield started


def kill_at_each(topics: MergedTopics, points: list[str]) -> None:
    """A merger dies at each of these points, once, and the next one goes on."""
    for turn, point in enumerate(points):
        armed = arm(topics.failpoints, point, "kill")
        topics.write(range(turn * 10, turn * 10 + 6))
        merger = topics.start("one")
        merger.wait(DEADLINE_SECONDS)
        assert not armed.exists(), point
        assert merger.returncode == -9, topics.output.read_text()
    topics.start("one")
    topics.wait()


def test_a_lake_of_files_has_each_row_once(broker: KafkaBroker, tmp_path: Path) -> None:
    """What was put and is named by no entry is nobody's."""
    topics = MergedTopics(broker, tmp_path)
    try:
        kill_at_each(topics, list(OF_FILES))
    finally:
        topics.end()


def test_a_database_has_each_row_once(broker: KafkaBroker, server: ClickHouse, tmp_path: Path) -> None:
    """The next merger stores the very range that was begun; at the end the database itself is killed."""
    topics = MergedTopics(broker, tmp_path, ClickHouseLake(server, "lab"))
    try:
        kill_at_each(topics, OF_DATABASES)
        server.kill()
        topics.write(range(900, 903))
        server.start()
        topics.wait()
    finally:
        topics.end()


def test_every_point_is_of_one_store() -> None:
    """None is forgotten here."""
    assert set(OF_FILES) < set(POINTS)
    assert len(OF_DATABASES) == 5
