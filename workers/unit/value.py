"""What is known of a unit at one moment: one flat list of numbers, by these places. PURE.

The first are counters, of which rows have the increase; the others are levels, of which rows have the last one. One list that
stays and is filled in place is cheaper than objects that are made at each reading.
"""

COUNTERS = (
    "cpu_ns", "cpu_user_ns", "cpu_system_ns", "cpu_periods", "cpu_throttled_periods", "cpu_throttled_ns",
    "page_faults", "major_faults",
    "io_read_bytes", "io_write_bytes", "io_reads", "io_writes",
    "pressure_cpu_some_ns", "pressure_cpu_full_ns", "pressure_memory_some_ns", "pressure_memory_full_ns",
    "pressure_io_some_ns", "pressure_io_full_ns",
    "oom_events", "oom_kills", "memory_max_events", "memory_high_events",
)  # fmt: skip
LEVELS = (
    "cpu_weight",
    "memory_current_bytes", "memory_anon_bytes", "memory_file_bytes", "memory_shmem_bytes", "memory_kernel_bytes",
    "memory_inactive_file_bytes", "memory_swap_bytes", "memory_peak_bytes",
    "pids",
)  # fmt: skip
COUNTERS_COUNT, VALUES_COUNT = len(COUNTERS), len(COUNTERS) + len(LEVELS)

(
    CPU, CPU_USER, CPU_SYSTEM, PERIODS, THROTTLED_PERIODS, THROTTLED,
    FAULTS, MAJOR_FAULTS,
    READ_BYTES, WRITE_BYTES, READS, WRITES,
    CPU_SOME, CPU_FULL, MEMORY_SOME, MEMORY_FULL, IO_SOME, IO_FULL,
    OOM, OOM_KILL, OOM_MAX, OOM_HIGH,
    WEIGHT,
    CURRENT, ANON, FILE, SHMEM, KERNEL, INACTIVE_FILE, SWAP, PEAK,
    PIDS,
) = range(VALUES_COUNT)  # fmt: skip

# Numbers of one unit. *Absent:* None for what could not be read.
Values = list[int | None]
