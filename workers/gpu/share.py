"""Each process's share of a device's time, so that the shares add up to the device's own busy time. PURE.

The driver gives a sample for each process that ran since a moment, and none for others; where nobody ran it says "not found".
Samples and the device's busy time are taken over different spans, and processes that take turns are each counted for the time
that others used: so samples say how the time is divided, the device how much it was.
*Source:* NVIDIA, "NVML API Reference", nvmlDeviceGetProcessUtilization; nvtop issues 91 and 110; nvitop issues 83 and 85.
"""

from collections.abc import Collection, Iterable, Mapping

# process, percent of the time, microseconds of unix time
UtilizationSample = tuple[int, float, int]
PERCENT_MAX = 100
# Beyond this a device without any sample was not idle: who used it is unknown, which is not zero.
IDLE_BUSY_TIME = 0.02


def believed(samples: Iterable[UtilizationSample], pids: Collection[int], until_us: int) -> list[UtilizationSample]:
    """Those that can be true: of a process that is or was on the device, at most 100 percent, and not from the future."""
    return [sample for sample in samples if sample[0] in pids and 0 <= sample[1] <= PERCENT_MAX and 0 < sample[2] <= until_us]


def last_seen_us(samples: Iterable[UtilizationSample], last_us: int) -> int:
    """Since when to ask next: the latest of all moments, because those of single processes come in no order."""
    return max((moment for _, _, moment in samples), default=last_us)


def busy_shares(samples: Iterable[UtilizationSample], busy_time: float | None) -> Mapping[int, float] | None:
    """The share of each process that ran; all others have zero.

    *Absent:* None where the device was busy and no sample says for whom. *Range:* 0 to 1, also in sum.
    """
    percent: dict[int, float] = {}
    for pid, value, _ in samples:
        percent[pid] = max(value, percent.get(pid, 0))
    total = sum(percent.values())
    if total == 0:
        return None if busy_time is not None and busy_time > IDLE_BUSY_TIME else {}
    whole = min(total / PERCENT_MAX, 1.0) if busy_time is None else busy_time
    return {pid: value / total * whole for pid, value in percent.items()}
