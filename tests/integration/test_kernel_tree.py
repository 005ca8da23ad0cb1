"""What the kernel's own `/proc` does beyond a folder of files."""

import errno
import os

import pytest

from workers.runtime.kernel_tree import OpenKernelTree


def test_reading_a_process_that_has_ended_is_esrch() -> None:
    """A kept descriptor names the process and not its number."""
    tree = OpenKernelTree("/proc")
    pid = os.posix_spawn("/bin/true", ["true"], {})
    descriptor = tree.open(f"{pid}/stat")
    assert tree.read_open(descriptor, 100).startswith(b"%d (" % pid)
    os.waitpid(pid, 0)
    with pytest.raises(ProcessLookupError) as gone:
        tree.read_open(descriptor, 100)
    assert gone.value.errno == errno.ESRCH
    tree.close(descriptor)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process that gives root up")
def test_a_process_that_has_given_root_up_belongs_to_its_new_user() -> None:
    """The owner of its directory is the effective user; files in it stay root's, because the process is not dumpable."""
    tree = OpenKernelTree("/proc")
    ready, done = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setresuid(65534, 65534, 65534)
        os.write(ready[1], b"x")
        os.read(done[0], 1)
        os._exit(0)
    try:
        os.read(ready[0], 1)
        assert tree.owner(str(pid)) == 65534
    finally:
        os.write(done[1], b"x")
        os.waitpid(pid, 0)
        for descriptor in (*ready, *done):
            os.close(descriptor)
