"""What the outside world looks like to the code that decides. PURE protocols, no implementation.

A worker's work is handed these; tests hand it fakes that pass the same contract tests.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from agent.model.gap_cause import ClockReading
from agent.model.message import Condition, DataAck, DataHello, ForeignBatch, Identity, Lost, Note, StoreEvents, Tick
from agent.model.rule_state import Change, RuleState
from agent.model.table import Row, Table

# The largest batch of another host: some times what a worker puts into one (`workers.runtime.outbox`).
FORWARD_BYTES_MAX = 4 << 20


class Clock(Protocol):
    """Two clocks: monotonic for every decision, wall for stamping rows; a reading of all others for judging a pause."""

    def now_ns(self) -> int:
        """CLOCK_MONOTONIC in nanoseconds."""
        ...

    def wall_ns(self) -> int:
        """Unix time in nanoseconds."""
        ...

    def reading(self) -> ClockReading:
        """Every clock of this thread at one moment, in microseconds."""
        ...


class KernelTree(Protocol):
    """Reads below one open directory (`/proc`, a cgroup mount). Paths are relative and never leave it."""

    def list_names(self, path: str = ".") -> list[str]:
        """The names in a directory, in no order. *Raises:* OSError."""
        ...

    def list_directories(self, path: str = ".") -> list[str]:
        """The names of the sub-directories of a directory, in no order. *Raises:* OSError."""
        ...

    def open(self, path: str) -> int:
        """A descriptor to read `path` with, again and again. *Raises:* OSError."""
        ...

    def read_open(self, descriptor: int, bytes_max: int, offset: int = 0) -> bytes:
        """The content from its beginning, or what one more read gives from `offset` on. *Raises:* OSError (ESRCH: the process
        is gone)."""
        ...

    def read_clocks(self, clocks: Sequence[int]) -> list[int | None]:
        """The time of each clock of clock_gettime(2) in ns, in their order; None: there is no such clock (any more)."""
        ...

    def close(self, descriptor: int) -> None:
        """Give a descriptor back."""
        ...

    def read(self, path: str, bytes_max: int) -> bytes:
        """Open, read to the end or up to `bytes_max`, close. *Raises:* OSError."""
        ...

    def owner(self, path: str) -> int:
        """The user id that owns a file or directory now. *Raises:* OSError."""
        ...

    def device(self, path: str = ".") -> int:
        """The number of the file system that a file or directory lies in: another one is mounted there. *Raises:* OSError."""
        ...


class Outbox(Protocol):
    """Where a worker puts rows. It never blocks; what does not fit is counted and becomes a row of table `gap`."""

    def offer(self, table: Table, rows: Sequence[Row], stamp_wall_ns: int, tick: Tick | None = None) -> bool:
        """Send one batch; False when the buffer is full and the rows are lost (and accounted for).

        A row that does not fit its table is left out alone, and becomes part of a row of table `gap`.

        A batch without rows is stored too: it says that its tick was measured and found nothing.
        """
        ...


class Forwarder(Protocol):
    """Where a hub puts the batches of other hosts. It never blocks, and what it has taken goes to the writer, once.

    The sender of a batch keeps it until it is stored: a hub that dies loses what it has taken, and the batch comes again. The
    writer drops what comes twice.
    """

    def offer(self, batch: ForeignBatch) -> int | None:
        """Take one batch; its number. *Absent:* None where there is no room now, and nothing was taken.

        *Range:* `encoded` has at most FORWARD_BYTES_MAX bytes; a larger one is a mistake of the caller's. What is under way fills
        three quarters of `outbox.buffer_bytes`; one batch is always taken.
        """
        ...

    def stored(self) -> int:
        """The highest number that the writer has appended, or accounted for in table `gap`; 0: none. It only grows, and
        `Work.on_stored` is called when it has grown."""
        ...


class Bus(Protocol):
    """A worker's way to the supervisor."""

    def publish(self, changes: Sequence[Change], *, complete: bool) -> None:
        """Announce changes of assignments."""
        ...

    def condition(self, condition: Condition) -> None:
        """Announce that a lasting condition begins, changes or ends."""
        ...

    def note(self, note: Note) -> None:
        """Announce one diagnostic event."""
        ...

    def delivered(self, sender: int, have_seq: int) -> None:
        """Answer a delivery: up to which number the supervisor's batches are stored."""
        ...

    def request(self, what: str) -> int:
        """Ask the supervisor; the answer comes through `Work.on_answer` with the number returned here."""
        ...


class Interest(NamedTuple):
    """A descriptor, and what its worker waits for there."""

    descriptor: int
    readable: bool = True
    writable: bool = False


class Operation(NamedTuple):
    """An operation of the control socket that this worker carries out. `number` is for its answer."""

    number: int
    name: str
    arguments: dict[str, Any]


class Work(Protocol):
    """What one kind of worker does; `workers.runtime` owns its process and calls it from one loop.

    No method may block longer than a heartbeat: liveness is the progress of this loop. `workers.framework.work.BaseWork` has all
    of them, for a kind that needs few.
    """

    def on_start(self, now_ns: int) -> None:
        """Prepare: open what is needed. The rules are already loaded. Afterwards the worker is ready."""
        ...

    def on_rules(self, rules: RuleState) -> None:
        """The rules changed to this."""
        ...

    def next_deadline_ns(self) -> int | None:
        """When `on_timer` wants to be called; None: never."""
        ...

    def on_timer(self, now_ns: int) -> None:
        """The deadline has come."""
        ...

    def interests(self) -> tuple[Interest, ...]:
        """The descriptors to wait for, each once; asked after every turn of the loop."""
        ...

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """One of them can be read, or has failed. It may have been closed earlier in the same turn."""
        ...

    def on_writable(self, descriptor: int, now_ns: int) -> None:
        """One of them can be written to, or has failed. It may have been closed earlier in the same turn."""
        ...

    def on_data(self, now_ns: int) -> bool:
        """The data socket has something: for the work that was made with a `DataPeer`. True: there may be more."""
        ...

    def on_stored(self, now_ns: int) -> None:
        """The writer has stored more of what its `Forwarder` has taken."""
        ...

    def on_ask(self, what: str, now_ns: int) -> dict[str, Any] | None:
        """The supervisor asks; a JSON document, or None: the answer comes later through `take_replies`."""
        ...

    def take_replies(self) -> Sequence[tuple[str, dict[str, Any]]]:
        """Late answers to asks, as (what, document); each is handed out once."""
        ...

    def on_operation(self, operation: Operation, now_ns: int) -> dict[str, Any] | None:
        """Carry out an operation; its result, `refused` with a code, a sentence and an exit code, or None: the answer comes later
        through `take_answers`."""
        ...

    def take_answers(self) -> Sequence[tuple[int, dict[str, Any]]]:
        """Late answers to operations, as (number, document); each is handed out once."""
        ...

    def on_answer(self, request: int, body: dict[str, Any]) -> None:
        """The supervisor's answer to `Bus.request`."""
        ...

    def on_level(self, steps: Sequence[str], *, is_off: bool) -> None:
        """It uses more than it may: leave out what these steps say (`agent.model.limit.LadderStep`; those that mean nothing to it
        change nothing), and, if `is_off`, do nothing but answer. What was left out before and is not named is done again."""
        ...

    def on_delivery(self, delivery: StoreEvents, now_ns: int) -> None:
        """Rows of the supervisor's: for the work whose kind stores them. It answers by `Bus.delivered` once they are stored."""
        ...

    def on_taken_over(self, now_ns: int) -> None:
        """The supervisor died and another one has taken over: what was published or asked before is unknown to it."""
        ...

    def on_stop(self, now_ns: int, *, for_good: bool) -> None:
        """Stop cleanly; unless it is `for_good`, a successor starts at once and takes over what stands."""
        ...

    def is_done(self) -> bool:
        """After `on_stop`: whether nothing is left to do."""
        ...


class DataPeer(Protocol):
    """The writer's end of the data socket."""

    def receive(self) -> tuple[Identity, bytes, bytes] | None:
        """The next frames `(who, message, rows)`, None when there are none. An empty message: who has connected."""
        ...

    def send(self, who: Identity, message: DataHello | DataAck) -> None:
        """Answer; silently nothing when the peer is gone, it will connect again."""
        ...


__all__ = ["Bus", "Clock", "DataPeer", "Interest", "KernelTree", "Lost", "Operation", "Outbox", "Work"]
