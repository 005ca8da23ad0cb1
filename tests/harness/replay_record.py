"""Records `/proc` into the corpus `tests/fixtures/replay`. Needs root and gcc; nothing of the machine itself gets into a recording.

    PYTHONPATH=tests:scripts/bench .venv/bin/python -m harness.replay_record [NAME ...]

Only processes that a sequence starts itself are recorded, in a cgroup namespace of their own; those of other kernels and hosts
are made of them by changing files. Afterwards `python -m fakes.replay_host` writes the rows that they become.
"""

import errno
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from harness.replay import Content, RecordedTick, Recording, clock_of, save
from msgspec import Struct

from workers.framework.netlink import DatagramSlots, family_id, generic_socket
from workers.framework.netlink_message import pack_attribute, pack_generic
from workers.process.exits.taskstats import SLOT_BYTES, SLOTS
from workers.process.exits.taskstats_record import COMMAND_GET, FAMILY, REGISTER_CPUMASK, parse_datagram

FILES = ("stat", "schedstat", "statm", "status", "io", "cgroup", "cmdline", "smaps_rollup")
READ_BYTES_MAX = 1 << 20
# The wall clock of the recordings: a date that says nothing.
WALL_NS = 1_700_000_000 * 10**9
MOUNTINFO = b"22 1 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:1 - proc proc rw\n"
VMSTAT = (b"pgsteal_", b"pswp", b"pgmajfault", b"workingset_")
CPUS = "/sys/devices/system/cpu/possible"
PROC = Path("/proc")
THREADS_MAX = 8
TICKS = 12
PERIOD_SECONDS = 0.25


class Snapshot(Struct):
    """One moment: names, files, owners, clocks and further directories of the processes below this one."""

    names: list[str]
    files: dict[str, Content]
    owners: dict[str, int]
    clocks: dict[str, int]
    lists: dict[str, list[str]]


def snapshot() -> Snapshot:
    """Each process is read as fast as can be, after the listing."""
    found = Snapshot([], {"self/mountinfo": MOUNTINFO, "loadavg": b"0.00 0.00 0.00 1/200 1\n", "vmstat": _vmstat()}, {}, {}, {})
    found.names = _family()
    for pid in found.names:
        with suppress(OSError):
            found.clocks[pid] = time.clock_gettime_ns(clock_of(int(pid)))
        for file in FILES:
            found.files[f"{pid}/{file}"] = _read(PROC / pid / file)
        with suppress(OSError):
            found.owners[pid] = os.stat(PROC / pid).st_uid
        with suppress(OSError):
            found.lists[f"{pid}/task"] = os.listdir(PROC / pid / "task")
        for thread in found.lists.get(f"{pid}/task", [])[:THREADS_MAX]:
            for file in ("stat", "schedstat"):
                found.files[f"{pid}/task/{thread}/{file}"] = _read(PROC / pid / "task" / thread / file)
    found.names += ["self", "meminfo"]
    return found


def _family() -> list[str]:
    """The processes below this one, in the order of the listing; it is no part of them itself."""
    parents = {}
    names = [name for name in os.listdir(PROC) if name.isdecimal()]
    for name in names:
        line = _read(PROC / name / "stat")
        if isinstance(line, bytes):
            parents[name] = line.rpartition(b")")[2].split()[1].decode()
    found = {str(os.getpid())}
    while more := {name for name, parent in parents.items() if parent in found} - found:
        found |= more
    return [name for name in names if name in found and name != str(os.getpid())]


def _read(path: Path) -> Content:
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            return _neutral(os.read(descriptor, READ_BYTES_MAX))
        finally:
            os.close(descriptor)
    except OSError as failure:
        return failure.errno or errno.EIO


def _neutral(content: bytes) -> bytes:
    """Without the folders of the machine on which it was recorded."""
    for path, shown in ((sys.executable, b"/usr/bin/python3"), (tempfile.gettempdir(), b"/opt")):
        content = content.replace(os.fsencode(path), shown)
    return content


def _vmstat() -> Content:
    content = _read(PROC / "vmstat")
    if isinstance(content, int):
        return content
    return b"".join(line for line in content.splitlines(keepends=True) if line.startswith(VMSTAT))


def record(about: str) -> Recording:
    """The ticks of a sequence that runs, each with what differs from the one before."""
    listener = ExitListener()
    recording = Recording(about, [], listener.family)
    before = Snapshot([], {}, {}, {}, {})
    known: set[str] = {str(os.getpid())}
    for _ in range(TICKS):
        boot_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        now = snapshot()
        known.update(now.names)
        wall_ns = WALL_NS + boot_ns - (recording.ticks[0].boot_ns if recording.ticks else boot_ns)
        paths = {**now.files, **now.owners, **now.lists}
        recording.ticks.append(
            RecordedTick(
                boot_ns, wall_ns, boot_ns, now.names,
                {path: content for path, content in now.files.items() if before.files.get(path) != content},
                [path for path in {**before.files, **before.owners, **before.lists} if path not in paths],
                {path: uid for path, uid in now.owners.items() if before.owners.get(path) != uid},
                {path: listed for path, listed in now.lists.items() if before.lists.get(path) != listed},
                now.clocks, listener.of_family(known),
            )
        )  # fmt: skip
        before = now
        time.sleep(PERIOD_SECONDS)
    return recording


class ExitListener:
    """Taskstats datagrams of the processes of a sequence. *Source:* linux/Documentation/accounting/taskstats.rst."""

    def __init__(self) -> None:
        self._socket = generic_socket(buffer_bytes=8 << 20)
        self.family = family_id(self._socket, FAMILY)
        order = pack_generic(COMMAND_GET, pack_attribute(REGISTER_CPUMASK, Path(CPUS).read_bytes().strip() + b"\0"))
        self._socket.order(self.family, order)
        self._slots = DatagramSlots(self._socket, slots=SLOTS, slot_bytes=SLOT_BYTES)

    def of_family(self, known: set[str]) -> list[bytes]:
        """What came since the last call, of processes that were listed, or whose parent is one of these."""
        found = []
        while count := self._slots.receive():
            for number, length in enumerate(self._slots.lengths(count)):
                datagram = bytes(self._slots.data[number * SLOT_BYTES : number * SLOT_BYTES + length])
                parsed = parse_datagram(datagram, self.family)
                if parsed is not None and parsed.thread is not None:
                    thread = parsed.thread
                    if {str(thread.pid), str(thread.ppid), str(thread.tgid)} & known:
                        known.add(str(thread.tgid))
                        found.append(datagram)
        return found


# ---- sequences of real processes: each runs inside of its namespaces ------------------------------------

ZOMBIES = """
import os, sys, time
print("ready", flush=True)
while True:
    children = []
    for number in range(6):
        pid = os.fork()
        if pid == 0:
            end = time.process_time() + 0.002 * number
            while time.process_time() < end: pass
            os._exit(number)
        children.append(pid)
    time.sleep(0.3)
    for pid in children[:4]: os.waitpid(pid, 0)
"""
HOSTILE = """
import ctypes, os, sys, time
PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15
names = [
    b"a) S 1 (b", b"new\\nline", b"\\x1b[2J\\x1b[H", b"\\xff\\xfe\\xed\\xa0\\x80",
    b")", b"((((", b" ", b"", b"\\xe2\\x80\\xaeevil", b"tab\\there",
]
for number, name in enumerate(names):
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0)
        ctypes.CDLL(None).prctl(PR_SET_NAME, name, 0, 0, 0)
        while True:
            end = time.process_time() + 0.001 * (number + 1)
            while time.process_time() < end: pass
            time.sleep(0.1)
print("ready", flush=True)
time.sleep(600)
"""


def _script(stack: ExitStack, text: str) -> None:
    # With `setpriv` it ends also when this program is killed.
    words = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-I", "-c", text]
    process = stack.enter_context(subprocess.Popen(words, stdout=subprocess.PIPE))
    assert process.stdout is not None
    process.stdout.readline()
    stack.callback(process.kill)


def _inside(name: str) -> Recording:
    """Run the processes of a sequence beside this one and record them."""
    from process_bench.load import build, running

    with ExitStack() as stack:
        program = build(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="eg-"))))
        if name == "mixed":
            stack.enter_context(running(program, ["mixed", 36]))
            stack.enter_context(running(program, ["threads", 2, 4, 200]))
            return record("sleeping, light and heavy processes, two of them with threads")
        if name == "churn":
            loops = [stack.enter_context(running(program, ["churn", f"burn-{kind}", 20, 200, 30000, 8, kind])) for kind in CHURNS]
            for loop in loops:
                assert loop.stdin is not None
                loop.stdin.write("\n")
                loop.stdin.flush()
            return record("fork loops: plain ones, with an exec, with a dead parent, with threads")
        _script(stack, ZOMBIES if name == "zombies" else HOSTILE)
        return record(REAL[name])


CHURNS = ("plain", "exec", "orphan", "threads")
REAL = {
    "mixed": "",
    "churn": "",
    "zombies": "children that end and wait for their parent, or are never waited for",
    "hostile": "names with parentheses, line breaks, escape sequences and bytes that are no UTF-8",
}


# ---- other hosts and kernels: the mixed recording with files changed ------------------------------------


def _pods(recording: Recording) -> Recording:
    """The same processes in pods of cgroup v2, one of which is moved in the middle."""
    uids = ["8a7f1c52-3e0b-4d6a-9f21-7c5d0e4b6a13", "11111111-2222-3333-4444-555555555555"]
    for number, tick in enumerate(recording.ticks):
        for name in [name for name in tick.names if name.isdecimal()]:
            if number in (0, TICKS // 2) or f"{name}/cgroup" in tick.files:
                uid = uids[(int(name) + (number >= TICKS // 2 and int(name) % 5 == 0)) % 2].replace("-", "_")
                scope = f"cri-containerd-{int(name) % 3:064x}.scope"
                path = f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{uid}.slice/{scope}"
                tick.files[f"{name}/cgroup"] = f"0::{path if int(name) > 4 else '/init.scope'}\n".encode()
    recording.about = "pods of cgroup v2 (systemd driver); some processes are moved to another pod in the middle"
    return recording


def _backwards(recording: Recording) -> Recording:
    """In the middle every counter of every second process falls, and grows again from there."""
    for tick in recording.ticks[TICKS // 2 :]:
        for path, content in tick.files.items():
            name, _, file = path.partition("/")
            if isinstance(content, bytes) and name.isdecimal() and int(name) % 2 and file in ("stat", "schedstat", "io"):
                tick.files[path] = _fallen(file, content)
        tick.clocks = {name: time_ns // (1 + int(name) % 2) for name, time_ns in tick.clocks.items()}
    recording.about = "counters that fall: CPU times, run times and I/O of every second process are halved in the middle"
    return recording


def _fallen(file: str, content: bytes) -> bytes:
    head, bracket, rest = content.rpartition(b")") if file == "stat" else (b"", b"", content)
    words = rest.split(b" ")
    # Behind the name: minflt 10, majflt 12, utime 14 to cstime 17 of proc_pid_stat(5), counted from the blank behind the bracket.
    places = (8, 10, 12, 13, 14, 15) if file == "stat" else tuple(range(len(words)))
    for place in places:
        word = words[place].rstrip(b"\n")
        if word.isdigit():
            words[place] = words[place].replace(word, b"%d" % (int(word) // 2), 1)
    if file == "io":
        lines = [line.split(b": ") for line in content.splitlines()]
        return b"".join(b"%b: %d\n" % (key, int(value) // 2) for key, value in lines)
    return head + bracket + b" ".join(words)


def _old(recording: Recording) -> Recording:
    """A kernel without schedstat, task I/O accounting and smaps_rollup, and no numbers of our own."""
    recording.taskstats_family = 0
    for tick in recording.ticks:
        tick.clocks, tick.exits = {}, []
        for path in tick.files:
            if path.rpartition("/")[2] in ("schedstat", "io", "smaps_rollup"):
                tick.files[path] = errno.ENOENT
    recording.about = "a kernel without schedstat, task I/O accounting, smaps_rollup and exit records, and a /proc of other numbers"
    return recording


def _refused(recording: Recording) -> Recording:
    """An agent that may not read io, smaps_rollup and the command lines of others."""
    for tick in recording.ticks:
        for path in tick.files:
            if path.partition("/")[0].isdecimal() and path.rpartition("/")[2] in ("io", "smaps_rollup"):
                tick.files[path] = errno.EACCES
        tick.owners = dict.fromkeys(tick.owners, 1000)
    recording.about = "an agent that may not read io and smaps_rollup"
    return recording


CHANGED = {"pods": _pods, "backwards": _backwards, "old-kernel": _old, "refused": _refused}


def main() -> None:
    """Record what is named, or all."""
    from harness.replay import load

    if sys.argv[1:2] == ["--inside"]:
        save(sys.argv[2], _inside(sys.argv[2]))
        return
    wanted = sys.argv[1:] or [*REAL, *CHANGED]
    for name in wanted:
        if name in CHANGED:
            save(name, CHANGED[name](load("mixed")))
        else:
            words = ["unshare", "--cgroup", sys.executable, "-m", "harness.replay_record", "--inside", name]
            subprocess.run(words, check=True)
        print(f"{name}: recorded")


if __name__ == "__main__":
    main()
