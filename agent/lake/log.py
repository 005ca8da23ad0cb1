"""The log of a lake: reads what was committed, and appends to it, each number once. The store's conditional put is the only lock.

    log = LakeLog(bucket, by="merger/host-1")
    log.state()                                     # what counts now
    log.append(lambda state: LakeCommit(…))         # asked again with a newer state where somebody was faster; None: give up

Files are put before the entry that names them. *Raises:* BucketFailure, FormatError (the log is damaged or newer), from everything.
"""

import os
import time
from collections.abc import Callable
from random import Random

import msgspec
from msgspec import Struct

from agent.failpoint import failpoint
from agent.lake.bucket import Bucket, BucketFailure, PutOutcome
from agent.lake.commit import ENTRY_BYTES_MAX, LakeCommit, decode_commit, encode_commit
from agent.lake.lake_state import CHECKPOINT_BYTES_MAX, LakeState, decode_state
from agent.lake.path import HINT, LOG, checkpoint_name, entry_name, parse_checkpoint_name, parse_entry_name
from agent.model.errors import BusyError, EvergaugeError, ExitCode, FormatError
from agent.model.timebase import HOUR, S

CHECKPOINT_EVERY = 64
# A state that nobody looked at for so long is read from the beginning: what follows it may have been pruned. Entries are kept for a
# day at least (`agent.lake.log_pruning`).
STALE_NS = 1 * HOUR
HINT_BYTES_MAX = 1024
TRIES_MAX = 200
_WAIT_MAX_NS = 2 * S
# At two seconds each, more than a week without a checkpoint.
_ENTRIES_MAX = 500_000


class CommitRefused(EvergaugeError):
    """What was to be appended does not fit what was committed meanwhile."""

    code = ExitCode.TRY_AGAIN


class _Hint(Struct, frozen=True):
    number: int


def _lapse_ns() -> int:
    """A clock that also runs while the host sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class LogPorts(Struct, frozen=True):
    """What the log needs of its host: clocks, chance, and a way to wait so many nanoseconds."""

    wall_ns: Callable[[], int] = time.time_ns
    lapse_ns: Callable[[], int] = _lapse_ns
    chance: Random = msgspec.field(default_factory=lambda: Random(os.urandom(16)))
    wait_ns: Callable[[int], None] = lambda duration_ns: time.sleep(duration_ns / S)


class LakeLog:
    """The log of one lake, as one process sees it.

    `checkpoint_problem`: why the last checkpoint could not be written; empty: it was.
    """

    def __init__(self, bucket: Bucket, by: str, ports: LogPorts | None = None) -> None:
        self._bucket = bucket
        self._by = by
        self._ports = ports or LogPorts()
        self._state: LakeState | None = None
        self._looked_at_ns = (0, 0)
        self.checkpoint_problem = ""

    def state(self) -> LakeState:
        """What is committed now. It changes with the next call of `state` or `append`."""
        for _ in range(3):
            began = self._now()
            if self._state is None or self._is_stale(began):
                self._state = self._load()
            self._catch_up(self._state)
            # A process that slept in between may have missed that what it looked for was pruned.
            self._looked_at_ns = began
            if not self._is_stale(self._now()):
                return self._state
        raise BusyError(f"the log of {self._bucket.shown}", "it cannot be read within an hour", "look at the network between")

    def append(self, make: Callable[[LakeState], LakeCommit | None]) -> int | None:
        """Commit what `make` gives for the newest state; the entry's number. *Absent:* None where `make` gave None.

        *Raises:* CommitRefused: what it gave does not fit that state. A BucketFailure leaves open whether it was committed; the
        next `state` tells.
        """
        for turn in range(TRIES_MAX):
            state = self.state()
            commit = make(state)
            if commit is None:
                return None
            token = f"{self._ports.chance.getrandbits(64):016x}"
            commit = msgspec.structs.replace(commit, at_ns=self._ports.wall_ns(), by=self._by, token=token)
            if problem := state.why_refused(commit):
                raise CommitRefused(f"the log of {self._bucket.shown}", problem)
            if self._take(state, commit):
                return state.number
            # Others are at it too: who waits a little longer each time, meets fewer.
            self._ports.wait_ns(self._ports.chance.randrange(min(_WAIT_MAX_NS, (turn + 1) * 10_000_000)))
        raise BusyError(f"the log of {self._bucket.shown}", f"others were faster {TRIES_MAX} times", "run fewer writers")

    def _take(self, state: LakeState, commit: LakeCommit) -> bool:
        """Put the entry behind the state; False: somebody else has that number."""
        number = state.number + 1
        failpoint("lake.before_entry")
        if self._bucket.put_new(entry_name(number), encode_commit(commit)) is PutOutcome.OTHER:
            return False
        failpoint("lake.entry")
        # Pruning goes from the first number up: where the one before is gone, this one was taken and pruned before we came.
        if number > 1 and self._bucket.head(entry_name(number - 1)) is None:
            self._state = None
            return False
        state.apply(number, commit)
        if number % CHECKPOINT_EVERY == 0:
            self._checkpoint(state)
        return True

    def _checkpoint(self, state: LakeState) -> None:
        """A cache: without it the next reader folds more entries."""
        try:
            self._bucket.put_new(checkpoint_name(state.number), state.encoded())
            failpoint("lake.checkpoint")
            self._bucket.replace(HINT, msgspec.json.encode(_Hint(state.number)))
            self.checkpoint_problem = ""
        except BucketFailure as failure:
            self.checkpoint_problem = failure.sentence

    # ---- reading ----

    def _catch_up(self, state: LakeState) -> None:
        for _ in range(_ENTRIES_MAX):
            name = entry_name(state.number + 1)
            data = self._bucket.get(name, ENTRY_BYTES_MAX)
            if data is None:
                return
            state.apply(state.number + 1, decode_commit(data, self._where(name)))

    def _load(self) -> LakeState:
        """The state of the newest checkpoint that there is, with the entries that were listed behind it."""
        for start in (self._hint(), 0):
            state = self._load_from(start)
            if state is not None:
                return state
        raise FormatError(
            f"the log of {self._bucket.shown}", "entries between others are missing", "restore them from a backup of the lake"
        )

    def _load_from(self, start: int) -> LakeState | None:
        """*Absent:* None where what is listed behind `start` does not begin there."""
        checkpoints, last = [start], start
        entries: set[int] = set()
        for page in self._bucket.pages(f"{LOG}/", entry_name(start) if start else ""):
            for head in page:
                if (number := parse_checkpoint_name(head.name)) is not None:
                    checkpoints.append(number)
                elif (number := parse_entry_name(head.name)) is not None:
                    entries.add(number)
                    last = max(last, number)
        for number in sorted(checkpoints, reverse=True):
            state = self._read_checkpoint(number)
            if state is not None:
                break
        else:
            return None
        if any(number not in entries for number in range(state.number + 1, last + 1)):
            return None
        return state

    def _read_checkpoint(self, number: int) -> LakeState | None:
        """*Absent:* None where it is not there, or cannot be read: it is a cache, and an older one or the entries say the same."""
        if number == 0:
            return LakeState()
        name = checkpoint_name(number)
        data = self._bucket.get(name, CHECKPOINT_BYTES_MAX)
        try:
            return None if data is None else decode_state(data, number, self._where(name))
        except FormatError as failure:
            self.checkpoint_problem = failure.sentence
            return None

    def _hint(self) -> int:
        data = self._bucket.get(HINT, HINT_BYTES_MAX)
        try:
            return 0 if data is None else max(0, msgspec.json.decode(data, type=_Hint).number)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # It only says where to begin to look.
            return 0

    def _now(self) -> tuple[int, int]:
        return self._ports.lapse_ns(), self._ports.wall_ns()

    def _is_stale(self, now: tuple[int, int]) -> bool:
        """By either clock: a clock that is set forth costs a listing."""
        return any(moment - looked > STALE_NS for moment, looked in zip(now, self._looked_at_ns, strict=True))

    def _where(self, name: str) -> str:
        return f"{self._bucket.shown}/{name}"
