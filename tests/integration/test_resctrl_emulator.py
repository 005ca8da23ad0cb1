"""The emulator as a program: a real mount, real processes and threads, real second users, and its own death."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest
from fakes.other_user import OTHER_UID, as_other_user, folder_for_all
from fakes.resctrl_mount import EmulatedResctrl, assign, is_mounted, tasks_of
from harness.proc import stat_of
from harness.waiting import wait_until

from agent.cli.program import run

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")

# A process that makes threads and children when it is told to, one word a line.
FAMILY = """
import os, subprocess, sys, threading
print(os.getpid(), flush=True)
held = []
for word in sys.stdin:
    if word == "thread\\n":
        thread = threading.Thread(target=threading.Event().wait, daemon=True)
        thread.start()
        print(thread.native_id, flush=True)
    elif word == "grandchild\\n":
        done = threading.Event()
        def make():
            child = subprocess.Popen(["sleep", "60"])
            held.append(child)
            print(child.pid, threading.get_native_id(), flush=True)
            threading.Event().wait()
        threading.Thread(target=make, daemon=True).start()
    elif word == "thread that can make one\\n":
        asked = threading.Event()
        def make_one():
            asked.wait()
            thread = threading.Thread(target=threading.Event().wait, daemon=True)
            thread.start()
            print(thread.native_id, flush=True)
            threading.Event().wait()
        thread = threading.Thread(target=make_one, daemon=True)
        thread.start()
        print(thread.native_id, flush=True)
    elif word == "make one\\n":
        asked.set()
    elif word == "thread that can exec\\n":
        wanted = threading.Event()
        def become():
            wanted.wait()
            os.execvp("cat", ["cat"])
        thread = threading.Thread(target=become, daemon=True)
        thread.start()
        print(thread.native_id, flush=True)
    elif word == "exec\\n":
        wanted.set()
        threading.Event().wait()
for child in held:
    child.kill()
"""


class Family:
    """A process with threads and children of its own."""

    def __init__(self, process: subprocess.Popen[str], pid: int) -> None:
        self._process = process
        self.pid = pid

    def told(self, word: str) -> list[int]:
        """Say a word, and give the numbers that it answers."""
        self.tell(word)
        assert self._process.stdout is not None
        return list(map(int, self._process.stdout.readline().split()))

    def tell(self, word: str) -> None:
        """Say a word."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()


def run_emulator(*words: str) -> subprocess.CompletedProcess[str]:
    """A command that is expected to end by itself."""
    command = [sys.executable, "-c", "from agent.cli.main import main; raise SystemExit(main())", "emulate-resctrl", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


@contextmanager
def family() -> Iterator[Family]:
    """A family that is gone in the end."""
    with subprocess.Popen([sys.executable, "-c", FAMILY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Family(process, int(process.stdout.readline()))
        finally:
            process.stdin.close()
            process.wait(30)


def errno_of(work: object, *arguments: object) -> int | None:
    """The errno with which a call fails."""
    assert callable(work)
    try:
        work(*arguments)
    except OSError as failure:
        return failure.errno
    return None


def names_below(folder: Path) -> set[str]:
    """Every path below."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_threads_and_children_of_a_member_are_members(tmp_path: Path) -> None:
    """A thread, a child and a thread's child of an assigned process are in its group without anybody assigning them."""
    with EmulatedResctrl(tmp_path) as emulated, family() as parent:
        group = emulated.make_group("mon_groups/pod")
        assign(group, parent.pid)
        (thread,) = parent.told("thread")
        child, maker = parent.told("grandchild")
        assert tasks_of(group) == {parent.pid, thread, child, maker}


@pytest.mark.parametrize("is_maker_in", [True, False])
def test_a_thread_is_in_the_group_of_the_thread_that_made_it(tmp_path: Path, is_maker_in: bool) -> None:
    """When threads of one process are in different groups a new one follows its maker, not the first thread of the process."""
    with EmulatedResctrl(tmp_path) as emulated, family() as parent:
        (maker,) = parent.told("thread that can make one")
        group = emulated.make_group("mon_groups/pod")
        member = maker if is_maker_in else parent.pid
        assign(group, member)
        (made,) = parent.told("make one")
        assert tasks_of(group) == ({maker, made} if is_maker_in else {parent.pid})
        # The root, a control group, lists its monitoring groups' threads as well.
        assert {parent.pid, maker, made} <= tasks_of(emulated.mount)


def test_a_thread_that_calls_exec_keeps_its_group(tmp_path: Path) -> None:
    """When a member calls exec, its process goes on in its group under the number of the first thread, which was in another."""
    with EmulatedResctrl(tmp_path) as emulated, family() as parent:
        group = emulated.make_group("mon_groups/pod")
        (thread,) = parent.told("thread that can exec")
        assign(group, thread)
        assert tasks_of(group) == {thread}
        parent.tell("exec")
        wait_until(lambda: Path(f"/proc/{parent.pid}/comm").read_text() == "cat\n", "the process has become cat")
        assert tasks_of(group) == {parent.pid}


def test_who_ended_is_listed_no_more(tmp_path: Path) -> None:
    """A member that has ended and is waited for is gone from the group, in the file and in the truth."""
    with EmulatedResctrl(tmp_path) as emulated:
        group = emulated.make_group("mon_groups/pod")
        with family() as parent:
            assign(group, parent.pid)
            assert emulated.groups()["mon_groups/pod"]["threads"] == [parent.pid]
        assert tasks_of(group) == set()
        assert emulated.groups()["mon_groups/pod"]["threads"] == []


def test_an_open_file_of_a_removed_group_says_so(tmp_path: Path) -> None:
    """A descriptor that was open when its group was removed reads ENODEV, also when a new group has taken the name."""
    with EmulatedResctrl(tmp_path) as emulated:
        group = emulated.make_group("mon_groups/pod")
        descriptor = os.open(group / "mon_data" / "mon_L3_00" / "llc_occupancy", os.O_RDONLY)
        folder = os.open(group, os.O_RDONLY | os.O_DIRECTORY)
        try:
            assert os.pread(descriptor, 64, 0).endswith(b"\n")
            group.rmdir()
            assert errno_of(os.pread, descriptor, 64, 0) == errno.ENODEV
            group.mkdir()
            assert errno_of(os.pread, descriptor, 64, 0) == errno.ENODEV
            # The folder was the old group's, too.
            assert errno_of(lambda: os.open("tasks", os.O_RDONLY, dir_fd=folder)) == errno.ENOENT
            assert (group / "tasks").read_text() == ""
        finally:
            os.close(descriptor)
            os.close(folder)


def test_an_open_file_follows_a_renamed_group(tmp_path: Path) -> None:
    """After a rename the old name is gone, the new one is there, and an open descriptor goes on with the same count."""
    traffic = '[[traffic]]\npath = "mon_groups/*"\nbytes_per_second = 1000000000\n'
    with EmulatedResctrl(tmp_path, scenario=traffic) as emulated:
        group = emulated.make_group("mon_groups/pod")
        descriptor = os.open(group / "mon_data" / "mon_L3_00" / "mbm_total_bytes", os.O_RDONLY)
        try:
            before = int(os.pread(descriptor, 64, 0))
            group.rename(group.with_name("other"))
            assert not group.exists()
            assert int(os.pread(descriptor, 64, 0)) > before
            assert int((group.with_name("other") / "mon_data" / "mon_L3_00" / "mbm_total_bytes").read_text()) > before
        finally:
            os.close(descriptor)


def test_another_user_may_look_and_move_only_what_is_its_own() -> None:
    """Without root one reads everything, makes no group, and in a group of its own moves its own threads and no others'."""
    with folder_for_all() as folder, EmulatedResctrl(folder) as emulated:
        group = emulated.make_group("mon_groups/pod")
        assert as_other_user(lambda: (group / "mon_data" / "mon_L3_00" / "llc_occupancy").read_text()) == "0\n"
        assert as_other_user(lambda: (emulated.mount / "mon_groups" / "mine").mkdir()) == os.strerror(errno.EACCES)
        assert as_other_user(lambda: assign(group, 0)) == os.strerror(errno.EACCES)
        os.chown(group / "tasks", OTHER_UID, OTHER_UID)
        assert as_other_user(lambda: assign(group, os.getppid())) == os.strerror(errno.EPERM)

        def move_itself() -> list[bool]:
            assign(group, 0)
            return [os.getpid() in tasks_of(group)]

        assert as_other_user(move_itself) == [True]
        assert "No permission to move task" not in (emulated.mount / "info" / "last_cmd_status").read_text()


def test_the_lock_is_between_processes(tmp_path: Path) -> None:
    """While one process holds the root's lock another does not get it, and the emulator can play such a process."""
    with EmulatedResctrl(tmp_path) as emulated:
        descriptor = os.open(emulated.mount, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            assert not can_lock(emulated.mount)
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            assert can_lock(emulated.mount)
        finally:
            os.close(descriptor)
        emulated.control({"do": "lock", "lasts": "60s"})
        wait_until(lambda: not can_lock(emulated.mount), "somebody else holds the lock")


def can_lock(folder: Path) -> bool:
    """Whether another process can have the lock of a folder now."""
    return subprocess.run(["flock", "--nonblock", str(folder), "true"], check=False).returncode == 0


def test_what_kernfs_has_not_is_refused(tmp_path: Path) -> None:
    """Files cannot be made, removed, linked; a read-only one cannot even be opened for writing; a redirection works."""
    with EmulatedResctrl(tmp_path) as emulated:
        root = emulated.mount
        assert errno_of(os.open, root / "new", os.O_CREAT | os.O_WRONLY) == errno.EACCES
        assert errno_of(os.unlink, root / "tasks") == errno.EPERM
        assert errno_of(os.symlink, "tasks", root / "link") == errno.EPERM
        assert errno_of(os.link, root / "tasks", root / "link") == errno.EPERM
        assert errno_of(os.mkfifo, root / "pipe") == errno.EPERM
        assert errno_of(os.open, root / "size", os.O_WRONLY) == errno.EACCES
        assert errno_of(os.rmdir, root / "info") == errno.EPERM
        assert errno_of(os.mkdir, root / "info" / "x") == errno.ENODEV
        group = emulated.make_group("mon_groups/pod")
        done = subprocess.run(["sh", "-c", 'echo $$ > "$0/tasks" && cat "$0/tasks"', str(group)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.split()) == 2
        group.chmod(0o700)
        assert group.stat().st_mode & 0o777 == 0o700


def test_a_write_longer_than_a_page_changes_nothing(tmp_path: Path) -> None:
    """More than 4096 bytes in one write are E2BIG as a whole, however the kernel cuts them."""
    with EmulatedResctrl(tmp_path) as emulated:
        group = emulated.make_group("mon_groups/pod")
        numbers = [os.getpid()] * 4000
        assert errno_of(assign, group, *numbers) == errno.E2BIG
        assert tasks_of(group) == set()


@pytest.mark.runbook("Cache and memory bandwidth")
def test_the_values_follow_the_cpu_time_of_the_members(tmp_path: Path) -> None:
    """Where nothing is declared a group that computes has traffic in the domain of its CPU, and one that sleeps has none."""
    scenario = "bytes_per_cpu_second = 1000000000\n"
    with EmulatedResctrl(tmp_path, "tiny", scenario) as emulated, subprocess.Popen(["sleep", "60"]) as idle:
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            # What it uses to begin is no traffic of its group's.
            wait_until(lambda: (stat := stat_of(idle.pid)) is not None and stat.state == "S", "it sleeps")
            for name, process in (("busy", busy), ("idle", idle)):
                assign(emulated.make_group(f"mon_groups/{name}"), process.pid)

            def total(name: str) -> int:
                files = (emulated.mount / "mon_groups" / name / "mon_data").glob("*/mbm_total_bytes")
                return sum(int(path.read_text()) for path in files)

            wait_until(lambda: total("busy") > 200_000_000, "the busy group has traffic")
            assert total("idle") == 0
        finally:
            for process in (busy, idle):
                process.kill()
            busy.wait(30)


def test_a_scenario_says_what_goes_wrong(tmp_path: Path) -> None:
    """Faults of a scenario and of the control socket come as written: this often, on these paths, and no longer once cleared."""
    scenario = """
seed = 7
[[fault]]
operation = "mkdir"
path = "mon_groups/*"
errno = "ENOSPC"
count = 1
[[fault]]
operation = "read"
path = "**/llc_occupancy"
answer = "Unavailable"
"""
    with EmulatedResctrl(tmp_path, scenario=scenario) as emulated:
        group = emulated.mount / "mon_groups" / "pod"
        assert errno_of(group.mkdir) == errno.ENOSPC
        group.mkdir()
        domain = group / "mon_data" / "mon_L3_01"
        assert (domain / "llc_occupancy").read_text() == "Unavailable\n"
        assert (domain / "mbm_total_bytes").read_text() == "0\n"
        emulated.control({"do": "fault", "operation": "read", "path": "mon_groups/pod/mon_data/mon_L3_01/*", "errno": "EIO"})
        assert errno_of((domain / "mbm_total_bytes").read_text) == errno.EIO
        emulated.control({"do": "clear"})
        assert (domain / "llc_occupancy").read_text() == "0\n"
        assert "no name of an error" in emulated.ask({"do": "fault", "errno": "EFOO"})["problem"]
        assert emulated.control({"do": "stats"})["seed"] == 7


def test_an_answer_can_come_late_while_others_are_served(tmp_path: Path) -> None:
    """A held-back read keeps its reader waiting and nobody else, and a signal ends the wait."""
    scenario = '[[fault]]\noperation = "read"\npath = "**/mbm_total_bytes"\ndelay = "300ms"\n'
    with EmulatedResctrl(tmp_path, scenario=scenario) as emulated:
        late = emulated.mount / "mon_data" / "mon_L3_00" / "mbm_total_bytes"
        started = time.monotonic()
        late.read_text()
        assert time.monotonic() - started >= 0.3
        emulated.control({"do": "fault", "operation": "read", "path": "info/L3_MON/num_rmids", "delay": "1h"})
        reader = subprocess.Popen(["cat", emulated.mount / "info" / "L3_MON" / "num_rmids"], stdout=subprocess.DEVNULL)
        wait_until(lambda: emulated.control({"do": "stats"})["held_answers"] == 1, "the answer is held back")
        late.with_name("llc_occupancy").read_text()
        assert reader.poll() is None
        reader.terminate()
        assert reader.wait(30) == -signal.SIGTERM
        wait_until(lambda: emulated.control({"do": "stats"})["held_answers"] == 0, "nothing is held back any more")


def test_groups_and_domains_can_vanish(tmp_path: Path) -> None:
    """Somebody else removes groups, takes all ids and switches a domain off, at the times that a scenario gives or on demand."""
    scenario = '[[event]]\nat = "200ms"\ndo = "occupy"\nname = "foreign_"\n'
    with EmulatedResctrl(tmp_path, "tiny", scenario) as emulated:
        root = emulated.mount
        # Eight ids: the root's, and what is left.
        wait_until(lambda: len(list((root / "mon_groups").iterdir())) == 7, "all ids are taken")
        next((root / "mon_groups").iterdir()).rename(root / "mon_groups" / "pod")
        assert errno_of((root / "mon_groups" / "more").mkdir) == errno.ENOSPC
        descriptor = os.open(root / "mon_groups" / "pod" / "mon_data" / "mon_L3_01" / "llc_occupancy", os.O_RDONLY)
        try:
            emulated.control({"do": "offline", "domain": 1})
            assert errno_of(os.pread, descriptor, 64, 0) == errno.ENOENT
            assert names_below(root / "mon_data") == {"mon_L3_00"} | {
                f"mon_L3_00/{name}" for name in ("llc_occupancy", "mbm_total_bytes", "mbm_local_bytes")
            }
            emulated.control({"do": "online", "domain": 1})
            assert (root / "mon_data" / "mon_L3_01" / "llc_occupancy").exists()
            gone = emulated.control({"do": "vanish", "path": "mon_groups/p*"})
            assert gone == {"groups": ["mon_groups/pod"]}
            assert errno_of(os.pread, descriptor, 64, 0) == errno.ENODEV
            assert not (root / "mon_groups" / "pod").exists()
        finally:
            os.close(descriptor)


def test_counters_wrap_and_begin_anew(tmp_path: Path) -> None:
    """A counter wraps at the bits that one says, and a reset lets it begin at 0."""
    scenario = '[[traffic]]\npath = "mon_groups/*"\nbytes_per_second = 100000000000\n'
    with EmulatedResctrl(tmp_path, scenario=scenario) as emulated:
        total = emulated.make_group("mon_groups/pod") / "mon_data" / "mon_L3_00" / "mbm_total_bytes"
        wait_until(lambda: int(total.read_text()) > 1 << 32, "much traffic")
        emulated.control({"do": "wrap", "bits": 32})
        assert int(total.read_text()) < 1 << 32
        emulated.control({"do": "wrap"})
        # It counts on by the clock, and may be read long after the reset.
        began = time.monotonic()
        emulated.control({"do": "reset", "path": "mon_groups/pod"})
        counted = int(total.read_text())
        assert counted <= 100_000_000_000 * (time.monotonic() - began)


def test_a_killed_emulator_leaves_a_mount_that_the_next_one_takes_away(tmp_path: Path) -> None:
    """After kill -9 every access says ENOTCONN; a new start at the same place says what it does and works."""
    emulated = EmulatedResctrl(tmp_path)
    with emulated:
        emulated.kill()
        assert errno_of(os.listdir, emulated.mount) == errno.ENOTCONN
        emulated.start()
        assert "took away the dead mount" in emulated.output
        assert tasks_of(emulated.mount)


def test_it_goes_although_somebody_stays(tmp_path: Path) -> None:
    """SIGTERM while a file is open unmounts anyway; the open file then says that nobody answers."""
    with EmulatedResctrl(tmp_path) as emulated:
        descriptor = os.open(emulated.mount / "tasks", os.O_RDONLY)
        try:
            assert emulated.end() == 0
            assert not is_mounted(emulated.mount)
            assert errno_of(os.pread, descriptor, 64, 0) == errno.ENOTCONN
        finally:
            # Closing says the same, and closes.
            assert errno_of(os.close, descriptor) == errno.ENOTCONN


def test_somebody_else_may_unmount_it(tmp_path: Path) -> None:
    """`umount` ends the emulator, with a word and without an error."""
    with EmulatedResctrl(tmp_path) as emulated:
        subprocess.run(["umount", emulated.mount], check=True)
        assert emulated.process is not None
        assert emulated.process.wait(30) == 0
        assert "it was unmounted from outside" in emulated.output


def test_it_ends_after_the_time_it_was_given(tmp_path: Path) -> None:
    """--for ends it with exit code 0 and without a mount."""
    point = tmp_path / "resctrl"
    point.mkdir()
    ended = run_emulator("--mount", str(point), "--for", "200ms")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "is mounted at" in ended.stdout
    assert not is_mounted(point)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--mount", "{}/none"], 64, "there is no such directory"),
        (["--mount", "{}"], 64, "the directory is not empty"),
        (["--mount", "{}/file"], 64, "one cannot mount here"),
        ([], 64, "the directory to mount at is missing"),
        (["--mount", "{}/empty", "--profile", "z80"], 64, "write one of intel-2socket"),
        (["--mount", "{}/empty", "--for", "long"], 64, "is not a duration"),
        (["--mount", "{}/empty", "--scenario", "{}/none.toml"], 78, "the scenario cannot be read"),
        (["--mount", "{}/empty", "--scenario", "{}/file"], 78, "unknown field `bytes`"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(tmp_path: Path, words: list[str], code: int, sentence: str) -> None:
    """A wrong place, profile or scenario ends the command before anything is mounted, with the remedy."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("bytes = 1\n")
    ended = run_emulator(*(word.format(tmp_path) for word in words))
    assert ended.returncode == code
    assert sentence in ended.stderr
    assert not is_mounted(tmp_path / "empty")


def test_one_place_has_one_emulator(tmp_path: Path) -> None:
    """A second emulator at the same place is refused and leaves the first alone."""
    with EmulatedResctrl(tmp_path) as emulated:
        ended = run_emulator("--mount", str(emulated.mount))
        assert ended.returncode == 64
        assert "mounted here already" in ended.stderr
        assert tasks_of(emulated.mount)


def test_without_root_it_says_so() -> None:
    """Another user is told to be root."""
    with folder_for_all() as folder:
        # All that the command will import: the other user may not be let into the folder of this interpreter.
        assert run(["emulate-resctrl", "--list-profiles"], {}, StringIO(), StringIO()) == 0

        def try_it() -> list[object]:
            told = StringIO()
            code = run(["emulate-resctrl", "--mount", str(folder)], {}, StringIO(), told)
            return [code, told.getvalue()]

        code, told = as_other_user(try_it)
    assert code == 77
    assert "run it as root" in told


def test_five_thousand_threads_are_assigned_by_lists(tmp_path: Path) -> None:
    """5,000 threads of one process come into a group by lists of a page each, are listed whole, and leave with it."""
    program = (
        # Nobody waits until each of them has run once, which takes a busy machine long.
        "import _thread, sys; _thread.stack_size(65536); ended = _thread.allocate_lock(); ended.acquire()\n"
        "for _ in range(4999): _thread.start_new_thread(ended.acquire, ())\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    with (
        EmulatedResctrl(tmp_path) as emulated,
        subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as crowd,
    ):
        assert crowd.stdout is not None
        assert crowd.stdin is not None
        assert crowd.stdout.readline() == b"ready\n"
        group = emulated.make_group("mon_groups/pod")
        members = sorted(int(name) for name in os.listdir(f"/proc/{crowd.pid}/task"))
        assert len(members) == 5000
        # Processor time of both: how long it takes is the machine's, too.
        started = cpu_seconds(emulated) + time.thread_time()
        for first in range(0, len(members), 500):
            assign(group, *members[first : first + 500])
        written = cpu_seconds(emulated) + time.thread_time()
        assert tasks_of(group) == set(members)
        listed = cpu_seconds(emulated) + time.thread_time()
        print(f"5,000 threads: assigned in {(written - started) * 1e3:.0f} ms, listed in {(listed - written) * 1e3:.0f} ms")
        # Measured: 0.15 s and 0.02 s on two cores. What takes seconds has become quadratic.
        assert listed - started < 5
        crowd.stdin.close()
        crowd.wait(30)
        wait_until(lambda: tasks_of(group) == set(), "nobody is left")


def test_a_scan_of_a_full_machine_is_read_once_a_second(tmp_path: Path) -> None:
    """448 groups with 2 domains and 3 events: 2,688 kept-open files are read in a fraction of a second, every second."""
    with EmulatedResctrl(tmp_path, scenario='[[traffic]]\npath = "mon_groups/*"\nbytes_per_second = 1000000\n') as emulated:
        made = emulated.control({"do": "occupy", "name": "pod_"})["made"]
        assert made == 447
        groups = (emulated.mount, *(emulated.mount / "mon_groups").iterdir())
        paths = [path for group in groups for path in group.glob("mon_data/*/*")]
        assert len(paths) == 2688
        descriptors = [os.open(path, os.O_RDONLY) for path in paths]
        try:
            walls, clients, servers = [], [], []
            for _ in range(3):
                before = cpu_seconds(emulated)
                wall, client = time.monotonic(), time.thread_time()
                values = [int(os.pread(descriptor, 64, 0)) for descriptor in descriptors]
                walls.append((time.monotonic() - wall) / len(values) * 1e6)
                clients.append((time.thread_time() - client) / len(values) * 1e6)
                servers.append((cpu_seconds(emulated) - before) / len(values) * 1e6)
                assert len(values) == 2688
                time.sleep(max(0.0, wall + 1 - time.monotonic()))
            print(f"us a file: wall {min(walls):.1f}, client {min(clients):.1f}, server {min(servers):.1f}")
            # Measured: 20 us. A scan must fit into its second. Time in which both waited for a processor does not count.
            assert min(map(sum, zip(clients, servers, strict=True))) < 300
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def cpu_seconds(emulated: EmulatedResctrl) -> float:
    """The CPU time of the emulator."""
    assert emulated.process is not None
    return int(Path(f"/proc/{emulated.process.pid}/schedstat").read_text().split()[0]) / 1e9
