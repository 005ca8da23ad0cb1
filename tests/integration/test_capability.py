"""Which capabilities a worker's process keeps."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from harness.agent_process import AgentProcess

from agent.capability import GRANTED, NET_ADMIN, SYS_PTRACE

SETS = ("CapInh", "CapPrm", "CapEff")


def held(pid: int, thread: int) -> set[str]:
    """Those of the unit's capabilities that a thread has in any of its sets."""
    lines = Path(f"/proc/{pid}/task/{thread}/status").read_text().splitlines()
    words = [int(line.split()[1], 16) for line in lines if line.startswith(SETS)]
    return {name for name, bit in GRANTED.items() if any(word >> bit & 1 for word in words)}


@pytest.mark.parametrize("kept", [(), (NET_ADMIN,), (NET_ADMIN, SYS_PTRACE)])
def test_what_is_not_declared_is_given_up_and_all_else_stays(kept: tuple[str, ...]) -> None:
    """Only the capabilities that some worker may declare are touched; root's others are the same as before."""
    code = (
        "import sys; from agent.capability import keep_only; "
        "keep_only(sys.argv[1].split(',')); print(open('/proc/self/status').read())"
    )
    told = subprocess.run([sys.executable, "-c", code, ",".join(kept)], capture_output=True, text=True, check=True).stdout
    words = {line.split()[0]: int(line.split()[1], 16) for line in told.splitlines() if line.startswith("Cap")}
    before = {
        line.split()[0]: int(line.split()[1], 16)
        for line in Path("/proc/self/status").read_text().splitlines()
        if line[:3] == "Cap"
    }
    lost = sum(1 << bit for name, bit in GRANTED.items() if name not in kept)
    assert (words["CapEff:"], words["CapPrm:"]) == (before["CapEff:"] & ~lost, before["CapPrm:"] & ~lost)


def test_only_the_worker_that_declares_capabilities_keeps_them(tmp_path: Path) -> None:
    """ZeroMQ's threads never have them, also those of the worker that keeps them; the supervisor has them for handing down."""
    with AgentProcess(tmp_path) as agent:
        assert agent.process is not None
        assert held(agent.process.pid, agent.process.pid) == set(GRANTED)
        for name, row in agent.workers().items():
            looked_at = 0
            for thread in psutil.Process(row["pid"]).threads():
                # Some threads end meanwhile.
                with suppress(FileNotFoundError, ProcessLookupError):
                    is_zmq = Path(f"/proc/{row['pid']}/task/{thread.id}/comm").read_text().startswith("ZMQbg")
                    expected = set(GRANTED) if name == "sampler/process" and not is_zmq else set()
                    assert held(row["pid"], thread.id) == expected, name
                    looked_at += 1
            # Its loop, and those of ZeroMQ.
            assert looked_at >= 3, name
