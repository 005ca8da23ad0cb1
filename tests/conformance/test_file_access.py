"""How files of resctrl are opened, read in parts, cut, locked and given away: what kernfs makes of the common calls."""

import fcntl
import os
import stat
import subprocess
from errno import EACCES, EEXIST, EINVAL, EISDIR, ENOTDIR, EPERM, EWOULDBLOCK

import pytest
from conformance.companion import Companion
from conformance.mounted import PREFIX, Mounted, opened, refused

NEW = f"{PREFIX}file"


def test_files_are_not_made(resctrl: Mounted) -> None:
    """EACCES for open(O_CREAT) of a new name, in the root and in a group."""
    for place in ("", resctrl.new_group(), "mon_groups"):
        with refused(EACCES):
            os.open(resctrl.path(place, NEW), os.O_WRONLY | os.O_CREAT, 0o644)
        assert not resctrl.exists(place, NEW)


def test_files_are_not_removed(resctrl: Mounted) -> None:
    """EPERM for unlink, in the root, in info and in a group."""
    for path in ("tasks", "info/last_cmd_status", f"{resctrl.new_group()}/tasks"):
        with refused(EPERM):
            os.unlink(resctrl.path(path))
        assert resctrl.exists(path)


def test_groups_are_not_unlinked(resctrl: Mounted) -> None:
    """EISDIR: a directory wants rmdir."""
    group = resctrl.new_group()
    with refused(EISDIR):
        os.unlink(resctrl.path(group))
    assert resctrl.exists(group, "tasks")


def test_there_are_no_links(resctrl: Mounted) -> None:
    """EPERM for symbolic and for hard links."""
    with refused(EPERM):
        os.symlink("tasks", resctrl.path(NEW))
    with refused(EPERM):
        os.link(resctrl.path("tasks"), resctrl.path(NEW))
    assert not resctrl.exists(NEW)


@pytest.mark.parametrize("kind", [stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK])
def test_there_are_no_nodes(resctrl: Mounted, kind: int) -> None:
    """EPERM for mknod, of whatever kind."""
    with refused(EPERM):
        os.mknod(resctrl.path(NEW), kind | 0o644)
    assert not resctrl.exists(NEW)


def test_a_file_that_is_there_opens_with_o_creat(resctrl: Mounted, process: Companion) -> None:
    """As programs open that write `>`: created, cut and written."""
    group = resctrl.new_group()
    with opened(resctrl.path(group, "tasks"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as tasks:
        os.write(tasks, b"%d\n" % process.pid)
    assert resctrl.tasks(group) == [process.pid]


def test_o_excl_finds_the_file(resctrl: Mounted) -> None:
    """EEXIST."""
    with refused(EEXIST):
        os.open(resctrl.path("tasks"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)


def test_a_file_is_no_directory(resctrl: Mounted) -> None:
    """ENOTDIR for O_DIRECTORY, and EISDIR for writing to a directory."""
    with refused(ENOTDIR):
        os.open(resctrl.path("tasks"), os.O_RDONLY | os.O_DIRECTORY)
    with refused(EISDIR):
        os.open(resctrl.path("mon_groups"), os.O_WRONLY)


def test_opening_with_o_trunc_empties_nothing(resctrl: Mounted, process: Companion) -> None:
    """The threads of a group stay: to cut a file that has no stored content is nothing."""
    group = resctrl.new_group()
    resctrl.assign(process.pid, group)
    with opened(resctrl.path(group, "tasks"), os.O_WRONLY | os.O_TRUNC):
        assert resctrl.tasks(group) == [process.pid]


@pytest.mark.parametrize("length", [0, 1, 1 << 20])
def test_any_length_is_accepted_and_none_is_kept(resctrl: Mounted, length: int) -> None:
    """truncate and ftruncate succeed, and the size stays 0."""
    group = resctrl.new_group()
    os.truncate(resctrl.path(group, "tasks"), length)
    with opened(resctrl.path(group, "tasks"), os.O_WRONLY) as tasks:
        os.ftruncate(tasks, length)
        assert os.fstat(tasks).st_size == 0


def test_a_shell_moves_a_process_by_redirection(resctrl: Mounted, process: Companion) -> None:
    """`echo PID > tasks` and `echo PID >> tasks`, as every manual has it."""
    group, other = resctrl.new_group(), resctrl.new_group()
    for sign, target in ((">", group), (">>", other)):
        command = f"echo {process.pid} {sign} {resctrl.path(target, 'tasks')}"
        subprocess.run(["sh", "-c", command], check=True, timeout=10)
        assert resctrl.tasks(target) == [process.pid]


@pytest.mark.parametrize("path", ["size", "info/last_cmd_status", "mon_data/{domain}/{event}"])
@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC])
def test_files_without_write_permission_refuse_root_too(resctrl: Mounted, path: str, flags: int) -> None:
    """EACCES: kernfs looks at the mode where root would pass elsewhere."""
    path = path.format(domain=resctrl.domains()[0], event=resctrl.events()[0])
    with refused(EACCES):
        os.open(resctrl.path(path), flags)


def test_files_without_read_permission_refuse_root_too(resctrl: Mounted) -> None:
    """EACCES, until somebody may read again."""
    group = resctrl.new_group()
    os.chmod(resctrl.path(group, "tasks"), 0o200)
    with refused(EACCES):
        os.open(resctrl.path(group, "tasks"), os.O_RDONLY)
    with opened(resctrl.path(group, "tasks"), os.O_WRONLY):
        pass
    os.chmod(resctrl.path(group, "tasks"), 0o400)
    assert resctrl.tasks(group) == []


def test_permission_makes_nothing_writable_that_takes_no_command(resctrl: Mounted) -> None:
    """After chmod the size opens for writing, and every write is EINVAL."""
    group = resctrl.new_control()
    os.chmod(resctrl.path(group, "size"), 0o644)
    with refused(EINVAL):
        resctrl.write("L3:0=1\n", group, "size")


def test_permission_does_not_make_counts_writable(resctrl: Mounted) -> None:
    """An event file has no way to be written at all: EACCES also after chmod."""
    event = f"{resctrl.new_monitor()}/mon_data/{resctrl.domains()[0]}/{resctrl.events()[0]}"
    os.chmod(resctrl.path(event), 0o666)
    with refused(EACCES):
        os.open(resctrl.path(event), os.O_WRONLY)


def test_modes_and_owners_change_and_stay(resctrl: Mounted) -> None:
    """chmod and chown of a file and of a group are seen by the next stat."""
    group = resctrl.new_group()
    for path in (group, f"{group}/tasks"):
        os.chmod(resctrl.path(path), 0o640)
        os.chown(resctrl.path(path), 64999, 64998)
        found = os.stat(resctrl.path(path))
        assert (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (0o640, 64999, 64998)


def test_one_group_changes_no_other(resctrl: Mounted) -> None:
    """Modes and owners are of one node, and a new group of the old name has its own."""
    group, other = resctrl.new_monitor(), resctrl.new_monitor()
    os.chmod(resctrl.path(group, "tasks"), 0o600)
    assert resctrl.mode(other, "tasks") == 0o644
    resctrl.remove(group)
    resctrl.make(group)
    assert resctrl.mode(group, "tasks") == 0o644


def test_times_can_be_set(resctrl: Mounted) -> None:
    """utime succeeds, as programs call it that copy attributes."""
    group = resctrl.new_group()
    os.utime(resctrl.path(group, "tasks"), (1_000_000_000, 1_000_000_000))
    assert os.stat(resctrl.path(group, "tasks")).st_mtime == 1_000_000_000


def test_a_file_reads_the_same_in_small_parts(resctrl: Mounted) -> None:
    """Seven bytes at a time give what one read gives."""
    for path in ("schemata", "info/L3_MON/mon_features"):
        whole = resctrl.read(path).encode()
        with opened(resctrl.path(path)) as descriptor:
            parts = list(iter(lambda: os.read(descriptor, 7), b""))
        assert b"".join(parts) == whole
        assert len(parts) == -(-len(whole) // 7)


def test_the_end_of_a_file_stays_the_end(resctrl: Mounted) -> None:
    """A read behind the content is empty, again and again, and far behind it too."""
    with opened(resctrl.path("info/L3_MON/num_rmids")) as descriptor:
        content = os.read(descriptor, 100)
        assert os.read(descriptor, 100) == b""
        assert os.read(descriptor, 100) == b""
        assert os.pread(descriptor, 100, len(content)) == b""
        assert os.pread(descriptor, 100, 1 << 20) == b""


def test_a_read_from_the_start_sees_what_is_now(resctrl: Mounted, process: Companion) -> None:
    """On one descriptor, by pread at 0 and by lseek and read, content is made again."""
    group = resctrl.new_group()
    with opened(resctrl.path(group, "tasks")) as tasks:
        assert os.read(tasks, 100) == b""
        resctrl.assign(process.pid, group)
        assert os.pread(tasks, 100, 0) == b"%d\n" % process.pid
        resctrl.assign(process.pid)
        os.lseek(tasks, 0, os.SEEK_SET)
        assert os.read(tasks, 100) == b""


def test_a_read_from_within_starts_there(resctrl: Mounted) -> None:
    """pread at an offset leaves out what stands before it."""
    whole = resctrl.read("schemata").encode()
    with opened(resctrl.path("schemata")) as descriptor:
        assert os.pread(descriptor, 1000, 3) == whole[3:]
        assert os.pread(descriptor, 4, 3) == whole[3:7]


def test_the_place_of_a_write_means_nothing(resctrl: Mounted, process: Companion) -> None:
    """pwrite at any offset, a second write, and O_APPEND are each a whole command."""
    group, other = resctrl.new_group(), resctrl.new_group()
    with opened(resctrl.path(group, "tasks"), os.O_WRONLY) as tasks:
        os.pwrite(tasks, b"%d\n" % process.pid, 12345)
        assert resctrl.tasks(group) == [process.pid]
        resctrl.assign(process.pid, other)
        os.write(tasks, b"%d\n" % process.pid)
        assert resctrl.tasks(group) == [process.pid]
        resctrl.assign(process.pid, other)
        os.write(tasks, b"%d\n" % process.pid)
    assert resctrl.tasks(group) == [process.pid]
    with opened(resctrl.path(other, "tasks"), os.O_WRONLY | os.O_APPEND) as tasks:
        os.write(tasks, b"%d\n" % process.pid)
    assert resctrl.tasks(other) == [process.pid]


def test_a_write_of_several_pieces_is_one_command(resctrl: Mounted, process: Companion) -> None:
    """writev puts them together before resctrl sees them."""
    group, number = resctrl.new_group(), b"%d" % process.pid
    with opened(resctrl.path(group, "tasks"), os.O_WRONLY) as tasks:
        assert os.writev(tasks, [number[:2], number[2:], b"\n"]) == len(number) + 1
    assert resctrl.tasks(group) == [process.pid]


@pytest.mark.parametrize("path", ["", "mon_groups", "tasks", "{group}"])
def test_locks_hold_among_open_files(resctrl: Mounted, path: str) -> None:
    """flock on the root is how programs take turns: one for change keeps all others out, several may read together."""
    place = resctrl.path(path.format(group=resctrl.new_group()))
    with opened(place) as one, opened(place) as other:
        fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for kind in (fcntl.LOCK_EX, fcntl.LOCK_SH):
            with refused(EWOULDBLOCK):
                fcntl.flock(other, kind | fcntl.LOCK_NB)
        fcntl.flock(one, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
        with refused(EWOULDBLOCK):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(one, fcntl.LOCK_UN)
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_lock_ends_with_its_holder(resctrl: Mounted) -> None:
    """Closing the descriptor gives it free, however the program ends."""
    with opened(resctrl.root) as other:
        with opened(resctrl.root) as one:
            fcntl.flock(one, fcntl.LOCK_EX)
            with refused(EWOULDBLOCK):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_lock_binds_only_who_asks_for_it(resctrl: Mounted) -> None:
    """Groups are made and removed under the lock of somebody else: it is a custom and no rule."""
    with opened(resctrl.root) as one:
        fcntl.flock(one, fcntl.LOCK_EX)
        group = resctrl.new_group()
        resctrl.remove(group)
        assert not resctrl.exists(group)


def test_fsync_succeeds(resctrl: Mounted, process: Companion) -> None:
    """There is nothing to be stored, and careful programs are not told that this is an error."""
    group = resctrl.new_group()
    with opened(resctrl.path(group, "tasks"), os.O_WRONLY) as tasks:
        os.write(tasks, b"%d\n" % process.pid)
        os.fsync(tasks)
