"""The settings of the process sampler, and what its parts take from them. PURE.

Those of TCP bytes are in `workers.process.tcp`.
"""

from collections.abc import Callable

from agent.config import Config
from agent.model.command_line import CHOICES, parse_command_line
from agent.model.timebase import MS
from agent.setting import MIB, Choice, Duration, Share, Size, Whole
from workers.process.top_n import Limits

CAPTURE = Share("sampler.process.capture", 950, 0, 1000, "share of CPU, memory and storage I/O that named processes are to hold")
TOP_ROWS_LEAST = Whole("sampler.process.top_rows_least", 5, 0, 10_000, "least rows per tick for each of CPU, memory and I/O")
TOP_ROWS = Whole("sampler.process.top_rows", 100, 1, 10_000, "most rows per tick for each of CPU, memory and I/O")
COMMAND_LINE = Choice("sampler.process.command_line", "masked", CHOICES, "nothing, the program, all but secrets, or everything")
COMMAND_LINE_BYTES = Size("sampler.process.command_line_bytes", 256, 16, 4096, "the most that is stored of a command line")
PSS_BUDGET = Duration(
    "sampler.process.pss_budget", MS // 4, 0, 100 * MS, "CPU per tick for proportional memory of processes with a row; 0s: none"
)
EXIT_BUFFER = Size(
    "sampler.process.exit_buffer_bytes", 8 * MIB, MIB // 4, 256 * MIB, "receive buffer for exit records of the kernel"
)

SETTINGS = (CAPTURE, TOP_ROWS_LEAST, TOP_ROWS, COMMAND_LINE, COMMAND_LINE_BYTES, PSS_BUDGET, EXIT_BUFFER)

# The longest of the files that are read aside, but for command lines, has some 1,000 bytes.
SIDE_READ_BYTES_LEAST = 4096
# Masking makes a line shorter, so more of it is read than is stored.
READ_PER_STORED = 16


def limits_of(config: Config) -> Limits:
    """How many rows there may be, and what they are to hold."""
    most = config.of(TOP_ROWS)
    return Limits(config.of(CAPTURE), min(config.of(TOP_ROWS_LEAST), most), most)


def lower_cap(limits: Limits) -> Limits:
    """A quarter of the rows, and never fewer than the least."""
    most = max(limits.least, limits.most // 4)
    return Limits(limits.capture, limits.least, most)


def side_read_bytes(config: Config) -> int:
    """How much of a file is read aside at most."""
    return max(READ_PER_STORED * config.of(COMMAND_LINE_BYTES), SIDE_READ_BYTES_LEAST)


def command_line_parser(config: Config, beat: Callable[[], None]) -> Callable[[bytes], str | None] | None:
    """Makes the stored line of the bytes of a command line. *Absent:* command lines are switched off."""
    bytes_max, shown = config.of(COMMAND_LINE_BYTES), config.of(COMMAND_LINE)

    def parse(data: bytes) -> str | None:
        # The worst command line costs some milliseconds, and any user may have thousands of them.
        beat()
        return parse_command_line(data, bytes_max=bytes_max, shown=shown, is_whole=len(data) < READ_PER_STORED * bytes_max)

    return None if shown == "off" else parse
