"""The last hour of each node in few bytes: what a heat map shows. PURE.

One value of each metric in each step, a byte: 0 to 200 are half percents, and above stand the reasons for none. It is a picture for
people; what is kept for good is in the tables.
"""

from msgspec import Struct

from agent.model.timebase import S
from workers.hub.fleet_node import PRESENT, FleetNode, NodePhase

STEP_NS = 10 * S
STEPS = 360
METRICS = ("cpu", "memory", "pressure")
HUNDRED_PERCENT = 200
# Why there is no value: nothing is known, the node was late, silent, gone, or never reported.
UNKNOWN, LATE, STALE, GONE, UNSEEN = 255, 254, 253, 252, 251
_BY_PHASE = {NodePhase.LATE: LATE, NodePhase.STALE: STALE, NodePhase.GONE: GONE, NodePhase.NEVER_SEEN: UNSEEN}


class _Rings(Struct):
    """One ring for each metric."""

    cpu: bytearray
    memory: bytearray
    pressure: bytearray


class FleetHistory:
    """*Shape:* of each node STEPS values of each metric, the newest last. *Units:* `step` counts steps since the hub's start."""

    def __init__(self, now_ns: int) -> None:
        self.step = 0
        self.next_at_ns = now_ns + STEP_NS
        self._rings: dict[str, _Rings] = {}

    def take(self, nodes: dict[str, FleetNode], now_ns: int) -> None:
        """The next step has come; steps in which nobody looked stay unknown."""
        missed = min(STEPS, max(0, now_ns - self.next_at_ns) // STEP_NS)
        self.next_at_ns += (1 + max(0, now_ns - self.next_at_ns) // STEP_NS) * STEP_NS
        for _ in range(missed):
            self._advance()
        self._advance()
        for gone in self._rings.keys() - nodes.keys():
            del self._rings[gone]
        place = self.step % STEPS
        for install, node in nodes.items():
            rings = self._rings.get(install)
            if rings is None:
                rings = self._rings[install] = _Rings(*(bytearray([UNKNOWN]) * STEPS for _ in METRICS))
            rings.cpu[place], rings.memory[place], rings.pressure[place] = levels(node)

    def of(self, install: str, metric: str) -> bytes:
        """The values of a node, the oldest first. *Raises:* KeyError for a metric that is none."""
        if metric not in METRICS:
            raise KeyError(metric)
        rings = self._rings.get(install)
        if rings is None:
            return bytes([UNKNOWN]) * STEPS
        ring = bytes(getattr(rings, metric))
        begin = (self.step + 1) % STEPS
        return ring[begin:] + ring[:begin]

    def _advance(self) -> None:
        self.step += 1
        place = self.step % STEPS
        for rings in self._rings.values():
            rings.cpu[place] = rings.memory[place] = rings.pressure[place] = UNKNOWN


def levels(node: FleetNode) -> tuple[int, int, int]:
    """The values of this moment: CPU in use, memory in use, and the worst of its pressures."""
    if node.phase not in PRESENT or node.phase is NodePhase.LATE:
        return (_BY_PHASE[node.phase],) * 3
    label, use = node.state.node_label, node.state.node_use
    if label is None or use is None:
        return (UNKNOWN,) * 3
    pressures = [each for each in (use.pressure_cpu, use.pressure_memory, use.pressure_io) if each is not None]
    free, memory = use.memory_available_kib, label.memory_kib
    return (
        _level(None if use.cpu is None or not label.cpus else use.cpu / label.cpus),
        _level(None if free is None or not memory else 1000 * (memory - free) / memory),
        _level(max(pressures, default=None)),
    )


def _level(thousandths: float | None) -> int:
    return UNKNOWN if thousandths is None else max(0, min(HUNDRED_PERCENT, round(thousandths / 5)))
