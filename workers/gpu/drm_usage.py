"""Who used which DRM device since the last look, from the counters of its clients. PURE, and light."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from workers.gpu.drm_fdinfo import DrmClient

_CLIENTS_MAX = 8192


class DrmUse(NamedTuple):
    """Of one process on one device: bytes, and the share of its busiest engine. *Absent:* not known, or the first look."""

    memory_bytes: int | None
    busy: float | None


class DrmCounters:
    """Remembers the counters of clients. One that steps back is held at its highest value."""

    def __init__(self) -> None:
        self._highest: dict[tuple[str, int], dict[str, int]] = {}
        self._at_ns: int | None = None

    def use(self, found: Iterable[tuple[int, DrmClient]], now_ns: int) -> Mapping[str, Mapping[int, DrmUse]]:
        """By device and process, of every client that was found; a client that several processes hold counts for the first."""
        span_ns = None if self._at_ns is None else max(1, now_ns - self._at_ns)
        earlier, self._highest, self._at_ns = self._highest, {}, now_ns
        busy: dict[tuple[str, int], dict[str, int]] = {}
        memory: dict[tuple[str, int], int | None] = {}
        for pid, client in found:
            key = (client.pdev, client.client)
            if key in self._highest or len(self._highest) >= _CLIENTS_MAX:
                continue
            before = earlier.get(key)
            highest = {name: max(value, (before or {}).get(name, 0)) for name, value in client.busy_ns.items()}
            self._highest[key] = highest
            place = (client.pdev, pid)
            known = memory.get(place)
            memory[place] = known if client.memory_bytes is None else client.memory_bytes + (known or 0)
            engines = busy.setdefault(place, {})
            for name, value in highest.items():
                # A client that was not there before began since then.
                engines[name] = engines.get(name, 0) + value - (before or {}).get(name, 0)
        result: dict[str, dict[int, DrmUse]] = {}
        for (pdev, pid), held in memory.items():
            most = max(busy[pdev, pid].values(), default=None)
            share = None if span_ns is None or most is None else min(1.0, most / span_ns)
            result.setdefault(pdev, {})[pid] = DrmUse(held, share)
        return result
