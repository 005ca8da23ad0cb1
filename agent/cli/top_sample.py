"""One tick of the process sampler as `agentctl top` shows it. PURE.

A sample is whole: the named processes of table `process` and, per pod, all others of table `process_tail`.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from agent.model.errors import FormatError
from agent.model.table import Value
from agent.store.record import TableForm
from agent.store.row_decoder import RowDecoder

PROCESS_TABLE = "process"
TAIL_TABLE = "process_tail"
# Two ticks are enough to tell a tail that is on its way from one that is empty.
TICKS_KEPT = 2

Named = dict[str, Value]


class NamedProcess(Struct, frozen=True):
    """A named process. `cpu_share` is of one core; None is a value that could not be had."""

    pid: int
    command: str
    uid: int | None
    pod_uid: str | None
    state: str | None
    threads: int | None
    cpu_share: float | None
    rss_bytes: int | None


class Tail(Struct, frozen=True):
    """All processes of a pod (None: of no pod) that are not named."""

    pod_uid: str | None
    processes: int
    cpu_share: float | None
    rss_bytes: int | None


class Sample(Struct, frozen=True):
    """All processes of a host at one moment (unix time in nanoseconds).

    `bad_rows` counts the rows of the open spool that do not fit their table: what they say is not in the sample.
    """

    at_wall_ns: int
    host: str
    processes: tuple[NamedProcess, ...]
    tail: tuple[Tail, ...]
    bad_rows: int = 0


class ProcessTicks:
    """The last ticks of a spool, put together from its batches, which are decoded only when one is shown."""

    def __init__(self) -> None:
        self._by_stamp: dict[int, dict[str, list[tuple[TableForm, bytes]]]] = {}

    def put(self, table: str, stamp_wall_ns: int, form: TableForm, rows: bytes) -> None:
        """Take a batch in; the oldest tick goes when there are more than TICKS_KEPT."""
        self._by_stamp.setdefault(stamp_wall_ns, {}).setdefault(table, []).append((form, rows))
        while len(self._by_stamp) > TICKS_KEPT:
            del self._by_stamp[next(iter(self._by_stamp))]

    def newest(self, host: str) -> Sample | None:
        """The newest whole tick, None when there is none. *Raises:* FormatError when its rows are damaged."""
        stamps = [stamp for stamp, tables in self._by_stamp.items() if PROCESS_TABLE in tables]
        if not stamps:
            return None
        # Where only the newest lacks its tail, the tail is on its way; where all do, there is none.
        tailed = [stamp for stamp in stamps if TAIL_TABLE in self._by_stamp[stamp]]
        stamp = tailed[-1] if tailed else stamps[-1]
        tables = self._by_stamp[stamp]
        processes, bad_processes = _named_rows(tables[PROCESS_TABLE])
        tail, bad_tail = _named_rows(tables.get(TAIL_TABLE, []))
        return replace(sample_of(stamp, host, processes, tail), bad_rows=bad_processes + bad_tail)


def _named_rows(batches: Sequence[tuple[TableForm, bytes]]) -> tuple[list[Named], int]:
    """The rows that fit their table, as a query shows them, and how many do not.

    *Raises:* FormatError when in some batch none does.
    """
    named: list[Named] = []
    bad_rows = 0
    for form, encoded in batches:
        rows, bad = RowDecoder(form).decode(encoded)
        if bad and not rows:
            raise FormatError("spool rows", f"no row of a batch fits its table: {bad[0].problem}")
        named += [dict(zip(form.names, row, strict=True)) for row in rows]
        bad_rows += len(bad)
    return named, bad_rows


def sample_of(at_wall_ns: int, host: str, processes: Iterable[Named], tail: Iterable[Named]) -> Sample:
    """A sample of rows by column name; columns that are missing or of another type count as absent."""
    return Sample(at_wall_ns, host, tuple(map(_process, processes)), tuple(map(_tail, tail)))


def _process(row: Named) -> NamedProcess:
    return NamedProcess(
        pid=_whole(row, "pid") or 0,
        command=command_of(_text(row, "comm"), _text(row, "command_line")),
        uid=_whole(row, "uid"),
        pod_uid=_text(row, "pod_uid"),
        state=_text(row, "state"),
        threads=_whole(row, "threads"),
        cpu_share=_share(row),
        rss_bytes=_whole(row, "rss_bytes"),
    )


def command_of(comm: str | None, line: str | None) -> str:
    """The displayed command of a process: its command line, after its name where the two differ.

    The name does so for processes and threads that give themselves one (prctl(2), PR_SET_NAME) and for scripts, whose
    interpreter stands first in the command line.
    """
    if line is None:
        # Kernel threads have no command line; their name is in brackets, as in ps.
        return f"[{comm or '?'}]"
    # A login shell's first argument begins with a dash. The kernel keeps 15 bytes of a name: it may be cut.
    program = line.partition(" ")[0].rpartition("/")[2].removeprefix("-")
    return line if comm is None or program.startswith(comm) else f"{comm}  {line}"


def _tail(row: Named) -> Tail:
    return Tail(_text(row, "pod_uid"), _whole(row, "processes") or 0, _share(row), _whole(row, "rss_bytes"))


def _text(row: Named, name: str) -> str | None:
    value = row.get(name)
    return value if isinstance(value, str) and value else None


def _whole(row: Named, name: str) -> int | None:
    value = row.get(name)
    return value if isinstance(value, int) else None


def _share(row: Named) -> float | None:
    value = row.get("cpu_share")
    return float(value) if isinstance(value, int | float) else None
