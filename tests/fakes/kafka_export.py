"""An exporter of kind `kafka` over a spool of a test; also as a process of its own, which can be killed.

python kafka_export.py STATE VALUES_AS_JSON      runs until nothing waits, and prints its statistics
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from fakes.export_host import ExportHost
from harness.sinks.kafka_broker import KafkaBroker, KafkaMessage

from agent.failpoint import VARIABLE
from agent.model.table import Value
from agent.model.timebase import S
from agent.topic.column_reading import values_of
from agent.topic.message import TopicMessage, decode_message
from workers.export.sink import SinkKind
from workers.exporters.kafka import SINK

DEADLINE_SECONDS = 60
Values = dict[str, int | str | bool]


class KafkaExportHost(ExportHost):
    """As ExportHost, with the real kind of sink in place of the scripted one."""

    def __init__(self, state: Path, values: Mapping[str, int | str | bool]) -> None:
        super().__init__(state, values=dict(values))

    @property
    def kind(self) -> SinkKind:
        """The real one."""
        return SINK

    def settle(self) -> None:
        """Until nothing waits."""
        # What was stored last is counted with the next look.
        self.run_for(2 * S)
        self.run_until(lambda: self.stats.get("state") == "up" and self.is_settled, "everything")


def kafka_export(state: Path, values: Mapping[str, int | str | bool], failpoints: Path) -> "subprocess.CompletedProcess[str]":
    """Run one to its end, which a failpoint may bring."""
    environment = {**os.environ, VARIABLE: str(failpoints)}
    words = [sys.executable, "-P", __file__, str(state), json.dumps(values)]
    return subprocess.run(words, capture_output=True, text=True, timeout=DEADLINE_SECONDS, env=environment, check=False)


def read_messages(found: Sequence[KafkaMessage]) -> list[TopicMessage]:
    """What is in messages of topics."""
    return [decode_message(each.headers, each.value) for each in found]


def rows_by_batch(broker: KafkaBroker, topic: str) -> "Counter[Value]":
    """How many rows of each batch of table `sample` are there, by its number, which each of its rows has."""
    found: Counter[Value] = Counter()
    for message in read_messages(broker.messages(topic)):
        found.update(values_of(message.rows)["number"])
    return found


def main() -> None:
    """As the head of this file says."""
    state, values = sys.argv[1:]
    host = KafkaExportHost(Path(state), json.loads(values))
    host.settle()
    print(json.dumps(host.stats))
    host.kill()


if __name__ == "__main__":
    main()
