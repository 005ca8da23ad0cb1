"""One line of `/proc/PID/stat`. PURE; read by the process sampler every second and by the supervisor for its workers."""

from typing import NamedTuple

from agent.model.errors import KernelFormatError

# The longest line with 64-bit numbers in every field is below 1,200 bytes.
STAT_BYTES_MAX = 2048
# 292 years of CPU time in ticks of 10 ms: in nanoseconds, and as pages of 64 KiB in bytes, this fits a column of 64 bits.
NUMBER_MAX = (1 << 63) // 10_000_000


class Stat(NamedTuple):
    """The fields that are used here, in the kernel's units."""

    state: str
    ppid: int
    cpu_ticks: int
    threads: int
    start_ticks: int
    rss_pages: int


def parse_stat(line: bytes) -> Stat:
    """The fields of one line. *Raises:* KernelFormatError. *Source:* proc_pid_stat(5).

    The name in the second field may hold spaces and parentheses, so the fields begin after the *last* parenthesis.
    """
    end = line.rfind(b")")
    fields = line[end + 2 :].split(b" ", 22)
    try:
        if end < 0:
            raise ValueError("no name")
        stat = Stat(
            state=fields[0].decode("ascii"),
            ppid=int(fields[1]),
            cpu_ticks=int(fields[11]) + int(fields[12]),
            threads=int(fields[17]),
            start_ticks=int(fields[19]),
            rss_pages=int(fields[21]),
        )
        if not all(0 <= number <= NUMBER_MAX for number in stat[1:]):
            raise ValueError("a number out of its range")
        return stat
    except (IndexError, ValueError) as cause:
        raise KernelFormatError("/proc/PID/stat", f"cannot be read: {line[:80]!r}") from cause


def parse_comm(line: bytes) -> str:
    """The process's name out of its line; bytes that are no UTF-8 are replaced."""
    return line[line.find(b"(") + 1 : line.rfind(b")")].decode("utf-8", "replace")
