"""The line of one process, as this kernel writes it."""

import os
from pathlib import Path

import pytest

from agent.model.errors import KernelFormatError
from agent.process_stat import read_stat


def test_our_own_line_says_who_we_are() -> None:
    """Parent and threads are those that the system calls give."""
    stat = read_stat("/proc/self")
    assert (stat.ppid, stat.is_ended, stat.is_kernel_thread) == (os.getppid(), False, False)
    assert stat.threads is not None
    assert stat.threads >= 1


def test_a_process_that_is_gone_has_no_line(tmp_path: Path) -> None:
    """The kernel's error is the caller's."""
    with pytest.raises(FileNotFoundError):
        read_stat(str(tmp_path))


def test_what_is_no_line_is_refused_and_waited_for_by_nobody(tmp_path: Path) -> None:
    """A pipe under the name has nothing to give."""
    os.mkfifo(tmp_path / "stat")
    with pytest.raises(KernelFormatError):
        read_stat(str(tmp_path))
