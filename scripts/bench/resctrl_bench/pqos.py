"""The rival: Debian's pqos, which reads a group for each process, over an emulator of its own.

It writes a row for each process and tick, to a terminal so that each row comes at once. What a tick costs is what its processor
time grows by from the last row of one to the last row of the next; neither its start nor its end is in that.
"""

import fcntl
import os
import pty
import subprocess
import termios
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from struct import Struct

from harness.proc import cpu_ns

from resctrl_bench.bench import Bench
from resctrl_bench.emulator import PROFILE, emulator
from workers.resctrl.emulator.profile import PROFILES

SCRIPT = Path(__file__).parents[2] / "lab" / "pqos"
CPUS = Path("/sys/devices/system/cpu")
# It makes and removes a group for each process.
PATIENCE_SECONDS = 120.0
# A virtual machine has no counters of its own; without them it refuses to start.
WORDS = ("-I", "--disable-mon-ipc", "--disable-mon-llc_miss", "-i", "10", "-u", "csv")
EVENTS = 3


@dataclass(frozen=True, slots=True)
class Cost:
    """For each file, by tick. *Absent:* no ticks where pqos could not be measured; the remark then says why."""

    microseconds: tuple[float, ...]
    remark: str


def cost(bench: Bench, pids: Sequence[int], *, are_names_kept: bool) -> Cost:
    """One run; pqos counts from its first tick, so that there is one more of them than are measured.

    It opens every file again for each reading and looks for each group below every control group. Where names are not kept, each
    such look asks the emulator; on a real machine it does not leave the kernel.
    """
    # It makes all control groups that there can be, and each takes an id: with these it can watch as many as the agent.
    more_ids = PROFILES[PROFILE].closids
    with (
        _caches(bench) as (domains, cpus, binds),
        emulator(bench.place, bench.new_name("pqos"), cpus=cpus, more_ids=more_ids, are_names_kept=are_names_kept) as emulated,
    ):
        # The kernel's own default for this many ids is less than one unit of occupancy, and then no id ever leaves limbo.
        threshold = PROFILES[PROFILE].l3_bytes // PROFILES[PROFILE].rmids
        (emulated.mount / "info" / "L3_MON" / "max_threshold_occupancy").write_text(str(threshold))
        command = [str(SCRIPT), "on", str(emulated.mount), *WORDS]
        command += ["-t", str(bench.options.pqos_seconds), "-p", f"all:{','.join(map(str, pids))}"]
        try:
            ticks_ns = _run(_with_mounts(binds, command), len(pids), bench.options.pqos_seconds + PATIENCE_SECONDS)
        except RuntimeError as failure:
            return Cost((), f"pqos could not be measured: {failure}")
        left = len(emulated.groups())
    files = len(pids) * domains * EVENTS
    remark = f"pqos read {files:,} files a tick (a group for each process)"
    if left:
        remark += f", and left {left} groups behind"
    if len(ticks_ns) <= bench.options.pqos_seconds:
        remark += f"; {bench.options.pqos_seconds} s were {len(ticks_ns) - 1} ticks to it"
    return Cost(tuple((later - earlier) / 1e3 / files for earlier, later in pairwise(ticks_ns)), remark)


def _with_mounts(binds: Sequence[str], command: list[str]) -> list[str]:
    """In a mount namespace of its own, where nobody else sees them."""
    if not binds:
        return command
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", f'{" && ".join(binds)} && exec "$@"', "sh", *command]


def _run(command: list[str], rows_a_tick: int, seconds: float) -> list[int]:
    """Its processor time in nanoseconds at the end of each tick. *Raises:* RuntimeError when it fails or does not end."""
    terminal, own_end = pty.openpty()
    # It writes as many rows as the terminal shows.
    fcntl.ioctl(own_end, termios.TIOCSWINSZ, Struct("HHHH").pack(2 * rows_a_tick + 100, 200, 0, 0))
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=own_end, stderr=own_end)
    os.close(own_end)
    end_at = time.monotonic() + seconds
    ticks_ns: list[int] = []
    words = ""
    try:
        with open(terminal, errors="replace") as lines:
            rows = 0
            for line in _until_closed(lines):
                # Rows begin with the year; the rest is a heading, or words for people.
                if not line[:4].isdecimal():
                    words += line
                    continue
                rows += 1
                if rows % rows_a_tick == 0:
                    ticks_ns.append(cpu_ns(process.pid))
                if time.monotonic() > end_at:
                    raise RuntimeError(f"it did not end within {seconds:.0f} s")
        code = process.wait(max(1.0, end_at - time.monotonic()))
    except subprocess.TimeoutExpired as late:
        raise RuntimeError(f"it did not end within {seconds:.0f} s") from late
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if code != 0 or len(ticks_ns) < 2:
        raise RuntimeError(f"it ended with {code} after {len(ticks_ns)} ticks: {' '.join(words.split())[-300:]}")
    return ticks_ns


def _until_closed(lines: Iterable[str]) -> Iterator[str]:
    """The lines of a terminal, whose end is an error when nobody holds the other side any more."""
    with suppress(OSError):
        yield from lines


@contextmanager
def _caches(bench: Bench) -> Iterator[tuple[int, dict[int, list[int]], list[str]]]:
    """pqos reads the domains that it finds in sysfs. Where this machine has one cache for all, half of its CPUs are shown another.

    Gives how many caches pqos sees, the CPUs behind each, and what is to be mounted for pqos to see the same.
    """
    files = sorted(CPUS.glob("cpu[0-9]*/cache/index3/id"), key=lambda path: int(path.parts[-4].removeprefix("cpu")))
    numbers = [int(path.parts[-4].removeprefix("cpu")) for path in files]
    ids = {path.read_text().strip() for path in files}
    half = len(files) // 2
    if len(ids) != 1 or half == 0:
        yield max(1, len(ids)), {}, []
        return
    shown = bench.place.folder / "second-cache"
    shown.write_text("1\n")
    yield 2, {0: numbers[:half], 1: numbers[half:]}, [f"mount --bind {shown} {path}" for path in files[half:]]
