"""The real file system's own rules, over a folder that a table of mounts calls a resctrl."""

import errno
import os
import resource
import stat
from pathlib import Path

import pytest
from fakes.capability import without_effective

from workers.resctrl.filesystem import MountedFilesystem


class Folder:
    """A folder that plays the mount, with the table of mounts that says so."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "resctrl"
        self.root.mkdir()
        self.table = folder / "mountinfo"
        (self.root / "tasks").write_text("1\n2\n")
        (self.root / "mon_groups").mkdir()
        self.mounted()
        self.filesystem = MountedFilesystem(str(self.root), str(self.table))

    def mounted(self, kind: str = "resctrl", *more: str) -> None:
        device = self.root.stat().st_dev
        head = f"61 23 {os.major(device)}:{os.minor(device)} / {self.root} rw"
        self.table.write_text("\n".join([f"{head} - {kind} resctrl rw", *more, ""]))

    def unmounted(self) -> None:
        """The folder is still there, as a mount point is; its device is another's now."""
        self.table.write_text("28 1 259:2 / / rw - ext4 /dev/nvme0n1p2 rw\n")
        self.filesystem.forget()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A mount in a private folder."""
    return Folder(tmp_path)


def test_the_mount_is_known_by_its_device(folder: Folder) -> None:
    """As long as nothing changes the number is the same, and is the device's."""
    assert folder.filesystem.mount_id() == folder.filesystem.mount_id() == folder.root.stat().st_dev


def test_another_mount_at_the_same_place_is_another(folder: Folder) -> None:
    """Also when the kernel gives it the device number of the one before."""
    before = folder.filesystem.mount_id()
    folder.unmounted()
    assert folder.filesystem.mount_id() is None
    folder.mounted("fuse.resctrl")

    after = folder.filesystem.mount_id()

    assert after is not None
    assert after != before


def test_a_folder_that_is_no_resctrl_is_no_mount(folder: Folder) -> None:
    """Another type, or a mount table with another device, does not count; nor does a missing folder."""
    folder.mounted("tmpfs")
    assert folder.filesystem.mount_id() is None
    folder.table.write_text(f"61 23 0:1 / {folder.root} rw - resctrl resctrl rw\n")
    assert folder.filesystem.mount_id() is None
    missing = MountedFilesystem(str(folder.root / "missing"), str(folder.table))
    assert missing.mount_id() is None


def test_without_a_mount_nothing_is_touched(folder: Folder) -> None:
    """Every operation answers ENODEV, and the folder below stays as it is."""
    folder.unmounted()
    filesystem = folder.filesystem

    for operation in (
        lambda: filesystem.mkdir("mon_groups/x"),
        lambda: filesystem.rmdir("mon_groups"),
        lambda: filesystem.write("tasks", b"1"),
        lambda: filesystem.read("tasks"),
        lambda: filesystem.list_directories(""),
        lambda: filesystem.open("tasks"),
        filesystem.try_lock,
        filesystem.may_write,
    ):
        with pytest.raises(OSError, match="no resctrl is mounted") as caught:
            operation()
        assert caught.value.errno == errno.ENODEV
    assert (folder.root / "mon_groups").is_dir()


def test_a_mount_reached_by_a_link_is_found(folder: Folder, tmp_path: Path) -> None:
    """The setting may name a link; rows show the path as it was given."""
    (tmp_path / "link").symlink_to(folder.root)
    filesystem = MountedFilesystem(f"{tmp_path}/x/../link", str(folder.table))

    assert filesystem.root == f"{tmp_path}/link"
    assert filesystem.mount_id() == folder.root.stat().st_dev
    assert filesystem.read("tasks") == b"1\n2\n"


@pytest.mark.parametrize("path", ["/etc/passwd", "..", "../x", "mon_groups/../../x", "mon_groups/.."])
def test_no_path_leads_out(folder: Folder, path: str) -> None:
    """A path that leaves the mount is a bug of the caller, for reading and for changing."""
    for operation in (folder.filesystem.read, folder.filesystem.mkdir, folder.filesystem.rmdir, folder.filesystem.list_directories):
        with pytest.raises(ValueError, match="leads out of the mount"):
            operation(path)


def test_no_link_leads_out(folder: Folder, tmp_path: Path) -> None:
    """A link in the place of a file or directory is not followed, and not listed."""
    (tmp_path / "secret").write_text("x")
    (folder.root / "file").symlink_to(tmp_path / "secret")
    (folder.root / "directory").symlink_to(tmp_path)

    for path in ("file", "directory"):
        with pytest.raises(OSError) as caught:
            folder.filesystem.read(path)
        assert caught.value.errno == errno.ELOOP
    with pytest.raises(OSError) as caught:
        folder.filesystem.write("file", b"y")
    assert caught.value.errno == errno.ELOOP
    assert folder.filesystem.list_directories("") == ["mon_groups"]


def test_writing_makes_no_file_and_cuts_none(folder: Folder) -> None:
    """A write goes to what is there: a missing file is ENOENT, and what was in one stays beyond what is written."""
    with pytest.raises(FileNotFoundError):
        folder.filesystem.write("mon_groups/tasks", b"1")
    assert not (folder.root / "mon_groups" / "tasks").exists()

    folder.filesystem.write("tasks", b"9")
    assert (folder.root / "tasks").read_bytes() == b"9\n2\n"


def test_a_command_taken_in_part_is_an_error(folder: Folder) -> None:
    """Half a list of threads is not the list; here a limit of file sizes, in a process of its own, makes the write end early."""
    pid = os.fork()
    if pid == 0:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (3, 3))
            folder.filesystem.write("tasks", b"123,456")
        except OSError as problem:
            os._exit(problem.errno or 0)
        os._exit(0)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == errno.EIO


def test_a_large_file_is_read_whole_and_a_limit_is_kept(folder: Folder) -> None:
    """Files come in several parts; `bytes_max` ends them exactly."""
    content = b"".join(b"%d\n" % number for number in range(100_000))
    (folder.root / "tasks").write_bytes(content)

    assert folder.filesystem.read("tasks", 1 << 20) == content
    assert folder.filesystem.read("tasks", 70_001) == content[:70_001]


def test_an_open_file_is_read_from_its_beginning_each_time(folder: Folder) -> None:
    """The same descriptor shows what is in the file now."""
    descriptor = folder.filesystem.open("tasks")
    try:
        assert folder.filesystem.read_open(descriptor, 64) == b"1\n2\n"
        (folder.root / "tasks").write_text("3\n4\n")
        assert folder.filesystem.read_open(descriptor, 64) == b"3\n4\n"
    finally:
        folder.filesystem.close(descriptor)


def test_the_lock_is_one_that_others_see(folder: Folder) -> None:
    """Of two objects, as of two programs, one has it; given back, the other can take it."""
    other = MountedFilesystem(str(folder.root), str(folder.table))
    assert folder.filesystem.try_lock()
    assert not other.try_lock()

    folder.filesystem.unlock()
    assert other.try_lock()
    assert not folder.filesystem.try_lock()
    other.unlock()
    other.unlock()


def test_the_lock_does_not_outlive_its_holder_in_a_forked_process(folder: Folder) -> None:
    """A process forked while the lock was held does not hold it when its parent has given it back."""
    other = MountedFilesystem(str(folder.root), str(folder.table))
    assert folder.filesystem.try_lock()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    try:
        folder.filesystem.unlock()
        assert other.try_lock()
        other.unlock()
    finally:
        os.close(read)
        os.close(write)
        os.waitpid(pid, 0)


def test_no_descriptor_is_left_open(folder: Folder) -> None:
    """After all operations, failed ones too, exactly the directory kept open is open, and `forget` closes it."""
    before = len(os.listdir("/proc/self/fd"))
    filesystem = folder.filesystem
    other = MountedFilesystem(str(folder.root), str(folder.table))
    assert other.try_lock()

    assert filesystem.mount_id() is not None
    assert not filesystem.try_lock()
    assert filesystem.may_write()
    filesystem.list_directories("")
    filesystem.read("tasks")
    for path in ("missing", "mon_groups"):
        with pytest.raises(OSError):
            filesystem.read(path)
        with pytest.raises(OSError):
            filesystem.write(path, b"1")
    other.forget()
    assert len(os.listdir("/proc/self/fd")) == before + 1

    filesystem.forget()
    assert len(os.listdir("/proc/self/fd")) == before


def test_other_mounts_are_told(folder: Folder) -> None:
    """Where resctrl is mounted besides, and not here."""
    folder.mounted("resctrl", "99 1 0:77 / /mnt/else\\040where rw - resctrl resctrl rw", "100 1 0:78 / /mnt/x rw - tmpfs tmpfs rw")

    assert folder.filesystem.other_mounts() == ["/mnt/else where"]


def test_a_table_of_mounts_that_cannot_be_read_is_an_error(folder: Folder) -> None:
    """Not knowing is not the same as not mounted."""
    folder.table.unlink()

    with pytest.raises(FileNotFoundError):
        folder.filesystem.mount_id()


def test_a_directory_that_only_its_mode_closes_is_opened_to_its_owner(folder: Folder) -> None:
    """The kernel makes `mon_groups` with mode 0555: groups come and go there without a capability, and others gain nothing."""
    groups = folder.root / "mon_groups"
    groups.chmod(0o555)
    with without_effective("CAP_DAC_OVERRIDE"):
        folder.filesystem.mkdir("mon_groups/pod_a")
        assert (groups / "pod_a").is_dir()
        groups.chmod(0o555)
        folder.filesystem.rmdir("mon_groups/pod_a")
    assert stat.S_IMODE(groups.stat().st_mode) == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder away")
def test_a_directory_of_another_owner_stays_closed(folder: Folder) -> None:
    """Then EACCES is the answer, and its mode is untouched."""
    groups = folder.root / "mon_groups"
    groups.chmod(0o555)
    os.chown(groups, 65534, 65534)
    with without_effective("CAP_DAC_OVERRIDE"), pytest.raises(PermissionError):
        folder.filesystem.mkdir("mon_groups/pod_a")
    assert stat.S_IMODE(groups.stat().st_mode) == 0o555
