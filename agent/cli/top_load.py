"""What processes use together: the sum over named processes, tails, what ended, and sums. PURE."""

from collections.abc import Iterable

from msgspec import Struct

from agent.cli.top_sample import Ended, NamedProcess, Tail


class Load(Struct, frozen=True):
    """What some processes use together; None where not one value is known. The fields are those of NamedProcess.

    `ended` counts what ended within the tick: its CPU is in the sum, and it is no process any more.
    """

    processes: int = 0
    ended: int = 0
    threads: int | None = None
    cpu_share: float | None = None
    user_share: float | None = None
    system_share: float | None = None
    rss_bytes: int | None = None
    pss_bytes: int | None = None
    read_bytes_per_second: float | None = None
    write_bytes_per_second: float | None = None
    sent_bytes_per_second: float | None = None
    received_bytes_per_second: float | None = None
    minor_faults_per_second: float | None = None
    major_faults_per_second: float | None = None
    switches_per_second: float | None = None


Part = NamedProcess | Tail | Ended | Load
_FIGURES = Load.__struct_fields__[2:]


def load_of(parts: Iterable[Part]) -> Load:
    """The sum over parts. *Absent:* unknown values are left out; with none known the sum is None, as it is where a tail has no such
    figure: a sum of the others alone would be read as that of all."""
    processes = ended = 0
    sums: dict[str, float] = {}
    has_tail = False
    for part in parts:
        processes += 1 if isinstance(part, NamedProcess) else getattr(part, "processes", 0)
        ended += part.deaths if isinstance(part, Ended) else getattr(part, "ended", 0)
        has_tail = has_tail or isinstance(part, Tail)
        for figure in _FIGURES:
            value = getattr(part, figure, None)
            if value is not None:
                sums[figure] = sums.get(figure, 0) + value
    if has_tail:
        sums = {figure: value for figure, value in sums.items() if figure in Tail.__struct_fields__}
    return Load(processes, ended, **sums)  # type: ignore[arg-type]  # whole numbers stay whole in a sum


def io_of(part: Part) -> float | None:
    """What it reads and writes a second. *Absent:* where neither is known."""
    return _sum(getattr(part, "read_bytes_per_second", None), getattr(part, "write_bytes_per_second", None))


def network_of(part: Part) -> float | None:
    """What it sends and receives a second over TCP. *Absent:* where neither is known."""
    return _sum(getattr(part, "sent_bytes_per_second", None), getattr(part, "received_bytes_per_second", None))


def _sum(first: float | None, second: float | None) -> float | None:
    return second if first is None else first if second is None else first + second
