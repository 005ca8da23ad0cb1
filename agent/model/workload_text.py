"""What people write of a workload, in `agentctl run` and in the settings file, as the plain values of an order. PURE, and light.

The order itself is `workers.keeper.protocol.WorkloadSpec`; its field names are the keys here.
"""

import math

# As systemd and container engines read them: powers of 1024.
_SCALES = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
# The kernel's words for the limits of a disk, and the fields that they become. *Source:* cgroup-v2.rst, io.max.
IO_FIELDS = {
    "rbps": "read_bytes_per_second",
    "wbps": "write_bytes_per_second",
    "riops": "reads_per_second",
    "wiops": "writes_per_second",
}
CPU_WORDS = "a share of one CPU in percent such as 50% or 200%, or a number of CPUs such as 0.5 or 2"
SIZE_WORDS = "bytes, or a size such as 512M, 4G or 4GiB"
IO_WORDS = "DEVICE:LIMIT=VALUE,… with the limits rbps, wbps, riops, wiops, such as /dev/sda:rbps=50M,wiops=1000"
PIDS_WORDS = "a whole number of processes and threads"


def parse_cpu(value: object) -> float:
    """How many CPUs `200%`, `1.5` or 2 are. *Raises:* ValueError."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("not a number")
    text = value.strip() if isinstance(value, str) else value
    is_share = isinstance(text, str) and text.endswith("%")
    try:
        number = float(text.removesuffix("%")) if isinstance(text, str) else float(text)
    except (ValueError, OverflowError) as cause:
        raise ValueError("not a number") from cause
    if not math.isfinite(number) or number <= 0:
        raise ValueError("not above 0")
    return number / 100 if is_share else number


def parse_size(value: object) -> int:
    """The bytes that `4G`, `4GiB` or 4096 are. *Raises:* ValueError."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("not a size")
    if isinstance(value, int):
        return _positive(value)
    text = value.strip()
    digits = text.rstrip("BiKMGTkmgt")
    unit = text[len(digits) :].upper()
    # KB is a thousand to some and 1024 to others.
    scale = _SCALES.get(unit.removesuffix("IB") if unit.endswith("IB") and unit != "IB" else unit)
    try:
        number = float(digits)
    except ValueError as cause:
        raise ValueError("not a size") from cause
    if scale is None or not math.isfinite(number):
        raise ValueError("not a size")
    return _positive(round(number * scale))


def parse_count(value: object) -> int:
    """A whole number above 0. *Raises:* ValueError."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("not a whole number")
    try:
        return _positive(int(value))
    except ValueError as cause:
        raise ValueError("not a whole number above 0") from cause


def parse_io(value: object) -> dict[str, object]:
    """One disk with its limits. *Raises:* ValueError."""
    if not isinstance(value, str):
        raise ValueError("not a text")
    # A disk may be written by its numbers, `8:0`.
    device, colon, limits = value.rpartition(":")
    if not colon or not device:
        raise ValueError("no device")
    found: dict[str, object] = {"device": device}
    for part in limits.split(","):
        word, equals, number = part.partition("=")
        if not equals or word not in IO_FIELDS:
            raise ValueError(f"{word!r} is none of its limits")
        found[IO_FIELDS[word]] = parse_size(number)
    return found


def parse_pair(value: str) -> tuple[str, str]:
    """The two sides of `KEY=VALUE`. *Raises:* ValueError."""
    key, equals, text = value.partition("=")
    if not equals or not key:
        raise ValueError("not KEY=VALUE")
    return key, text


def _positive(number: int) -> int:
    # What msgspec and the kernel hold: 63 bits.
    if not 0 < number < 1 << 63:
        raise ValueError("not above 0, or too large")
    return number
