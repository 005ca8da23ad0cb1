"""The worker `gateway`: /live, /ready and /metrics over HTTP. It starts last, so that it shows the others from their start."""

from agent.config import GATEWAY_ADDRESS, SETTINGS, Config
from agent.model.limit import Ladder, LadderStep
from agent.model.worker_kind import READY, STATUS, WorkerKind
from agent.ports import Work
from workers.framework.declaration import Worker, WorkerContext


def _make(context: WorkerContext) -> Work:
    from workers.gateway.work import GatewayWork

    return GatewayWork(context.clock, context.bus, context.launch.config, context.statistics(), context.launch.state_dir)


def _is_wanted(config: Config) -> bool:
    """Without an address there is nothing to serve."""
    return bool(config.of(GATEWAY_ADDRESS))


WORKER = Worker(
    name="gateway",
    kind=WorkerKind("gateway", start_order=90, asks=frozenset({READY, STATUS})),
    make=_make,
    preload=("workers.gateway.work",),
    is_wanted=_is_wanted,
    reads=tuple(setting.key for setting in SETTINGS if setting.section == "gateway"),
    ladder=Ladder((LadderStep.MEASURED_METRICS_OFF,)),
)
