"""What is read of processes beside their `stat`, aside and within budgets: I/O of those that ran; user, command line and
proportional memory of those with a row.

Each kind of file has its breaker. What each of them costs is in `docs/processes.md`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from agent.side_reader import SideReader
from workers.framework.condition import Conditions
from workers.process.breaker import BreakerLimits, FileBreaker
from workers.process.files import ProcFiles
from workers.process.identity import IdentityReader
from workers.process.io import LIMITS as IO_LIMITS
from workers.process.io import IoReader
from workers.process.pss import PssReader
from workers.process.tracked_process import Scan, TrackedProcess

# A command line costs some 13 us, masking included some 40; the longest ones some milliseconds.
COMMAND_LINE_LIMITS = BreakerLimits(cost_ns_max=200_000_000, unanswered_max=16)
# The budget keeps reads below this, unless one of them takes far more than its memory tells.
PSS_LIMITS = BreakerLimits(cost_ns_max=250_000_000)


class DetailOptions(Struct, frozen=True):
    """`parse` makes a line of the bytes of a command line, None: switched off. `pss_budget_ns`: CPU per tick, 0: switched off."""

    parse: Callable[[bytes], str | None] | None
    pss_budget_ns: int


class Details:
    """Reads them in the order in which a tick needs them. `cpu_ns` is the CPU that this process has used."""

    def __init__(
        self,
        files: ProcFiles,
        reader: SideReader[bytes],
        options: DetailOptions,
        conditions: Conditions,
        cpu_ns: Callable[[], int],
    ) -> None:
        self._breakers = {
            file: FileBreaker(file, limits, conditions)
            for file, limits in (("io", IO_LIMITS), ("cmdline", COMMAND_LINE_LIMITS), ("smaps_rollup", PSS_LIMITS))
        }
        self._io = IoReader(files, reader, self._breakers["io"], cpu_ns)
        self._identities = IdentityReader(files, reader, options.parse, self._breakers["cmdline"], cpu_ns)
        self._pss = PssReader(reader, self._breakers["smaps_rollup"], budget_ns=options.pss_budget_ns, cpu_ns=cpu_ns)

    @property
    def io_unreadable(self) -> int:
        """How many processes do not let their I/O be read."""
        return self._io.unreadable

    def read_io(self, scan: Scan) -> None:
        """I/O of everything that ran; the sums have it too."""
        self._io.read(scan)

    def read(self, winners: Sequence[TrackedProcess], now_ns: int) -> None:
        """Who the processes with a row are, and their proportional memory."""
        self._identities.read(winners, now_ns)
        self._pss.read(winners, now_ns)

    def hold(self, *, is_held: bool) -> None:
        """Whether `io` and `smaps_rollup` are left unread, whatever they cost; command lines are read once for each process."""
        for file in ("io", "smaps_rollup"):
            self._breakers[file].is_held = is_held

    def stats(self) -> dict[str, Any]:
        """Command lines that were not answered so far, and processes whose I/O is refused."""
        return {
            "command_lines_unanswered": self._identities.unanswered,
            "io_unreadable": self._io.unreadable,
        }

    def breakers_open(self) -> dict[str, int]:
        """By kind of file: 1 while it is not read."""
        return {file: int(breaker.is_open) for file, breaker in self._breakers.items()}
