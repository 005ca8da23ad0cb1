"""The tables of GPUs: each device or MIG slice, and each process on one. PURE."""

from agent.model.column_type import DType
from agent.model.table import Column, Table

NVML, AMDGPU, FDINFO = "NVML, amdgpu sysfs", "linux/Documentation/gpu/amdgpu", "linux/Documentation/gpu/drm-usage-stats.rst"
SAMPLER = "sampler"


def _whole(name: str, unit: str, about: str, source: str = NVML) -> Column:
    return Column(name, DType.INT64, unit, about, source, nullable=True)


def _ratio(name: str, unit: str, about: str, source: str = NVML) -> Column:
    return Column(name, DType.FLOAT64, unit, about, source, nullable=True)


_TIMESTAMP = Column("timestamp", DType.INT64, "ns", "when the tick was read, unix time", "sampler clock")
_DEVICE = Column("device", DType.UTF8, "", "UUID of the device or MIG slice; PCI address where it has none", "column source")
_SOURCE = Column("source", DType.UTF8, "", "nvml, amdgpu, drm or nvidia-smi", SAMPLER)
_ABSENT = Column("absent", DType.UTF8, "", "why values of this row are null", SAMPLER, True)

GPU = Table(
    name="gpu",
    version=1,
    about="Each GPU and MIG slice, one row a tick.",
    key=("timestamp", "device"),
    columns=(
        _TIMESTAMP,
        _DEVICE,
        Column("parent", DType.UTF8, "", "of a MIG slice: UUID of its device", NVML, True),
        _whole("index", "1", "number of the device as its driver counts"),
        Column("name", DType.UTF8, "", "product name", NVML, True),
        Column("pci", DType.UTF8, "", "PCI address", NVML, True),
        _SOURCE,
        Column("state", DType.UTF8, "", "ok, stuck or lost", SAMPLER),
        _whole("stuck_since_timestamp", "ns", "since when its driver does not answer, unix time", SAMPLER),
        _ratio("busy_time", "1", "share of the time with at least one kernel running; no measure of load"),
        _ratio("memory_busy_time", "1", "share of the time with the memory read or written"),
        _whole("memory_total_bytes", "bytes", "memory of the device"),
        _whole("memory_used_bytes", "bytes", "memory in use, without the reserved"),
        _whole("memory_reserved_bytes", "bytes", "memory that the driver reserves"),
        _whole("power_milliwatts", "mW", "power draw"),
        _whole("power_limit_milliwatts", "mW", "power limit in force"),
        _ratio("temperature_celsius", "Celsius", "temperature of the GPU"),
        _whole("clock_graphics_hz", "Hz", "clock of the graphics or compute engine"),
        _whole("clock_memory_hz", "Hz", "clock of the memory"),
        Column("throttle_reasons", DType.UTF8, "", "why clocks are held back, joined by commas; empty: they are not", NVML, True),
        _whole("ecc_corrected", "1", "corrected memory errors since the driver was loaded"),
        _whole("ecc_uncorrected", "1", "uncorrected memory errors since the driver was loaded"),
        _whole("xid", "1", "code of the last Xid error of this run of the agent; null: none seen"),
        _ABSENT,
    ),
)

GPU_PROCESS = Table(
    name="gpu_process",
    version=1,
    about="Each process on a GPU, one row a tick. Shares of one device add up to its busy time.",
    key=("timestamp", "device", "pid", "driver_pid"),
    columns=(
        _TIMESTAMP,
        _DEVICE,
        _SOURCE,
        _whole("pid", "1", "process in the agent's view of /proc; null: not attributable"),
        _whole("driver_pid", "1", "process as the driver numbers it: in the host's view"),
        Column("comm", DType.UTF8, "", "name of the process", "proc_pid_comm(5)", True),
        Column("unit", DType.UTF8, "", "the pod's uid, or the path of the unit's cgroup", "proc_pid_cgroup(5)", True),
        Column("container", DType.UTF8, "", "id of its container", "proc_pid_cgroup(5)", True),
        _whole("memory_bytes", "bytes", "its memory on the device: the most that any of the driver's lists says"),
        _ratio("busy_share", "1", "its share of the time since the last tick"),
        _ABSENT,
    ),
)

TABLES: tuple[Table, ...] = (GPU, GPU_PROCESS)
