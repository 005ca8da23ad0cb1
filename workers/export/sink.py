"""What a kind of sink is, as one declaration, and what its module has to do. PURE.

A kind is one module in `workers/exporters` with a `SINK`; a sink of it is a section `[sink."NAME"]` of the settings file, and runs
as the worker `exporter/NAME` (`workers.export.work`), which reads the spool, keeps the cursor and decides when what is sent.
The supervisor imports these modules too, for what they declare: what is heavy is imported inside `open`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from agent.setting import AnySetting, Setting, T
from agent.sink_section import INTERVAL
from agent.store.batch import StoredBatch
from agent.store.place import BEGINNING, Place


class Delivered(Struct, frozen=True):
    """The sink has it and answers for it. Of its rows so many were refused for good, for this `reason` (a word for counters),
    with the sink's own `sentence`; a sentence without refused rows is a warning."""

    refused_rows: int = 0
    reason: str = ""
    sentence: str = ""


class Refused(Struct, frozen=True):
    """It can never succeed: its rows are counted as rejected for `reason` (a word for counters), and passed over."""

    reason: str
    sentence: str


class TooLarge(Struct, frozen=True):
    """The sink takes no request of this size: it is divided and tried again; a single batch is passed over as `too_large`."""

    sentence: str


class Later(Struct, frozen=True):
    """It may succeed later: not before `after_ns` from now, where the sink has said so."""

    sentence: str
    after_ns: int | None = None


class Paused(Struct, frozen=True):
    """The sink does not know us (credentials, certificate, address): nothing is sent until a probe succeeds; a person must act."""

    sentence: str


Verdict = Delivered | Refused | TooLarge | Later | Paused


class Parcel(Protocol):
    """What one delivery carries, encoded. Only the sink that made it looks into it."""

    @property
    def size_bytes(self) -> int:
        """How many bytes travel."""
        ...

    @property
    def points(self) -> int:
        """How many points, records or rows the sink gets, in its own unit; for statistics."""
        ...


class Sink(Protocol):
    """One sink, in its worker's process.

    `take` is called by the worker's loop, `deliver` and `close` by one other thread, never two at once for one parcel; so `take`
    must not wait for anything, and what both use must not be changed by both.
    """

    def take(self, batches: Sequence[StoredBatch]) -> Parcel | None:
        """Encode these batches, which follow each other in the spool. None: there is nothing in them for this sink, and they count
        as delivered.

        The same batches give the same bytes, after the same `restore` and the batches before them, also in another process:
        so a delivery that is repeated is the same. Within some 100 ms for some 512 KiB of rows. *Raises:* FormatError where rows
        cannot be read; then they are counted as rejected, for `unreadable`.
        """
        ...

    def skip(self, batches: Sequence[StoredBatch]) -> None:
        """Learn from these batches what later ones build on (totals, names), and send nothing: they were delivered already."""
        ...

    def snapshot(self) -> bytes:
        """What `take` builds on, for `restore` in a later process; b"": nothing, each batch stands for itself."""
        ...

    def restore(self, snapshot: bytes) -> None:
        """Begin from there. *Raises:* FormatError for what it did not write; then it begins from nothing."""
        ...

    def left_out(self) -> Mapping[str, int]:
        """What found no place in parcels though nobody refused it, since the sink was made: `rows` of which it makes others,
        `series` beyond its budget. Only what the kind of sink can leave out; for statistics."""
        ...

    def deliver(self, parcel: Parcel) -> Verdict:
        """Bring it there and wait for the answer, at most for its own time-outs. A parcel may come again after `Later`: what of it
        was acknowledged already is not sent again. *Raises:* nothing but a bug: what fails is a verdict."""
        ...

    def probe(self) -> Verdict:
        """Whether the sink can be reached and would take something, without sending rows; for `agentd --check-config --connect`."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class SinkValues(Struct, frozen=True):
    """The section of one sink: its name, and the value of each of its settings by name."""

    name: str
    kind: str
    values: Mapping[str, int | str | bool]

    def of(self, setting: Setting[T]) -> T:
        """The value of a setting; its default if it is not set."""
        value = self.values.get(setting.key, setting.default)
        assert isinstance(value, type(setting.default)), setting.key
        return value


class SinkPosition(Struct, frozen=True):
    """What is settled: everything before `low`, and each of the spans in `ahead`, which are in order; between lies a backlog.

    `delivered_rows`: how many rows the sink has acknowledged since its cursor was made.
    """

    low: Place = BEGINNING
    ahead: tuple[tuple[Place, Place], ...] = ()
    delivered_rows: int = 0


def _at_the_beginning() -> SinkPosition:
    return SinkPosition()


class SinkContext(Struct, frozen=True):
    """What a sink is opened with. `folder`: its own folder below the state folder. `variables`: the environment of the agent.

    `run` is that of the agent; empty where there is none. `wall_ns` gives unix time; `note` tells something that happens once, as
    (kind, severity, sentence). `tables` are those whose rows it is to send; batches of others (`SinkKind.context_tables`) only say
    what is called how. `position`, asked within `take`, gives what was settled before these batches; the thread that delivers must
    not ask.
    """

    settings: SinkValues
    host: str
    install: str
    agent_version: str
    folder: str
    variables: Mapping[str, str]
    wall_ns: Callable[[], int]
    note: Callable[[str, str, str], None]
    tables: tuple[str, ...] = ()
    run: str = ""
    position: Callable[[], SinkPosition] = _at_the_beginning


def _no_problem(values: SinkValues) -> str:
    return ""


class SinkKind(Struct, frozen=True):
    """One kind of sink. `options` are the settings that a section of it may have beside those of all sinks; the key of each is its
    name in the section.

    `tables`: what it gets where the section names none, and all that it has a place for; empty: every table. `default_tables`: what
    it gets where the section names none, if that is less. `context_tables`: what it also gets, unasked for,
    because rows of others build on them (names of pods); they are never counted as its rows unless they are asked for.
    `is_ordered`: it gets everything in the order of the spool, so that after an outage the newest comes last; otherwise the
    newest comes first, and what was missed beside it. `identity`: which options say that it is another sink (such as the
    endpoint): where one of them changes, the cursor begins again. `check` gives a sentence for a section that cannot be used.
    `by_segment`: it gets whole segments, once they are sealed, as `SinkReading.read` says; it is ordered too. Rows
    of other hosts, which a hub stores, are in them; other kinds do not get these. `interval_ns`: how often new rows are sent where
    the section does not say.
    """

    name: str
    about: str
    options: tuple[AnySetting, ...]
    identity: tuple[AnySetting, ...]
    open: Callable[[SinkContext], Sink]
    tables: tuple[str, ...] = ()
    context_tables: tuple[str, ...] = ()
    default_tables: tuple[str, ...] = ()
    is_ordered: bool = False
    by_segment: bool = False
    interval_ns: int = INTERVAL.default
    check: Callable[[SinkValues], str] = _no_problem
    preload: tuple[str, ...] = ()
