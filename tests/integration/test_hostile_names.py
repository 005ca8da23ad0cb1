"""A real agent on a host whose cgroups and processes are named by somebody hostile: every worker lives on."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from harness.agent_process import AgentProcess
from harness.waiting import wait_until

UID = "8a7f1c52-3e0b-4d6a-9f21-7c5d0e4b6a13"
STAT = (
    b"%d (\xff\x1b[2J) S 1 1 1 0 -1 4194560 1 0 0 0 1 1 0 0 20 0 1 0 %d 4096 1 1"
    b" 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0"
)
NAMES = (b"x\xff", b"\xff\xfe.service", b"\x1b[2J.scope", b"\xe2\x80\xae.slice", b"\xed\xa0\x80.service", b"pod\xff")


def _cgroups(root: Path) -> None:
    (root / "cgroup.controllers").write_text("cpu\n")
    for above in (b"", b"/kubepods", f"/kubepods/pod{UID}".encode()):
        for name in NAMES:
            os.makedirs(os.fsencode(root) + above + b"/" + name)
    for folder in (os.fsencode(root) + b"/x\xff", os.fsencode(root) + b"/\xff\xfe.service"):
        # What has nothing below it need not be listed.
        os.mkdir(folder + b"/below")
        os.chmod(folder, 0)


def _processes(root: Path) -> None:
    (root / "uptime").write_text("1000.00 1000.00\n")
    (root / "stat").write_text("cpu 1 1 1 1\nbtime 1\n")
    for pid in range(1, 1 + len(NAMES)):
        folder = root / str(pid)
        folder.mkdir()
        (folder / "stat").write_bytes(STAT % (pid, pid))
        (folder / "cgroup").write_bytes(b"0::/" + NAMES[pid - 1] + b"\n")
        (folder / "cmdline").write_bytes(b"/bin/\xff\0--x\x1b[2J\0")
        (folder / "status").write_bytes(b"Name:\t\xff\n")
    os.mkdir(os.fsencode(root) + b"/\xff")


def _without_override() -> tuple[str, ...]:
    """Root reads every folder; an agent that may not is a container's or a user's."""
    drop = "-dac_override,-dac_read_search"
    setpriv = shutil.which("setpriv") if os.geteuid() == 0 else None
    return () if setpriv is None else (setpriv, "--bounding-set", drop, "--inh-caps", drop)


def test_no_name_ends_a_worker(tmp_path: Path) -> None:
    """Names that are no UTF-8 or steer terminals, refused folders among them: told in a condition, stored as rows, nobody dies."""
    for name, fill in (("cgroup", _cgroups), ("proc", _processes)):
        (tmp_path / name).mkdir()
        fill(tmp_path / name)
    flags = {"--kernel-cgroup-root": str(tmp_path / "cgroup"), "--kernel-proc-root": str(tmp_path / "proc")}
    agentd = (*_without_override(), sys.executable, "-c", "from agent.daemon.main import main; main()")

    try:
        with AgentProcess(tmp_path, flags=flags, program=agentd) as agent:

            def told() -> list[dict[str, Any]]:
                return [each for each in agent.call("status")["conditions"] if each["kind"] == "cgroup_tree"]

            (condition,) = wait_until(told, "the condition about the refused folders")
            wait_until(lambda: agent.stats("sampler/process").get("rows"), "rows of processes")
            wait_until(lambda: agent.stats("writer")["rows"], "stored rows")
            workers = agent.workers()
    finally:
        for folder in (b"/x\xff", b"/\xff\xfe.service"):
            os.chmod(os.fsencode(tmp_path / "cgroup") + folder, 0o700)

    assert condition["detail"].isprintable()
    assert r"2 cgroups cannot be listed" in condition["detail"]
    assert {name: row["restarts"] for name, row in workers.items()} == dict.fromkeys(workers, 0)
