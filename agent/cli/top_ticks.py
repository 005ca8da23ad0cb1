"""The last ticks of an open spool, put together from its batches for `agentctl top`. PURE.

Batches are decoded only when a sample is asked for, and each sample is made once.
"""

from agent.cli.top_sample import HOST_TABLES, PROCESS_TABLE, SCAN_TABLE, TAIL_TABLE, Named, Sample, sample_of
from agent.model.errors import FormatError
from agent.store.record import TableForm
from agent.store.row_decoder import RowDecoder

# Two ticks are enough to tell a table that is on its way from one that is empty.
TICKS_KEPT = 2
# The host's newest tick may be younger than that of the processes; one of these is near it.
HOST_TICKS_KEPT = 4
# The usual tables of a tick; what ended has rows only where something did.
_EXPECTED = (TAIL_TABLE, SCAN_TABLE)

Batches = dict[str, list[tuple[TableForm, bytes]]]


class ProcessTicks:
    """The last ticks of processes and of the host."""

    def __init__(self) -> None:
        self._by_stamp: dict[int, Batches] = {}
        self._of_host: dict[int, Batches] = {}
        # Made of what is kept now; None after a batch.
        self._sample: Sample | None = None

    def put(self, table: str, stamp_wall_ns: int, form: TableForm, rows: bytes) -> None:
        """Take a batch in; the oldest tick goes when there are more than TICKS_KEPT, or HOST_TICKS_KEPT of the host."""
        self._sample = None
        kept, most = (self._of_host, HOST_TICKS_KEPT) if table in HOST_TABLES else (self._by_stamp, TICKS_KEPT)
        kept.setdefault(stamp_wall_ns, {}).setdefault(table, []).append((form, rows))
        while len(kept) > most:
            del kept[next(iter(kept))]

    def newest(self, host: str) -> Sample | None:
        """The newest whole tick, None when there is none. *Raises:* FormatError when its rows are damaged."""
        if self._sample is None:
            stamp = self._newest_whole()
            self._sample = None if stamp is None else self._decoded(stamp, host)
        return self._sample

    def _newest_whole(self) -> int | None:
        """Where only the newest tick lacks a table, its batch is on its way; where all do, there is none."""
        stamps = [stamp for stamp, tables in self._by_stamp.items() if PROCESS_TABLE in tables]
        for table in _EXPECTED:
            stamps = [stamp for stamp in stamps if table in self._by_stamp[stamp]] or stamps
        return stamps[-1] if stamps else None

    def _decoded(self, stamp: int, host: str) -> Sample:
        rows: dict[str, list[Named]] = {}
        bad_rows = 0
        for table, batches in self._by_stamp[stamp].items():
            rows[table], bad = _named_rows(batches, stamp)
            bad_rows += bad
        for at, tables in self._of_host.items():
            for table, batches in tables.items():
                try:
                    named, bad = _named_rows(batches, at)
                except FormatError:
                    # What a damaged batch says of the host is missing; the processes are not.
                    named, bad = [], 1
                rows.setdefault(table, []).extend(named)
                bad_rows += bad
        return sample_of(stamp, host, rows, bad_rows)


def _named_rows(batches: list[tuple[TableForm, bytes]], stamp_wall_ns: int) -> tuple[list[Named], int]:
    """The rows that fit their table, as a query shows them, and how many do not; each has the time of its batch.

    *Raises:* FormatError when in some batch none does.
    """
    named: list[Named] = []
    bad_rows = 0
    for form, encoded in batches:
        rows, bad = RowDecoder(form).decode(encoded)
        if bad and not rows:
            raise FormatError("spool rows", f"no row of a batch fits its table: {bad[0].problem}")
        for row in rows:
            named.append(dict(zip(form.names, row, strict=True)))
            named[-1]["timestamp"] = stamp_wall_ns
        bad_rows += len(bad)
    return named, bad_rows
