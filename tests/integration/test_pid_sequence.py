"""New processes are found by their numbers alone, on the kernel that gives them."""

import os
import subprocess
import time

from workers.process.files import ProcFiles
from workers.process.pid_sequence import PidSequence
from workers.process.process_table import ProcessTable
from workers.runtime.kernel_tree import OpenKernelTree

NS_PER_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def test_a_process_that_starts_is_met_without_a_listing_and_one_that_ends_is_gone() -> None:
    """By the numbers given since; its end by its clock."""
    tree = OpenKernelTree("/proc")
    files = ProcFiles(tree, lambda: None)
    table = ProcessTable(
        files,
        boot_ns=lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME),
        ns_per_tick=NS_PER_TICK,
        page_bytes=os.sysconf("SC_PAGE_SIZE"),
        beat=lambda: None,
        own_pid=os.getpid(),
    )
    sequence = PidSequence(tree)
    try:
        for _ in range(2):
            assert sequence.given(1 << 20) is None
        table.scan([name for name in tree.list_names() if name.isdecimal()], table.boot_ticks())
        assert table.has_clocks
        with subprocess.Popen(["sleep", "60"]) as child:
            numbers = sequence.given(1 << 20)
            # Where the numbers have just begun again everything is listed.
            assert numbers is None or child.pid in numbers
            scan = table.scan_numbers(numbers or range(child.pid, child.pid + 1), table.boot_ticks())
            assert child.pid in [process.pid for process in scan.started]
            table.end_interval(scan)
            child.kill()
        assert child.pid in [process.pid for process in table.scan_numbers(range(0), table.boot_ticks()).gone]
    finally:
        files.close()
