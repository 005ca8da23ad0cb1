"""Publishes marks to the cache, in a thread of its own: a cache that does not answer keeps no commit waiting.

What was committed goes out at once. All marks of hosts that this merger stores are published again in turn, so that a cache that
lost them has them again; where it says that it had lost some, all follow without a pause.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from agent.lake.mark_form import CachedMark
from agent.model.timebase import S
from workers.framework.vital_thread import VitalThread, end_process
from workers.merger.outcome import NumberedMark

# Of those that have not changed: 20,000 a turn take the cache some 100 ms.
AGAIN_PER_TURN = 2_000
AGAIN_PER_TURN_LOST = 20_000
TURN_NS = 2 * S
MARKS_MAX = 1_000_000

MarkKey = tuple[str, str]


class MarkSink(Protocol):
    """What `agent.lake.mark_cache.MarkCache` is to it."""

    problem: str

    def publish(self, table: str, marks: Mapping[str, CachedMark]) -> int | None:
        """How many were newer than what was there; None: it does not answer."""
        ...

    def close(self) -> None:
        """Give its connections back."""
        ...


class OwnedMarks:
    """The marks that are to be in the cache, and which of them are due. Not for several threads at a time."""

    def __init__(self, marks_max: int = MARKS_MAX) -> None:
        self._marks_max = marks_max
        self._marks: dict[MarkKey, CachedMark] = {}
        self._due: dict[MarkKey, None] = {}
        # Those that come again, in turn.
        self._again: list[MarkKey] = []

    def __len__(self) -> int:
        return len(self._marks)

    def take(self, marks: Mapping[str, Mapping[str, NumberedMark]]) -> None:
        """These are newer. *Range:* beyond MARKS_MAX no further host is taken in."""
        for table, of_table in marks.items():
            for host, mark in of_table.items():
                key = table, host
                if key in self._marks or len(self._marks) < self._marks_max:
                    self._marks[key] = CachedMark(mark.number, mark.low_ns)
                    self._due[key] = None

    def clear(self) -> None:
        """They are somebody else's now."""
        self._marks.clear()
        self._due.clear()
        self._again.clear()

    def next_due(self) -> dict[str, dict[str, CachedMark]]:
        """What was taken since, by table."""
        keys, self._due = list(self._due), {}
        return self._of(keys)

    def next_again(self, count: int) -> dict[str, dict[str, CachedMark]]:
        """The next ones in turn."""
        if not self._again:
            self._again = list(self._marks)
        keys, self._again = self._again[:count], self._again[count:]
        return self._of(keys)

    def put_back(self, table: str, hosts: Mapping[str, CachedMark]) -> None:
        """These could not be published."""
        for host in hosts:
            if (table, host) in self._marks:
                self._due[table, host] = None

    def _of(self, keys: list[MarkKey]) -> dict[str, dict[str, CachedMark]]:
        found: dict[str, dict[str, CachedMark]] = {}
        for table, host in keys:
            if (mark := self._marks.get((table, host))) is not None:
                found.setdefault(table, {})[host] = mark
        return found


class MarkPublisher:
    """The thread. `published`: marks written so far; `problem`: why the cache does not take them now."""

    def __init__(self, sink: MarkSink, on_bug: Callable[[], None] = end_process, *, turn_ns: int = TURN_NS) -> None:
        self._sink = sink
        self._turn_seconds = turn_ns / S
        self._owned = OwnedMarks()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._is_closing = False
        self.published = 0
        self.problem = ""
        self._thread = VitalThread("marks", self._run, on_bug)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def take(self, marks: Mapping[str, Mapping[str, NumberedMark]]) -> None:
        """These are committed, or were found in the store."""
        if marks:
            with self._lock:
                self._owned.take(marks)
            self._wake.set()

    def clear(self) -> None:
        """The partitions are given to others."""
        with self._lock:
            self._owned.clear()

    def close(self, seconds: float) -> bool:
        """End it, and wait no longer than this. False: it has not ended."""
        self._is_closing = True
        self._wake.set()
        return self._thread.join(seconds)

    def _run(self) -> None:
        has_lost = False
        while not self._is_closing:
            self._wake.wait(self._turn_seconds)
            is_turn = not self._wake.is_set()
            self._wake.clear()
            self._publish_due()
            if is_turn or has_lost:
                has_lost = self._publish_again(AGAIN_PER_TURN_LOST if has_lost else AGAIN_PER_TURN)
        self._sink.close()

    def _publish_due(self) -> None:
        with self._lock:
            due = self._owned.next_due()
        for table, hosts in due.items():
            if self._publish(table, hosts) is None:
                with self._lock:
                    self._owned.put_back(table, hosts)

    def _publish_again(self, count: int) -> bool:
        """Whether the cache did not have some of them."""
        with self._lock:
            again = self._owned.next_again(count)
        written = [self._publish(table, hosts) or 0 for table, hosts in again.items()]
        return sum(written) > 0

    def _publish(self, table: str, hosts: Mapping[str, CachedMark]) -> int | None:
        written = self._sink.publish(table, hosts)
        self.problem = self._sink.problem
        self.published += written or 0
        return written
