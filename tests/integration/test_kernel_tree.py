"""What the kernel's own `/proc` does beyond a folder of files."""

import errno
import os

import pytest

from workers.runtime.kernel_tree import KernelTree


def test_reading_a_process_that_has_ended_is_esrch() -> None:
    """A kept descriptor names the process and not its number."""
    tree = KernelTree("/proc")
    pid = os.posix_spawn("/bin/true", ["true"], {})
    descriptor = tree.open(f"{pid}/stat")
    assert tree.read_open(descriptor, 100).startswith(b"%d (" % pid)
    os.waitpid(pid, 0)
    with pytest.raises(ProcessLookupError) as gone:
        tree.read_open(descriptor, 100)
    assert gone.value.errno == errno.ESRCH
    tree.close(descriptor)
