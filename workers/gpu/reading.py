"""What a collector says of GPUs, decoded strictly: it runs a foreign library, and may say anything. PURE."""

import msgspec
from msgspec import Struct

from agent.model.errors import FormatError
from workers.gpu.limit import DEVICES_MAX, PROCESSES_MAX

Number = int | float | str


class DeviceIdentity(Struct, frozen=True):
    """Which device. `device` is its UUID, or its PCI address where it has none; `parent` that of a slice."""

    device: str
    parent: str | None = None
    index: int | None = None
    name: str | None = None
    pci: str | None = None


class DeviceReading(Struct, frozen=True):
    """One device or slice. `values` and `absent` are by column.

    `processes` are bytes by number of process. `samples` say who used it. *Absent:* `processes` and `samples` where they cannot
    be known, for the reason `processes_absent` and `samples_absent`.
    """

    identity: DeviceIdentity
    is_lost: bool = False
    values: dict[str, Number] = {}
    absent: dict[str, str] = {}
    processes: list[tuple[int, int | None]] | None = None
    processes_absent: str = ""
    samples: list[tuple[int, float, int]] | None = None
    samples_absent: str = ""


class GpuProcessIdentity(Struct, frozen=True):
    """A process as /proc shows it. *Absent:* `pid` where it is not there, or numbered otherwise; then all is."""

    pid: int | None = None
    comm: str | None = None
    cgroup: str | None = None
    absent: str = ""


class GpuAnswer(Struct, frozen=True):
    """Everything that one collector found. `problem` is a word of `workers.gpu.problem`, with what the driver said in `detail`."""

    source: str
    devices: list[DeviceReading] = []
    processes: dict[str, GpuProcessIdentity] = {}
    problem: str = ""
    detail: str = ""
    driver: str = ""
    refused: int = 0


_DECODER = msgspec.json.Decoder(GpuAnswer)


def decode_answer(line: bytes) -> GpuAnswer:
    """One line of a collector. *Raises:* FormatError."""
    try:
        answer = _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as cause:
        raise FormatError("GPU collector", f"its answer cannot be read ({cause})") from cause
    if len(answer.devices) > DEVICES_MAX or len(answer.processes) > DEVICES_MAX * PROCESSES_MAX:
        raise FormatError("GPU collector", "it names more devices or processes than there can be")
    return answer
