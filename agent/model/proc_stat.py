"""One line of `/proc/PID/stat`. PURE; read by the process sampler every second and by the supervisor for its workers."""

from typing import NamedTuple

from agent.model.errors import KernelFormatError
from agent.model.foreign import readable

# The longest line with 64-bit numbers in every field is below 1,200 bytes.
STAT_BYTES_MAX = 2048
# 292 years of CPU time in ticks of 10 ms: in nanoseconds, and as pages of 64 KiB in bytes, this fits a column of 64 bits.
NUMBER_MAX = (1 << 63) // 10_000_000
# What a column of 64 bits holds; the kernel writes starts as unsigned.
_INT64_MAX, _UINT64_END = (1 << 63) - 1, 1 << 64
# *Source:* linux/sched.h, PF_KTHREAD.
_KERNEL_THREAD = 0x0020_0000


class Stat(NamedTuple):
    """The fields that are used here, in the kernel's units.

    `cpu_ticks` is user and system time of all threads, ended ones included; `system_ticks` is the second part of it.
    `reaped_ticks` is the CPU of children that ended and were waited for. *Absent:* None for a number out of its range.
    *Range:* a start before the boot, as a time namespace may show it, is negative.
    """

    state: str
    ppid: int | None
    cpu_ticks: int | None
    threads: int | None
    start_ticks: int
    rss_pages: int | None
    is_kernel_thread: bool = False
    system_ticks: int = 0
    reaped_ticks: int | None = 0
    minor_faults: int | None = 0
    major_faults: int | None = 0

    @property
    def is_ended(self) -> bool:
        """No thread of the process runs any more."""
        return self.state in "ZX" and not self.is_first_thread_ended

    @property
    def is_first_thread_ended(self) -> bool:
        """The first thread of the process has ended, and others continue."""
        return self.state in "ZX" and (self.threads or 0) > 1


def stat_fields(line: bytes, fields_max: int = -1) -> list[bytes]:
    """The fields behind the name, the state first; empty where there is no name. *Source:* proc_pid_stat(5), fields 3 and up.

    The name in the second field may hold spaces and parentheses, so the fields begin after the *last* parenthesis. What is
    behind `fields_max` fields stays together at the end.
    """
    end = line.rfind(b")")
    return line[end + 2 :].split(b" ", fields_max) if end >= 0 else []


def parse_stat(line: bytes) -> Stat:
    """The fields of one line. *Raises:* KernelFormatError. *Source:* proc_pid_stat(5)."""
    fields = stat_fields(line, 22)
    try:
        start = int(fields[19])
        if not 0 <= start < _UINT64_END:
            raise ValueError("a start that is none")
        user, system, rss = int(fields[11]), int(fields[12]), int(fields[21])
        ppid, threads = int(fields[1]), int(fields[17])
        minor, major = int(fields[7]), int(fields[9])
        reaped_user, reaped_system = int(fields[13]), int(fields[14])
        reaped = reaped_user + reaped_system
        return Stat(
            fields[0].decode("ascii"),
            ppid if 0 <= ppid <= _INT64_MAX else None,
            user + system if user >= 0 and system >= 0 and user + system <= NUMBER_MAX else None,
            threads if 0 <= threads <= _INT64_MAX else None,
            start if start <= _INT64_MAX else start - _UINT64_END,
            rss if 0 <= rss <= NUMBER_MAX else None,
            bool(int(fields[6]) & _KERNEL_THREAD),
            system,
            reaped if reaped_user >= 0 and reaped_system >= 0 and reaped <= NUMBER_MAX else None,
            minor if 0 <= minor <= _INT64_MAX else None,
            major if 0 <= major <= _INT64_MAX else None,
        )
    except (IndexError, ValueError) as cause:
        raise KernelFormatError("/proc/PID/stat", f"cannot be read: {line[:80]!r}") from cause


def parse_comm(line: bytes) -> str:
    """The process's name out of its line, as `agent.model.foreign` writes it: two names are never shown as one."""
    return readable(line[line.find(b"(") + 1 : line.rfind(b")")])
