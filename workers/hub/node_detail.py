"""One node with what is too long for a row of many: its GPUs, and its conditions with what to do. PURE."""

from agent.fleet.live import GpuRow
from agent.model.control.fleet import FleetCondition, FleetGpuRow, FleetNodeDetail
from agent.model.event_kind import split_kind
from agent.model.timebase import iso_utc
from workers.hub.fleet_node import FleetNode
from workers.hub.fleet_row import MIB, node_row, scaled, share


def node_detail(node: FleetNode, hub: tuple[str, str], now_ns: int, wall_ns: int) -> FleetNodeDetail:
    """`hub`: its name and its run."""
    use = node.state.node_use
    return FleetNodeDetail(
        hub=hub[0],
        hub_run=hub[1],
        as_of=iso_utc(wall_ns),
        node=node_row(node, now_ns),
        gpus=[] if use is None else list(map(_gpu, use.gpus)),
        conditions=[] if use is None else list(map(_condition, use.conditions)),
    )


def _gpu(row: GpuRow) -> FleetGpuRow:
    return FleetGpuRow(
        device=row.device,
        name=row.name,
        vram_bytes=scaled(row.vram_total_mib, MIB),
        vram_used_bytes=scaled(row.vram_used_mib, MIB),
        busy=share(row.busy),
        stuck=row.stuck,
    )


def _condition(sentence: str) -> FleetCondition:
    """Of `worker: kind: sentence`, as `agent.fleet.live.NodeUse` has it; a node of another version may say something else."""
    # Imported when somebody looks at a node: the catalogue is the largest table of the agent.
    from agent.model.event_catalogue import KINDS, severity_of

    worker, _, rest = sentence.partition(": ")
    kind, _, detail = rest.partition(": ")
    if not detail:
        return FleetCondition(worker="", kind="", detail=sentence, severity="warning", remedy=None)
    known = KINDS.get(split_kind(kind)[0])
    severity = "warning" if known is None else severity_of(kind).value
    return FleetCondition(
        worker=worker, kind=kind, detail=detail, severity=severity, remedy=None if known is None else known.remedy
    )
