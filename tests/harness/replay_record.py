"""Records `/proc` into the corpus `tests/fixtures/replay`. Needs root and gcc; nothing of the machine itself gets into a recording.

    PYTHONPATH=tests:scripts/bench .venv/bin/python -m harness.replay_record [NAME ...]

Every real sequence runs in pid, mount and cgroup namespaces of its own, in which there is nothing but its processes; those of other
kernels and hosts are made of them by changing files. Afterwards `python -m harness.replay_rows` writes the rows that they become.
"""

import errno
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from harness.replay import Content, RecordedTick, Recording, save

FILES = ("stat", "schedstat", "statm", "status", "io", "cgroup", "cmdline", "smaps_rollup")
READ_BYTES_MAX = 1 << 20
# The wall clock of the recordings: a date that says nothing.
WALL_NS = 1_700_000_000 * 10**9
MOUNTINFO = b"22 1 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:1 - proc proc rw\n"
VMSTAT = ("pgsteal_kswapd", "pgsteal_direct", "pswpin", "pswpout", "pgmajfault")
TICKS = 12
PERIOD_SECONDS = 0.25


def snapshot(root: Path) -> tuple[list[str], dict[str, Content], dict[str, int], dict[str, list[str]]]:
    """The names, files, owners and further directories of one moment; each process is read as fast as can be."""
    names = os.listdir(root)
    files: dict[str, Content] = {"self/mountinfo": MOUNTINFO, "self/status": b"CapEff:\t000001ffffffffff\n"}
    for name in ("loadavg", "uptime"):
        files[name] = _read(root / name)
    files["vmstat"] = _vmstat(root)
    owners: dict[str, int] = {}
    lists: dict[str, list[str]] = {}
    for pid in filter(str.isdecimal, names):
        for file in FILES:
            files[f"{pid}/{file}"] = _read(root / pid / file)
        with suppress(OSError):
            owners[pid] = os.stat(root / pid).st_uid
        with suppress(OSError):
            lists[f"{pid}/task"] = os.listdir(root / pid / "task")
        for thread in lists.get(f"{pid}/task", [])[:8]:
            files[f"{pid}/task/{thread}/stat"] = _read(root / pid / "task" / thread / "stat")
            files[f"{pid}/task/{thread}/schedstat"] = _read(root / pid / "task" / thread / "schedstat")
    return [name for name in names if name.isdecimal() or name in ("self", "meminfo")], files, owners, lists


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


def _vmstat(root: Path) -> Content:
    content = _read(root / "vmstat")
    if isinstance(content, int):
        return content
    return b"".join(line for line in content.splitlines(keepends=True) if line.startswith(tuple(name.encode() for name in VMSTAT)))


def record(about: str, root: Path, *, ticks: int = TICKS, between: Callable[[int], None] = lambda _tick: None) -> Recording:
    """So many ticks of a proc mount, each with what differs from the one before."""
    recording = Recording(about, [])
    files: dict[str, Content] = {}
    owners: dict[str, int] = {}
    lists: dict[str, list[str]] = {}
    for number in range(ticks):
        between(number)
        boot_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        names, new_files, new_owners, new_lists = snapshot(root)
        gone = [path for known in (files, owners, lists) for path in known if path not in {**new_files, **new_owners, **new_lists}]
        recording.ticks.append(
            RecordedTick(
                boot_ns, WALL_NS + boot_ns - (recording.ticks[0].boot_ns if recording.ticks else boot_ns), boot_ns, names,
                {path: content for path, content in new_files.items() if files.get(path) != content}, gone,
                {path: uid for path, uid in new_owners.items() if owners.get(path) != uid},
                {path: listed for path, listed in new_lists.items() if lists.get(path) != listed},
            )
        )  # fmt: skip
        files, owners, lists = new_files, new_owners, new_lists
        time.sleep(PERIOD_SECONDS)
    return recording


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
names = [
    b"a) S 1 (b", b"new\\nline", b"\\x1b[2J\\x1b[H", b"\\xff\\xfe\\xed\\xa0\\x80",
    b")", b"((((", b" ", b"", b"\\xe2\\x80\\xaeevil", b"tab\\there",
]
for number, name in enumerate(names):
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(15, name, 0, 0, 0)
        while True:
            end = time.process_time() + 0.001 * (number + 1)
            while time.process_time() < end: pass
            time.sleep(0.1)
print("ready", flush=True)
time.sleep(600)
"""


def _script(stack: ExitStack, text: str) -> None:
    process = stack.enter_context(subprocess.Popen([sys.executable, "-I", "-c", text], stdout=subprocess.PIPE))
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
            return record("sleeping, light and heavy processes, two of them with threads", Path("/proc"))
        if name == "churn":
            loops = [stack.enter_context(running(program, ["churn", f"burn-{kind}", 60, 200, 3000, 4, kind])) for kind in CHURNS]
            for loop in loops:
                assert loop.stdin is not None
                loop.stdin.write("\n")
                loop.stdin.flush()
            return record("fork loops: plain ones, with an exec, with a dead parent, with threads", Path("/proc"))
        _script(stack, ZOMBIES if name == "zombies" else HOSTILE)
        return record(REAL[name], Path("/proc"))


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
    """A kernel without schedstat, task I/O accounting and smaps_rollup."""
    for tick in recording.ticks:
        for path in tick.files:
            if path.rpartition("/")[2] in ("schedstat", "io", "smaps_rollup"):
                tick.files[path] = errno.ENOENT
    recording.about = "a kernel without schedstat, without task I/O accounting and without smaps_rollup"
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
            words = ["unshare", "--pid", "--fork", "--mount-proc", "--cgroup", "--kill-child", sys.executable, "-m", __spec__.name]
            subprocess.run([*words, "--inside", name], check=True)
        print(f"{name}: recorded")


if __name__ == "__main__":
    main()
