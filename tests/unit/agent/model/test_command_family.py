"""The names by which processes are summed."""

import pytest

from agent.model.command_family import command_of


@pytest.mark.parametrize(
    ("comm", "family"),
    [
        ("kworker/0:1-ev", "kworker"), ("kworker/u8:2+flush", "kworker"), ("ksoftirqd/11", "ksoftirqd"), ("kswapd0", "kswapd"),
        ("scsi_eh_3", "scsi_eh"), ("irq/24-nvme0q1", "irq"), ("kthreadd", "kthreadd"), ("jbd2/vda1-8", "jbd2"),
        ("7", "7"), ("/x", "/x"), ("", ""),
    ],
)  # fmt: skip
def test_kernel_threads_are_summed_by_family(comm: str, family: str) -> None:
    """CPU, device and number of a kernel thread say where it runs, not what it is; no name becomes empty."""
    assert command_of(comm, is_kernel_thread=True) == family


@pytest.mark.parametrize("comm", ["kworker/0:1", "worker-7", "a/b", ""])
def test_the_name_of_a_program_stays_whole(comm: str) -> None:
    """Whatever it looks like: a program chooses its own name."""
    assert command_of(comm, is_kernel_thread=False) == comm
