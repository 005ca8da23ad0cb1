"""A sink that is open: its files, its progress, what reads for it, and what it builds on."""

import os
from contextlib import suppress
from random import Random

from msgspec import Struct

from agent.model.errors import FormatError
from agent.ports import Bus, Clock, Outbox
from agent.store.install import read_install
from agent.store.layout import SPOOL_FOLDER
from workers.export.progress import ExportProgress
from workers.export.reading import SinkReading
from workers.export.reporting import Reporting
from workers.export.sink import Sink, SinkContext, SinkKind, SinkValues
from workers.export.sink_state import Commit, SinkState
from workers.export.snapshot_file import SinkSnapshot
from workers.framework.inotify import Inotify


class ExporterParts(Struct, frozen=True):
    """What the work of one sink is made of."""

    kind: SinkKind
    values: SinkValues
    tables: tuple[str, ...]
    state_dir: str
    host: str
    agent_version: str
    clock: Clock
    bus: Bus
    outbox: Outbox
    rng: Random
    run: str = ""


class OpenSink:
    """A sink that is open: its state on the disk, its progress, what reads for it, and what it builds on."""

    def __init__(self, kind: SinkKind, state: SinkState, progress: ExportProgress, sink: Sink, reading: SinkReading) -> None:
        self.kind = kind
        self.state = state
        self.progress = progress
        self.sink = sink
        self.reading = reading
        self.is_replaying = False
        # The earliest place that a new process would read; kept until what comes after it is in a snapshot.
        self.needs = progress.kept_needs
        self._replay_from = self.needs

    def restore(self, snapshot: SinkSnapshot | None, reporting: Reporting) -> None:
        """Begin with what the sink built on, and read again what came after it."""
        if snapshot is not None:
            # Without one its first may not have had its name yet: all that it would have held is kept.
            self.needs = self._replay_from = snapshot.place
            try:
                self.sink.restore(snapshot.content)
            except FormatError as failure:
                reporting.tell("snapshot_damaged", "error", failure.sentence)
                self.sink.restore(b"")
                self._replay_from = self.progress.low
        self.is_replaying = True

    def replay(self) -> None:
        """The next piece of what was delivered already."""
        until = self.progress.low if self.kind.is_ordered else self.progress.end_of_spans
        batches = self.reading.read_again(self._replay_from, until)
        if not batches:
            self.is_replaying = False
            return
        with suppress(FormatError):
            self.sink.skip(batches)
        self._replay_from = batches[-1].behind

    def snapshot(self) -> SinkSnapshot | None:
        """What the sink builds on now; None: each batch stands for itself."""
        content = self.sink.snapshot()
        if not content:
            self.needs = self.progress.low
            return None
        return SinkSnapshot(self.state.identity, self.progress.low, content)

    def on_committed(self, commit: Commit) -> None:
        """It is on the disk: what was before the snapshot is not needed any more (called by the thread)."""
        if commit.snapshot is not None:
            self.needs = commit.snapshot.place


def open_sink(parts: ExporterParts, reporting: Reporting) -> OpenSink | None:
    """Everything that needs the writer's folders to be there; None: they are not yet. *Raises:* EvergaugeError."""
    install = read_install(parts.state_dir)
    if install is None:
        return None
    state = SinkState(parts.state_dir, parts.kind, parts.values, install)
    progress, snapshot = state.load(parts.tables, reporting.tell)
    os.makedirs(state.folder, mode=0o700, exist_ok=True)
    context = SinkContext(
        parts.values, parts.host, install, parts.agent_version, state.folder, os.environ, parts.clock.wall_ns, reporting.tell,
        parts.tables, parts.run, progress.position,
    )  # fmt: skip
    sink = parts.kind.open(context)
    reading = SinkReading(parts.state_dir, parts.kind, parts.tables, install)
    opened = OpenSink(parts.kind, state, progress, sink, reading)
    opened.restore(snapshot, reporting)
    return opened


def watch_spool(state_dir: str) -> Inotify | None:
    """Notices of appends. *Absent:* None where the kernel has none left for this user; the spool is looked at every second then."""
    with suppress(OSError):
        notices = Inotify()
        try:
            notices.watch(os.path.join(state_dir, SPOOL_FOLDER))
        except OSError:
            notices.close()
            raise
        return notices
    return None
