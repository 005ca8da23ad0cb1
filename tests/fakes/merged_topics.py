"""Topics of a test's own on a real broker, transactions that are written to them, and mergers as real processes."""

import os
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from fakes.lake_rows import NumberedRow, lake_rows, lake_state, numbered
from fakes.topic_rows import produce
from harness.sinks.clickhouse import ClickHouse
from harness.sinks.kafka_broker import KafkaBroker
from harness.waiting import DEADLINE_SECONDS, NotInTime, wait_until

from agent.topic.topic import RAW_TOPIC

HOSTS = ("h0", "h1", "h2")
PARTITIONS = 3
# A killed merger's partitions are given away after this; the broker must allow it: BROKER_SETTINGS.
SESSION = "1500ms"
BROKER_SETTINGS = {"group.min.session.timeout.ms": "1000"}


class FolderLake:
    """A folder as the store."""

    variables: Mapping[str, str] = {}

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    @property
    def url(self) -> str:
        """For `lake.url`."""
        return f"file://{self.folder}"

    def rows(self) -> list[NumberedRow]:
        """All rows that a reader sees, in order."""
        return lake_rows(self.folder)

    def marked_hosts(self) -> set[str]:
        """Hosts that have a mark."""
        return set(lake_state(self.folder).marks.get("process_tail", ()))


class ClickHouseLake:
    """A database as the store."""

    def __init__(self, server: ClickHouse, database: str) -> None:
        self.server = server
        self.database = database

    @property
    def url(self) -> str:
        """For `lake.url`."""
        return self.server.url(self.database)

    @property
    def variables(self) -> Mapping[str, str]:
        """Who asks."""
        return self.server.variables

    def rows(self) -> list[NumberedRow]:
        """All rows, in order; none where the table is not there yet."""
        found = self.server.ask(f"SELECT count() FROM system.tables WHERE database = '{self.database}' AND name = 'process_tail'")
        if found == [["0"]]:
            return []
        rows = self.server.ask(f"SELECT host, processes, commands FROM {self.database}.process_tail")
        return sorted((host, int(seq), int(place)) for host, seq, place in rows)

    def marked_hosts(self) -> set[str]:
        """Hosts that have a mark."""
        return {host for (host,) in self.server.ask(f"SELECT host FROM {self.database}.evergauge_mark FINAL")}


class MergedTopics:
    """Topics of a test's own, the transactions that are written to them, and mergers that take them into a store.

    `failpoints`: a folder in which the test arms failpoints of mergers.
    """

    def __init__(self, broker: KafkaBroker, folder: Path, store: FolderLake | ClickHouseLake | None = None) -> None:
        self.broker = broker
        self.prefix = f"t{random.SystemRandom().getrandbits(48)}."
        self.store = FolderLake(folder / "lake") if store is None else store
        self.failpoints = folder / "failpoints"
        self.failpoints.mkdir()
        self.output = folder / "output"
        broker.create_topic(self.topic, PARTITIONS)
        self._producer: Any = Producer({**broker.client_options, "transactional.id": self.prefix, "linger.ms": 0})
        self._producer.init_transactions()
        self.mergers: list[subprocess.Popen[bytes]] = []
        self.written: list[int] = []

    @property
    def topic(self) -> str:
        """The one of raw rows."""
        return self.prefix + RAW_TOPIC

    def write(self, seqs: Sequence[int], *, is_committed: bool = True) -> None:
        """A transaction for each number, with a batch of each host, in the partition of the number."""
        for seq in seqs:
            self._producer.begin_transaction()
            produce(self._producer, HOSTS, [seq], seq % PARTITIONS, prefix=self.prefix)
            if is_committed:
                self._producer.commit_transaction()
                self.written.append(seq)
            else:
                self._producer.flush()
                self._producer.abort_transaction()

    def write_value(self, value: bytes) -> None:
        """A message that no sink of ours has written."""
        self._producer.begin_transaction()
        self._producer.produce(self.topic, value, b"h", 0)
        self._producer.commit_transaction()

    def start(self, member: str = "", *words: str) -> subprocess.Popen[bytes]:
        """A merger; one with a name has its partitions back at once."""
        command = [str(Path(sys.executable).with_name("agentctl")), "merge"]
        command += ["--brokers", self.broker.address_text, "--lake", self.store.url, "--topic-prefix", self.prefix]
        command += ["--group", self.prefix, "--interval", "100ms", "--set", f"merger.session={SESSION}", *words]
        if member:
            command += ["--member", member]
        with self.output.open("ab") as output:
            environment = {**os.environ, **self.store.variables, "EVERGAUGE_FAILPOINTS": str(self.failpoints)}
            self.mergers.append(subprocess.Popen(command, stdout=output, stderr=output, env=environment))
        return self.mergers[-1]

    def wait(self) -> None:
        """Until everything that was written is in the store: each row once, and a mark of each host."""
        wanted = numbered(HOSTS, self.written)
        try:
            wait_until(lambda: len(self.store.rows()) >= len(wanted), "rows in the store", pause_seconds=0.05)
            wait_until(lambda: self.store.marked_hosts() == set(HOSTS), "marks in the store", pause_seconds=0.05)
        except NotInTime as late:
            late.add_note(self.output.read_text())
            raise
        assert self.store.rows() == wanted

    def end(self) -> None:
        """Kill what is left."""
        for merger in self.mergers:
            merger.kill()
            merger.wait(DEADLINE_SECONDS)
