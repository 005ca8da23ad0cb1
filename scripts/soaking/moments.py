"""What is measured for the judgement by the hour: every lasting process, and the folder. Reads `/proc` and the file system."""

import os
from contextlib import suppress
from pathlib import Path

from harness import proc

from soaking.agent_under_test import AgentUnderTest
from soaking.endurance import Moment, ProcessMoment

_TICKS = os.sysconf("SC_CLK_TCK")
MIB = 1 << 20


def take_moment(tested: AgentUnderTest, at_seconds: float) -> Moment:
    """The agent as it is now. A process that ends at this moment is left out of it. *Raises:* OSError when the supervisor does."""
    rows = tested.workers()
    pids = {"supervisor": tested.supervisor}
    if (server := tested.server_of(rows)) is not None:
        pids["fork server"] = server
    pids |= {name: row["pid"] for name, row in rows.items() if row["pid"] is not None}
    found = {}
    for role, pid in pids.items():
        with suppress(OSError):
            found[role] = _process(pid)
    state = tested.state_dir
    return Moment(round(at_seconds, 1), found, _bytes_below(state), _bytes_below(state / "spool"))


def _process(pid: int) -> ProcessMoment:
    memory, stat = proc.memory(pid), proc.stat_of(pid)
    if stat is None:
        raise ProcessLookupError(pid)
    seconds = stat.cpu_ticks / _TICKS
    return ProcessMoment(pid, memory.rss_bytes, memory.pss_bytes, proc.own_descriptors(pid), proc.threads(pid), seconds)


def _bytes_below(folder: Path) -> int:
    """What the files of a folder take on the disk. Files that vanish meanwhile are not there."""
    total = 0
    for base, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(base, name)).st_blocks * 512
    return total
