"""What the driver's lists say of processes on one device: checked, and brought together. PURE, and light.

A process may be in the lists of compute, of graphics and of MPS clients at once, each with the same memory: the maximum counts, not
the sum. With driver R535 the record of these lists changed and its version did not: then numbers of processes and of bytes are
exchanged or are garbage. So a list is believed only where each row can be true.
*Source:* nvitop issue 79, pynvml issue 50 (nvmlProcessInfo_v3_t with R535).
"""

from collections.abc import Callable, Iterable

ProcessRow = tuple[int, int | None]
# 2^22 is the most that kernel.pid_max allows (proc(5)).
PID_MAX = 1 << 22


def why_refused(rows: Iterable[ProcessRow], total_bytes: int | None, exists: Callable[[int], bool] | None) -> str:
    """Why a list cannot be true; empty: it can. `exists` is None where the agent does not see processes as the driver does.

    One process may have ended between the list and the check, two in one list hardly, all of them never.
    """
    found = list(rows)
    for pid, memory in found:
        if not 0 < pid <= PID_MAX:
            return f"process number {pid}"
        if memory is not None and total_bytes is not None and memory > total_bytes:
            return f"process {pid} with more memory than the device"
    if exists is None or not found:
        return ""
    gone = [pid for pid, _ in found if not exists(pid)]
    return f"{len(gone)} of {len(found)} processes do not exist" if len(gone) > max(1, len(found) // 2) else ""


def merged(lists: Iterable[Iterable[ProcessRow]]) -> dict[int, int | None]:
    """Bytes by process: the most that any list says. *Absent:* None where no list knows."""
    most: dict[int, int | None] = {}
    for rows in lists:
        for pid, memory in rows:
            known = most.get(pid)
            most[pid] = memory if known is None else known if memory is None else max(known, memory)
    return most
