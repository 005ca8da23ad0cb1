"""The doctor's looks at this host, and at hosts made of files."""

import io
import json
import os
import socket
import stat
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from agent.cli.program import run
from agent.doctor.facts import ProcessFacts
from agent.doctor.probe import probe

STATUS = "Name:\tx\nCapEff:\t0000000000080000\n"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A host with one process, below a folder."""
    proc = tmp_path / "proc"
    for path, text in {
        "1/stat": "1 (x) S",
        "1/cmdline": "init",
        "self/status": STATUS,
        "self/mountinfo": f"22 1 0:5 / {proc} rw - proc proc rw,hidepid=invisible\n"
        "30 1 0:9 / /sys/fs/resctrl rw - resctrl resctrl rw\nnonsense\n",
        "stat": "cpu 1",
        "filesystems": "nodev\tresctrl\n",
        "cpuinfo": "processor\t: 0\nflags\t\t: fpu cqm cqm_llc\n",
    }.items():
        (proc / path).parent.mkdir(parents=True, exist_ok=True)
        (proc / path).write_text(text)
    (tmp_path / "sys/fs/resctrl/mon_groups").mkdir(parents=True)
    (tmp_path / "sys/fs/resctrl/info/L3_MON").mkdir(parents=True)
    return tmp_path


def test_a_container_of_kubernetes_is_known_by_the_variable_that_kubelet_sets(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that remedies are those of a pod; and a service of systemd by that of systemd."""

    def surroundings() -> tuple[bool, bool]:
        nowhere = str(host / "x")
        facts = probe(
            proc_root=nowhere, cgroup_root=nowhere, state_dir=nowhere, root=nowhere, with_packages=False, with_others=False
        )
        return facts.is_in_pod, facts.is_in_service

    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("INVOCATION_ID", raising=False)
    assert surroundings() == (False, False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "192.0.2.1")
    assert surroundings() == (True, False)
    monkeypatch.setenv("INVOCATION_ID", "0123456789abcdef0123456789abcdef")
    assert surroundings() == (True, True)


def test_facts_are_those_of_the_files(host: Path) -> None:
    """Mount options, capabilities, CPU flags and sockets are found where the kernel puts them."""
    (host / "cgroup").mkdir()
    (host / "cgroup/cgroup.controllers").write_text("cpu memory\n")
    (host / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(host / "run/docker.sock"))
        facts = probe(
            proc_root=str(host / "proc"), cgroup_root=str(host / "cgroup"), state_dir=str(host / "not/yet"), root=str(host)
        )
    assert (facts.processes.count, facts.processes.hidepid, facts.processes.reads_stat_of_others) == (1, "invisible", True)
    assert facts.processes.reads_io_of_others is None
    assert facts.capabilities == 1 << 19
    assert (facts.cgroup.version, facts.cgroup.controllers) == ("v2", ("cpu", "memory"))
    assert (facts.resctrl.mount_point, facts.resctrl.cpu_flags) == ("/sys/fs/resctrl", ("cqm", "cqm_llc"))
    assert facts.resctrl.is_readable
    assert facts.resctrl.has_monitoring
    assert [runtime.name for runtime in facts.runtimes] == ["docker"]
    assert facts.state.is_writable
    assert facts.state.free_bytes


def put_process(host: Path, pid: int, **files: str) -> None:
    folder = host / "proc" / str(pid)
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def test_processes_can_be_read_where_files_of_the_host_are_hidden(host: Path) -> None:
    """A proc mounted with `subset=pid` has no `stat`; without a process of our own it is none."""

    def is_readable() -> bool:
        return probe(proc_root=str(host / "proc"), cgroup_root="/x", state_dir=str(host), root=str(host)).processes.is_readable

    (host / "proc/stat").unlink()
    assert is_readable()
    (host / "proc/self/status").unlink()
    assert not is_readable()


def test_one_process_that_can_be_read_tells_of_all(host: Path) -> None:
    """Process 1, kernel threads and single processes that refuse say nothing; one that can be read says it works."""
    put_process(host, 2, stat=f"2 (kthreadd) S 0 0 0 0 -1 {0x0020_8040}" + " 0" * 44, io="", smaps_rollup="")
    # Anyone who runs the test owns these processes, and another looks at them.
    other, proc = os.geteuid() + 1, str(host / "proc")

    def seen() -> ProcessFacts:
        return probe(proc_root=proc, cgroup_root="/", state_dir="/", root=str(host), with_packages=False, user=other).processes

    assert (seen().reads_stat_of_others, seen().reads_io_of_others, seen().reads_memory_of_others) == (True, None, None)
    put_process(host, 30, stat="30 (a) S 1 30 30 0 -1 4194304" + " 0" * 44)
    assert (seen().reads_io_of_others, seen().reads_memory_of_others) == (False, False)
    put_process(host, 20, stat="20 (b) S", io="rchar: 1")
    assert (seen().reads_io_of_others, seen().reads_memory_of_others) == (True, False)


def test_the_daemons_look_opens_no_file_of_another_process(host: Path) -> None:
    """One whose memory lock is held would keep the start and the control socket waiting for ever."""
    put_process(host, 30, stat="30 (a) S")
    for path in (host / "proc/30").iterdir():
        path.unlink()
        # Nobody will ever write into it: a reader would wait.
        os.mkfifo(path)
    (host / "proc/30/smaps_rollup").mkdir()
    opened: set[str] = set()
    is_watched = [True]
    # A hook stays as long as the interpreter; it looks at nothing behind this test.
    sys.addaudithook(lambda event, arguments: opened.add(str(arguments[0])) if is_watched and event == "open" else None)
    facts = probe(
        proc_root=str(host / "proc"), cgroup_root="/", state_dir="/", root=str(host), with_packages=False, with_others=False
    )
    is_watched.clear()
    seen = facts.processes
    assert opened
    assert (seen.reads_stat_of_others, seen.reads_io_of_others, seen.reads_memory_of_others, seen.count) == (None, None, None, 2)
    assert [path for path in opened if path.startswith((str(host / "proc/30"), str(host / "proc/1")))] == []


def test_an_empty_host_is_facts_too(tmp_path: Path) -> None:
    """Nothing that is missing raises."""
    nowhere = str(tmp_path / "nowhere")
    facts = probe(proc_root=nowhere, cgroup_root=nowhere, state_dir=nowhere, root=nowhere, with_packages=False)
    assert (facts.processes.is_readable, facts.cgroup.version, facts.resctrl.mount_point) == (False, "none", None)
    assert (facts.capabilities, facts.clock_source, facts.packages, facts.nri) == (None, None, None, None)


@pytest.mark.parametrize(("made", "version"), [(["memory", "cpu"], "v1"), (["memory", "unified"], "hybrid")])
def test_older_cgroup_mounts_are_told_apart(made: list[str], version: str, tmp_path: Path) -> None:
    """A folder for each controller is v1; a unified one beside them makes it hybrid."""
    for name in made:
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup.procs").write_text("")
    if "unified" in made:
        (tmp_path / "unified/cgroup.controllers").write_text("")
    facts = probe(proc_root="/proc", cgroup_root=str(tmp_path), state_dir="/", with_packages=False)
    assert facts.cgroup.version == version
    assert "unified" not in facts.cgroup.controllers


@pytest.mark.runbook("Service and folders")
def test_the_command_prints_every_topic(tmp_path: Path) -> None:
    """On this host the essential things are there; a table within 100 columns, or JSON."""
    folders = ["--state-dir", str(tmp_path), "--runtime-dir", str(tmp_path)]
    output = io.StringIO()
    assert run(["doctor", *folders], {}, output, io.StringIO()) == 0
    # The place of a resctrl that another test has mounted may be longer; it has a line of its own.
    assert [line for line in output.getvalue().splitlines() if len(line) > 100 and " " in line.strip()] == []
    document = io.StringIO()
    assert run(["doctor", "--json", *folders], {}, document, io.StringIO()) == 0
    found = json.loads(document.getvalue())
    assert found["usable"] is True
    assert all(finding["topic"] in output.getvalue() for finding in found["findings"])


def test_the_daemons_look_imports_nothing_heavy() -> None:
    """The start-up banner costs the supervisor no package that it does not have already."""
    script = (
        "import sys; from agent.doctor import examine; examine(with_packages=False, with_others=False);"
        "heavy = {'psutil', 'pyarrow', 'duckdb', 'importlib.metadata', 'subprocess', 'socket', 'argparse'};"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, b"")


# In a mount namespace of its own: many mounts first, and last an emulated resctrl whose program has died.
BEHIND_MOUNTS = """
import ctypes, os, sys
folder, libc = sys.argv[1], ctypes.CDLL(None, use_errno=True)
def checked(result):
    if result: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
checked(libc.unshare(0x20000))
checked(libc.mount(None, b"/", None, 0x44000, None))
for number in range(80):
    os.mkdir(path := f"{folder}/a-mount-with-a-long-name-{number:03}")
    checked(libc.mount(b"tmpfs", path.encode(), b"tmpfs", 0, b"size=4k"))
os.mkdir(place := f"{folder}/a place")
device = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={device},rootmode=40755,user_id=0,group_id=0".encode()
checked(libc.mount(b"evergauge", place.encode(), b"fuse.resctrl", 0, options))
os.close(device)
os.symlink(place, link := f"{folder}/link")
from agent.doctor.probe import probe
from workers.resctrl.filesystem import MountedFilesystem
for wanted in (place, link):
    found = probe(proc_root="/proc", cgroup_root="/", state_dir="/", resctrl_mount=wanted, with_packages=False).resctrl
    print(found.mount_point == wanted, found.is_emulated, found.is_dead)
print(place in MountedFilesystem("/elsewhere").other_mounts())
"""


@pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/dev/fuse"), reason="only root can mount, and this needs FUSE")
def test_a_mount_behind_many_others_is_found_with_blanks_and_through_links(tmp_path: Path) -> None:
    """The kernel gives its table out in pages of 4 KiB, however much is asked for at once."""
    done = subprocess.run([sys.executable, "-c", BEHIND_MOUNTS, str(tmp_path)], capture_output=True, timeout=20, text=True)
    assert (done.stdout.split(), done.stderr) == (["True"] * 7, "")


def test_a_link_to_the_mount_is_where_the_agent_looks(host: Path) -> None:
    """The table has the place without links, the setting has the link."""
    (host / "r").symlink_to(host / "sys/fs/resctrl")
    probe_host = partial(probe, proc_root=str(host / "proc"), cgroup_root=str(host), state_dir=str(host), root=str(host))
    found = probe_host(resctrl_mount="/r", with_packages=False).resctrl
    assert (found.mount_point, found.wanted_point, found.has_monitoring) == ("/r", "/r", True)


def test_the_agent_is_told_where_resctrl_is_and_where_it_looks(host: Path) -> None:
    """An emulator's mount counts, a read-only one is told, and one elsewhere is found; the NRI socket is the one that was set."""
    mounts = host / "proc/self/mountinfo"
    mounts.write_text("31 1 0:9 / /mnt/r ro,relatime - fuse.resctrl evergauge rw\n")
    os.mknod(host / "nri.sock", stat.S_IFSOCK | 0o600)
    probe_host = partial(probe, proc_root=str(host / "proc"), cgroup_root=str(host), state_dir=str(host), root=str(host))
    elsewhere = probe_host().resctrl
    assert (elsewhere.mount_point, elsewhere.wanted_point) == ("/mnt/r", "/sys/fs/resctrl")
    facts = probe_host(resctrl_mount="/mnt/r", nri_socket="/nri.sock")
    assert (facts.resctrl.is_emulated, facts.resctrl.is_read_only) == (True, True)
    assert facts.nri is not None
