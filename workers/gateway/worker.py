"""The worker `gateway`: /live, /ready and /metrics over HTTP, and this node's page.

It starts last, so that it shows the others from their start.
"""

from agent.config import GATEWAY_ADDRESS, SETTINGS, Config
from agent.gateway_setting import PAGE_SETTINGS
from agent.model.limit import Ladder, LadderStep
from agent.model.worker_kind import READY, STATUS, WorkerKind
from agent.ports import Work
from workers.framework.declaration import Worker, WorkerContext


def _make(context: WorkerContext) -> Work:
    import random

    from workers.gateway.work import GatewayWork

    launch = context.launch
    return GatewayWork(
        context.clock,
        context.bus,
        launch.config,
        context.statistics(),
        launch.state_dir,
        about=(launch.host, launch.agent_version),
        epoch=f"{random.SystemRandom().getrandbits(48):012x}",
    )


def _is_wanted(config: Config) -> bool:
    """Without an address there is nothing to serve."""
    return bool(config.of(GATEWAY_ADDRESS))


WORKER = Worker(
    name="gateway",
    kind=WorkerKind("gateway", start_order=90, asks=frozenset({READY, STATUS})),
    make=_make,
    settings=PAGE_SETTINGS,
    preload=("workers.gateway.work",),
    is_wanted=_is_wanted,
    reads=tuple(setting.key for setting in SETTINGS if setting.section == "gateway"),
    ladder=Ladder((LadderStep.MEASURED_METRICS_OFF,)),
)
