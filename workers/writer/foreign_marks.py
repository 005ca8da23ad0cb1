"""Which batches of other hosts are stored. PURE.

A host sends the batches of each of its workers in the order of its spool. So one number for each start of a worker is enough:
what is not above it came before. Numbers may be skipped: a host sends only the tables that it was told to send.

What was used longest ago is forgotten first, by the order of arrival: the clock of another host decides nothing here.
"""

from collections.abc import Mapping

from agent.model.message import BatchOrigin

# More hosts than one hub is made for. With 1,000 hosts of four senders and three starts the head of a segment has 0.4 MiB of marks.
INSTALLS_MAX = 20_000
# Workers of one installation; an agent has some tens.
WORKERS_MAX = 64
# Starts of one worker whose batches may still be on their way.
STARTS_MAX = 16
# Of all together: it bounds the head of a segment, some 30 bytes each.
MARKS_MAX = 200_000

# By installation, worker and start, `run/epoch`: the highest number stored. What was used last comes last.
Installs = dict[str, dict[str, dict[str, int]]]
_Key = tuple[str, str, str]


class ForeignMarks:
    """What is stored of every host. As in `WriterCore`, what was taken counts at once and holds from `commit` on.

    *Range:* as the constants above; `forgotten` counts marks that found no room: what comes again of theirs is stored twice.
    """

    def __init__(self) -> None:
        self._installs: Installs = {}
        self._pending: dict[_Key, int] = {}
        self.count = 0
        self.forgotten = 0

    @property
    def installs(self) -> Installs:
        """What is committed, as `merge` takes it."""
        return self._installs

    def have(self, origin: BatchOrigin) -> int:
        """The highest number of this start of this worker that is stored; 0: none is known."""
        install, worker, start = key = _key(origin)
        return self._pending.get(key) or self._installs.get(install, {}).get(worker, {}).get(start, 0)

    def take(self, origin: BatchOrigin) -> bool:
        """Whether a batch is new; then it counts as stored, unless it is rolled back."""
        if origin.seq <= self.have(origin):
            return False
        self._pending[_key(origin)] = origin.seq
        return True

    def commit(self) -> None:
        """The append succeeded."""
        for (install, worker, start), seq in self._pending.items():
            self._learn(install, worker, start, seq)
        self._pending.clear()
        self._bound()

    def rollback(self) -> None:
        """The append failed."""
        self._pending.clear()

    def learn(self, install: str, worker: str, start: str, seq: int) -> None:
        """A batch is found stored. *Shape:* `start` is as `start_of` writes it."""
        self._learn(install, worker, start, seq)
        self._bound()

    def merge(self, installs: Mapping[str, Mapping[str, Mapping[str, int]]]) -> None:
        """What an earlier writer had, the least recent first."""
        for install, workers in installs.items():
            for worker, starts in workers.items():
                for start, seq in starts.items():
                    self._learn(install, worker, start, seq)
        self._bound()

    def _learn(self, install: str, worker: str, start: str, seq: int) -> None:
        # Taken out and put in, at the end.
        workers = self._installs[install] = self._installs.pop(install, {})
        starts = workers[worker] = workers.pop(worker, {})
        known = starts.pop(start, None)
        starts[start] = seq if known is None else max(known, seq)
        self.count += known is None
        if len(starts) > STARTS_MAX:
            starts.pop(next(iter(starts)))
            self._forget(1)
        if len(workers) > WORKERS_MAX:
            self._forget(len(workers.pop(next(iter(workers)))))

    def _bound(self) -> None:
        while len(self._installs) > INSTALLS_MAX or self.count > MARKS_MAX:
            oldest = self._installs.pop(next(iter(self._installs)))
            self._forget(sum(map(len, oldest.values())))

    def _forget(self, marks: int) -> None:
        self.count -= marks
        self.forgotten += marks


def start_of(run: str, epoch: int) -> str:
    """One start of a worker, in a word."""
    return f"{run}/{epoch}"


def _key(origin: BatchOrigin) -> _Key:
    return origin.install, origin.worker, start_of(origin.run, origin.epoch)
