"""The worker `beat`: one frame a second to each hub, so that the hub knows within seconds when this node is silent."""

from agent.config import Config
from agent.model.worker_kind import Statistic, WorkerKind
from agent.ports import Work
from agent.sink_section import hub_names
from workers.framework.declaration import Worker, WorkerContext


def _make(context: WorkerContext) -> Work:
    import os

    from agent.fleet.joined import FOLDER
    from workers.beat.joining import Joining
    from workers.beat.work import BeatParts, BeatWork
    from workers.fleet.beat_page import SUFFIX, BeatPage
    from workers.fleet.hello import hello_of
    from workers.fleet.hub_file import INVITATION_FILE, KEY_PATH, read_hub
    from workers.fleet.hub_socket import HubSocket

    launch = context.launch
    folder = os.path.join(launch.state_dir, FOLDER)
    zmq_context = context.zmq_context()

    def page(name: str) -> BeatPage:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        return BeatPage(os.path.join(folder, name + SUFFIX))

    hello = hello_of(launch, "beat")

    def join(name: str, now_ns: int) -> Joining | None:
        section = launch.config.sinks[name]
        invitation = section.get(INVITATION_FILE.key, "")
        if not invitation:
            return None
        return Joining(zmq_context, invitation, section[KEY_PATH.key], (hello.install, hello.host), now_ns)

    parts = BeatParts(
        hub_names(launch.config.sinks),
        hello,
        lambda name: read_hub(launch.config, name),
        lambda hub: HubSocket(zmq_context, hub),
        page,
        join,
    )
    return BeatWork(parts, context.clock, context.bus)


def _is_wanted(config: Config) -> bool:
    """Without a hub nobody listens."""
    return bool(hub_names(config.sinks))


WORKER = Worker(
    name="beat",
    # Behind the writer, which makes the install id.
    kind=WorkerKind("beat", start_order=65),
    make=_make,
    preload=("workers.beat.work",),
    is_wanted=_is_wanted,
    statistics=(
        Statistic("evergauge_beat_up", "gauge", "1 while the hub takes the beats of this node.", ("welcome",), by="hub"),
        Statistic("evergauge_beat_sent_total", "counter", "Beats sent to the hub.", ("sent",), by="hub"),
        Statistic("evergauge_beat_unsent_total", "counter", "Beats for which there was no connection.", ("unsent",), by="hub"),
    ),
)
