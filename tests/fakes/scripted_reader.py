"""A consumer of a test's own: it gives what the test has put into it, from where it is told."""

import threading
from collections.abc import Callable, Iterable, Mapping

from agent.model.errors import UnavailableError
from workers.merger.effect import TakenMessage, TopicPartition
from workers.merger.kafka_reader import OutOfRange


class ScriptedReader:
    """`workers.merger.engine.Reader`. Partitions are given at the first poll."""

    def __init__(self, *partitions: TopicPartition) -> None:
        self.problem = ""
        self.partitions = partitions
        self.messages: list[TakenMessage] = []
        self.told: dict[TopicPartition, int] = {}
        self.opened = self.closed = 0
        self.is_paused = False
        self.range_of: OutOfRange | None = None
        self.fails_once = False
        # The test has taken the partitions away, or wants them given again.
        self.rebalances = 0
        self._rebalanced = -1
        self._offsets: dict[TopicPartition, int] = {}
        self._lock = threading.Lock()
        self._on_assigned: Callable[[Iterable[TopicPartition]], None] = lambda _: None
        self._on_revoked: Callable[[], None] = lambda: None

    def open(self, on_assigned: Callable[[Iterable[TopicPartition]], None], on_revoked: Callable[[], None]) -> "ScriptedReader":
        """As `EngineParts.open_reader`."""
        self._on_assigned, self._on_revoked = on_assigned, on_revoked
        self.opened += 1
        self._rebalanced = -1
        return self

    def put(self, *messages: TakenMessage) -> None:
        """More messages."""
        with self._lock:
            self.messages += messages

    def poll(self, seconds: float) -> TakenMessage | OutOfRange | None:
        if self.fails_once:
            self.fails_once = False
            raise UnavailableError("broker", "the consumer was fenced")
        if self._rebalanced != self.rebalances:
            self._rebalanced = self.rebalances
            self._on_revoked()
            self._on_assigned(self.partitions)
            return None
        found, self.range_of = self.range_of, None
        if found is not None:
            return found
        with self._lock:
            for message in self.messages if not self.is_paused else ():
                if self._offsets.get(message.partition, 1 << 62) <= message.offset:
                    self._offsets[message.partition] = message.offset + 1
                    return message
        threading.Event().wait(min(seconds, 0.005))
        return None

    def consume_from(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._offsets = dict(offsets)
        self.is_paused = False

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False

    def tell_group(self, offsets: Mapping[TopicPartition, int]) -> None:
        self.told |= offsets

    def lag(self, positions: Mapping[TopicPartition, int]) -> int:
        return len(self.messages) - sum(positions.values())

    def partition_counts(self, topics: Iterable[str]) -> dict[str, int]:
        return {topic: 1 + max(each.number for each in self.partitions if each.topic == topic) for topic in set(topics)}

    def close(self) -> None:
        self.closed += 1
        self._on_revoked()
