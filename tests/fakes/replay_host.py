"""The process sampler over a recording: its rows as text, the same for the same bytes.

As a program it writes `tests/fixtures/replay/NAME.rows` for all recordings, or for those that are named; read the difference before
committing it:

    PYTHONPATH=tests .venv/bin/python -m fakes.replay_host [NAME ...]
"""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from operator import itemgetter
from pathlib import Path
from typing import cast

import msgspec
from fakes.bus import RecordingBus
from fakes.row_problem import problem_of_row
from fakes.side_reader import InlineReader
from harness.replay import FOLDER, Recording, ReplayTree, load, names

from agent.config import Config
from agent.model.heartbeat import Heartbeat
from agent.model.table import Row, Table
from workers.framework.sampler import Sample
from workers.process.exits.connector import ConnectorListener
from workers.process.exits.taskstats import TaskstatsListener
from workers.process.exits.taskstats_record import ExitRecords, parse_datagram
from workers.process.exits.watcher import ExitWatcher, Openers
from workers.process.files import side_read
from workers.samplers.process import ProcessProbe

READ_BYTES_MAX = 4096


class RecordedExits:
    """`TaskstatsListener` over a recording: what came since the tick before, read as single datagrams."""

    capacity = 1 << 20

    def __init__(self, tree: ReplayTree, family: int) -> None:
        self._tree = tree
        self._family = family
        self._taken: object = None

    def drain(self, into: ExitRecords, beat: Callable[[], None] = lambda: None) -> None:
        """Each tick's records are had once."""
        if self._taken is self._tree.now:
            return
        self._taken = self._tree.now
        for datagram in self._tree.now.exits:
            parsed = parse_datagram(datagram, self._family)
            assert parsed is not None
            assert parsed.thread is not None
            if parsed.group is not None:
                into.groups[len(into.threads)] = parsed.group
            into.threads.append(parsed.thread)

    def close(self) -> None:
        """Nothing to give back."""


def _exits(tree: ReplayTree, family: int) -> ExitWatcher:
    def taskstats(_buffer_bytes: int) -> TaskstatsListener:
        if not family:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        return cast("TaskstatsListener", RecordedExits(tree, family))

    def connector(_buffer_bytes: int) -> ConnectorListener:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    return ExitWatcher(RecordingBus(), buffer_bytes=1 << 20, openers=Openers(taskstats=taskstats, connector=connector))


# So few that some processes of every recording are in the tail.
SETTINGS: dict[str, int | str] = {"sampler.process.top_rows": 8}


class Replay:
    """Every tick of a recording, measured; `missing` are files that the sampler asked for and the recording lacks."""

    def __init__(self, recording: Recording) -> None:
        self._tree = ReplayTree(recording)
        self._probe = ProcessProbe(
            self._tree,
            Config(SETTINGS),
            RecordingBus(),
            Heartbeat(),
            boot_ns=lambda: self._tree.now.boot_ns,
            exits=_exits(self._tree, recording.taskstats_family),
            reader=InlineReader(side_read(self._tree, READ_BYTES_MAX)),
            cpu_ns=lambda: 0,
        )

    def samples(self) -> Iterator[Sample]:
        """The rows of each tick, checked."""
        while True:
            sample = self._probe.sample(self._tree.now.now_ns, self._tree.now.wall_ns)
            for table, rows in sample:
                for row in rows:
                    problem = problem_of_row(table, row)
                    assert problem is None, problem
            yield sample
            if not self._tree.advance():
                break
        self._probe.close()

    @property
    def missing(self) -> set[str]:
        """What was asked for and is not in the recording."""
        return self._tree.missing

    @property
    def open_descriptors(self) -> int:
        """What was not given back."""
        return self._tree.open_descriptors


def rows_text(recording: Recording) -> str:
    """All rows of a recording for people, and on the last line the digest of their bytes."""
    lines, digest = [f"# {recording.about}"], sha256()
    for number, sample in enumerate(Replay(recording).samples(), start=1):
        lines.append(f"tick {number}")
        for table, rows in sample:
            # Rows of a table have no order: each has its key.
            for encoded, row in sorted(((msgspec.msgpack.encode(row), row) for row in rows), key=itemgetter(0)):
                digest.update(encoded)
                lines.append(_line(table, row))
    return "\n".join([*lines, f"sha256 {digest.hexdigest()}", ""])


def rows_file(name: str) -> Path:
    """Where the rows of a recording are kept."""
    return FOLDER / f"{name}.rows"


def _line(table: Table, row: Row) -> str:
    values = zip(table.column_names, row, strict=True)
    # The time of every row of a tick is the same.
    return f"  {table.name} " + " ".join(f"{name}={value!r}" for name, value in values if value is not None and name != "timestamp")


def main() -> None:
    """Write the rows of the corpus."""
    for name in sys.argv[1:] or names():
        rows_file(name).write_text(rows_text(load(name)))
        print(f"{name}: written")


if __name__ == "__main__":
    main()
