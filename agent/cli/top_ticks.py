"""The last ticks of an open spool, put together from its batches for `agentctl top`. PURE.

Batches are decoded only when a sample is asked for, and each sample is made once.
"""

from contextlib import suppress
from functools import lru_cache

from msgspec.structs import replace

from agent.cli.top_sample import (
    BEFORE_NS,
    HOST_TABLES,
    PROCESS_TABLE,
    SCAN_TABLE,
    TAIL_TABLE,
    Named,
    Sample,
    elapsed_of,
    machine_near,
    tick_sample,
)
from agent.model.errors import FormatError
from agent.store.record import TableForm
from agent.store.row_decoder import RowDecoder

# Of so many ticks the named processes are kept: enough to tell a table that is on its way from one that is empty, and a process
# that grows from one that has started.
TICKS_KEPT = 6
# Of a minute of usual seconds everything else is kept, for what happened a moment ago.
TICKS_BEFORE = 62
# A segment's head declares each table once.
FORMS_KEPT = 32
# The usual tables of a tick; what ended has rows only where something did.
_EXPECTED = (TAIL_TABLE, SCAN_TABLE)
_LARGE = (PROCESS_TABLE, TAIL_TABLE)

Batches = dict[str, list[tuple[TableForm, bytes]]]
Rows = dict[str, list[Named]]


class ProcessTicks:
    """The last ticks of processes and of the host."""

    def __init__(self) -> None:
        self._by_stamp: dict[int, Batches] = {}
        self._of_host: dict[int, Batches] = {}
        # Decoded rows of the host, and samples without any before them, by their stamps.
        self._host_rows: dict[int, Rows] = {}
        self._made: dict[int, Sample] = {}
        self._bad_rows: dict[int, int] = {}
        self._bad_of_host: dict[int, int] = {}
        # Made of what is kept now; None after a batch.
        self._sample: Sample | None = None

    def put(self, table: str, stamp_wall_ns: int, form: TableForm, rows: bytes) -> None:
        """Take a batch in; the oldest tick goes when there are more than TICKS_BEFORE, its processes after TICKS_KEPT."""
        self._sample = None
        kept = self._of_host if table in HOST_TABLES else self._by_stamp
        kept.setdefault(stamp_wall_ns, {}).setdefault(table, []).append((form, rows))
        if kept is self._of_host:
            self._host_rows.pop(stamp_wall_ns, None)
        else:
            self._made.pop(stamp_wall_ns, None)
        if len(kept) > TICKS_BEFORE:
            gone = next(iter(kept))
            del kept[gone]
            (self._host_rows if kept is self._of_host else self._made).pop(gone, None)
            (self._bad_of_host if kept is self._of_host else self._bad_rows).pop(gone, None)
        if table in _LARGE and len(self._by_stamp) > TICKS_KEPT:
            old = self._by_stamp[list(self._by_stamp)[-TICKS_KEPT - 1]]
            for large in _LARGE:
                old.pop(large, None)

    def newest(self, host: str) -> Sample | None:
        """The newest whole tick, None when there is none. *Raises:* FormatError when its rows are damaged."""
        if self._sample is None and (stamp := self._newest_whole()) is not None:
            sample = self._with_machine(self._tick(stamp, host), host)
            bad_rows = self._bad_rows[stamp] + self._bad_of_host.get(next(reversed(self._of_host), 0), 0)
            self._sample = replace(sample, before=self._before(stamp, host), bad_rows=bad_rows)
        return self._sample

    def _newest_whole(self) -> int | None:
        """Where only the newest tick lacks a table, its batch is on its way; where all do, there is none."""
        stamps = [stamp for stamp, tables in self._by_stamp.items() if PROCESS_TABLE in tables]
        for table in _EXPECTED:
            stamps = [stamp for stamp in stamps if table in self._by_stamp[stamp]] or stamps
        return stamps[-1] if stamps else None

    def _before(self, stamp: int, host: str) -> tuple[Sample, ...]:
        """The minute before a tick; ticks that cannot be read were counted as damaged when they were the newest."""
        samples = []
        for earlier in sorted(at for at in self._by_stamp if stamp - BEFORE_NS <= at < stamp):
            with suppress(FormatError):
                samples.append(self._tick(earlier, host))
        return tuple(samples)

    def _with_machine(self, sample: Sample, host: str) -> Sample:
        """The sample with the nearest tick of the host, which may have come after it was made."""
        machine = machine_near(sample.at_wall_ns, elapsed_of(sample), self._decoded_host())
        if sample.machine.host is None and machine.host is not None:
            # Times of start need the boot.
            del self._made[sample.at_wall_ns]
            return self._tick(sample.at_wall_ns, host)
        if machine != sample.machine:
            sample = self._made[sample.at_wall_ns] = replace(sample, machine=machine)
        return sample

    def _tick(self, stamp: int, host: str) -> Sample:
        if stamp not in self._made:
            rows: Rows = {}
            bad_rows = 0
            for table, batches in self._by_stamp[stamp].items():
                rows[table], bad = _named_rows(batches, stamp)
                bad_rows += bad
            self._bad_rows[stamp] = bad_rows
            self._made[stamp] = tick_sample(stamp, host, rows, self._decoded_host())
        return self._made[stamp]

    def _decoded_host(self) -> dict[int, Rows]:
        """What is known of the host. What a damaged batch says of it is missing, and counted; the processes are not."""
        for stamp, tables in self._of_host.items():
            if stamp in self._host_rows:
                continue
            rows = self._host_rows[stamp] = {}
            self._bad_of_host[stamp] = 0
            for table, batches in tables.items():
                try:
                    rows[table], bad = _named_rows(batches, stamp)
                except FormatError:
                    rows[table], bad = [], 1
                self._bad_of_host[stamp] += bad
        return self._host_rows


@lru_cache(maxsize=FORMS_KEPT)
def _decoder_of(form: TableForm) -> RowDecoder:
    """The decoder of a table's columns; to make one costs more than to decode a row."""
    return RowDecoder(form)


def _named_rows(batches: list[tuple[TableForm, bytes]], stamp_wall_ns: int) -> tuple[list[Named], int]:
    """The rows that fit their table, as a query shows them, and how many do not; each has the time of its batch.

    *Raises:* FormatError when in some batch none does.
    """
    named: list[Named] = []
    bad_rows = 0
    for form, encoded in batches:
        rows, bad = _decoder_of(form).decode(encoded)
        if bad and not rows:
            raise FormatError("spool rows", f"no row of a batch fits its table: {bad[0].problem}")
        for row in rows:
            named.append(dict(zip(form.names, row, strict=True)))
            named[-1]["timestamp"] = stamp_wall_ns
        bad_rows += len(bad)
    return named, bad_rows
