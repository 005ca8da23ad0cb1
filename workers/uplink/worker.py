"""The worker `uplink`: this node's live state for each hub, whole once and then what changes."""

from agent.config import Config
from agent.model.worker_kind import STATUS, Statistic, WorkerKind
from agent.ports import Work
from agent.sink_section import hub_names
from workers.framework.declaration import Worker, WorkerContext


def _make(context: WorkerContext) -> Work:
    import os

    from agent.fleet.joined import FOLDER
    from workers.fleet.beat_page import SUFFIX, BeatPage
    from workers.fleet.hello import hello_of
    from workers.fleet.hub_file import read_hub
    from workers.fleet.hub_socket import HubSocket
    from workers.uplink.work import UplinkParts, UplinkWork

    launch = context.launch
    folder = os.path.join(launch.state_dir, FOLDER)
    zmq_context = context.zmq_context()

    def page(name: str) -> BeatPage:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        return BeatPage(os.path.join(folder, name + SUFFIX))

    parts = UplinkParts(
        hub_names(launch.config.sinks),
        launch.state_dir,
        hello_of(launch, "live"),
        lambda name: read_hub(launch.config, name),
        lambda hub: HubSocket(zmq_context, hub),
        page,
    )
    return UplinkWork(parts, context.clock, context.bus)


def _is_wanted(config: Config) -> bool:
    """Without a hub nobody looks."""
    return bool(hub_names(config.sinks))


WORKER = Worker(
    name="uplink",
    # Behind the samplers, whose rows it sends.
    kind=WorkerKind("uplink", start_order=66, asks=frozenset({STATUS})),
    make=_make,
    preload=("workers.uplink.work",),
    is_wanted=_is_wanted,
    statistics=(
        Statistic("evergauge_uplink_up", "gauge", "1 while the hub takes the live state of this node.", ("welcome",), by="hub"),
        Statistic("evergauge_uplink_updates_total", "counter", "Updates of the live state sent.", ("updates",), by="hub"),
        Statistic("evergauge_uplink_wholes_total", "counter", "Those of them that had everything.", ("wholes",), by="hub"),
        Statistic("evergauge_uplink_sent_bytes_total", "counter", "Bytes of updates sent.", ("sent_bytes",), by="hub"),
    ),
)
